#include "storage/column_kernels.h"

#include <array>
#include <cstring>
#include <utility>

#include "storage/bit_packing.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "storage/column_kernels.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

// What is the same for all targets.
#ifndef TSDBD_STORAGE_COLUMN_KERNELS_ONCE
#define TSDBD_STORAGE_COLUMN_KERNELS_ONCE
namespace tsdbd::storage {

// Where the values of a group lie.
struct alignas(64) Spread {
  // Of a group within 8 bytes: the bit at which value i begins.
  uint64_t word_shifts[kValuesPerGroup];
  // Otherwise 16 bytes are loaded, which hold the whole group or values i and i + 1 (i even): the
  // numbers of the 8 bytes that value i is in, for a lookup that moves them to lane i, and the bit
  // of them at which it begins.
  uint64_t bytes[kValuesPerGroup];
  uint64_t shifts[kValuesPerGroup];
};

inline constexpr unsigned kMaxWidthInWord = 8;
inline constexpr unsigned kMaxWidthInBlock = 16;

constexpr Spread MakeSpread(unsigned width) {
  Spread spread{};
  for (unsigned i = 0; i < kValuesPerGroup; ++i) {
    const unsigned bit = i * width;
    const unsigned load_byte = width <= kMaxWidthInBlock ? 0 : (i & ~1u) * width / 8;
    spread.word_shifts[i] = width <= kMaxWidthInWord ? bit : 0;
    spread.shifts[i] = bit % 8;
    for (unsigned byte = 0; byte < 8; ++byte) {
      // Bytes behind the value may be any: they are masked away.
      const uint64_t source = (bit / 8 - load_byte + byte) % 16;
      spread.bytes[i] |= source << (8 * byte);
    }
  }
  return spread;
}

constexpr std::array<Spread, kMaxPackedWidth + 1> MakeSpreads() {
  std::array<Spread, kMaxPackedWidth + 1> spreads{};
  for (unsigned width = 0; width <= kMaxPackedWidth; ++width) {
    spreads[width] = MakeSpread(width);
  }
  return spreads;
}

inline constexpr auto kSpreads = MakeSpreads();

}  // namespace tsdbd::storage
#endif  // TSDBD_STORAGE_COLUMN_KERNELS_ONCE

HWY_BEFORE_NAMESPACE();
namespace tsdbd::storage::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors of four or eight values that shift each by its own count. With less, plain loops are as
// fast.
#define TSDBD_WIDE_VECTORS (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2)

#if TSDBD_WIDE_VECTORS

using U = hn::CappedTag<uint64_t, kValuesPerGroup>;
constexpr size_t kLanes = hn::MaxLanes(U());

// Of each group the vector that `load(group, first)` returns holds values first .. first + kLanes -
// 1 in their lanes, or if kMoves is set somewhere, as the spread says.
template <bool kMoves, typename Load>
HWY_INLINE void UnpackWith(const char* in, size_t group_count, unsigned width, uint64_t* out,
                           Load load) {
  const U u;
  const Spread& spread = kSpreads[width];
  const auto mask = hn::Set(u, (uint64_t{1} << width) - 1);
  for (size_t first = 0; first < kValuesPerGroup; first += kLanes) {
    const auto bytes = hn::Load(u, spread.bytes + first);
    const auto shifts = hn::Load(u, (kMoves ? spread.shifts : spread.word_shifts) + first);
    for (size_t group = 0; group < group_count; ++group) {
      auto values = load(in + group * width, first);
      if constexpr (kMoves) {
        values = hn::TableLookupBytes(values, bytes);
      }
      hn::StoreU(hn::And(hn::Shr(values, shifts), mask), u, out + group * kValuesPerGroup + first);
    }
  }
}

HWY_INLINE hn::Vec<U> LoadWord(const char* group) {
  uint64_t word;
  std::memcpy(&word, group, sizeof(word));
  return hn::Set(U(), word);
}

HWY_INLINE hn::Vec<U> LoadBlock(const char* group) {
  const hn::Repartition<uint8_t, U> u8;
  return hn::BitCast(U(), hn::LoadDup128(u8, reinterpret_cast<const uint8_t*>(group)));
}

// In every 16 bytes of the vector, those from where the two values begin that it is for.
template <typename Tag>
HWY_INLINE hn::Vec<Tag> LoadPairs(Tag tag, const char* group, unsigned width, size_t first) {
  if constexpr (hn::MaxLanes(Tag()) == 2) {
    const hn::Repartition<uint8_t, Tag> u8;
    const auto* bytes = reinterpret_cast<const uint8_t*>(group + first * width / 8);
    return hn::BitCast(tag, hn::LoadU(u8, bytes));
  } else {
    const hn::Half<Tag> half;
    return hn::Combine(tag, LoadPairs(half, group, width, first + hn::MaxLanes(half)),
                       LoadPairs(half, group, width, first));
  }
}

void UnpackGroups(const char* in, size_t group_count, unsigned width, uint64_t* out) {
  if (width <= kMaxWidthInWord) {
    UnpackWith<false>(in, group_count, width, out,
                      [](const char* group, size_t) HWY_ATTR { return LoadWord(group); });
  } else if (width <= kMaxWidthInBlock) {
    UnpackWith<true>(in, group_count, width, out,
                     [](const char* group, size_t) HWY_ATTR { return LoadBlock(group); });
  } else {
    UnpackWith<true>(in, group_count, width, out,
                     [width](const char* group, size_t first)
                         HWY_ATTR { return LoadPairs(U(), group, width, first); });
  }
}

// The low 64 bits of the products.
HWY_INLINE hn::Vec<U> Multiply(hn::Vec<U> a, hn::Vec<U> b) {
#if HWY_TARGET <= HWY_AVX3
  return hn::Mul(a, b);
#else
  const hn::Repartition<uint32_t, U> u32;
  const auto product = [&](hn::Vec<U> x, hn::Vec<U> y) HWY_ATTR {
    return hn::MulEven(hn::BitCast(u32, x), hn::BitCast(u32, y));  // of the low halves
  };
  const auto crossed =
      hn::Add(product(hn::ShiftRight<32>(a), b), product(a, hn::ShiftRight<32>(b)));
  return hn::Add(product(a, b), hn::ShiftLeft<32>(crossed));
#endif
}

void FillLine(const TimestampLine& line, size_t begin, const uint64_t* offsets, size_t count,
              uint64_t* out) {
  const U u;
  uint64_t lane_slopes[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) {
    lane_slopes[lane] = line.slope * (begin + lane);
  }
  auto slopes = hn::LoadU(u, lane_slopes);
  const auto slope_step = hn::Set(u, line.slope * kLanes);
  const auto base = hn::Set(u, line.base);
  const auto unit = hn::Set(u, line.unit);
  const auto first = hn::Set(u, line.first);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto above_line = hn::Add(base, hn::LoadU(u, offsets + i));
    const auto position = hn::Add(hn::ShiftRight<kSlopeShift>(slopes), above_line);
    hn::StoreU(hn::Add(first, Multiply(unit, position)), u, out + i);
    slopes = hn::Add(slopes, slope_step);
  }
  for (; i < count; ++i) {
    out[i] = line.At(begin + i, offsets[i]);
  }
}

#else

void FillLine(const TimestampLine& line, size_t begin, const uint64_t* offsets, size_t count,
              uint64_t* out) {
  for (size_t i = 0; i < count; ++i) {
    out[i] = line.At(begin + i, offsets[i]);
  }
}

void UnpackGroups(const char* in, size_t group_count, unsigned width, uint64_t* out) {
  UnpackGroupsPlain(in, group_count, width, out);
}

#endif  // TSDBD_WIDE_VECTORS
#undef TSDBD_WIDE_VECTORS

void FillRegular(uint64_t first, uint64_t interval, size_t count, uint64_t* out) {
  const hn::CappedTag<uint64_t, 8> u;
  const size_t lanes = hn::Lanes(u);
  uint64_t begin[8];
  for (size_t lane = 0; lane < lanes; ++lane) {
    begin[lane] = first + lane * interval;
  }
  auto next = hn::LoadU(u, begin);
  const auto step = hn::Set(u, lanes * interval);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(next, u, out + i);
    next = hn::Add(next, step);
  }
  for (; i < count; ++i) {
    out[i] = first + i * interval;
  }
}

}  // namespace tsdbd::storage::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tsdbd::storage {
namespace {

HWY_EXPORT(UnpackGroups);
HWY_EXPORT(FillRegular);
HWY_EXPORT(FillLine);

}  // namespace

void UnpackGroups(const char* in, size_t group_count, unsigned width, uint64_t* out) {
  HWY_DYNAMIC_DISPATCH(UnpackGroups)(in, group_count, width, out);
}

void FillRegular(uint64_t first, uint64_t interval, size_t count, uint64_t* out) {
  HWY_DYNAMIC_DISPATCH(FillRegular)(first, interval, count, out);
}

void FillLine(const TimestampLine& line, size_t begin, const uint64_t* offsets, size_t count,
              uint64_t* out) {
  HWY_DYNAMIC_DISPATCH(FillLine)(line, begin, offsets, count, out);
}

}  // namespace tsdbd::storage
#endif  // HWY_ONCE
