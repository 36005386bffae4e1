#include "query/histogram_operator.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "query/grouping.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

constexpr std::string_view kBucketLabel = "le";

// 0.5, 1.0, 1e-07: as the bounds of histograms are written in label values.
std::string BoundText(double value) {
  std::string text = std::isfinite(value) ? fmt::format("{}", value) : FormatDecimal(value);
  if (std::isfinite(value) && text.find_first_of("e.") == text.npos) {
    text += ".0";
  }
  return text;
}

}  // namespace

Status HistogramOperator::DoPrepare() {
  RETURN_IF_ERROR(ReadParameters());
  RETURN_IF_ERROR(FindHistograms());
  set_series_count(histograms_.size() * results_per_histogram());
  return OkStatus();
}

Status HistogramOperator::ReadParameters() {
  for (size_t i = 0; i < options_.parameters.size(); ++i) {
    std::vector<double>& row = parameters_.emplace_back(steps());
    RETURN_IF_ERROR(child(1 + i).Compute(0, 1, row.data()));
    if (options_.kind == Kind::kQuantile) {
      for (const double quantile : row) {
        WarnInvalidQuantile(quantile, *options_.parameters[i], &execution().annotations());
      }
    }
    if (options_.quantile_label) {
      quantile_texts_.push_back(BoundText(row[0]));
    }
  }
  return OkStatus();
}

Status HistogramOperator::FindHistograms() {
  const size_t count = child().series_count();
  RETURN_IF_ERROR(execution().Reserve(count * sizeof(BucketSeries)));
  HashNumbering numbering;
  model::LabelViews labels;
  for (uint32_t series = 0; series < count; ++series) {
    if (series % LabelHasher::kMaxCount == 0) {
      RETURN_IF_ERROR(execution().CheckAlive());
    }
    child().GetLabels(series, &labels);
    uint64_t hash = 0;
    std::string_view bound_text;
    for (const model::LabelView& label : labels) {
      if (label.name == kBucketLabel) {
        bound_text = label.value;
      } else {
        hash += model::HashLabel(label.name, label.value);
      }
    }
    BucketSeries bucket{.series = series};
    if (ParseFloat(bound_text, &bucket.upper_bound) != NumberError::kNone) {
      RETURN_IF_ERROR(WarnOfBadBucket(series));
      continue;
    }
    uint32_t histogram = 0;
    if (numbering.Number(hash, &histogram)) {
      histograms_.emplace_back();
    }
    histograms_[histogram].buckets.push_back(bucket);
  }
  for (Histogram& histogram : histograms_) {
    std::ranges::stable_sort(histogram.buckets, {}, &BucketSeries::upper_bound);
  }
  return OkStatus();
}

Status HistogramOperator::WarnOfBadBucket(uint32_t series) {
  std::vector<double> row(steps());
  RETURN_IF_ERROR(child().Compute(series, 1, row.data()));
  if (std::ranges::all_of(row, IsAbsent)) {
    return OkStatus();
  }
  std::string_view name;
  std::string_view bound;
  child().GetLabelValues(model::kMetricName, series, 1, &name);
  child().GetLabelValues(kBucketLabel, series, 1, &bound);
  execution().annotations().Warn(
      fmt::format("bucket label \"le\" is missing or has a malformed value of {}{}", Quote(bound),
                  name.empty() ? "" : " for metric name " + Quote(name)),
      *options_.buckets);
  return OkStatus();
}

void HistogramOperator::GetLabels(size_t series, model::LabelViews* labels) const {
  const Histogram& histogram = histograms_[series / results_per_histogram()];
  child().GetLabels(histogram.buckets[0].series, labels);
  std::erase_if(*labels, [this](const model::LabelView& label) {
    return label.name == kBucketLabel || label.name == options_.quantile_label;
  });
  if (options_.quantile_label) {
    const model::LabelView label{*options_.quantile_label,
                                 quantile_texts_[series % results_per_histogram()]};
    labels->insert(std::ranges::lower_bound(*labels, label), label);
  }
}

Status HistogramOperator::ComputeHistogram(const Histogram& histogram, size_t parameter,
                                           std::span<double> row) {
  const size_t bucket_count = histogram.buckets.size();
  std::vector<double> counts(bucket_count * steps());
  for (size_t i = 0; i < bucket_count; ++i) {
    RETURN_IF_ERROR(child().Compute(histogram.buckets[i].series, 1, counts.data() + i * steps()));
  }
  std::string_view name;
  child().GetLabelValues(model::kMetricName, histogram.buckets[0].series, 1, &name);
  std::vector<Bucket> buckets;
  for (size_t step = 0; step < steps(); ++step) {
    buckets.clear();
    for (size_t i = 0; i < bucket_count; ++i) {
      if (!IsAbsent(counts[i * steps() + step])) {
        buckets.push_back({histogram.buckets[i].upper_bound, counts[i * steps() + step]});
      }
    }
    if (buckets.empty()) {
      row[step] = kAbsent;
      continue;
    }
    if (options_.kind == Kind::kFraction) {
      row[step] = BucketFraction(parameters_[0][step], parameters_[1][step], buckets).value;
      continue;
    }
    const BucketQuantileResult result = BucketQuantile(parameters_[parameter][step], buckets);
    row[step] = result.value;
    if (result.forced_monotonic) {
      const model::Timestamp time = grid().TimeAt(step);
      execution().annotations().InformForcedMonotonicity(
          name, *options_.buckets,
          {result.min_upper_bound, result.max_upper_bound, result.max_difference, time, time});
    }
  }
  return OkStatus();
}

Status HistogramOperator::DoCompute(size_t first, size_t count, double* values) {
  const size_t each = results_per_histogram();
  for (size_t i = first; i < first + count; ++i, values += steps()) {
    RETURN_IF_ERROR(ComputeHistogram(histograms_[i / each], i % each, {values, steps()}));
  }
  return OkStatus();
}

}  // namespace tsdbd::query
