// Line protocol: parsing and decoding never crash and keep their invariants; rows that were
// accepted, printed and parsed again are the same rows; a parser that has seen other bodies reads
// like a new one.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/check.h"
#include "ingest/line_key_decoder.h"
#include "ingest/line_protocol.h"
#include "ingest/line_protocol_testing.h"

namespace tsdbd::ingest {
namespace {

bool SameRow(const model::RowBatch& a, const model::RowBatch& b, size_t index) {
  const model::Row& row_a = a.rows[index];
  const model::Row& row_b = b.rows[index];
  const auto& names = a.field_lists[row_a.field_list].names;
  bool same = row_a.key == row_b.key && row_a.key_hash == row_b.key_hash &&
              row_a.timestamp == row_b.timestamp && names == b.field_lists[row_b.field_list].names;
  for (size_t i = 0; same && i < names.size(); ++i) {
    same = std::bit_cast<uint64_t>(a.values[row_a.first_value + i]) ==
           std::bit_cast<uint64_t>(b.values[row_b.first_value + i]);
  }
  return same;
}

void CheckSameRows(const model::RowBatch& a, const model::RowBatch& b) {
  CHECK(a.rows.size() == b.rows.size());
  for (size_t i = 0; i < a.rows.size(); ++i) {
    CHECK(SameRow(a, b, i));
  }
}

void CheckGroup(const model::GroupLabels& group, size_t field_count) {
  std::string_view last_name;
  for (const model::Label& label : group.labels) {
    CHECK(last_name < label.name);
    CHECK(!label.value.empty());
    CHECK(label.name != group.column_label);
    last_name = label.name;
  }
  CHECK(group.column_values.size() == field_count);
  auto columns = group.column_values;
  std::sort(columns.begin(), columns.end());
  CHECK(std::adjacent_find(columns.begin(), columns.end()) == columns.end());
}

// The bits of `choice` pick the options.
ParseOptions OptionsOf(uint8_t choice, const model::KeyDecoder* decoder) {
  return {.decoder = decoder,
          .precision = static_cast<Precision>(choice % 6),
          .now = 1'700'000'000'000'000'000,
          .string_fields = choice & 0x40 ? StringFieldPolicy::kRefuse : StringFieldPolicy::kDrop,
          .max_fields = choice & 0x80 ? size_t{3} : size_t{4096}};
}

void FuzzOne(uint8_t choice, std::string_view body) {
  const LineKeyDecoder decoder({.naming = static_cast<NamingConvention>(choice % 3),
                                .database = choice & 0x10 ? "db" : "",
                                .keep_utf8 = (choice & 0x20) != 0});
  const ParseOptions options = OptionsOf(choice, &decoder);
  model::RowBatch batch;
  ParseReport report;
  LineProtocolParser().Parse(body, options, &batch, &report);

  static auto* const used_parser = new LineProtocolParser;  // never destroyed: used until the end
  model::RowBatch same_batch;
  ParseReport same_report;
  used_parser->Parse(body, options, &same_batch, &same_report);
  CheckSameRows(batch, same_batch);
  CHECK(DescribeOutcome(batch, report) == DescribeOutcome(same_batch, same_report));

  model::GroupLabels group;
  for (const model::Row& row : batch.rows) {
    const model::FieldList& fields = batch.field_lists[row.field_list];
    if (decoder.Decode(row.key, fields, &group).ok()) {
      CheckGroup(group, fields.names.size());
    }
  }

  const std::string printed = PrintLines(batch);
  model::RowBatch printed_batch;
  LineProtocolParser().Parse(printed, {.decoder = &decoder}, &printed_batch, &report);
  CheckSameRows(batch, printed_batch);
}

}  // namespace
}  // namespace tsdbd::ingest

// The first byte chooses the options, the rest is the body.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0) {
    const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
    tsdbd::ingest::FuzzOne(data[0], body);
  }
  return 0;
}
