#include "storage/symbol_code.h"

#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "common/hash.h"

namespace tsdbd::storage {
namespace {

std::vector<size_t> ModelsWithSymbols() {
  std::vector<size_t> models;
  for (size_t model = 0; model < SymbolModels().size(); ++model) {
    if (SymbolModels()[model].symbol_bits > 0) {
      models.push_back(model);
    }
  }
  return models;
}

// Bytes of symbols that are all equally likely among those that have a code word.
std::vector<uint8_t> RandomBytes(const SymbolModel& model, size_t count, std::mt19937_64* random) {
  const SymbolWeights weights = WeightsOf(model);
  std::vector<uint8_t> symbols;
  for (size_t symbol = 0; symbol < size_t{1} << model.symbol_bits; ++symbol) {
    if (weights.of[symbol] > 0) {
      symbols.push_back(static_cast<uint8_t>(symbol));
    }
  }
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) {
    for (unsigned bit = 0; bit < 8; bit += model.symbol_bits) {
      byte = static_cast<uint8_t>(byte | symbols[(*random)() % symbols.size()] << bit);
    }
  }
  return bytes;
}

std::vector<uint8_t> Decode(const SymbolCode& code, std::string_view in, size_t count) {
  // Of exactly the size, so that a sanitizer sees each read beyond it.
  const std::unique_ptr<char[]> copy(new char[in.size()]);
  std::copy(in.begin(), in.end(), copy.get());
  std::vector<uint8_t> bytes(count + SymbolCode::kWriteSlack);
  code.Decode({copy.get(), in.size()}, count, bytes.data());
  bytes.resize(count);
  return bytes;
}

TEST(SymbolCodeTest, BytesOfEveryModelComeBack) {
  std::mt19937_64 random(1);
  for (const size_t model : ModelsWithSymbols()) {
    const SymbolCode& code = SymbolCode::Of(model);
    for (const size_t count : {0, 1, 2, 7, 63, 64, 128}) {
      const std::vector<uint8_t> bytes = RandomBytes(SymbolModels()[model], count, &random);
      std::string encoded;
      code.Encode(bytes, &encoded);
      ASSERT_LE(encoded.size(), (count * SymbolCode::kMaxBits + 7) / 8);
      ASSERT_EQ(Decode(code, encoded, count), bytes) << "model " << model;
      if (count > 2) {  // the beginning alone
        const std::vector<uint8_t> some(bytes.begin(), bytes.begin() + 2);
        ASSERT_EQ(Decode(code, encoded, 2), some);
      }
    }
  }
}

TEST(SymbolCodeTest, AnyInputGivesSomeBytes) {
  std::mt19937_64 random(2);
  for (const size_t model : ModelsWithSymbols()) {
    for (const size_t size : {0, 1, 9, 40}) {
      std::string input(size, '\0');
      for (char& byte : input) {
        byte = static_cast<char>(random());
      }
      EXPECT_EQ(Decode(SymbolCode::Of(model), input, 128).size(), 128u);
    }
  }
}

// Code words are on disk: whoever changes this test makes written blocks unreadable.
TEST(SymbolCodeTest, CodesOfTheFamilyNeverChange) {
  std::string all;
  for (const size_t model : ModelsWithSymbols()) {
    const unsigned symbol_bits = SymbolModels()[model].symbol_bits;
    const SymbolWeights weights = WeightsOf(SymbolModels()[model]);
    for (unsigned byte = 0; byte < 256; ++byte) {
      bool has_word = true;
      for (unsigned bit = 0; bit < 8; bit += symbol_bits) {
        has_word = has_word && weights.of[(byte >> bit) & ((1u << symbol_bits) - 1)] > 0;
      }
      if (has_word) {
        SymbolCode::Of(model).Encode(std::vector<uint8_t>{static_cast<uint8_t>(byte)}, &all);
      }
    }
  }
  EXPECT_EQ(SymbolModels().size(), 59u);
  EXPECT_EQ(all.size(), 16'594u);
  EXPECT_EQ(Hash64(all), 863'907'768'013'585'511u);
}

TEST(SymbolCodeTest, LikelySymbolsHaveShortWords) {
  const SymbolCode& rare_events = SymbolCode::Of(1);
  const std::vector<uint8_t> none(64, 0);
  std::string encoded;
  rare_events.Encode(none, &encoded);
  EXPECT_EQ(encoded.size(), 8u);  // one bit for eight symbols
}

}  // namespace
}  // namespace tsdbd::storage
