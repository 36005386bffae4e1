#include "query/vector_operators.h"

#include <algorithm>
#include <array>
#include <functional>

#include "query/binary_function.h"
#include "query/merged_rows.h"

namespace tsdbd::query {
namespace {

constexpr uint32_t kNone = HashNumbering::kNone;

// Where any series of a signature has a value: [signature][step].
StatusOr<std::vector<bool>> FindPresence(Execution* execution, Operator& input,
                                         const std::vector<uint32_t>& signature_of,
                                         size_t signatures) {
  const size_t steps = input.grid().count;
  RETURN_IF_ERROR(execution->Reserve(signatures * steps / 8));
  std::vector<bool> present(signatures * steps);
  RETURN_IF_ERROR(ForEachBatch(
      input, 0, input.series_count(), [&](size_t begin, size_t count, const double* values) {
        for (size_t i = 0; i < count; ++i, values += steps) {
          const uint32_t signature = signature_of[begin + i];
          for (size_t step = 0; step < steps && signature != kNone; ++step) {
            if (!IsAbsent(values[step])) {
              present[signature * steps + step] = true;
            }
          }
        }
      }));
  return present;
}

}  // namespace

// ---- Signatures

template <typename Number>
Status Signatures::ForEachHash(Execution* execution, const Operator& input,
                               std::vector<uint32_t>* numbers, const Number& number) const {
  const size_t count = input.series_count();
  RETURN_IF_ERROR(execution->Reserve(count * sizeof(uint32_t)));
  numbers->resize(count);
  std::array<uint64_t, LabelHasher::kMaxCount> hashes;
  for (size_t first = 0; first < count; first += hashes.size()) {
    RETURN_IF_ERROR(execution->CheckAlive());
    const size_t batch = std::min(hashes.size(), count - first);
    hasher_.Hash(input, first, batch, hashes.data());
    for (size_t i = 0; i < batch; ++i) {
      number(hashes[i], &(*numbers)[first + i]);
    }
  }
  return OkStatus();
}

Status Signatures::Add(Execution* execution, const Operator& input,
                       std::vector<uint32_t>* numbers) {
  return ForEachHash(execution, input, numbers,
                     [this](uint64_t hash, uint32_t* number) { numbering_.Number(hash, number); });
}

Status Signatures::Look(Execution* execution, const Operator& input,
                        std::vector<uint32_t>* numbers) const {
  return ForEachHash(execution, input, numbers,
                     [this](uint64_t hash, uint32_t* number) { *number = numbering_.Find(hash); });
}

// ---- VectorBinaryOperator

Status VectorBinaryOperator::DoPrepare() {
  const bool nothing = many().series_count() == 0 && one().series_count() == 0;
  const bool one_side_empty = many().series_count() == 0 || one().series_count() == 0;
  if (nothing || (one_side_empty && !HasFill())) {
    return OkStatus();
  }
  RETURN_IF_ERROR(MakeOneRows());
  RETURN_IF_ERROR(MakePairs());
  RETURN_IF_ERROR(results_.Find(
      &execution(), pairs_.size(),
      [this](size_t pair, model::LabelViews* labels) { GetPairLabels(pairs_[pair], labels); }));
  set_series_count(results_.series_count());
  return CheckMatches();
}

Status VectorBinaryOperator::MakeOneRows() {
  std::vector<uint32_t> signature_of;
  RETURN_IF_ERROR(signatures_.Add(&execution(), one(), &signature_of));
  RETURN_IF_ERROR(execution().ReserveRows(signatures_.count(), steps()));
  one_rows_.assign(signatures_.count() * steps(), kAbsent);
  one_of_signature_.assign(signatures_.count(), kNone);
  // A second series of a signature at the same step is an error if the many side has anything.
  std::optional<std::vector<bool>> many_has_values;
  Status status;
  const auto add_row = [&](uint32_t series, std::span<const double> row) -> Status {
    const uint32_t signature = signature_of[series];
    const std::span<double> into(one_rows_.data() + signature * steps(), steps());
    for (size_t step = 0; step < steps(); ++step) {
      if (IsAbsent(row[step])) {
        continue;
      }
      if (!IsAbsent(into[step])) {
        if (!many_has_values) {
          const std::vector<uint32_t> all_one(many().series_count(), 0);
          ASSIGN_OR_RETURN(many_has_values, FindPresence(&execution(), many(), all_one, 1));
        }
        if ((*many_has_values)[step] || HasFill()) {
          return DuplicateError(one_of_signature_[signature], series);
        }
      }
      into[step] = row[step];
    }
    one_of_signature_[signature] = std::min(one_of_signature_[signature], series);
    return OkStatus();
  };
  RETURN_IF_ERROR(ForEachBatch(
      one(), 0, one().series_count(), [&](size_t begin, size_t count, const double* values) {
        for (size_t i = 0; i < count && status.ok(); ++i) {
          status = add_row(static_cast<uint32_t>(begin + i), {values + i * steps(), steps()});
        }
      }));
  return status;
}

Status VectorBinaryOperator::DuplicateError(uint32_t series_a, uint32_t series_b) const {
  model::LabelViews labels;
  one().GetLabels(series_a, &labels);
  std::string text_a = MetricText(labels);
  one().GetLabels(series_b, &labels);
  std::string text_b = MetricText(labels);
  if (text_b < text_a) {
    std::swap(text_a, text_b);
  }
  signatures_.hasher().Reduce(&labels);
  return FailedPrecondition(
      "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, "
      "{}];many-to-many matching not allowed: matching labels must be unique on one side",
      MetricText(labels), swapped_ ? "left" : "right", text_a, text_b);
}

Status VectorBinaryOperator::MakePairs() {
  std::vector<uint32_t> signature_of;
  if (matching_.fill_right) {
    RETURN_IF_ERROR(signatures_.Add(&execution(), many(), &signature_of));
    one_rows_.resize(signatures_.count() * steps(), kAbsent);
    one_of_signature_.resize(signatures_.count(), kNone);
  } else {
    RETURN_IF_ERROR(signatures_.Look(&execution(), many(), &signature_of));
  }
  for (uint32_t series = 0; series < signature_of.size(); ++series) {
    if (signature_of[series] != kNone) {
      pairs_.push_back({series, signature_of[series]});
    }
  }
  RETURN_IF_ERROR(execution().Reserve(pairs_.size() * sizeof(Pair)));
  if (!matching_.fill_left) {
    return OkStatus();
  }
  ASSIGN_OR_RETURN(many_present_,
                   FindPresence(&execution(), many(), signature_of, signatures_.count()));
  for (uint32_t signature = 0; signature < signatures_.count(); ++signature) {
    if (one_of_signature_[signature] != kNone) {
      pairs_.push_back({kNone, signature});
    }
  }
  return OkStatus();
}

Status VectorBinaryOperator::CheckMatches() {
  if (one_to_one_) {
    std::vector<std::vector<uint32_t>> pairs_of(signatures_.count());
    for (uint32_t pair = 0; pair < pairs_.size(); ++pair) {
      if (pairs_[pair].many != kNone) {
        pairs_of[pairs_[pair].signature].push_back(pair);
      }
    }
    for (const std::vector<uint32_t>& pairs : pairs_of) {
      RETURN_IF_ERROR(
          CheckPairs(pairs, "many-to-one matching must be explicit (group_left/group_right)"));
    }
    return OkStatus();
  }
  for (size_t series = 0; series < results_.series_count(); ++series) {
    RETURN_IF_ERROR(
        CheckPairs(results_.RowsOf(series), "grouping labels must ensure unique matches"));
  }
  return OkStatus();
}

Status VectorBinaryOperator::CheckPairs(std::span<const uint32_t> pairs, std::string_view problem) {
  if (pairs.size() < 2) {
    return OkStatus();
  }
  std::vector<bool> taken(steps());
  std::vector<double> row(steps());
  std::vector<double> one_row(steps());
  for (const uint32_t index : pairs) {
    const Pair& pair = pairs_[index];
    if (pair.many == kNone) {
      continue;
    }
    RETURN_IF_ERROR(many().Compute(pair.many, 1, row.data()));
    FillOne(pair.signature, one_row);
    for (size_t step = 0; step < steps(); ++step) {
      if (IsAbsent(row[step]) || IsAbsent(one_row[step])) {
        continue;
      }
      if (taken[step]) {
        return FailedPrecondition("multiple matches for labels: {}", problem);
      }
      taken[step] = true;
    }
  }
  return OkStatus();
}

void VectorBinaryOperator::GetPairLabels(const Pair& pair, model::LabelViews* labels) const {
  const uint32_t one_series = one_of_signature_[pair.signature];
  if (pair.many != kNone) {
    many().GetLabels(pair.many, labels);
  } else {
    one().GetLabels(one_series, labels);
    signatures_.hasher().Reduce(labels);
  }
  if (!IsComparison(expr_.op)) {
    DropMetadataLabels(labels);
  }
  const auto is_listed = [this](const model::LabelView& label) {
    return std::ranges::binary_search(signatures_.hasher().labels(), label.name);
  };
  if (one_to_one_) {
    std::erase_if(*labels,
                  [&](const model::LabelView& label) { return is_listed(label) != matching_.on; });
  }
  for (const std::string& name : matching_.include) {
    std::erase_if(*labels, [&](const model::LabelView& label) { return label.name == name; });
    std::string_view value;
    if (one_series != kNone) {
      one().GetLabelValues(name, one_series, 1, &value);
    }
    if (!value.empty()) {
      const model::LabelView label{name, value};
      labels->insert(std::ranges::lower_bound(*labels, label), label);
    }
  }
}

void VectorBinaryOperator::GetLabels(size_t series, model::LabelViews* labels) const {
  GetPairLabels(pairs_[results_.RowsOf(series)[0]], labels);
}

void VectorBinaryOperator::FillOne(uint32_t signature, std::span<double> row) const {
  const std::span<const double> stored = OneRow(signature);
  for (size_t step = 0; step < steps(); ++step) {
    row[step] =
        IsAbsent(stored[step]) && matching_.fill_right ? *matching_.fill_right : stored[step];
  }
}

void VectorBinaryOperator::Combine(uint32_t signature, std::span<double> row) const {
  std::vector<double> filled;
  std::span<const double> one_row = OneRow(signature);
  if (matching_.fill_right) {
    filled.resize(steps());
    FillOne(signature, filled);
    one_row = filled;
  }
  ApplyBinaryRow(expr_.op, expr_.return_bool, /*keep_right=*/false, swapped_ ? one_row : row,
                 swapped_ ? row : one_row, row);
}

// The one side's values where the many side has none of the signature, with what is filled in.
Status VectorBinaryOperator::ComputeFilled(uint32_t signature, std::span<double> row) const {
  const std::span<const double> stored = OneRow(signature);
  for (size_t step = 0; step < steps(); ++step) {
    const bool fills = !IsAbsent(stored[step]) && !many_present_[signature * steps() + step];
    row[step] = fills ? *matching_.fill_left : kAbsent;
  }
  Combine(signature, row);
  return OkStatus();
}

Status VectorBinaryOperator::DoCompute(size_t first, size_t count, double* values) {
  std::vector<double> row;
  for (size_t i = 0; i < count;) {
    const std::span<const uint32_t> rows = results_.RowsOf(first + i);
    double* const out = values + i * steps();
    const Pair& pair = pairs_[rows[0]];
    if (rows.size() == 1 && pair.many != kNone) {
      // As many as follow each other on the many side, in one go.
      size_t run = 1;
      while (i + run < count && results_.RowsOf(first + i + run).size() == 1 &&
             pairs_[results_.RowsOf(first + i + run)[0]].many == pair.many + run) {
        ++run;
      }
      RETURN_IF_ERROR(many().Compute(pair.many, run, out));
      for (size_t k = 0; k < run; ++k) {
        Combine(pairs_[results_.RowsOf(first + i + k)[0]].signature, {out + k * steps(), steps()});
      }
      i += run;
      continue;
    }
    row.resize(steps());
    std::fill_n(out, steps(), kAbsent);
    for (const uint32_t index : rows) {
      if (pairs_[index].many == kNone) {
        RETURN_IF_ERROR(ComputeFilled(pairs_[index].signature, row));
      } else {
        RETURN_IF_ERROR(many().Compute(pairs_[index].many, 1, row.data()));
        Combine(pairs_[index].signature, row);
      }
      if (!MergeRow(row, {out, steps()})) {
        return SameLabelsError();
      }
    }
    ++i;
  }
  return OkStatus();
}

// ---- and, unless

Status FilterBySignatureOperator::DoPrepare() {
  RETURN_IF_ERROR(SameSeriesOperator::DoPrepare());
  std::vector<uint32_t> right;
  RETURN_IF_ERROR(signatures_.Add(&execution(), child(1), &right));
  RETURN_IF_ERROR(signatures_.Look(&execution(), child(0), &signature_of_));
  ASSIGN_OR_RETURN(present_, FindPresence(&execution(), child(1), right, signatures_.count()));
  return OkStatus();
}

Status FilterBySignatureOperator::DoCompute(size_t first, size_t count, double* values) {
  RETURN_IF_ERROR(child().Compute(first, count, values));
  for (size_t i = 0; i < count; ++i, values += steps()) {
    const uint32_t signature = signature_of_[first + i];
    for (size_t step = 0; step < steps(); ++step) {
      const bool found = signature != kNone && present_[signature * steps() + step];
      values[step] = found != unless_ ? values[step] : kAbsent;
    }
  }
  return OkStatus();
}

// ---- or

Status UnionOperator::DoPrepare() {
  std::vector<uint32_t> left;
  RETURN_IF_ERROR(signatures_.Add(&execution(), child(0), &left));
  RETURN_IF_ERROR(signatures_.Look(&execution(), child(1), &signature_of_));
  ASSIGN_OR_RETURN(present_, FindPresence(&execution(), child(0), left, signatures_.count()));
  for (uint32_t series = 0; series < signature_of_.size(); ++series) {
    if (!IsCovered(signature_of_[series])) {
      right_.push_back(series);
    }
  }
  set_series_count(child(0).series_count() + right_.size());
  return OkStatus();
}

bool UnionOperator::IsCovered(uint32_t signature) const {
  if (signature == kNone) {
    return false;
  }
  const auto first = present_.begin() + static_cast<ptrdiff_t>(signature * steps());
  return std::all_of(first, first + static_cast<ptrdiff_t>(steps()), std::identity());
}

void UnionOperator::GetLabels(size_t series, model::LabelViews* labels) const {
  const size_t left = child(0).series_count();
  if (series < left) {
    child(0).GetLabels(series, labels);
  } else {
    child(1).GetLabels(right_[series - left], labels);
  }
}

bool UnionOperator::DropsName(size_t series) const {
  const size_t left = child(0).series_count();
  return series < left ? child(0).DropsName(series) : child(1).DropsName(right_[series - left]);
}

Status UnionOperator::DoCompute(size_t first, size_t count, double* values) {
  const size_t left = child(0).series_count();
  size_t i = first;
  if (i < left) {
    const size_t left_count = std::min(count, left - i);
    RETURN_IF_ERROR(child(0).Compute(i, left_count, values));
    i += left_count;
    values += left_count * steps();
  }
  while (i < first + count) {
    // As many as follow each other on the right side, in one go.
    const uint32_t series = right_[i - left];
    size_t run = 1;
    while (i + run < first + count && right_[i + run - left] == series + run) {
      ++run;
    }
    RETURN_IF_ERROR(child(1).Compute(series, run, values));
    for (size_t k = 0; k < run; ++k, values += steps()) {
      const uint32_t signature = signature_of_[series + k];
      for (size_t step = 0; step < steps() && signature != kNone; ++step) {
        if (present_[signature * steps() + step]) {
          values[step] = kAbsent;
        }
      }
    }
    i += run;
  }
  return OkStatus();
}

}  // namespace tsdbd::query
