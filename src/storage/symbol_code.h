#pragma once
// Prefix codes of bytes for the entropy stage of compacted chunks: a fixed family of them, each
// made for bytes that hold symbols of one distribution. A column names the code it uses by its
// number, so a chunk carries no tables and a reader builds none per chunk: one value deep inside a
// chunk costs some table look-ups. The family is part of the format: docs/formats/block.md.
//
// Threads: everything may run at the same time; a code is built at its first use.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tsdbd::storage {

// The distributions, by the weight of a symbol at distance d from the centre: q^d, or q^(d * d).
enum class SymbolShape : uint8_t { kGeometric, kGaussian };

struct SymbolModel {
  // 1, 2, 4 or 8: a byte holds 8 / symbol_bits of them, the first in its low bits. 0: there are no
  // symbols, and no code.
  uint8_t symbol_bits;
  uint8_t center;  // the likeliest symbol
  SymbolShape shape;
  uint16_t q;  // in units of 2^-16
};

// On disk: numbers are never reused, models never change.
std::span<const SymbolModel> SymbolModels();

inline constexpr unsigned kMaxSymbolBits = 8;
inline constexpr size_t kMaxSymbols = size_t{1} << kMaxSymbolBits;

// The weights of a model's symbols; 0 of those without a code word, which are the most distant
// ones.
struct SymbolWeights {
  uint64_t of[kMaxSymbols];
};
SymbolWeights WeightsOf(const SymbolModel& model);

class SymbolCode {
 public:
  // Code words are no longer; 4,096 entries of a decoding table fit in L1.
  static constexpr unsigned kMaxBits = 12;
  // Decode may write this many bytes more than asked for.
  static constexpr size_t kWriteSlack = 7;

  // Of the model with that number, which has symbols.
  static const SymbolCode& Of(size_t model);

  // Appends the code words of `bytes`, whose symbols all have one, the first in the lowest bits,
  // padded with zero bits to whole bytes.
  void Encode(std::span<const uint8_t> bytes, std::string* out) const;
  size_t EncodedBits(std::span<const uint8_t> bytes) const;

  // The first `count` bytes of what is encoded from the beginning of `in`, which is taken to go on
  // with zero bits for ever: any input gives some bytes, and nothing outside of it is read.
  void Decode(std::string_view in, size_t count, uint8_t* out) const;

 private:
  struct Word {
    uint16_t bits;  // the first one lowest
    uint8_t length;
  };
  // What the next kMaxBits bits begin with: one byte, or two if both fit.
  struct Entry {
    uint8_t bytes[2];
    uint8_t length;
    uint8_t count;
  };

  explicit SymbolCode(const SymbolModel& model);
  void AssignWords(const uint8_t (&lengths)[256]);
  void FillEntries();

  Word words_[256] = {};
  alignas(64) Entry entries_[size_t{1} << kMaxBits];
};

}  // namespace tsdbd::storage
