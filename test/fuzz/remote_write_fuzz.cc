// Remote write: decompressing, parsing and decoding never crash and keep their invariants; a series
// that was accepted, written down as a 1.0 message and parsed again gives the same rows; a parser
// that has seen other messages reads like a new one.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/check.h"
#include "ingest/remote_key_decoder.h"
#include "ingest/remote_write.h"
#include "ingest/remote_write_testing.h"
#include "ingest/snappy_block.h"

namespace tsdbd::ingest {
namespace {

// More than any input needs that is not after memory.
constexpr size_t kMaxBytes = size_t{1} << 20;

void CheckGroup(const model::GroupLabels& group) {
  std::string_view last_name;
  for (const model::Label& label : group.labels) {
    CHECK(last_name < label.name);
    CHECK(!label.value.empty());
    CHECK(label.name != model::kMetricName);
    last_name = label.name;
  }
  CHECK(group.column_label == model::kMetricName);
  CHECK(group.column_values.size() == 1 && !group.column_values[0].empty());
}

// A 1.0 message with the same rows.
std::string Printed(const model::RowBatch& batch) {
  std::string message;
  for (const model::Row& row : batch.rows) {
    const RemoteSample sample = {batch.values[row.first_value], row.timestamp / 1'000'000};
    message += BytesOf(1, std::string(row.key) + BytesOf(2, SampleMessage(sample)));
  }
  return message;
}

void CheckSameRows(const model::RowBatch& a, const model::RowBatch& b) {
  CHECK(a.rows.size() == b.rows.size());
  for (size_t i = 0; i < a.rows.size(); ++i) {
    const model::Row& row_a = a.rows[i];
    const model::Row& row_b = b.rows[i];
    CHECK(row_a.key == row_b.key && row_a.key_hash == row_b.key_hash);
    CHECK(row_a.timestamp == row_b.timestamp);
    CHECK(std::bit_cast<uint64_t>(a.values[row_a.first_value]) ==
          std::bit_cast<uint64_t>(b.values[row_b.first_value]));
  }
}

void FuzzMessage(RemoteWriteVersion version, std::string_view message) {
  static const RemoteKeyDecoder decoder;
  const RemoteWriteOptions options = {.decoder = &decoder, .max_keys_bytes = kMaxBytes};
  RemoteWriteParser parser;
  model::RowBatch batch;
  RemoteWriteReport report;
  const Status status = parser.Parse(version, message, options, &batch, &report);

  static auto* const used_parser = new RemoteWriteParser;  // never destroyed: used until the end
  model::RowBatch same_batch;
  RemoteWriteReport same_report;
  CHECK(used_parser->Parse(version, message, options, &same_batch, &same_report) == status);
  if (!status.ok()) {
    return;
  }
  CheckSameRows(batch, same_batch);
  CHECK(batch.rows.size() + report.refused_sample_count == report.sample_count);

  const RemoteKeyDecoder key_decoder;
  model::GroupLabels group;
  for (const model::Row& row : batch.rows) {
    CHECK(options.time_range.Contains(row.timestamp));
    if (key_decoder.Decode(row.key, batch.field_lists[row.field_list], &group).ok()) {
      CheckGroup(group);
    }
  }
  const std::string printed = Printed(batch);
  RemoteWriteParser printed_parser;
  model::RowBatch printed_batch;
  CHECK(printed_parser.Parse(RemoteWriteVersion::kV1, printed, options, &printed_batch, &report)
            .ok());
  CheckSameRows(batch, printed_batch);
}

void FuzzOne(uint8_t choice, std::string_view input) {
  const auto version = choice & 1 ? RemoteWriteVersion::kV2 : RemoteWriteVersion::kV1;
  if ((choice & 2) == 0) {
    FuzzMessage(version, input);
    return;
  }
  SnappyDecoder decoder;
  const auto message = decoder.Decode(input, kMaxBytes);
  if (message.ok()) {
    CHECK(message->size() <= kMaxBytes);
    FuzzMessage(version, *message);
  }
}

}  // namespace
}  // namespace tsdbd::ingest

// The first byte chooses the version, and whether the rest is a snappy block or a message.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0) {
    tsdbd::ingest::FuzzOne(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  }
  return 0;
}
