#pragma once
// The labels of a block that is being written: each name and each name=value pair once, numbered
// in order of appearance and sorted at the end. One thread at a time.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include "common/hash.h"
#include "model/labels.h"
#include "storage/block_format.h"

namespace tsdbd::storage {

// Lets a map of std::string be asked with a std::string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view string) const { return Hash64(string); }
};
using StringNumbers = absl::flat_hash_map<std::string, uint32_t, StringHash, std::equal_to<>>;

class BlockLabelTable {
 public:
  BlockLabelTable() : pair_numbers_(0, PairHash{this}, PairEqual{this}) {}
  BlockLabelTable(const BlockLabelTable&) = delete;  // the set points here
  BlockLabelTable& operator=(const BlockLabelTable&) = delete;

  uint32_t NumberOf(const model::LabelView& label);
  // Adds a string to strings() that is no label.
  StringRef AddString(std::string_view string);

  // Appends the sorted tables; postings stay empty. Returns for each pair's number its index there.
  std::vector<uint32_t> Sort(std::vector<NameRecord>* names, std::vector<PairRecord>* pairs) const;
  // The bytes that all StringRefs point into.
  const std::string& strings() const { return strings_; }

 private:
  struct PairKey {
    uint32_t name;
    std::string_view value;
    friend bool operator==(const PairKey&, const PairKey&) = default;
  };
  struct Pair {
    StringRef value;
    uint32_t name;
  };
  // The set holds pairs' numbers, and finds them by what they stand for.
  struct PairHash {
    using is_transparent = void;
    const BlockLabelTable* table;
    size_t operator()(const PairKey& key) const { return Hash64(key.value, key.name); }
    size_t operator()(uint32_t pair) const { return (*this)(table->KeyOf(pair)); }
  };
  struct PairEqual {
    using is_transparent = void;
    const BlockLabelTable* table;
    bool operator()(const PairKey& key, uint32_t pair) const { return key == table->KeyOf(pair); }
    bool operator()(uint32_t pair, const PairKey& key) const { return key == table->KeyOf(pair); }
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
  };

  std::string_view StringAt(const StringRef& string) const {
    return std::string_view(strings_).substr(string.offset, string.size);
  }
  PairKey KeyOf(uint32_t pair) const { return {pairs_[pair].name, StringAt(pairs_[pair].value)}; }
  uint32_t NumberOfName(std::string_view name);
  // Appends the sorted names. Returns for each name's number its index there.
  std::vector<uint32_t> SortNames(std::vector<NameRecord>* names) const;

  std::string strings_;
  StringNumbers name_numbers_;
  std::vector<StringRef> names_;
  std::vector<Pair> pairs_;
  absl::flat_hash_set<uint32_t, PairHash, PairEqual> pair_numbers_;
};

}  // namespace tsdbd::storage
