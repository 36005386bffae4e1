#include <algorithm>
#include <cmath>
#include <limits>

#include "query/aggregate_operators.h"
#include "query/kahan.h"

namespace tsdbd::query {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void AddVariances(const double* values, size_t steps, double* counts, double* means,
                  double* squares) {
  for (size_t step = 0; step < steps; ++step) {
    const double value = values[step];
    if (IsAbsent(value)) {
      continue;
    }
    counts[step] += 1;
    if (counts[step] == 1) {
      means[step] = value;
      squares[step] = std::isfinite(value) ? 0 : kNaN;
      continue;
    }
    const double delta = value - means[step];
    means[step] += delta / counts[step];
    squares[step] += delta * (value - means[step]);
  }
}

// The accumulators of some groups at all steps. What `a` and `b` are depends on the aggregation:
//   sum, avg        sum and its compensation
//   min, max        the value
//   stddev, stdvar  mean and sum of squared distances from it (Welford)
class Accumulators {
 public:
  Accumulators(AggregateOp op, size_t groups, size_t steps)
      : op_(op), steps_(steps), counts_(groups * steps) {
    if (uses_a()) {
      a_.resize(groups * steps, op == AggregateOp::kMin || op == AggregateOp::kMax ? kNaN : -0.0);
    }
    if (uses_b()) {
      b_.resize(groups * steps);
    }
  }

  static uint64_t BytesPerCell() { return 3 * sizeof(double); }

  // Adds `count` rows, of the series from `first` on.
  void AddRows(const Grouping& grouping, size_t first, size_t count, const double* values);
  void Merge(const Accumulators& other);
  // Writes the results; cells of averages that left the range of a double go to *suspicious.
  void Finish(std::vector<double>* results, std::vector<uint32_t>* suspicious) const;

 private:
  bool uses_a() const { return op_ != AggregateOp::kCount && op_ != AggregateOp::kGroup; }
  bool uses_b() const {
    return op_ == AggregateOp::kSum || op_ == AggregateOp::kAvg || op_ == AggregateOp::kStddev ||
           op_ == AggregateOp::kStdvar;
  }
  // Calls add(values, counts, a, b) with the rows of each series and of its group.
  template <typename Add>
  void ForEachRow(const Grouping& grouping, size_t first, size_t count, const double* values,
                  const Add& add);
  void MergeVariance(const Accumulators& other, size_t cell);
  double ResultOf(size_t cell) const;

  const AggregateOp op_;
  const size_t steps_;
  std::vector<double> counts_;
  std::vector<double> a_;
  std::vector<double> b_;
};

template <typename Add>
void Accumulators::ForEachRow(const Grouping& grouping, size_t first, size_t count,
                              const double* values, const Add& add) {
  // An aggregation that does not use a column has none.
  const auto row_of = [](std::vector<double>& column, size_t row) {
    return column.empty() ? nullptr : column.data() + row;
  };
  for (size_t i = 0; i < count; ++i, values += steps_) {
    const size_t row = grouping.GroupOf(first + i) * steps_;
    add(values, row_of(counts_, row), row_of(a_, row), row_of(b_, row));
  }
}

// What a lane of a loop over steps does must have no branches, so that it vectorises.
void Accumulators::AddRows(const Grouping& grouping, size_t first, size_t count,
                           const double* values) {
  const auto count_values = [this](const double* row, double* counts) {
    for (size_t step = 0; step < steps_; ++step) {
      counts[step] += IsAbsent(row[step]) ? 0.0 : 1.0;
    }
  };
  switch (op_) {
    case AggregateOp::kSum:
    case AggregateOp::kAvg:
      // Absent values are added as -0.0, which changes nothing.
      ForEachRow(grouping, first, count, values,
                 [&](const double* row, double* counts, double* sums, double* compensations) {
                   count_values(row, counts);
                   for (size_t step = 0; step < steps_; ++step) {
                     const double value = IsAbsent(row[step]) ? -0.0 : row[step];
                     KahanAdd(value, sums[step], compensations[step]);
                   }
                 });
      return;
    case AggregateOp::kStddev:
    case AggregateOp::kStdvar:
      ForEachRow(grouping, first, count, values,
                 [&](const double* row, double* counts, double* means, double* squares) {
                   AddVariances(row, steps_, counts, means, squares);
                 });
      return;
    // What is not a number loses against every number; absent values are not numbers.
    case AggregateOp::kMin:
      ForEachRow(grouping, first, count, values,
                 [&](const double* row, double* counts, double* least, double*) {
                   count_values(row, counts);
                   for (size_t step = 0; step < steps_; ++step) {
                     const bool takes = row[step] < least[step] || std::isnan(least[step]);
                     least[step] = takes ? row[step] : least[step];
                   }
                 });
      return;
    case AggregateOp::kMax:
      ForEachRow(grouping, first, count, values,
                 [&](const double* row, double* counts, double* most, double*) {
                   count_values(row, counts);
                   for (size_t step = 0; step < steps_; ++step) {
                     const bool takes = row[step] > most[step] || std::isnan(most[step]);
                     most[step] = takes ? row[step] : most[step];
                   }
                 });
      return;
    default:
      ForEachRow(
          grouping, first, count, values,
          [&](const double* row, double* counts, double*, double*) { count_values(row, counts); });
  }
}

// Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for Computing Sample Variances.
void Accumulators::MergeVariance(const Accumulators& other, size_t cell) {
  const double n = counts_[cell];
  const double m = other.counts_[cell];
  if (m == 0) {
    return;
  }
  if (n == 0) {
    a_[cell] = other.a_[cell];
    b_[cell] = other.b_[cell];
    return;
  }
  const double delta = other.a_[cell] - a_[cell];
  a_[cell] += delta * (m / (n + m));
  b_[cell] += other.b_[cell] + delta * delta * (n * m / (n + m));
}

void Accumulators::Merge(const Accumulators& other) {
  for (size_t cell = 0; cell < counts_.size(); ++cell) {
    switch (op_) {
      case AggregateOp::kSum:
      case AggregateOp::kAvg:
        KahanAdd(other.a_[cell], a_[cell], b_[cell]);
        b_[cell] += std::isinf(a_[cell]) ? 0 : other.b_[cell];
        break;
      case AggregateOp::kStddev:
      case AggregateOp::kStdvar:
        MergeVariance(other, cell);
        break;
      case AggregateOp::kMin:
        a_[cell] = other.a_[cell] < a_[cell] || std::isnan(a_[cell]) ? other.a_[cell] : a_[cell];
        break;
      case AggregateOp::kMax:
        a_[cell] = other.a_[cell] > a_[cell] || std::isnan(a_[cell]) ? other.a_[cell] : a_[cell];
        break;
      default:
        break;
    }
    counts_[cell] += other.counts_[cell];
  }
}

double Accumulators::ResultOf(size_t cell) const {
  switch (op_) {
    case AggregateOp::kSum:
      return a_[cell] + b_[cell];
    case AggregateOp::kAvg:
      return a_[cell] / counts_[cell] + b_[cell] / counts_[cell];
    case AggregateOp::kStdvar:
      return b_[cell] / counts_[cell];
    case AggregateOp::kStddev:
      return std::sqrt(b_[cell] / counts_[cell]);
    case AggregateOp::kCount:
      return counts_[cell];
    case AggregateOp::kGroup:
      return 1;
    default:
      return IsAbsent(a_[cell]) ? kNaN : a_[cell];
  }
}

void Accumulators::Finish(std::vector<double>* results, std::vector<uint32_t>* suspicious) const {
  results->resize(counts_.size());
  for (size_t cell = 0; cell < counts_.size(); ++cell) {
    (*results)[cell] = counts_[cell] == 0 ? kAbsent : ResultOf(cell);
    if (op_ == AggregateOp::kAvg && counts_[cell] != 0 && !std::isfinite(a_[cell])) {
      suspicious->push_back(static_cast<uint32_t>(cell));
    }
  }
}

// The mean in the order of the values; when the sum leaves the range of a double, the mean itself
// is carried on, as Prometheus does.
class CarriedMean {
 public:
  void Add(double value) {
    count_ += 1;
    if (!carries_mean_) {
      KahanSum next = sum_;
      next.Add(value);
      if (!std::isinf(next.sum) || count_ == 1) {
        sum_ = next;
        return;
      }
      carries_mean_ = true;
      sum_.sum /= count_ - 1;
      sum_.compensation /= count_ - 1;
    }
    const double share = (count_ - 1) / count_;
    sum_.sum *= share;
    sum_.compensation *= share;
    sum_.Add(value / count_);
  }
  double Result() const {
    return carries_mean_ ? sum_.sum + sum_.compensation
                         : sum_.sum / count_ + sum_.compensation / count_;
  }

 private:
  KahanSum sum_;
  double count_ = 0;
  bool carries_mean_ = false;
};

}  // namespace

Status FoldOperator::DoPrepare() {
  RETURN_IF_ERROR(grouping_.Find(&execution(), &child()));
  const size_t series = child().series_count();
  const size_t groups = grouping_.group_count();
  // With nearly as many groups as series, accumulators for each part would be most of the work.
  const size_t parts = groups > series / 2 ? 1 : PartCount(execution(), series, steps());
  const uint64_t bytes = parts * groups * steps() * Accumulators::BytesPerCell();
  RETURN_IF_ERROR(execution().Reserve(bytes));
  std::vector<Accumulators> accumulators;
  for (size_t part = 0; part < parts; ++part) {
    accumulators.emplace_back(op_, groups, steps());
  }
  RETURN_IF_ERROR(execution().ForEachPart(parts, [&](size_t part) {
    const size_t first = series * part / parts;
    const size_t end = series * (part + 1) / parts;
    return ForEachBatch(child(), first, end - first,
                        [&](size_t begin, size_t count, const double* values) {
                          accumulators[part].AddRows(grouping_, begin, count, values);
                        });
  }));
  for (size_t part = 1; part < parts; ++part) {
    accumulators[0].Merge(accumulators[part]);
  }
  RETURN_IF_ERROR(execution().ReserveRows(groups, steps()));
  std::vector<uint32_t> suspicious;
  accumulators[0].Finish(&rows_, &suspicious);
  execution().Release(bytes);
  set_series_count(groups);
  return suspicious.empty() ? OkStatus() : RepairAverages(std::move(suspicious));
}

// Few queries ever come here: their sums are beyond 1e308, or have infinite values.
Status FoldOperator::RepairAverages(std::vector<uint32_t> cells) {
  std::vector<CarriedMean> means(cells.size());
  RETURN_IF_ERROR(ForEachBatch(
      child(), 0, child().series_count(), [&](size_t begin, size_t count, const double* values) {
        for (size_t i = 0; i < count; ++i) {
          const size_t group = grouping_.GroupOf(begin + i);
          auto cell = std::ranges::lower_bound(cells, group * steps());
          for (; cell != cells.end() && *cell < (group + 1) * steps(); ++cell) {
            const double value = values[i * steps() + *cell % steps()];
            if (!IsAbsent(value)) {
              means[cell - cells.begin()].Add(value);
            }
          }
        }
      }));
  for (size_t i = 0; i < cells.size(); ++i) {
    rows_[cells[i]] = means[i].Result();
  }
  return OkStatus();
}

}  // namespace tsdbd::query
