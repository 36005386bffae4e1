#include "tsdb/batch_testing.h"

#include <algorithm>
#include <memory>

#include <gtest/gtest.h>

namespace tsdbd::tsdb {
namespace {

const PlainKeyDecoder kDecoder;

}  // namespace

Status PlainKeyDecoder::Decode(std::string_view key, const model::FieldList& fields,
                               model::GroupLabels* group) const {
  if (key.find('!') != std::string_view::npos) {
    return InvalidArgument("bad key {}", key);
  }
  const size_t measurement_end = std::min(key.find(','), key.size());
  const std::string measurement(key.substr(0, measurement_end));
  for (size_t begin = measurement_end; begin < key.size();) {
    const size_t end = std::min(key.find(',', begin + 1), key.size());
    const std::string_view tag = key.substr(begin + 1, end - begin - 1);
    const size_t equals = tag.find('=');
    group->labels.push_back(
        {std::string(tag.substr(0, equals)), std::string(tag.substr(equals + 1))});
    begin = end;
  }
  std::ranges::sort(group->labels);
  group->column_label = "__name__";
  for (const std::string& field : fields.names) {
    group->column_values.push_back(measurement + "_" + field);
  }
  return OkStatus();
}

BatchBuilder::BatchBuilder() {
  Clear();
}

void BatchBuilder::Clear() {
  keys_.clear();
  batch_.Clear();
  batch_.decoder = &kDecoder;
}

BatchBuilder& BatchBuilder::Row(std::string_view key,
                                const std::vector<std::pair<std::string, double>>& fields,
                                model::Timestamp timestamp) {
  model::FieldList list;
  model::Row row;
  row.first_value = static_cast<uint32_t>(batch_.values.size());
  for (const auto& [name, value] : fields) {
    list.names.push_back(name);
    batch_.values.push_back(value);
  }
  list.hash = model::HashFieldNames(list.names);
  const auto known = std::ranges::find(batch_.field_lists, list.names, &model::FieldList::names);
  row.field_list = static_cast<uint32_t>(known - batch_.field_lists.begin());
  if (known == batch_.field_lists.end()) {
    batch_.field_lists.push_back(std::move(list));
  }
  row.key = keys_.emplace_back(key);
  row.key_hash = HashTo128(row.key);
  row.timestamp = timestamp;
  row.line = static_cast<uint32_t>(batch_.rows.size() + 1);
  batch_.rows.push_back(row);
  return *this;
}

std::string SeriesName(const model::LabelViews& labels) {
  std::string name;
  std::string rest;
  for (const model::LabelView& label : labels) {
    if (label.name == model::kMetricName) {
      name = label.value;
    } else {
      rest += fmt::format("{}{}={}", rest.empty() ? "" : ",", label.name, label.value);
    }
  }
  return name + "{" + rest + "}";
}

Contents ReadAll(const model::SeriesSource& source, const model::TimeRange& range) {
  Contents contents;
  auto set = source.Select({.matchers = {}, .range = range});
  EXPECT_TRUE(set.ok()) << set.status();
  if (!set.ok()) {
    return contents;
  }
  model::LabelViews labels;
  model::SampleColumns samples;
  for (size_t series = 0; series < (*set)->size(); ++series) {
    (*set)->GetLabels(series, &labels);
    EXPECT_TRUE(std::ranges::is_sorted(labels));
    const Status status = (*set)->Read(series, range, &samples);
    EXPECT_TRUE(status.ok()) << status;
    if (samples.size() == 0) {
      continue;
    }
    const auto [entry, is_new] = contents.try_emplace(SeriesName(labels));
    EXPECT_TRUE(is_new) << "twice: " << entry->first;
    for (size_t i = 0; i < samples.size(); ++i) {
      EXPECT_TRUE(i == 0 || samples.timestamps[i - 1] < samples.timestamps[i]);
      entry->second[samples.timestamps[i]] = samples.values[i];
    }
  }
  return contents;
}

}  // namespace tsdbd::tsdb
