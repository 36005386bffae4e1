#include "ingest/line_protocol_testing.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tsdbd::ingest {
namespace {

std::string PrintFields(const model::RowBatch& batch, const model::Row& row) {
  std::string text;
  const std::vector<std::string>& names = batch.field_lists[row.field_list].names;
  for (size_t i = 0; i < names.size(); ++i) {
    // fmt prints the shortest text that gives the same double.
    text += fmt::format("{}{}={}", i == 0 ? "" : ",", Escaped(names[i]),
                        batch.values[row.first_value + i]);
  }
  return text;
}

// Without "unable to parse '<line>': ", which repeats the line.
std::string_view ShortReason(std::string_view reason) {
  const size_t quote = reason.rfind("': ");
  return quote == std::string_view::npos ? reason : reason.substr(quote + 3);
}

}  // namespace

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == ',' || c == '=' || c == ' ') {
      escaped += '\\';
    }
    escaped += c;
  }
  return escaped;
}

std::string PrintLines(const model::RowBatch& batch) {
  std::string lines;
  for (const model::Row& row : batch.rows) {
    lines += fmt::format("{} {} {}\n", row.key, PrintFields(batch, row), row.timestamp);
  }
  return lines;
}

std::string DescribeOutcome(const model::RowBatch& batch, const ParseReport& report) {
  std::vector<std::pair<uint32_t, std::string>> lines;
  for (const model::Row& row : batch.rows) {
    lines.emplace_back(row.line, fmt::format("{}: {} {} @{}\n", row.line, row.key,
                                             PrintFields(batch, row), row.timestamp));
  }
  for (const model::LineError& error : report.errors) {
    lines.emplace_back(error.line, fmt::format("{}! {}\n", error.line, ShortReason(error.reason)));
  }
  std::sort(lines.begin(), lines.end());
  std::string outcome;
  for (const auto& [number, text] : lines) {
    outcome += text;
  }
  const auto add_count = [&outcome](std::string_view name, uint64_t count) {
    if (count != 0) {
      outcome += fmt::format("{}={}\n", name, count);
    }
  };
  add_count("dropped", report.dropped_string_count);
  add_count("empty", report.lines_without_values);
  add_count("inexact", report.inexact_integer_count);
  return outcome;
}

}  // namespace tsdbd::ingest
