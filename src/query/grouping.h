#pragma once
// Grouping: which series of an operator belong together, by their labels.

#include <cstdint>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "query/operator.h"

namespace tsdbd::query {

// Hashes the part of label sets by which series are grouped or matched: some labels, or all but
// some (and then never the metric name). An empty value is the same as no label.
class LabelHasher {
 public:
  LabelHasher(bool all_but, std::vector<std::string> labels);

  bool Keeps(std::string_view label) const;
  // hashes[i] is that of series first + i. At most kMaxCount at once.
  void Hash(const Operator& input, size_t first, size_t count, uint64_t* hashes) const;
  // Takes away what it does not keep.
  void Reduce(model::LabelViews* labels) const;

  bool all_but() const { return all_but_; }
  const std::vector<std::string>& labels() const { return labels_; }

  static constexpr size_t kMaxCount = 1024;

 private:
  bool all_but_;
  std::vector<std::string> labels_;  // sorted, unique
  std::vector<uint64_t> name_hashes_;
};

// Numbers hashes in the order of their first appearance.
class HashNumbering {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // True if `hash` is new.
  bool Number(uint64_t hash, uint32_t* number);
  // kNone if it is not known.
  uint32_t Find(uint64_t hash) const;
  size_t size() const { return numbers_.size(); }

 private:
  struct Prehashed {
    size_t operator()(uint64_t hash) const { return hash; }
  };
  absl::flat_hash_map<uint64_t, uint32_t, Prehashed> numbers_;
  uint64_t last_hash_ = 0;
  uint32_t last_number_ = 0;
};

// `by (labels)` or `without (labels)` of an aggregation.
class Grouping {
 public:
  Grouping(bool without, std::vector<std::string> labels);

  // Finds the groups of all series of `input`, which must be prepared and outlive this.
  Status Find(Execution* execution, const Operator* input);

  size_t group_count() const { return first_series_.size(); }
  uint32_t GroupOf(size_t series) const { return one_group_ ? 0 : group_of_[series]; }
  uint32_t FirstSeries(size_t group) const { return first_series_[group]; }
  // The labels that the group's series share.
  void GetLabels(size_t group, model::LabelViews* labels) const;
  // Whether the group's metric name goes away: if any of its series' does.
  bool DropsName(size_t group) const { return keeps_name_ && drops_name_[group]; }
  size_t LargestGroup() const;

 private:
  LabelHasher hasher_;
  bool one_group_;  // by (): no labels to look at
  bool keeps_name_;
  const Operator* input_ = nullptr;
  std::vector<uint32_t> group_of_;
  std::vector<uint32_t> first_series_;
  std::vector<bool> drops_name_;
};

// The order of an operator's series by their labels: what decides between equal values. Compares
// labels directly until so much was compared that sorting all is cheaper. Thread-safe.
class LabelOrder {
 public:
  explicit LabelOrder(const Operator* input) : input_(input) {}

  bool Less(uint32_t a, uint32_t b);
  // All series in order.
  std::vector<uint32_t> Sorted() const;

 private:
  // A direct comparison gets the labels of two series; sorting gets those of each once, and then
  // compares fast.
  static constexpr uint64_t kComparisonsPerSeries = 1;

  const Operator* const input_;
  std::atomic<uint64_t> comparisons_ = 0;
  std::atomic<bool> ranked_ = false;
  Mutex mutex_;
  std::vector<uint32_t> ranks_;  // written once, before ranked_
};

}  // namespace tsdbd::query
