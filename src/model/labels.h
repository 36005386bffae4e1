#pragma once
// Labels: a sorted set of name=value pairs. `__name__` is the metric name. An empty value is the
// same as no label, so none is ever kept.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/hash.h"

namespace tsdbd::model {

inline constexpr std::string_view kMetricName = "__name__";

struct Label {
  std::string name;
  std::string value;
  friend auto operator<=>(const Label&, const Label&) = default;
};

// Owns its strings. Sorted by name, names are unique, values are not empty.
using Labels = std::vector<Label>;

// Points into memory that somebody else keeps.
struct LabelView {
  std::string_view name;
  std::string_view value;
  friend auto operator<=>(const LabelView&, const LabelView&) = default;
};

// Sorted by name, like Labels.
using LabelViews = std::vector<LabelView>;

// The hash of a set of labels is the sum of its labels' hashes, so that it does not depend on how
// the set is split (a series group's labels plus the column's label) nor on any order.
inline uint64_t HashLabel(std::string_view name, std::string_view value) {
  return Hash64(value, Hash64(name));
}

template <typename LabelRange>
uint64_t HashLabels(const LabelRange& labels) {
  uint64_t hash = 0;
  for (const auto& label : labels) {
    hash += HashLabel(label.name, label.value);
  }
  return hash;
}

}  // namespace tsdbd::model
