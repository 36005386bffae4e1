#pragma once
// Row batches for tests and benchmarks, without a line protocol parser: a key is
// "measurement,tag=value,…" without escapes; series are named measurement_field.

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/row_batch.h"
#include "model/series_source.h"

namespace tsdbd::tsdb {

// Refuses keys that contain '!'.
class PlainKeyDecoder : public model::KeyDecoder {
 public:
  Status Decode(std::string_view key, const model::FieldList& fields,
                model::GroupLabels* group) const override;
  std::string_view context() const override { return "plain"; }
};

class BatchBuilder {
 public:
  BatchBuilder();

  BatchBuilder& Row(std::string_view key, const std::vector<std::pair<std::string, double>>& fields,
                    model::Timestamp timestamp);
  const model::RowBatch& batch() const { return batch_; }
  void Clear();

 private:
  std::deque<std::string> keys_;  // what the rows' keys point to
  model::RowBatch batch_;
};

// What a database holds, as {"cpu_usage{host=a}" → {timestamp → value}}.
using Contents = std::map<std::string, std::map<model::Timestamp, double>>;

// Reads everything in `range`. Fails the test on any error, and if a series comes twice.
Contents ReadAll(const model::SeriesSource& source, const model::TimeRange& range = {});

std::string SeriesName(const model::LabelViews& labels);

}  // namespace tsdbd::tsdb
