#include "storage/symbol_code.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "common/check.h"

namespace tsdbd::storage {
namespace {

constexpr SymbolShape kGeometric = SymbolShape::kGeometric;
constexpr SymbolShape kGaussian = SymbolShape::kGaussian;

constexpr SymbolModel kModels[] = {
    {0, 0, kGeometric, 0},
    // Rare events: a symbol is a bit.
    {1, 0, kGeometric, 655},
    {1, 0, kGeometric, 1966},
    {1, 0, kGeometric, 3932},
    {1, 0, kGeometric, 7864},
    {1, 0, kGeometric, 13107},
    {1, 0, kGeometric, 22937},
    // Small numbers that do not fall below zero.
    {2, 0, kGeometric, 3276},
    {2, 0, kGeometric, 9830},
    {2, 0, kGeometric, 19660},
    {2, 0, kGeometric, 32768},
    {2, 0, kGeometric, 45875},
    // Steps up and down.
    {2, 1, kGeometric, 983},
    {2, 1, kGeometric, 3276},
    {2, 1, kGeometric, 9830},
    {2, 1, kGeometric, 19660},
    {2, 1, kGeometric, 32768},
    {2, 1, kGeometric, 52428},
    // The same in more symbols: increments of counters, waiting times.
    {4, 0, kGeometric, 19660},
    {4, 0, kGeometric, 32768},
    {4, 0, kGeometric, 42598},
    {4, 0, kGeometric, 49152},
    {4, 0, kGeometric, 54394},
    {4, 0, kGeometric, 58982},
    // Steps with many small and a few large ones.
    {4, 7, kGeometric, 6553},
    {4, 7, kGeometric, 13107},
    {4, 7, kGeometric, 19660},
    {4, 7, kGeometric, 26214},
    {4, 7, kGeometric, 32768},
    {4, 7, kGeometric, 39321},
    {4, 7, kGeometric, 45875},
    {4, 7, kGeometric, 52428},
    // Steps of a random walk, noise: standard deviations of 0.5 to 3.2 symbols.
    {4, 7, kGaussian, 8869},
    {4, 7, kGaussian, 23621},
    {4, 7, kGaussian, 32804},
    {4, 7, kGaussian, 39749},
    {4, 7, kGaussian, 43354},
    {4, 7, kGaussian, 48753},
    {4, 7, kGaussian, 53908},
    {4, 7, kGaussian, 57835},
    {4, 7, kGaussian, 60497},
    {4, 7, kGaussian, 62413},
    // The last three kinds where low bits would hide the shape.
    {8, 0, kGeometric, 49152},
    {8, 0, kGeometric, 52428},
    {8, 0, kGeometric, 55050},
    {8, 0, kGeometric, 57016},
    {8, 0, kGeometric, 58982},
    {8, 0, kGeometric, 60947},
    {8, 128, kGeometric, 36044},
    {8, 128, kGeometric, 41287},
    {8, 128, kGeometric, 45875},
    {8, 128, kGeometric, 49807},
    {8, 128, kGeometric, 53739},
    {8, 128, kGaussian, 60497},
    {8, 128, kGaussian, 62413},
    {8, 128, kGaussian, 63520},
    {8, 128, kGaussian, 64238},
    {8, 128, kGaussian, 64741},
    {8, 128, kGaussian, 65026},
};
constexpr size_t kModelCount = std::size(kModels);

constexpr size_t kByteValues = 256;

unsigned SymbolOf(size_t byte, unsigned index, unsigned symbol_bits) {
  return (byte >> (index * symbol_bits)) & ((1u << symbol_bits) - 1);
}

// The lengths of a prefix code that is optimal among those of at most `max_bits`, 0 where the
// weight is: the package-merge algorithm (Larmore and Hirschberg, A Fast Algorithm for Optimal
// Length-Limited Huffman Codes, JACM 1990). Of equal weights a byte comes before a package and a
// lower byte before a higher one.
void FindLengths(const uint64_t (&weights)[kByteValues], unsigned max_bits,
                 uint8_t (&lengths)[kByteValues]) {
  struct Package {
    uint64_t weight;
    std::vector<uint8_t> bytes;
  };
  std::vector<Package> leaves;
  for (size_t byte = 0; byte < kByteValues; ++byte) {
    if (weights[byte] > 0) {
      leaves.push_back({weights[byte], {static_cast<uint8_t>(byte)}});
    }
  }
  const auto is_lighter = [](const Package& a, const Package& b) { return a.weight < b.weight; };
  std::stable_sort(leaves.begin(), leaves.end(), is_lighter);
  std::vector<Package> packages;
  for (unsigned level = 0; level < max_bits; ++level) {
    std::vector<Package> merged;
    std::merge(leaves.begin(), leaves.end(), packages.begin(), packages.end(),
               std::back_inserter(merged), is_lighter);
    if (level + 1 == max_bits) {
      packages = std::move(merged);
      break;
    }
    packages.clear();
    for (size_t i = 0; i + 1 < merged.size(); i += 2) {
      Package& pair = merged[i];
      pair.weight += merged[i + 1].weight;
      pair.bytes.insert(pair.bytes.end(), merged[i + 1].bytes.begin(), merged[i + 1].bytes.end());
      packages.push_back(std::move(pair));
    }
  }
  std::fill(std::begin(lengths), std::end(lengths), uint8_t{0});
  for (size_t i = 0; i < 2 * leaves.size() - 2; ++i) {
    for (const uint8_t byte : packages[i].bytes) {
      ++lengths[byte];
    }
  }
}

uint16_t Reversed(uint16_t word, unsigned length) {
  uint16_t reversed = 0;
  for (unsigned bit = 0; bit < length; ++bit) {
    reversed = static_cast<uint16_t>(reversed << 1 | ((word >> bit) & 1));
  }
  return reversed;
}

}  // namespace

std::span<const SymbolModel> SymbolModels() {
  return kModels;
}

SymbolWeights WeightsOf(const SymbolModel& model) {
  // Rarer symbols than 2^-14 of the likeliest have no code word: many of them would take room from
  // the others.
  constexpr unsigned kMinWeightShift = 14;
  // So that products of a byte's symbols, and sums of all of them, stay far below 2^64.
  constexpr unsigned kCenterBits[kMaxSymbolBits + 1] = {0, 7, 13, 0, 26, 0, 0, 0, 40};
  uint64_t at_distance[kMaxSymbols];
  at_distance[0] = uint64_t{1} << kCenterBits[model.symbol_bits];
  for (unsigned distance = 1; distance < kMaxSymbols; ++distance) {
    uint64_t weight = at_distance[distance - 1];
    // d * d - (d - 1) * (d - 1) = 2 * d - 1
    for (unsigned i = 0; i < (model.shape == kGaussian ? 2 * distance - 1 : 1); ++i) {
      weight = weight * model.q >> 16;
    }
    at_distance[distance] = weight;
  }
  SymbolWeights weights{};
  for (unsigned symbol = 0; symbol < 1u << model.symbol_bits; ++symbol) {
    const unsigned distance = symbol < model.center ? model.center - symbol : symbol - model.center;
    const uint64_t weight = at_distance[distance];
    weights.of[symbol] = weight < at_distance[0] >> kMinWeightShift ? 0 : weight;
  }
  return weights;
}

const SymbolCode& SymbolCode::Of(size_t model) {
  static std::array<std::once_flag, kModelCount> flags;
  static std::array<std::unique_ptr<const SymbolCode>, kModelCount> codes;
  CHECK(model < kModelCount && kModels[model].symbol_bits > 0);
  std::call_once(flags[model], [&] { codes[model].reset(new SymbolCode(kModels[model])); });
  return *codes[model];
}

SymbolCode::SymbolCode(const SymbolModel& model) {
  const SymbolWeights symbol_weights = WeightsOf(model);
  uint64_t weights[kByteValues];
  for (size_t byte = 0; byte < kByteValues; ++byte) {
    weights[byte] = 1;
    for (unsigned i = 0; i < 8u / model.symbol_bits; ++i) {
      weights[byte] *= symbol_weights.of[SymbolOf(byte, i, model.symbol_bits)];
    }
  }
  uint8_t lengths[kByteValues];
  FindLengths(weights, kMaxBits, lengths);
  AssignWords(lengths);
  FillEntries();
}

// Canonical: shorter words first, of equal lengths the lower byte first.
void SymbolCode::AssignWords(const uint8_t (&lengths)[kByteValues]) {
  uint16_t word = 0;
  for (unsigned length = 1; length <= kMaxBits; ++length) {
    word = static_cast<uint16_t>(word << 1);
    for (size_t byte = 0; byte < kByteValues; ++byte) {
      if (lengths[byte] == length) {
        words_[byte] = {.bits = Reversed(word++, length), .length = static_cast<uint8_t>(length)};
      }
    }
  }
  CHECK(word == 1u << kMaxBits);  // every sequence of bits means something
}

void SymbolCode::FillEntries() {
  constexpr size_t kEntryCount = size_t{1} << kMaxBits;
  for (size_t byte = 0; byte < kByteValues; ++byte) {
    const Word& word = words_[byte];
    if (word.length == 0) {
      continue;
    }
    for (size_t bits = word.bits; bits < kEntryCount; bits += size_t{1} << word.length) {
      entries_[bits] = {
          .bytes = {static_cast<uint8_t>(byte), 0}, .length = word.length, .count = 1};
    }
  }
  const std::vector<Entry> single(entries_, entries_ + kEntryCount);
  for (size_t bits = 0; bits < kEntryCount; ++bits) {
    const Entry& first = single[bits];
    const Entry& second = single[bits >> first.length];
    if (first.length + second.length <= static_cast<int>(kMaxBits)) {
      entries_[bits] = {.bytes = {first.bytes[0], second.bytes[0]},
                        .length = static_cast<uint8_t>(first.length + second.length),
                        .count = 2};
    }
  }
}

void SymbolCode::Encode(std::span<const uint8_t> bytes, std::string* out) const {
  uint64_t word = 0;
  unsigned filled = 0;
  for (const uint8_t byte : bytes) {
    word |= uint64_t{words_[byte].bits} << filled;
    filled += words_[byte].length;
    if (filled >= 32) {
      out->append(reinterpret_cast<const char*>(&word), sizeof(uint32_t));
      word >>= 32;
      filled -= 32;
    }
  }
  out->append(reinterpret_cast<const char*>(&word), (filled + 7) / 8);
}

size_t SymbolCode::EncodedBits(std::span<const uint8_t> bytes) const {
  size_t bits = 0;
  for (const uint8_t byte : bytes) {
    bits += words_[byte].length;
  }
  return bits;
}

void SymbolCode::Decode(std::string_view in, size_t count, uint8_t* out) const {
  constexpr size_t kLookupsPerLoad = 4;  // of at most 12 bits each, of the 57 that a load has
  constexpr size_t kMask = (size_t{1} << kMaxBits) - 1;
  static_assert(kLookupsPerLoad * kMaxBits <= 57 && 2 * kLookupsPerLoad <= kWriteSlack + 1);
  const uint8_t* const end = out + count;
  const char* const data = in.data();
  const size_t size = in.size();
  size_t bit = 0;
  while (out < end) {
    uint64_t word = 0;
    if (bit / 8 + sizeof(word) <= size) [[likely]] {
      std::memcpy(&word, data + bit / 8, sizeof(word));
    } else if (bit / 8 < size) {
      std::memcpy(&word, data + bit / 8, size - bit / 8);
    }
    word >>= bit % 8;
#pragma GCC unroll 4
    for (size_t i = 0; i < kLookupsPerLoad; ++i) {
      const Entry entry = entries_[word & kMask];
      std::memcpy(out, entry.bytes, sizeof(entry.bytes));
      out += entry.count;
      word >>= entry.length;
      bit += entry.length;
    }
  }
}

}  // namespace tsdbd::storage
