#pragma once
// FieldLayout: how the field part of a line is laid out: the raw names in order, and which values
// are strings. Lines of one source repeat it, so the parser compares its bytes instead of looking
// for names. FieldLayoutCache: the layouts met so far. One thread.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "ingest/line_problem.h"
#include "ingest/number.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

// A field's name as it stands on the line.
struct RawField {
  std::string_view name;
  bool is_string = false;
};

struct FieldLayout {
  struct Field {
    uint32_t prefix_bytes = 0;  // of `name=`, or `,name=` after the first
    uint32_t whole_words = 0;   // of the prefix, before the last word
    uint64_t last_word_mask = 0;
    bool is_string = false;
  };

  std::vector<Field> fields;
  std::vector<uint64_t> prefix_words;  // of all fields, each starting at a word

  // Of the values that are not strings.
  model::FieldList columns;
  size_t string_count = 0;
  // Value i belongs to columns.names[column_of_value[i]]; empty unless a name stands there twice.
  std::vector<uint32_t> column_of_value;

  // Where `columns` stands in the batch that is being made, if `batch` is that batch's number.
  uint64_t batch = 0;
  uint32_t index_in_batch = 0;
};

// Whether the field's prefix, whose words are at `words`, stands at `p`.
inline bool HasPrefix(const FieldLayout::Field& field, const uint64_t* words, const char* p,
                      const char* end) {
  for (uint32_t i = 0; i < field.whole_words; ++i) {
    if (LoadWord(p, end) != words[i]) {
      return false;
    }
    p += sizeof(uint64_t);
  }
  return ((LoadWord(p, end) ^ words[field.whole_words]) & field.last_word_mask) == 0;
}

class FieldLayoutCache {
 public:
  // The layout of these fields; made if it is new. Null if a name may not be: *failure says why.
  // Making one may forget (and destroy) all others.
  FieldLayout* FindOrMake(std::span<const RawField> fields, LineFailure* failure);

  // Where the last layout of this measurement is remembered.
  FieldLayout*& LastOf(std::string_view measurement);

 private:
  // More than the field lists of any Telegraf; bounds what a client can make a thread remember.
  static constexpr size_t kMaxLayouts = 1024;
  static constexpr size_t kMaxNameBytes = size_t{1} << 20;
  // Collisions only cost time.
  static constexpr size_t kMeasurementSlots = 64;

  void Clear();

  // By their fields as text, with the kind of value in the place of the value.
  absl::flat_hash_map<std::string, std::unique_ptr<FieldLayout>> layouts_;
  size_t name_bytes_ = 0;
  std::string signature_;
  std::vector<FieldLayout*> last_of_measurement_ =
      std::vector<FieldLayout*>(kMeasurementSlots, nullptr);
};

}  // namespace tsdbd::ingest
