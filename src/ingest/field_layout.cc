#include "ingest/field_layout.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ingest/limits.h"
#include "ingest/text.h"

namespace tsdbd::ingest {
namespace {

LineFailure CheckName(std::string_view name) {
  if (name.size() > kMaxKeyBytes) {
    return {LineProblem::kFieldKeyTooLong, name};
  }
  switch (CheckText(name)) {
    case TextProblem::kNone:
      return {};
    case TextProblem::kControlCharacter:
      return {LineProblem::kFieldKeyControlCharacter, name};
    case TextProblem::kInvalidUtf8:
      return {LineProblem::kFieldKeyInvalidUtf8, name};
  }
  return {};
}

FieldLayout::Field MakeField(std::string prefix, bool is_string) {
  FieldLayout::Field field;
  const size_t size = std::min(prefix.size(), FieldLayout::kPrefixWindow);
  std::memcpy(field.window, prefix.data(), size);
  std::memset(field.window_mask, 0xFF, size);
  field.prefix = std::move(prefix);
  field.is_string = is_string;
  return field;
}

// Sets columns and column_of_value from the unescaped names of the values.
void SetColumns(std::vector<std::string> names, FieldLayout* layout) {
  std::vector<std::string>& columns = layout->columns.names;
  absl::flat_hash_map<std::string_view, uint32_t> column_of_name;
  columns.reserve(names.size());  // the map's keys point into it
  for (std::string& name : names) {
    const auto known = column_of_name.find(name);
    if (known != column_of_name.end()) {
      layout->column_of_value.push_back(known->second);
      continue;
    }
    const auto column = static_cast<uint32_t>(columns.size());
    layout->column_of_value.push_back(column);
    columns.push_back(std::move(name));
    column_of_name.emplace(columns.back(), column);
  }
  if (columns.size() == names.size()) {
    layout->column_of_value.clear();
  }
  layout->columns.hash = model::HashFieldNames(columns);
}

std::unique_ptr<FieldLayout> MakeLayout(std::span<const RawField> fields) {
  auto layout = std::make_unique<FieldLayout>();
  std::vector<std::string> names;
  for (const RawField& field : fields) {
    std::string prefix;
    if (!layout->fields.empty()) {
      prefix += ',';
    }
    prefix.append(field.name).append("=");
    layout->fields.push_back(MakeField(std::move(prefix), field.is_string));
    if (field.is_string) {
      ++layout->string_count;
    } else {
      AppendUnescaped(field.name, &names.emplace_back());
    }
  }
  SetColumns(std::move(names), layout.get());
  return layout;
}

}  // namespace

FieldLayout* FieldLayoutCache::FindOrMake(std::span<const RawField> fields, LineFailure* failure) {
  signature_.clear();
  for (const RawField& field : fields) {
    signature_.append(field.name).append(field.is_string ? "=s," : "=n,");
  }
  const auto known = layouts_.find(signature_);
  if (known != layouts_.end()) {
    return known->second.get();
  }
  for (const RawField& field : fields) {
    *failure = CheckName(field.name);
    if (*failure) {
      return nullptr;
    }
  }
  if (layouts_.size() >= kMaxLayouts || name_bytes_ + signature_.size() > kMaxNameBytes) {
    Clear();
  }
  name_bytes_ += signature_.size();
  return layouts_.emplace(signature_, MakeLayout(fields)).first->second.get();
}

FieldLayout*& FieldLayoutCache::LastOf(std::string_view measurement) {
  return last_of_measurement_[Hash64(measurement) % kMeasurementSlots];
}

void FieldLayoutCache::Clear() {
  layouts_.clear();
  name_bytes_ = 0;
  std::fill(last_of_measurement_.begin(), last_of_measurement_.end(), nullptr);
}

}  // namespace tsdbd::ingest
