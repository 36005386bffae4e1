#include "storage/block_label_table.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace tsdbd::storage {
namespace {

std::vector<uint32_t> NumbersBelow(size_t count) {
  std::vector<uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

}  // namespace

uint32_t BlockLabelTable::NumberOf(const model::LabelView& label) {
  const PairKey key = {NumberOfName(label.name), label.value};
  const auto found = pair_numbers_.find(key);
  if (found != pair_numbers_.end()) {
    return *found;
  }
  const auto number = static_cast<uint32_t>(pairs_.size());
  pairs_.push_back({.value = AddString(label.value), .name = key.name});
  pair_numbers_.insert(number);
  return number;
}

uint32_t BlockLabelTable::NumberOfName(std::string_view name) {
  const auto [entry, inserted] =
      name_numbers_.try_emplace(name, static_cast<uint32_t>(names_.size()));
  if (inserted) {
    names_.push_back(AddString(name));
  }
  return entry->second;
}

StringRef BlockLabelTable::AddString(std::string_view string) {
  const StringRef ref = {strings_.size(), static_cast<uint32_t>(string.size()), 0};
  strings_ += string;
  return ref;
}

std::vector<uint32_t> BlockLabelTable::SortNames(std::vector<NameRecord>* names) const {
  std::vector<uint32_t> order = NumbersBelow(names_.size());
  std::ranges::sort(order, {}, [&](uint32_t name) { return StringAt(names_[name]); });
  std::vector<uint32_t> index_of(names_.size());
  for (const uint32_t name : order) {
    index_of[name] = static_cast<uint32_t>(names->size());
    names->push_back({.name = names_[name], .first_pair = 0, .pair_count = 0});
  }
  return index_of;
}

std::vector<uint32_t> BlockLabelTable::Sort(std::vector<NameRecord>* names,
                                            std::vector<PairRecord>* pairs) const {
  const std::vector<uint32_t> name_index = SortNames(names);
  std::vector<uint32_t> order = NumbersBelow(pairs_.size());
  std::ranges::sort(order, {}, [&](uint32_t pair) {
    return std::pair(name_index[pairs_[pair].name], StringAt(pairs_[pair].value));
  });
  std::vector<uint32_t> index_of(pairs_.size());
  for (const uint32_t number : order) {
    const Pair& pair = pairs_[number];
    const auto index = static_cast<uint32_t>(pairs->size());
    index_of[number] = index;
    pairs->push_back({.value_offset = pair.value.offset,
                      .value_size = pair.value.size,
                      .name = name_index[pair.name],
                      .groups = {}});
    NameRecord& name = (*names)[name_index[pair.name]];
    if (name.pair_count++ == 0) {
      name.first_pair = index;
    }
  }
  return index_of;
}

}  // namespace tsdbd::storage
