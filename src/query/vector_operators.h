#pragma once
// Operators between two instant vectors: arithmetic and comparisons, and the set operators. Series
// find each other by a part of their labels, their signature; Prometheus decides at each step anew
// who matches whom, so series that share a signature may take turns but not meet.

#include <optional>
#include <string>
#include <vector>

#include "query/ast.h"
#include "query/grouping.h"
#include "query/merged_rows.h"
#include "query/operator.h"

namespace tsdbd::query {

// The signatures of the series of two vectors, numbered.
class Signatures {
 public:
  explicit Signatures(const VectorMatching& matching)
      : hasher_(/*all_but=*/!matching.on, matching.labels) {}

  // Numbers the signatures of all series of `input`.
  Status Add(Execution* execution, const Operator& input, std::vector<uint32_t>* numbers);
  // Gives HashNumbering::kNone to those that were not added before.
  Status Look(Execution* execution, const Operator& input, std::vector<uint32_t>* numbers) const;

  size_t count() const { return numbering_.size(); }
  const LabelHasher& hasher() const { return hasher_; }

 private:
  template <typename Number>
  Status ForEachHash(Execution* execution, const Operator& input, std::vector<uint32_t>* numbers,
                     const Number& number) const;

  const LabelHasher hasher_;
  HashNumbering numbering_;
};

// Arithmetic and comparisons. First child: the left side.
class VectorBinaryOperator : public Operator {
 public:
  VectorBinaryOperator(Execution* execution, const StepGrid& grid, const BinaryExpr& expr,
                       OperatorPtr left, OperatorPtr right)
      : Operator("vector operator", execution, grid, {std::move(left), std::move(right)}),
        expr_(expr),
        matching_(*expr.matching),
        swapped_(expr.matching->cardinality == MatchCardinality::kOneToMany),
        one_to_one_(expr.matching->cardinality == MatchCardinality::kOneToOne),
        signatures_(*expr.matching) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override;
  bool DropsName(size_t /*series*/) const override { return expr_.return_bool; }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  static constexpr uint32_t kNone = HashNumbering::kNone;

  // One pair of a series of the side that may be many and a signature of the other side.
  struct Pair {
    uint32_t many = kNone;  // series; kNone: filled in
    uint32_t signature = 0;
  };

  Operator& many() const { return child(swapped_ ? 1 : 0); }
  Operator& one() const { return child(swapped_ ? 0 : 1); }
  bool HasFill() const { return matching_.fill_left || matching_.fill_right; }

  Status MakeOneRows();
  Status DuplicateError(uint32_t series_a, uint32_t series_b) const;
  Status MakePairs();
  // Refuses pairs that would give two values for one result at the same step.
  Status CheckMatches();
  Status CheckPairs(std::span<const uint32_t> pairs, std::string_view problem);
  void GetPairLabels(const Pair& pair, model::LabelViews* labels) const;
  std::span<const double> OneRow(uint32_t signature) const {
    return std::span(one_rows_).subspan(signature * steps(), steps());
  }
  // The operands of the one side at each step, with what is filled in.
  void FillOne(uint32_t signature, std::span<double> row) const;
  Status ComputeFilled(uint32_t signature, std::span<double> row) const;
  // `row` holds the values of the many side, then the result.
  void Combine(uint32_t signature, std::span<double> row) const;

  const BinaryExpr& expr_;
  const VectorMatching& matching_;
  const bool swapped_;  // the many side is the right one
  const bool one_to_one_;
  Signatures signatures_;
  std::vector<uint32_t> one_of_signature_;  // the first series of the one side that has it
  std::vector<double> one_rows_;            // [signature][step]
  std::vector<bool> many_present_;          // [signature][step], if the many side is filled in
  std::vector<Pair> pairs_;
  EqualLabels results_;  // of pairs
};

// and, unless: the left side where the right side has, or has not, a series of its signature.
class FilterBySignatureOperator : public SameSeriesOperator {
 public:
  FilterBySignatureOperator(Execution* execution, const StepGrid& grid, bool unless,
                            const VectorMatching& matching, OperatorPtr left, OperatorPtr right)
      : SameSeriesOperator(unless ? "unless" : "and", execution, grid,
                           {std::move(left), std::move(right)}),
        unless_(unless),
        signatures_(matching) {}

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const bool unless_;
  Signatures signatures_;
  std::vector<uint32_t> signature_of_;
  std::vector<bool> present_;  // [signature][step]
};

// or: the left side's series, then the right side's where the left side has none of their
// signature. Series of both sides may have the same labels: see MergeOperator.
class UnionOperator : public Operator {
 public:
  UnionOperator(Execution* execution, const StepGrid& grid, const VectorMatching& matching,
                OperatorPtr left, OperatorPtr right)
      : Operator("or", execution, grid, {std::move(left), std::move(right)}),
        signatures_(matching) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override;
  bool DropsName(size_t series) const override;

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  // Whether the left side has a series of the signature at every step.
  bool IsCovered(uint32_t signature) const;

  Signatures signatures_;
  std::vector<uint32_t> signature_of_;  // of the right side's series
  std::vector<uint32_t> right_;         // series of the right side that may have values left
  std::vector<bool> present_;           // [signature][step] of the left side
};

}  // namespace tsdbd::query
