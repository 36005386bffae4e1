#pragma once
// Labels: a sorted set of name=value pairs. `__name__` is the metric name. An empty value is the
// same as no label, so none is ever kept.

#include <string>
#include <string_view>
#include <vector>

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

}  // namespace tsdbd::model
