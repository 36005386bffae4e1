#include "storage/decimal.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "storage/bit_packing.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "storage/decimal.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tsdbd::storage::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 1.5 * 2^52: added to a double below 2^51 it rounds that to an integer, which then is the
// difference of the bit patterns. This is what makes both directions a few vector instructions.
constexpr double kMagic = 6755399441055744.0;
constexpr uint64_t kMagicBits = 0x4338000000000000;
constexpr double kIntegerLimit = 2251799813685248.0;  // 2^51

using D = hn::ScalableTag<double>;
using U = hn::ScalableTag<uint64_t>;

// A power of ten as a vector; division by 1 is left out, as integers are the commonest case.
template <bool kIsOne>
struct Scale {
  explicit Scale(double scale)
      : power(hn::Set(D(), scale)), inverse(hn::Set(D(), kIsOne ? 1 : 1 / scale)) {}
  hn::Vec<D> power;
  hn::Vec<D> inverse;
};

// whole / scale.power, correctly rounded. Where multiply-and-add rounds once, five of them take a
// third of a division's time: the product with the rounded inverse, one step that makes it right to
// the last bit but for ties, and one more that by Markstein's theorem (IA-64 and Elementary
// Functions, ch. 8) then is exact, as nothing overflows or becomes subnormal here.
HWY_INLINE hn::Vec<D> Divide(hn::Vec<D> whole, const Scale<false>& scale) {
#if HWY_NATIVE_FMA
  auto quotient = hn::Mul(whole, scale.inverse);
  for (int step = 0; step < 2; ++step) {
    const auto rest = hn::NegMulAdd(quotient, scale.power, whole);
    quotient = hn::MulAdd(rest, scale.inverse, quotient);
  }
  return quotient;
#else
  return hn::Div(whole, scale.power);
#endif
}

// Of integers to which kMagicBits have been added.
template <bool kIsOne>
HWY_INLINE hn::Vec<D> Decode(hn::Vec<U> magic_integers, const Scale<kIsOne>& scale) {
  const D d;
  const auto whole = hn::Sub(hn::BitCast(d, magic_integers), hn::Set(d, kMagic));
  if constexpr (kIsOne) {
    return whole;
  } else {
    return Divide(whole, scale);
  }
}

// The same for one value; whether it comes back bit for bit.
HWY_INLINE bool EncodeOne(double value, double power, uint64_t* integer) {
  const double scaled = value * power;
  const double rounded = scaled + kMagic;
  *integer = std::bit_cast<uint64_t>(rounded) - kMagicBits;
  const double back = (rounded - kMagic) / power;
  return std::abs(scaled) < kIntegerLimit &&
         std::bit_cast<uint64_t>(back) == std::bit_cast<uint64_t>(value);
}

// `magic_base`: what is added to each integer, and kMagicBits.
template <bool kIsOne>
void DecodeAllBy(const uint64_t* integers, size_t count, uint64_t magic_base, double power,
                 double* out) {
  const D d;
  const U u;
  const Scale<kIsOne> scale(power);
  const auto base = hn::Set(u, magic_base);
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(Decode(hn::Add(hn::LoadU(u, integers + i), base), scale), d, out + i);
  }
  for (; i < count; ++i) {
    out[i] = (std::bit_cast<double>(integers[i] + magic_base) - kMagic) / power;
  }
}

void DecodeAll(const uint64_t* integers, size_t count, uint64_t magic_base, double power,
               double* out) {
  const auto decode = power == 1.0 ? DecodeAllBy<true> : DecodeAllBy<false>;
  decode(integers, count, magic_base, power, out);
}

#if HWY_TARGET == HWY_SCALAR

HWY_INLINE hn::Vec<U> SumsUpToLanes(hn::Vec<U> values) {
  return values;
}
HWY_INLINE hn::Vec<U> LastLane(hn::Vec<U> values) {
  return values;
}

#else

// Which lane each lane of a second half takes, the last one of the first: in fours, in eights.
constexpr uint64_t kTaken[2][8] = {{0, 0, 1, 1, 0, 0, 5, 5}, {0, 0, 0, 0, 3, 3, 3, 3}};
constexpr uint64_t kAll = ~uint64_t{0};
constexpr uint64_t kTakes[2][8] = {{0, 0, kAll, kAll, 0, 0, kAll, kAll},
                                   {0, 0, 0, 0, kAll, kAll, kAll, kAll}};

// In each lane the sum of all lanes up to it: first of pairs of lanes, then of fours, then of
// eights.
HWY_INLINE hn::Vec<U> SumsUpToLanes(hn::Vec<U> values) {
  const U u;
  values = hn::Add(values, hn::ShiftLeftLanes<1>(u, values));
#pragma GCC unroll 2
  for (size_t level = 0; size_t{2} << level < hn::MaxLanes(u); ++level) {
    const auto taken = hn::TableLookupLanes(values, hn::SetTableIndices(u, kTaken[level]));
#if HWY_TARGET <= HWY_AVX3  // an addition can leave lanes out
    const auto takes = hn::MaskFromVec(hn::LoadU(u, kTakes[level]));
    values = hn::IfThenElse(takes, hn::Add(values, taken), values);
#else
    values = hn::Add(values, hn::And(taken, hn::LoadU(u, kTakes[level])));
#endif
  }
  return values;
}

HWY_INLINE hn::Vec<U> LastLane(hn::Vec<U> values) {
  const U u;
  if constexpr (hn::MaxLanes(u) == 2) {
    return hn::ConcatUpperUpper(u, values, values);
  }
  constexpr uint64_t kLast = hn::MaxLanes(u) - 1;
  return hn::TableLookupLanes(values, hn::IndicesFromVec(u, hn::Set(u, kLast)));
}

#endif

// Of zone.count - 1 differences that have been unpacked, and one more that may be any.
template <bool kIsOne>
void DecodeUnpacked(const uint64_t* differences, const PackedZone& zone, double power,
                    double* out) {
  const D d;
  const U u;
  const Scale<kIsOne> scale(power);
  const auto steps = hn::Set(u, zone.step);
  auto before = hn::Set(u, zone.base + kMagicBits);
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= zone.count; i += lanes) {
    const auto added = hn::Add(hn::LoadU(u, differences + i), steps);
    const auto up_to_lanes = SumsUpToLanes(added);
    hn::StoreU(Decode(hn::Add(before, hn::Sub(up_to_lanes, added)), scale), d, out + i);
    before = hn::Add(before, LastLane(up_to_lanes));
  }
  uint64_t integer = hn::GetLane(before);
  for (; i < zone.count; ++i) {
    out[i] = (std::bit_cast<double>(integer) - kMagic) / power;
    integer += differences[i] + zone.step;
  }
}

#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2

// Differences of at most this many bits: eight fit into the bytes of a word, of which one
// instruction takes sums.
constexpr unsigned kMaxByteWidth = 8;

// The bytes of the differences that have gone into the value of each lane: those before it.
constexpr uint64_t kBytesBefore[8] = {0,          0xFF,         0xFFFF,         0xFFFFFF,
                                      0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF};

// DecodeUnpacked of packed differences of up to kMaxByteWidth bits. Reads 8 bytes from where each 8
// differences begin.
template <bool kIsOne>
void DecodeBytes(const PackedZone& zone, double power, double* out) {
  const D d;
  const U u;
  const hn::Repartition<uint8_t, U> bytes;
  const Scale<kIsOne> scale(power);
  constexpr size_t kLanes = hn::MaxLanes(U());
  // Of each byte the bits that a difference has.
  const uint64_t places = uint64_t{0x0101010101010101} * ((1u << zone.width) - 1);
  const auto group_step = hn::Set(u, 8 * zone.step);
  uint64_t begins[8];
  for (size_t i = 0; i < 8; ++i) {
    begins[i] = zone.base + kMagicBits + i * zone.step;
  }
  auto before = hn::Zero(u);  // what all groups so far have added
  // Copied, as the compiler cannot know that writing doubles leaves the zone alone.
  const size_t count = zone.count;
  const unsigned width = zone.width;
  const char* in = zone.bits.data();
  const auto decode_group = [&](double* group_out) HWY_ATTR {
    uint64_t word;
    std::memcpy(&word, in, sizeof(word));
    const auto differences = hn::Set(u, _pdep_u64(word, places));
#pragma GCC unroll 2
    for (size_t first = 0; first < 8; first += kLanes) {
      const auto counted = hn::And(differences, hn::LoadU(u, kBytesBefore + first));
      const auto begin = hn::Add(hn::LoadU(u, begins + first), before);
      const auto integers = hn::Add(begin, hn::SumsOf8(hn::BitCast(bytes, counted)));
      hn::StoreU(Decode(integers, scale), d, group_out + first);
    }
    before = hn::Add(before, hn::Add(hn::SumsOf8(hn::BitCast(bytes, differences)), group_step));
    in += width;
  };
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    decode_group(out + i);
  }
  if (i < count) {
    double last[8];
    decode_group(last);
    std::copy_n(last, count - i, out + i);
  }
}

bool CanDecodeBytes(const PackedZone& zone) {
  return zone.width <= kMaxByteWidth &&
         zone.bits.size() >= (zone.count - 1) / 8 * zone.width + sizeof(uint64_t);
}

#endif

// Not inlined, since a frame of this alignment takes time where it is not needed.
template <bool kIsOne>
HWY_NOINLINE void DecodeThroughBuffer(const PackedZone& zone, double power, double* out) {
  // Vectors as wide as a cache line take twice the time where they lie across two.
  alignas(64) uint64_t differences[kMaxUnpackCount + kUnpackSlack];
  differences[zone.count - 1] = 0;  // there is none
  UnpackBits(zone.bits, zone.count - 1, zone.width, differences);
  DecodeUnpacked<kIsOne>(differences, zone, power, out);
}

template <bool kIsOne>
void DecodeSumsBy(const PackedZone& zone, double power, double* out) {
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2
  if (CanDecodeBytes(zone)) {
    DecodeBytes<kIsOne>(zone, power, out);
    return;
  }
#endif
  DecodeThroughBuffer<kIsOne>(zone, power, out);
}

void DecodeSums(const PackedZone& zone, double power, double* out) {
  const auto decode = power == 1.0 ? DecodeSumsBy<true> : DecodeSumsBy<false>;
  decode(zone, power, out);
}

void DecodeDifferences(const uint64_t* differences, const PackedZone& zone, double power,
                       double* out) {
  const auto decode = power == 1.0 ? DecodeUnpacked<true> : DecodeUnpacked<false>;
  decode(differences, zone, power, out);
}

// Whether all of them come back bit for bit.
template <bool kIsOne>
bool EncodeAllBy(const double* values, size_t count, double power, uint64_t* integers) {
  const D d;
  const U u;
  const Scale<kIsOne> scale(power);
  const auto magic_bits = hn::Set(u, kMagicBits);
  const auto limit = hn::Set(d, kIntegerLimit);
  const size_t lanes = hn::Lanes(d);
  auto wrong_bits = hn::Zero(u);
  auto in_range = hn::Eq(hn::Zero(d), hn::Zero(d));
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto value = hn::LoadU(d, values + i);
    const auto scaled = hn::Mul(value, scale.power);
    const auto rounded = hn::Add(scaled, hn::Set(d, kMagic));
    hn::StoreU(hn::Sub(hn::BitCast(u, rounded), magic_bits), u, integers + i);
    const auto back = Decode(hn::BitCast(u, rounded), scale);
    wrong_bits = hn::Or(wrong_bits, hn::Xor(hn::BitCast(u, back), hn::BitCast(u, value)));
    in_range = hn::And(in_range, hn::Lt(hn::Abs(scaled), limit));  // false for NaN
  }
  bool good = hn::AllTrue(d, in_range) && hn::AllTrue(u, hn::Eq(wrong_bits, hn::Zero(u)));
  for (; i < count; ++i) {
    good &= EncodeOne(values[i], power, &integers[i]);
  }
  return good;
}

bool EncodeAll(const double* values, size_t count, double power, uint64_t* integers) {
  const auto encode = power == 1.0 ? EncodeAllBy<true> : EncodeAllBy<false>;
  return encode(values, count, power, integers);
}

}  // namespace tsdbd::storage::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tsdbd::storage {
namespace {

HWY_EXPORT(DecodeAll);
HWY_EXPORT(DecodeSums);
HWY_EXPORT(DecodeDifferences);
HWY_EXPORT(EncodeAll);

constexpr double kPowersOfTen[kMaxDecimalExponent + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,
                                                          1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13,
                                                          1e14, 1e15, 1e16, 1e17, 1e18};

// The unit in which exceptions are looked for: small, so that a lone one costs little.
constexpr size_t kBatch = 64;

bool IsExact(double value, unsigned exponent) {
  uint64_t integer;
  return HWY_NAMESPACE::EncodeOne(value, kPowersOfTen[exponent], &integer);
}

constexpr unsigned kNoExponent = kMaxDecimalExponent + 1;

// The smallest exponent at which `value` is exact, or kNoExponent. If it is exact at one exponent,
// then also at every larger one at which the integer still fits: hence the search. `guess` is
// tried first.
unsigned SmallestExponent(double value, unsigned guess) {
  if (guess < kNoExponent && IsExact(value, guess) && (guess == 0 || !IsExact(value, guess - 1))) {
    return guess;
  }
  if (IsExact(value, 0)) {
    return 0;
  }
  unsigned high = 0;
  while (high < kMaxDecimalExponent &&
         std::abs(value) * kPowersOfTen[high + 1] < HWY_NAMESPACE::kIntegerLimit) {
    ++high;
  }
  if (!IsExact(value, high)) {
    return kNoExponent;
  }
  unsigned low = 0;  // not exact
  while (low + 1 < high) {
    const unsigned middle = (low + high) / 2;
    (IsExact(value, middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

bool ChooseExponent(std::span<const double> values, unsigned* exponent) {
  // Enough to tell columns of decimals from reals; a wrong guess costs space, never values.
  constexpr size_t kSampleSize = 16;
  constexpr size_t kBitsPerException = 80;  // row number and value
  const size_t sample_size = std::min(values.size(), kSampleSize);
  size_t count_at[kNoExponent + 1] = {};
  unsigned smallest = 0;
  for (size_t i = 0; i < sample_size; ++i) {
    smallest = SmallestExponent(values[i * values.size() / sample_size], smallest);
    ++count_at[smallest];
  }
  size_t best_cost = sample_size * 64;  // of storing the doubles
  size_t exceptions = sample_size;
  bool found = false;
  for (unsigned candidate = 0; candidate <= kMaxDecimalExponent; ++candidate) {
    exceptions -= count_at[candidate];
    // A further digit costs log2(10) = 3.3 bits in every row.
    const size_t cost = exceptions * kBitsPerException + sample_size * candidate * 10 / 3;
    if (count_at[candidate] > 0 && cost < best_cost) {
      best_cost = cost;
      *exponent = candidate;
      found = true;
    }
  }
  return found;
}

size_t ToIntegers(std::span<const double> values, unsigned exponent, uint64_t* integers,
                  uint16_t* exceptions) {
  const double power = kPowersOfTen[exponent];
  const auto encode = HWY_DYNAMIC_DISPATCH(EncodeAll);
  size_t exception_count = 0;
  for (size_t first = 0; first < values.size(); first += kBatch) {
    const size_t count = std::min(kBatch, values.size() - first);
    if (encode(values.data() + first, count, power, integers + first)) {
      continue;
    }
    for (size_t i = first; i < first + count; ++i) {
      if (!IsExact(values[i], exponent)) {
        exceptions[exception_count++] = static_cast<uint16_t>(i);
      }
    }
  }
  return exception_count;
}

void ToDoubles(const uint64_t* integers, size_t count, uint64_t base, unsigned exponent,
               double* out) {
  const uint64_t magic_base = base + HWY_NAMESPACE::kMagicBits;
  HWY_DYNAMIC_DISPATCH(DecodeAll)(integers, count, magic_base, kPowersOfTen[exponent], out);
}

void SumsToDoubles(const PackedZone& zone, unsigned exponent, double* out) {
  HWY_DYNAMIC_DISPATCH(DecodeSums)(zone, kPowersOfTen[exponent], out);
}

void SumsToDoubles(const uint64_t* differences, const PackedZone& zone, unsigned exponent,
                   double* out) {
  HWY_DYNAMIC_DISPATCH(DecodeDifferences)(differences, zone, kPowersOfTen[exponent], out);
}

}  // namespace tsdbd::storage
#endif  // HWY_ONCE
