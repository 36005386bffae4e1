#include "ingest/remote_write_testing.h"

#include <algorithm>
#include <bit>

#include "common/varint.h"
#include "ingest/remote_key_decoder.h"

namespace tsdbd::ingest {
namespace {

std::string DescribeRow(const model::RowBatch& batch, const model::Row& row) {
  model::GroupLabels group;
  const Status status = batch.decoder->Decode(row.key, batch.field_lists[row.field_list], &group);
  std::string text;
  if (!status.ok()) {
    text = std::string(Message(status));
  } else {
    text = group.column_values[0] + "{";
    for (const model::Label& label : group.labels) {
      text += fmt::format("{}{}=\"{}\"", text.ends_with('{') ? "" : ",", label.name, label.value);
    }
    text += "}";
  }
  return fmt::format("{} {} @{}", text, batch.values[row.first_value], row.timestamp / 1'000'000);
}

}  // namespace

std::string BytesOf(uint32_t number, std::string_view contents) {
  std::string field;
  AppendVarint(&field, BytesField(number));
  AppendLengthPrefixed(&field, contents);
  return field;
}

std::string VarintOf(uint32_t number, uint64_t value) {
  std::string field;
  AppendVarint(&field, VarintField(number));
  AppendVarint(&field, value);
  return field;
}

std::string SampleMessage(const RemoteSample& sample) {
  std::string message;
  message.push_back(static_cast<char>(DoubleField(1)));
  const auto bits = std::bit_cast<uint64_t>(sample.value);
  message.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
  return message + VarintOf(2, static_cast<uint64_t>(sample.millis));
}

std::string LabelsV1(const RemoteLabels& labels) {
  std::string key;
  for (const auto& [name, value] : labels) {
    const size_t size = key.size();
    key.resize(size + KeyLabelBytes(name, value));
    PutKeyLabel(name, value, key.data() + size);
  }
  return key;
}

std::string SeriesV1(const RemoteLabels& labels, const std::vector<RemoteSample>& samples) {
  std::string series = LabelsV1(labels);
  for (const RemoteSample& sample : samples) {
    series += BytesOf(2, SampleMessage(sample));
  }
  return series;
}

std::string RequestV1(const std::vector<std::string>& series) {
  std::string request;
  for (const std::string& one : series) {
    request += BytesOf(1, one);
  }
  return request;
}

uint32_t RequestV2::Symbol(std::string_view text) {
  const auto found = std::find(symbols_.begin(), symbols_.end(), text);
  if (found != symbols_.end()) {
    return static_cast<uint32_t>(found - symbols_.begin());
  }
  symbols_.emplace_back(text);
  return static_cast<uint32_t>(symbols_.size() - 1);
}

void RequestV2::AddSeries(const RemoteLabels& labels, const std::vector<RemoteSample>& samples,
                          std::string_view more) {
  std::string references;
  for (const auto& [name, value] : labels) {
    AppendVarint(&references, Symbol(name));
    AppendVarint(&references, Symbol(value));
  }
  std::string series = BytesOf(1, references);
  for (const RemoteSample& sample : samples) {
    series += BytesOf(2, SampleMessage(sample));
  }
  series_.push_back(series.append(more));
}

std::string RequestV2::Message() const {
  std::string message;
  for (const std::string& symbol : symbols_) {
    message += BytesOf(4, symbol);
  }
  for (const std::string& series : series_) {
    message += BytesOf(5, series);
  }
  return message;
}

std::string DescribeRemoteWrite(const model::RowBatch& batch, const RemoteWriteReport& report) {
  std::vector<std::pair<uint32_t, std::string>> lines;
  for (const model::Row& row : batch.rows) {
    lines.emplace_back(row.line, ": " + DescribeRow(batch, row));
  }
  for (const model::LineError& error : report.errors) {
    lines.emplace_back(error.line, "! " + error.reason);
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (const auto& [series, line] : lines) {
    text += fmt::format("{}{}\n", series, line);
  }
  return text;
}

}  // namespace tsdbd::ingest
