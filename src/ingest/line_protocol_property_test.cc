// Random rows, printed as line protocol in all the ways it allows and with bad lines among them,
// come back as they were.

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ingest/line_key_decoder.h"
#include "ingest/line_protocol.h"
#include "ingest/line_protocol_testing.h"

namespace tsdbd::ingest {
namespace {

constexpr uint64_t kSeed = 20'240'602;
constexpr model::Timestamp kNow = 1'700'000'000'000'000'000;

struct ExpectedRow {
  std::string measurement;
  model::Labels tags;
  std::vector<std::string> field_names;
  std::vector<double> values;
  model::Timestamp timestamp = 0;
  uint32_t line = 0;
};

// Prints lines and remembers what must come out of them.
class BodyPrinter {
 public:
  explicit BodyPrinter(uint64_t seed) : random_(seed) {
    // Few enough that lines share their layouts, as they do in life.
    for (int i = 0; i < 12; ++i) {
      field_names_.push_back(RandomName());
    }
  }

  void AddLine() {
    switch (Below(12)) {
      case 0:
        EndLine("");
        break;
      case 1:
        EndLine(" # comment = \"");
        break;
      case 2:
        EndLine(BadLine());
        ++error_count_;
        break;
      default:
        AddRow();
    }
  }

  const std::string& body() const { return body_; }
  const std::vector<ExpectedRow>& rows() const { return rows_; }
  uint64_t error_count() const { return error_count_; }
  uint64_t string_count() const { return string_count_; }
  uint64_t lines_without_values() const { return lines_without_values_; }

 private:
  size_t Below(size_t bound) { return random_() % bound; }

  std::string RandomName() {
    static const std::vector<std::string> kLetters = {"a",  "b",  "usage", "_",  "9", ",", "=", " ",
                                                      "\\", "\"", "ö",     "温", "#", "-", "t"};
    std::string name;
    for (size_t size = 1 + Below(Below(8) == 0 ? 40 : 6); size > 0; --size) {
      name += kLetters[Below(kLetters.size())];
    }
    // A name that ends with a backslash cannot be written, nor a measurement that starts with '#'.
    return "m" + name + (name.back() == '\\' ? "x" : "");
  }

  std::string BadLine() {
    static const std::vector<std::string> kBadLines = {
        "m",        "m f",     "m f=",      "m =1",         "m f=1,",
        "m f=x 1",  "m f=1 x", "m f=1 1 1", "m f=1e999",    "m f=99999999999999999999i",
        "m f=1 -5", "m,a=b",   "m f=NaN 1", "m f=\"a\"b 1", "m bad=x,s=\"quoted\" 1"};
    return kBadLines[Below(kBadLines.size())];
  }

  // A value as text and as number.
  std::pair<std::string, double> RandomValue() {
    const auto integer = static_cast<int64_t>(random_()) >> (11 + Below(53));
    const double real = static_cast<double>(integer) / static_cast<double>(1 + Below(1000));
    switch (Below(8)) {
      case 0:
        return {"true", 1};
      case 1:
        return {"F", 0};
      case 2:
        return {fmt::format("{}u", integer & 0xFFFF), static_cast<double>(integer & 0xFFFF)};
      case 3:
        return {fmt::format("{}", real), real};
      case 4:
        return {fmt::format("{:e}", static_cast<double>(integer % 1000)),
                static_cast<double>(integer % 1000)};
      case 5:
        return {fmt::format("{}.{}", integer % 1000, "25"),
                static_cast<double>(integer % 1000) + (integer % 1000 < 0 ? -0.25 : 0.25)};
      default:
        return {fmt::format("{}i", integer), static_cast<double>(integer)};
    }
  }

  std::string Blanks() { return std::string(Below(8) == 0 ? 2 : 1, ' '); }

  void AddRow() {
    ExpectedRow row;
    row.measurement = RandomName();
    std::string line = Below(8) == 0 ? "  " : "";
    line += Escaped(row.measurement);
    for (size_t i = Below(4); i > 0; --i) {
      row.tags.push_back({fmt::format("{}{}", RandomName(), i), RandomName()});
      line += "," + Escaped(row.tags.back().name) + "=" + Escaped(row.tags.back().value);
    }
    line += Blanks() + Fields(&row);
    if (Below(4) == 0) {
      row.timestamp = kNow;
    } else {
      row.timestamp = static_cast<int64_t>(random_() >> (1 + Below(40)));
      line += Blanks() + std::to_string(row.timestamp);
    }
    row.line = line_number_;
    if (row.values.empty()) {
      ++lines_without_values_;
    } else {
      rows_.push_back(std::move(row));
    }
    EndLine(line + (Below(8) == 0 ? "  " : ""));
  }

  std::string Fields(ExpectedRow* row) {
    std::string text;
    const size_t first = Below(field_names_.size());
    const size_t count = 1 + Below(5);
    for (size_t i = first; i < first + count; ++i) {
      // Names of one line must differ.
      const std::string name = fmt::format("{}{}", field_names_[i % field_names_.size()], i);
      text += (text.empty() ? "" : ",") + Escaped(name) + "=";
      if (Below(10) == 0) {
        text += Below(2) == 0 ? R"("a string, with = \"quotes\" \\")" : "\"two\nlines\"";
        ++string_count_;
        continue;
      }
      const auto [value_text, value] = RandomValue();
      text += value_text;
      row->field_names.push_back(name);
      row->values.push_back(value);
    }
    return text;
  }

  void EndLine(const std::string& line) {
    body_ += line + (Below(4) == 0 ? "\r\n" : "\n");
    line_number_ += static_cast<uint32_t>(1 + std::count(line.begin(), line.end(), '\n'));
  }

  std::mt19937_64 random_;
  std::vector<std::string> field_names_;
  std::string body_;
  uint32_t line_number_ = 1;
  std::vector<ExpectedRow> rows_;
  uint64_t error_count_ = 0;
  uint64_t string_count_ = 0;
  uint64_t lines_without_values_ = 0;
};

// What the decoder makes of the names as they are.
model::GroupLabels ExpectedGroup(const ExpectedRow& row) {
  model::GroupLabels group;
  group.labels = row.tags;
  std::sort(group.labels.begin(), group.labels.end());
  for (const std::string& field : row.field_names) {
    group.column_values.push_back(row.measurement + "_" + field);
  }
  return group;
}

void CheckRow(const ExpectedRow& expected, const model::RowBatch& batch, const model::Row& row) {
  ASSERT_EQ(row.line, expected.line);
  ASSERT_EQ(row.timestamp, expected.timestamp);
  const model::FieldList& fields = batch.field_lists[row.field_list];
  ASSERT_EQ(fields.names, expected.field_names);
  const auto values = batch.values.begin() + row.first_value;
  const auto value_count = static_cast<ptrdiff_t>(fields.names.size());
  ASSERT_EQ(std::vector<double>(values, values + value_count), expected.values);
  model::GroupLabels group;
  const Status status = batch.decoder->Decode(row.key, fields, &group);
  ASSERT_TRUE(status.ok()) << Message(status);
  ASSERT_EQ(group.labels, ExpectedGroup(expected).labels);
  ASSERT_EQ(group.column_values, ExpectedGroup(expected).column_values);
}

TEST(LineProtocolPropertyTest, RowsThatWerePrintedComeBack) {
  const LineKeyDecoder decoder({.keep_utf8 = true});
  LineProtocolParser parser;
  model::RowBatch batch;
  ParseReport report;
  for (uint64_t seed = kSeed; seed < kSeed + 300; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    BodyPrinter printer(seed);
    for (int i = 0; i < 200; ++i) {
      printer.AddLine();
    }
    parser.Parse(printer.body(), {.decoder = &decoder, .now = kNow}, &batch, &report);
    ASSERT_EQ(report.error_count, printer.error_count());
    ASSERT_EQ(report.dropped_string_count, printer.string_count());
    ASSERT_EQ(report.lines_without_values, printer.lines_without_values());
    ASSERT_EQ(batch.rows.size(), printer.rows().size());
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      ASSERT_NO_FATAL_FAILURE(CheckRow(printer.rows()[i], batch, batch.rows[i]));
    }
  }
}

}  // namespace
}  // namespace tsdbd::ingest
