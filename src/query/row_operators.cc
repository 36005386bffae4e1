#include "query/row_operators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "query/natural_order.h"

namespace tsdbd::query {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Marks in `present` the steps at which any of the rows has a value.
Status MarkPresent(Operator& input, std::vector<double>* present) {
  const size_t steps = input.grid().count;
  return ForEachBatch(input, 0, input.series_count(),
                      [&](size_t, size_t count, const double* values) {
                        for (size_t row = 0; row < count; ++row, values += steps) {
                          for (size_t step = 0; step < steps; ++step) {
                            if (!IsAbsent(values[step])) {
                              (*present)[step] = kAbsent;
                            }
                          }
                        }
                      });
}

}  // namespace

Status NumberOperator::DoCompute(size_t /*first*/, size_t /*count*/, double* values) {
  std::fill_n(values, steps(), value_);
  return OkStatus();
}

Status TimeOperator::DoCompute(size_t /*first*/, size_t /*count*/, double* values) {
  for (size_t step = 0; step < steps(); ++step) {
    values[step] = ToSeconds(grid().TimeAt(step));
  }
  return OkStatus();
}

// ---- Scalars

Status ScalarOfVectorOperator::DoPrepare() {
  RETURN_IF_ERROR(ScalarOperator::DoPrepare());
  RETURN_IF_ERROR(execution().ReserveRows(2, steps()));
  values_.assign(steps(), kNaN);
  std::vector<uint8_t> found(steps());
  return ForEachBatch(child(), 0, child().series_count(),
                      [&](size_t, size_t count, const double* values) {
                        for (size_t i = 0; i < count * steps(); ++i) {
                          const size_t step = i % steps();
                          if (!IsAbsent(values[i])) {
                            values_[step] = found[step] != 0 ? kNaN : values[i];
                            found[step] = 1;
                          }
                        }
                      });
}

Status ScalarOfVectorOperator::DoCompute(size_t /*first*/, size_t /*count*/, double* values) {
  std::ranges::copy(values_, values);
  return OkStatus();
}

Status ScalarBinaryOperator::DoCompute(size_t /*first*/, size_t /*count*/, double* values) {
  std::vector<double> right(steps());
  RETURN_IF_ERROR(child(0).Compute(0, 1, values));
  RETURN_IF_ERROR(child(1).Compute(0, 1, right.data()));
  ApplyBinaryRow(op_, /*return_bool=*/true, /*keep_right=*/false, {values, steps()}, right,
                 {values, steps()});
  return OkStatus();
}

Status ScalarChoiceOperator::DoCompute(size_t /*first*/, size_t /*count*/, double* values) {
  std::vector<double> right(steps());
  RETURN_IF_ERROR(child(0).Compute(0, 1, values));
  RETURN_IF_ERROR(child(1).Compute(0, 1, right.data()));
  for (size_t step = 0; step < steps(); ++step) {
    const double a = values[step];
    const double b = right[step];
    const bool unordered = std::isnan(a) || std::isnan(b);
    values[step] = unordered ? kNaN : max_ ? std::max(a, b) : std::min(a, b);
  }
  return OkStatus();
}

// ---- Vectors

Status MapOperator::DoPrepare() {
  RETURN_IF_ERROR(SameSeriesOperator::DoPrepare());
  for (size_t i = 0; i < argument_count_; ++i) {
    std::vector<double>& row = argument_rows_.emplace_back(steps());
    RETURN_IF_ERROR(child(1 + i).Compute(0, 1, row.data()));
  }
  arguments_.assign(argument_rows_.begin(), argument_rows_.end());
  return OkStatus();
}

Status MapOperator::DoCompute(size_t first, size_t count, double* values) {
  RETURN_IF_ERROR(child().Compute(first, count, values));
  if (argument_count_ == 0) {
    function_({}, {values, count * steps()});
    return OkStatus();
  }
  for (size_t row = 0; row < count; ++row) {
    function_(arguments_, {values + row * steps(), steps()});
  }
  return OkStatus();
}

Status NegateOperator::DoCompute(size_t first, size_t count, double* values) {
  RETURN_IF_ERROR(child().Compute(first, count, values));
  for (size_t i = 0; i < count * steps(); ++i) {
    values[i] = IsAbsent(values[i]) ? kAbsent : -values[i];
  }
  return OkStatus();
}

Status StepTimeOperator::DoCompute(size_t first, size_t count, double* values) {
  RETURN_IF_ERROR(child().Compute(first, count, values));
  for (size_t i = 0; i < count * steps(); ++i) {
    values[i] = IsAbsent(values[i]) ? kAbsent : ToSeconds(grid().TimeAt(i % steps()));
  }
  return OkStatus();
}

Status VectorScalarOperator::DoPrepare() {
  RETURN_IF_ERROR(SameSeriesOperator::DoPrepare());
  scalar_.resize(steps());
  return child(1).Compute(0, 1, scalar_.data());
}

Status VectorScalarOperator::DoCompute(size_t first, size_t count, double* values) {
  RETURN_IF_ERROR(child().Compute(first, count, values));
  for (size_t i = 0; i < count; ++i) {
    const std::span<double> row(values + i * steps(), steps());
    if (options_.scalar_is_left) {
      ApplyBinaryRow(options_.op, options_.return_bool, /*keep_right=*/true, scalar_, row, row);
    } else {
      ApplyBinaryRow(options_.op, options_.return_bool, /*keep_right=*/false, row, scalar_, row);
    }
  }
  return OkStatus();
}

Status RepeatOperator::DoCompute(size_t first, size_t count, double* values) {
  std::vector<double> once(count);
  RETURN_IF_ERROR(child().Compute(first, count, once.data()));
  for (const double value : once) {
    values = std::fill_n(values, steps(), value);
  }
  return OkStatus();
}

// ---- AbsentOperator

void AbsentOperator::GetLabels(size_t /*series*/, model::LabelViews* labels) const {
  labels->clear();
  for (const model::Label& label : labels_) {
    labels->push_back({label.name, label.value});
  }
}

Status AbsentOperator::DoPrepare() {
  RETURN_IF_ERROR(execution().ReserveRows(1, steps()));
  values_.assign(steps(), 1);
  set_series_count(1);
  return MarkPresent(child(), &values_);
}

Status AbsentOperator::DoCompute(size_t /*first*/, size_t /*count*/, double* values) {
  std::ranges::copy(values_, values);
  return OkStatus();
}

// ---- SortOperator

Status SortOperator::DoPrepare() {
  CHECK(steps() == 1);
  ASSIGN_OR_RETURN(values_, ComputeAll(execution(), child()));
  for (uint32_t i = 0; i < values_.size(); ++i) {
    if (!IsAbsent(values_[i])) {
      order_.push_back(i);
    }
  }
  if (labels_) {
    SortByLabels();
  } else {
    SortByValue();
  }
  set_series_count(order_.size());
  return OkStatus();
}

// NaN comes last either way.
void SortOperator::SortByValue() {
  std::ranges::stable_sort(order_, [&](uint32_t a, uint32_t b) {
    const double x = values_[a];
    const double y = values_[b];
    if (std::isnan(x) || std::isnan(y)) {
      return !std::isnan(x) && std::isnan(y);
    }
    return descending_ ? x > y : x < y;
  });
}

void SortOperator::SortByLabels() {
  std::vector<std::vector<std::string_view>> keys(child().series_count());
  std::vector<model::LabelViews> all(keys.size());
  for (const uint32_t i : order_) {
    child().GetLabels(i, &all[i]);
    for (const std::string& name : *labels_) {
      child().GetLabelValues(name, i, 1, &keys[i].emplace_back());
    }
  }
  const auto less = [&](uint32_t a, uint32_t b) {
    for (size_t k = 0; k < labels_->size(); ++k) {
      if (keys[a][k] != keys[b][k]) {
        return NaturallyLess(keys[a][k], keys[b][k]);
      }
    }
    return all[a] < all[b];
  };
  std::ranges::stable_sort(
      order_, [&](uint32_t a, uint32_t b) { return descending_ ? less(b, a) : less(a, b); });
}

Status SortOperator::DoCompute(size_t first, size_t count, double* values) {
  for (size_t i = 0; i < count; ++i) {
    values[i] = values_[order_[first + i]];
  }
  return OkStatus();
}

}  // namespace tsdbd::query
