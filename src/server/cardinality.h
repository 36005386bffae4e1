#pragma once
// Cardinality: what makes the number of series large, counted for /api/v1/status/tsdb. Each of the
// lists names the largest first.
//
// Threads: an object belongs to one thread at a time.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/hash.h"
#include "model/labels.h"

namespace tsdbd::server {

struct NamedCount {
  std::string name;
  uint64_t count = 0;
};

class Cardinality {
 public:
  // 100 MB or so of them; a series has about ten pairs, most of them shared.
  static constexpr size_t kMaxPairs = 1'000'000;

  // Counts one series. Of label pairs beyond kMaxPairs only those already seen are counted.
  void Add(const model::LabelViews& labels);

  std::vector<NamedCount> SeriesByMetricName(size_t limit) const;
  std::vector<NamedCount> ValuesByLabelName(size_t limit) const;
  // Bytes of the different values of a label.
  std::vector<NamedCount> ValueBytesByLabelName(size_t limit) const;
  // "name=value".
  std::vector<NamedCount> SeriesByLabelPair(size_t limit) const;

 private:
  // Looks up std::string_view without making a string of it.
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return Hash64(text); }
  };
  template <typename Value>
  using ByText = absl::flat_hash_map<std::string, Value, TextHash, std::equal_to<>>;
  using CountByValue = ByText<uint64_t>;

  ByText<CountByValue> labels_;
  size_t pair_count_ = 0;
};

}  // namespace tsdbd::server
