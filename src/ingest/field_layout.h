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
#include <hwy/highway.h>

#include "ingest/line_problem.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

// A field's name as it stands on the line.
struct RawField {
  std::string_view name;
  bool is_string = false;
};

struct FieldLayout {
  // How much of a name is compared at once: the width of a vector that every machine has.
  static constexpr size_t kPrefixWindow = 16;

  struct Field {
    // The start of the prefix, zeros after it, and the bits that count.
    alignas(kPrefixWindow) uint8_t window[kPrefixWindow] = {};
    alignas(kPrefixWindow) uint8_t window_mask[kPrefixWindow] = {};
    std::string prefix;  // `name=`, or `,name=` after the first
    bool is_string = false;
  };

  std::vector<Field> fields;

  // Of the values that are not strings.
  model::FieldList columns;
  size_t string_count = 0;
  // Value i belongs to columns.names[column_of_value[i]]; empty unless a name stands there twice.
  std::vector<uint32_t> column_of_value;

  // Where `columns` stands in the batch that is being made, if `batch` is that batch's number.
  uint64_t batch = 0;
  uint32_t index_in_batch = 0;
};

// Whether the field's prefix stands at `p`.
inline bool HasPrefix(const FieldLayout::Field& field, const char* p, const char* end) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::FixedTag<uint8_t, FieldLayout::kPrefixWindow> bytes;
  if (end - p >= static_cast<ptrdiff_t>(FieldLayout::kPrefixWindow)) [[likely]] {
    const auto text = hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(p));
    const auto relevant = hn::And(text, hn::Load(bytes, field.window_mask));
    if (!hn::AllTrue(bytes, hn::Eq(relevant, hn::Load(bytes, field.window)))) {
      return false;
    }
    if (field.prefix.size() <= FieldLayout::kPrefixWindow) [[likely]] {
      return true;
    }
  }
  return std::string_view(p, static_cast<size_t>(end - p)).starts_with(field.prefix);
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
