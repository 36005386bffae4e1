#include <algorithm>
#include <cmath>
#include <limits>

#include "query/aggregate_operators.h"

namespace tsdbd::query {
namespace {

using Members = std::vector<uint32_t>;

// How many series to select at each step, from the parameter of topk, bottomk or limitk; 0 to
// `most`.
StatusOr<std::vector<uint32_t>> ReadCounts(Operator& parameter, size_t most) {
  const size_t steps = parameter.grid().count;
  std::vector<double> values(steps);
  RETURN_IF_ERROR(parameter.Compute(0, 1, values.data()));
  std::vector<uint32_t> counts(steps);
  if (std::ranges::all_of(values, [](double value) { return value < 1; })) {
    return counts;
  }
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  for (size_t step = 0; step < steps; ++step) {
    const double value = values[step];
    if (std::isnan(value)) {
      return FailedPrecondition("Parameter value is NaN");
    }
    if (value <= -kLimit || value >= kLimit) {
      return FailedPrecondition("Scalar value {} {} int64", FormatShort(value),
                                value < 0 ? "underflows" : "overflows");
    }
    counts[step] =
        value < 1 ? 0 : static_cast<uint32_t>(std::min(value, static_cast<double>(most)));
  }
  return counts;
}

// The rows of the selected series, filled where they were selected.
class SelectedRows {
 public:
  SelectedRows(Execution* execution, size_t series_count, size_t steps)
      : execution_(execution), steps_(steps), row_of_(series_count, kNone) {}

  Status Set(uint32_t series, size_t step, double value) {
    uint32_t& row = row_of_[series];
    if (row == kNone) {
      RETURN_IF_ERROR(execution_->ReserveRows(1, steps_));
      row = static_cast<uint32_t>(selected.size());
      selected.push_back(series);
      rows.resize(rows.size() + steps_, kAbsent);
    }
    rows[row * steps_ + step] = value;
    return OkStatus();
  }

  std::vector<uint32_t> selected;
  std::vector<double> rows;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  Execution* const execution_;
  const size_t steps_;
  std::vector<uint32_t> row_of_;
};

}  // namespace

// ---- topk and bottomk

// For each group and step a heap of the best k, the worst of them on top.
class TopKOperator::Heaps {
 public:
  struct Entry {
    double value = 0;
    uint32_t series = 0;
  };

  // `sign` 1 keeps the largest values, -1 the smallest. `counts` and `order` must outlive this.
  Heaps(double sign, const std::vector<uint32_t>* counts, size_t groups, size_t capacity,
        LabelOrder* order)
      : sign_(sign),
        counts_(counts),
        steps_(counts->size()),
        capacity_(capacity),
        order_(order),
        sizes_(groups * steps_),
        entries_(groups * steps_ * capacity) {}

  void AddRow(uint32_t group, uint32_t series, const double* values) {
    for (size_t step = 0; step < steps_; ++step) {
      if (!IsAbsent(values[step])) {
        Add(group * steps_ + step, (*counts_)[step], {values[step], series});
      }
    }
  }

  void Merge(const Heaps& other) {
    for (size_t cell = 0; cell < sizes_.size(); ++cell) {
      for (uint32_t i = 0; i < other.sizes_[cell]; ++i) {
        Add(cell, (*counts_)[cell % steps_], other.entries_[cell * capacity_ + i]);
      }
    }
  }

  // Best first.
  std::vector<Entry> Sorted(size_t cell) const {
    const auto begin = entries_.begin() + static_cast<ptrdiff_t>(cell * capacity_);
    std::vector<Entry> sorted(begin, begin + sizes_[cell]);
    std::ranges::sort(sorted, [this](const Entry& a, const Entry& b) { return Better(a, b); });
    return sorted;
  }
  size_t cell_count() const { return sizes_.size(); }

 private:
  // What is not a number is worse than every number; of equals, the first in label order is better.
  bool Better(const Entry& a, const Entry& b) const {
    const bool a_is_nan = std::isnan(a.value);
    const bool b_is_nan = std::isnan(b.value);
    if (a.value == b.value || (a_is_nan && b_is_nan)) {
      return a.series != b.series && order_->Less(a.series, b.series);
    }
    return b_is_nan || (!a_is_nan && a.value * sign_ > b.value * sign_);
  }

  void Add(size_t cell, uint32_t k, const Entry& entry) {
    Entry* const heap = entries_.data() + cell * capacity_;
    const auto better = [this](const Entry& a, const Entry& b) { return Better(a, b); };
    uint32_t& size = sizes_[cell];
    if (size < k) {
      heap[size++] = entry;
      std::push_heap(heap, heap + size, better);
    } else if (k > 0 && Better(entry, heap[0])) {
      std::pop_heap(heap, heap + size, better);
      heap[size - 1] = entry;
      std::push_heap(heap, heap + size, better);
    }
  }

  const double sign_;
  const std::vector<uint32_t>* const counts_;
  const size_t steps_;
  const size_t capacity_;
  LabelOrder* const order_;
  std::vector<uint32_t> sizes_;
  std::vector<Entry> entries_;
};

Status TopKOperator::DoPrepare() {
  const size_t series = child().series_count();
  ASSIGN_OR_RETURN(const std::vector<uint32_t> counts, ReadCounts(child(1), series));
  const uint32_t most = *std::ranges::max_element(counts);
  if (most == 0) {
    return OkStatus();
  }
  RETURN_IF_ERROR(grouping_.Find(&execution(), &child()));
  const size_t capacity = std::min<size_t>(most, grouping_.LargestGroup());
  const size_t groups = grouping_.group_count();
  const size_t parts = capacity * groups > series / 2 ? 1 : PartCount(execution(), series, steps());
  const uint64_t bytes =
      parts * groups * steps() * (capacity * sizeof(Heaps::Entry) + sizeof(uint32_t));
  RETURN_IF_ERROR(execution().Reserve(bytes));
  LabelOrder order(&child());
  std::vector<Heaps> heaps;
  for (size_t part = 0; part < parts; ++part) {
    heaps.emplace_back(bottom_ ? -1.0 : 1.0, &counts, groups, capacity, &order);
  }
  RETURN_IF_ERROR(execution().ForEachPart(parts, [&](size_t part) {
    const size_t first = series * part / parts;
    const size_t end = series * (part + 1) / parts;
    return ForEachBatch(child(), first, end - first,
                        [&](size_t begin, size_t count, const double* values) {
                          for (size_t i = 0; i < count; ++i) {
                            const auto row = static_cast<uint32_t>(begin + i);
                            heaps[part].AddRow(grouping_.GroupOf(row), row, values + i * steps());
                          }
                        });
  }));
  for (size_t part = 1; part < parts; ++part) {
    heaps[0].Merge(heaps[part]);
  }
  RETURN_IF_ERROR(MakeRows(heaps[0]));
  execution().Release(bytes);
  return OkStatus();
}

Status TopKOperator::MakeRows(const Heaps& heaps) {
  SelectedRows selected(&execution(), child().series_count(), steps());
  for (size_t cell = 0; cell < heaps.cell_count(); ++cell) {
    for (const Heaps::Entry& entry : heaps.Sorted(cell)) {
      RETURN_IF_ERROR(selected.Set(entry.series, cell % steps(), entry.value));
    }
  }
  selected_ = std::move(selected.selected);
  rows_ = std::move(selected.rows);
  set_series_count(selected_.size());
  return OkStatus();
}

// ---- limitk

Status LimitKOperator::DoPrepare() {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> counts,
                   ReadCounts(child(1), child().series_count()));
  if (*std::ranges::max_element(counts) == 0) {
    return OkStatus();
  }
  RETURN_IF_ERROR(grouping_.Find(&execution(), &child()));
  std::vector<uint32_t> taken(grouping_.group_count() * steps());
  SelectedRows selected(&execution(), child().series_count(), steps());
  std::vector<double> row(steps());
  for (const uint32_t series : LabelOrder(&child()).Sorted()) {
    uint32_t* const group_taken = taken.data() + grouping_.GroupOf(series) * steps();
    if (std::equal(counts.begin(), counts.end(), group_taken)) {
      continue;  // the group has enough at every step
    }
    RETURN_IF_ERROR(child().Compute(series, 1, row.data()));
    for (size_t step = 0; step < steps(); ++step) {
      if (!IsAbsent(row[step]) && group_taken[step] < counts[step]) {
        ++group_taken[step];
        RETURN_IF_ERROR(selected.Set(series, step, row[step]));
      }
    }
  }
  selected_ = std::move(selected.selected);
  rows_ = std::move(selected.rows);
  set_series_count(selected_.size());
  return OkStatus();
}

}  // namespace tsdbd::query
