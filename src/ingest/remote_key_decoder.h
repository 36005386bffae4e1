#pragma once
// RemoteKeyDecoder: the raw key of a remote-write series becomes its labels. Needed only for keys
// that the database has not met. Stateless, thread-safe.
//
// A key is the series' labels as a TimeSeries message of remote write 1.0 holds them: its fields 1,
// Label{name, value}, one after the other, tags included. Remote write 2.0 names labels by symbols;
// its parser writes the same bytes, so that a sender may change versions and keep its series.
//
// Invariants of the result: labels sorted by name, names unique, no name or value empty, all UTF-8.
// The one column is the metric name.

#include <string_view>

#include "common/status.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

class RemoteKeyDecoder final : public model::KeyDecoder {
 public:
  // Sorts labels that are not sorted and leaves out those with an empty value. kInvalidArgument:
  // malformed bytes, invalid UTF-8, an empty label name, one that comes twice, no metric name.
  Status Decode(std::string_view key, const model::FieldList& fields,
                model::GroupLabels* group) const override;

  std::string_view context() const override { return "remote"; }
};

// Label{name, value} as a key has it; empty strings are left out, as senders do. Put writes at
// `out`, which has room for KeyLabelBytes, and returns the end.
size_t KeyLabelBytes(std::string_view name, std::string_view value);
char* PutKeyLabel(std::string_view name, std::string_view value, char* out);

}  // namespace tsdbd::ingest
