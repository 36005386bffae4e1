#include "query/grouping.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace tsdbd::query {
namespace {

std::vector<std::string> SortedSet(std::vector<std::string> labels) {
  std::ranges::sort(labels);
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

}  // namespace

// ---- LabelHasher

LabelHasher::LabelHasher(bool all_but, std::vector<std::string> labels)
    : all_but_(all_but), labels_(SortedSet(std::move(labels))) {
  for (const std::string& label : labels_) {
    name_hashes_.push_back(Hash64(label));
  }
}

bool LabelHasher::Keeps(std::string_view label) const {
  const bool listed = std::ranges::binary_search(labels_, label);
  return all_but_ ? !listed && label != model::kMetricName : listed;
}

void LabelHasher::Reduce(model::LabelViews* labels) const {
  std::erase_if(*labels, [this](const model::LabelView& label) { return !Keeps(label.name); });
}

void LabelHasher::Hash(const Operator& input, size_t first, size_t count, uint64_t* hashes) const {
  std::fill_n(hashes, count, 0);
  if (all_but_) {
    model::LabelViews labels;
    for (size_t i = 0; i < count; ++i) {
      input.GetLabels(first + i, &labels);
      for (const model::LabelView& label : labels) {
        hashes[i] += Keeps(label.name) ? model::HashLabel(label.name, label.value) : 0;
      }
    }
    return;
  }
  std::array<std::string_view, kMaxCount> values;
  for (size_t label = 0; label < labels_.size(); ++label) {
    input.GetLabelValues(labels_[label], first, count, values.data());
    for (size_t i = 0; i < count; ++i) {
      hashes[i] += values[i].empty() ? 0 : Hash64(values[i], name_hashes_[label]);
    }
  }
}

// ---- HashNumbering

bool HashNumbering::Number(uint64_t hash, uint32_t* number) {
  if (hash == last_hash_ && !numbers_.empty()) {
    *number = last_number_;
    return false;
  }
  const auto [entry, is_new] = numbers_.emplace(hash, static_cast<uint32_t>(numbers_.size()));
  last_hash_ = hash;
  last_number_ = *number = entry->second;
  return is_new;
}

uint32_t HashNumbering::Find(uint64_t hash) const {
  const auto found = numbers_.find(hash);
  return found == numbers_.end() ? kNone : found->second;
}

// ---- Grouping

Grouping::Grouping(bool without, std::vector<std::string> labels)
    : hasher_(without, std::move(labels)),
      one_group_(!without && hasher_.labels().empty()),
      keeps_name_(hasher_.Keeps(model::kMetricName)) {}

Status Grouping::Find(Execution* execution, const Operator* input) {
  input_ = input;
  const size_t count = input->series_count();
  if (one_group_) {
    first_series_.assign(count > 0 ? 1 : 0, 0);
    return OkStatus();
  }
  RETURN_IF_ERROR(execution->Reserve(count * sizeof(uint32_t)));
  group_of_.resize(count);
  HashNumbering numbering;
  std::array<uint64_t, LabelHasher::kMaxCount> hashes;
  for (size_t first = 0; first < count; first += hashes.size()) {
    RETURN_IF_ERROR(execution->CheckAlive());
    const size_t batch = std::min(hashes.size(), count - first);
    hasher_.Hash(*input, first, batch, hashes.data());
    for (size_t i = 0; i < batch; ++i) {
      if (numbering.Number(hashes[i], &group_of_[first + i])) {
        first_series_.push_back(static_cast<uint32_t>(first + i));
      }
    }
  }
  if (keeps_name_) {
    drops_name_.assign(first_series_.size(), false);
    for (size_t series = 0; series < count; ++series) {
      if (input_->DropsName(series)) {
        drops_name_[group_of_[series]] = true;
      }
    }
  }
  return OkStatus();
}

void Grouping::GetLabels(size_t group, model::LabelViews* labels) const {
  labels->clear();
  if (!one_group_) {
    input_->GetLabels(first_series_[group], labels);
    hasher_.Reduce(labels);
  }
}

size_t Grouping::LargestGroup() const {
  if (one_group_) {
    return input_->series_count();
  }
  std::vector<size_t> sizes(group_count());
  for (const uint32_t group : group_of_) {
    ++sizes[group];
  }
  return sizes.empty() ? 0 : *std::ranges::max_element(sizes);
}

// ---- LabelOrder

namespace {

// a < b, sooner: labels of one source mostly point to the same text where they are equal.
bool LabelsLess(const model::LabelViews& a, const model::LabelViews& b) {
  const auto differ = [](std::string_view x, std::string_view y) {
    return (x.data() != y.data() || x.size() != y.size()) && x != y;
  };
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; ++i) {
    if (differ(a[i].name, b[i].name)) {
      return a[i].name < b[i].name;
    }
    if (differ(a[i].value, b[i].value)) {
      return a[i].value < b[i].value;
    }
  }
  return a.size() < b.size();
}

}  // namespace

std::vector<uint32_t> LabelOrder::Sorted() const {
  std::vector<model::LabelViews> labels(input_->series_count());
  for (size_t series = 0; series < labels.size(); ++series) {
    input_->GetLabels(series, &labels[series]);
  }
  std::vector<uint32_t> order(labels.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(
      order, [&](uint32_t a, uint32_t b) { return LabelsLess(labels[a], labels[b]); });
  return order;
}

bool LabelOrder::Less(uint32_t a, uint32_t b) {
  if (!ranked_.load(std::memory_order_acquire)) {
    if (comparisons_.fetch_add(1, std::memory_order_relaxed) <
        kComparisonsPerSeries * input_->series_count()) {
      model::LabelViews labels_a;
      model::LabelViews labels_b;
      input_->GetLabels(a, &labels_a);
      input_->GetLabels(b, &labels_b);
      return LabelsLess(labels_a, labels_b);
    }
    const MutexLock lock(&mutex_);
    if (ranks_.empty()) {
      const std::vector<uint32_t> order = Sorted();
      ranks_.resize(order.size());
      for (uint32_t rank = 0; rank < order.size(); ++rank) {
        ranks_[order[rank]] = rank;
      }
      ranked_.store(true, std::memory_order_release);
    }
  }
  return ranks_[a] < ranks_[b];
}

}  // namespace tsdbd::query
