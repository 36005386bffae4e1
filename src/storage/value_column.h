#pragma once
// One column of doubles of a chunk. Layout (docs/formats/block.md): u8 codec, then
//
//   kConstant:     the high 0..8 bytes of the double that are not zero
//   kRaw:          the doubles
//   kDecimal*:     u8 exponent (bit 7: exceptions follow),
//                  [u16 count, u16 row per exception (rising), u64 bits of the double each],
//                  packed integers (packed_integers.h)
//   kDecimalCoded*: the same with coded integers (coded_integers.h)
//
//   kReals:        real_column.h
//
// Codec numbers from 7 on are free for later codecs.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "storage/chunk.h"
#include "storage/coded_integers.h"
#include "storage/packed_integers.h"
#include "storage/real_column.h"

namespace tsdbd::storage {

struct ValueColumnScratch {
  uint64_t integers[kMaxChunkRows];
  uint16_t exceptions[kMaxChunkRows];
  CodedIntegersEncoder coded;
};

// Appends the smallest of the encodings that are meant for `purpose`. 1 .. kMaxChunkRows values.
void EncodeValues(std::span<const double> values, EncodeFor purpose, ValueColumnScratch* scratch,
                  std::string* out);

// Reads such a column in place.
class ValueColumnView {
 public:
  // Nothing if `bytes` are not exactly a column of `count` values.
  static std::optional<ValueColumnView> Open(std::string_view bytes, size_t count);
  // Of bytes that passed Open before. `slack_bytes` more may be read behind them.
  ValueColumnView(std::string_view bytes, size_t count, size_t slack_bytes = 0);

  ColumnCodec codec() const { return static_cast<ColumnCodec>(bytes_[0]); }
  void Decode(size_t first, size_t count, double* out) const;
  double At(size_t row) const;

 private:
  bool IsDecimal() const {
    return codec() >= ColumnCodec::kDecimalFrame && codec() <= ColumnCodec::kDecimalCodedDelta;
  }
  bool IsCoded() const {
    return codec() == ColumnCodec::kDecimalCodedFrame || codec() == ColumnCodec::kDecimalCodedDelta;
  }
  IntegerCoding Coding() const {
    return codec() == ColumnCodec::kDecimalFrame || codec() == ColumnCodec::kDecimalCodedFrame
               ? IntegerCoding::kFrame
               : IntegerCoding::kDelta;
  }
  double Constant() const;
  uint16_t ExceptionRow(size_t index) const;
  double ExceptionValue(size_t index) const;
  // The first exception at `row` or behind.
  size_t FindException(size_t row) const;
  PackedIntegersView PackedIntegers() const {
    return {bytes_.substr(integers_offset_), Coding(), count_, slack_bytes_};
  }
  CodedIntegersView CodedIntegers() const {
    return {bytes_.substr(integers_offset_), Coding(), count_, slack_bytes_};
  }
  RealsView Reals() const { return {bytes_.substr(1), count_, slack_bytes_}; }
  bool IntegersAreWellFormed() const;
  template <typename Integers>
  void DecodeIntegers(const Integers& integers, size_t first, size_t count, double* out) const;
  void DecodeDecimals(size_t first, size_t count, double* out) const;

  std::string_view bytes_;
  size_t count_;
  size_t slack_bytes_;
  unsigned exponent_ = 0;
  size_t exception_count_ = 0;
  size_t exceptions_offset_ = 0;
  size_t integers_offset_ = 0;
};

}  // namespace tsdbd::storage
