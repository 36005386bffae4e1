// quantile, count_values and limit_ratio.

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include <xxhash.h>

#include "query/aggregate_operators.h"
#include "query/quantile.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

// The place of a set of labels between 0 and 1: the hash that Prometheus' own build uses (XXH64
// over each name and value after its length), so that both pick the same series.
double RatioPlace(const model::LabelViews& labels) {
  constexpr size_t kLongLength = 255;
  std::string bytes;
  const auto append = [&](std::string_view text) {
    if (text.size() < kLongLength) {
      bytes += static_cast<char>(text.size());
    } else {
      bytes += static_cast<char>(kLongLength);
      for (int shift = 0; shift < 24; shift += 8) {
        bytes += static_cast<char>(text.size() >> shift);
      }
    }
    bytes += text;
  };
  for (const model::LabelView& label : labels) {
    append(label.name);
    append(label.value);
  }
  return static_cast<double>(XXH64(bytes.data(), bytes.size(), 0)) / 0x1p64;
}

}  // namespace

// ---- quantile

Status QuantileOperator::DoPrepare() {
  RETURN_IF_ERROR(grouping_.Find(&execution(), &child()));
  const size_t groups = grouping_.group_count();
  std::vector<double> parameters(steps());
  RETURN_IF_ERROR(child(1).Compute(0, 1, parameters.data()));
  for (const double parameter : parameters) {
    WarnInvalidQuantile(parameter, *parameter_expr_, &execution().annotations());
  }
  ASSIGN_OR_RETURN(const std::vector<double> values, ComputeAll(execution(), child()));
  std::vector<std::vector<uint32_t>> members(groups);
  for (uint32_t series = 0; series < child().series_count(); ++series) {
    members[grouping_.GroupOf(series)].push_back(series);
  }
  RETURN_IF_ERROR(execution().ReserveRows(groups, steps()));
  rows_.resize(groups * steps());
  RETURN_IF_ERROR(execution().ForEachPart(groups, [&](size_t group) -> Status {
    RETURN_IF_ERROR(execution().CheckAlive());
    std::vector<double> present;
    for (size_t step = 0; step < steps(); ++step) {
      present.clear();
      for (const uint32_t series : members[group]) {
        const double value = values[series * steps() + step];
        if (!IsAbsent(value)) {
          present.push_back(value);
        }
      }
      rows_[group * steps() + step] =
          present.empty() ? kAbsent : Quantile(parameters[step], present);
    }
    return OkStatus();
  }));
  execution().Release(values.size() * sizeof(double));
  set_series_count(groups);
  return OkStatus();
}

// ---- count_values

Status CountValuesOperator::DoPrepare() {
  RETURN_IF_ERROR(grouping_.Find(&execution(), &child()));
  std::map<std::pair<uint32_t, uint64_t>, size_t> result_of;  // group and the value's bits
  Status status;
  const auto count_value = [&](uint32_t group, size_t step, double value) -> Status {
    const double key = std::isnan(value) ? std::nan("") : value;
    const auto [entry, is_new] =
        result_of.try_emplace({group, std::bit_cast<uint64_t>(key)}, results_.size());
    if (is_new) {
      RETURN_IF_ERROR(execution().ReserveRows(1, steps()));
      results_.push_back({.group = group,
                          .value = FormatDecimal(value),
                          .counts = std::vector<double>(steps(), kAbsent)});
    }
    double& count = results_[entry->second].counts[step];
    count = IsAbsent(count) ? 1 : count + 1;
    return OkStatus();
  };
  RETURN_IF_ERROR(ForEachBatch(
      child(), 0, child().series_count(), [&](size_t begin, size_t count, const double* values) {
        for (size_t i = 0; i < count * steps() && status.ok(); ++i) {
          if (!IsAbsent(values[i])) {
            status = count_value(grouping_.GroupOf(begin + i / steps()), i % steps(), values[i]);
          }
        }
      }));
  set_series_count(results_.size());
  return status;
}

void CountValuesOperator::GetLabels(size_t series, model::LabelViews* labels) const {
  const Result& result = results_[series];
  grouping_.GetLabels(result.group, labels);
  std::erase_if(*labels, [&](const model::LabelView& label) { return label.name == label_; });
  const model::LabelView value{label_, result.value};
  labels->insert(std::ranges::lower_bound(*labels, value), value);
}

Status CountValuesOperator::DoCompute(size_t first, size_t count, double* values) {
  for (size_t i = 0; i < count; ++i) {
    values = std::ranges::copy(results_[first + i].counts, values).out;
  }
  return OkStatus();
}

// ---- limit_ratio

Status LimitRatioOperator::DoPrepare() {
  ratios_.resize(steps());
  RETURN_IF_ERROR(child(1).Compute(0, 1, ratios_.data()));
  if (std::ranges::all_of(ratios_, [](double ratio) { return ratio == 0; })) {
    return OkStatus();
  }
  for (double& ratio : ratios_) {
    if (std::isnan(ratio)) {
      return FailedPrecondition("Ratio value is NaN");
    }
    const double capped = std::clamp(ratio, -1.0, 1.0);
    if (capped != ratio) {
      execution().annotations().Warn(
          fmt::format("ratio value should be between -1 and 1, got {}, capping to {}",
                      FormatShort(ratio), FormatShort(capped)),
          *parameter_expr_);
      ratio = capped;
    }
  }
  return SameSeriesOperator::DoPrepare();
}

Status LimitRatioOperator::DoCompute(size_t first, size_t count, double* values) {
  RETURN_IF_ERROR(child().Compute(first, count, values));
  model::LabelViews labels;
  for (size_t i = 0; i < count; ++i) {
    GetLabels(first + i, &labels);
    const double place = RatioPlace(labels);
    for (size_t step = 0; step < steps(); ++step, ++values) {
      const double ratio = ratios_[step];
      const bool picked = ratio >= 0 ? place < ratio : place >= 1 + ratio;
      *values = picked ? *values : kAbsent;
    }
  }
  return OkStatus();
}

}  // namespace tsdbd::query
