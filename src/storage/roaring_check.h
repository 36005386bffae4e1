#pragma once
// A check of serialised roaring bitmaps. CRoaring's "safe" deserialiser looks at sizes only: values
// that are not sorted, or a wrong count, get through it and make later operations read and write
// where they must not.

#include <cstdint>
#include <string_view>

namespace tsdbd::storage {

// Whether `bytes` begin with a well-formed bitmap in the portable format, of exactly `cardinality`
// values, all below `limit`.
bool IsRoaringBitmap(std::string_view bytes, uint64_t cardinality, uint64_t limit);

}  // namespace tsdbd::storage
