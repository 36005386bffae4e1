#include "storage/column_kernels.h"

#include <functional>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "storage/bit_packing.h"
#include "storage/decimal.h"
#include "storage/packed_integers.h"

namespace tsdbd::storage {
namespace {

// Runs `check` with the functions for each kind of CPU of which this one is capable.
void AtEveryTarget(const std::function<void()>& check) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    check();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// Prints the seed of its random numbers.
class ColumnKernelsTest : public ::testing::Test {
 protected:
  ColumnKernelsTest() : seed_(std::random_device()()), random_(seed_) {
    RecordProperty("seed", std::to_string(seed_));
  }
  void TearDown() override {
    if (HasFailure()) {
      std::cerr << "seed " << seed_ << '\n';
    }
  }
  uint64_t RandomBits(unsigned width) { return width == 0 ? 0 : random_() >> (64 - width); }
  std::vector<uint64_t> RandomValues(size_t count, unsigned width) {
    std::vector<uint64_t> values(count);
    for (uint64_t& value : values) {
      value = RandomBits(width);
    }
    return values;
  }

  const uint32_t seed_;
  std::mt19937_64 random_;
};

TEST_F(ColumnKernelsTest, UnpacksEveryWidthAsValueByValue) {
  AtEveryTarget([&] {
    for (unsigned width = 1; width <= kMaxPackedWidth; ++width) {
      const size_t group_count = 1 + RandomBits(4);
      const std::vector<uint64_t> values = RandomValues(group_count * kValuesPerGroup, width);
      std::string packed;
      PackBits(values.data(), values.size(), width, &packed);
      packed.append(kUnpackReadSlack, '\xFF');

      std::vector<uint64_t> unpacked(values.size());
      UnpackGroups(packed.data(), group_count, width, unpacked.data());
      ASSERT_EQ(unpacked, values) << "width " << width;
      UnpackGroupsPlain(packed.data(), group_count, width, unpacked.data());
      ASSERT_EQ(unpacked, values) << "width " << width;
    }
  });
}

TEST_F(ColumnKernelsTest, ReadsNoFurtherThanItSays) {
  AtEveryTarget([&] {
    for (unsigned width = 1; width <= kMaxPackedWidth; ++width) {
      // In memory of exactly the size, so that a sanitizer sees a read beyond it.
      const std::vector<char> packed(3 * width + kUnpackReadSlack, '\0');
      std::vector<uint64_t> unpacked(3 * kValuesPerGroup);
      UnpackGroups(packed.data(), 3, width, unpacked.data());
      ASSERT_EQ(unpacked, std::vector<uint64_t>(unpacked.size())) << "width " << width;
    }
  });
}

TEST_F(ColumnKernelsTest, FillsAnyCountOfRegularNumbers) {
  AtEveryTarget([&] {
    for (size_t count = 0; count <= 40; ++count) {
      const uint64_t first = random_();
      const uint64_t interval = random_();
      std::vector<uint64_t> expected(count);
      for (size_t i = 0; i < count; ++i) {
        expected[i] = first + i * interval;
      }
      std::vector<uint64_t> filled(count);
      FillRegular(first, interval, count, filled.data());
      ASSERT_EQ(filled, expected);
    }
  });
}

TEST_F(ColumnKernelsTest, FillsAnyPartOfALine) {
  AtEveryTarget([&] {
    for (size_t count = 0; count <= 40; ++count) {
      const TimestampLine line = {
          .first = random_(), .unit = random_(), .base = random_(), .slope = random_()};
      const size_t begin = RandomBits(7);
      const std::vector<uint64_t> offsets = RandomValues(count, 64);
      std::vector<uint64_t> expected(count);
      for (size_t i = 0; i < count; ++i) {
        expected[i] = line.At(begin + i, offsets[i]);
      }
      std::vector<uint64_t> filled(count);
      FillLine(line, begin, offsets.data(), count, filled.data());
      ASSERT_EQ(filled, expected);
    }
  });
}

TEST_F(ColumnKernelsTest, SumsOfDifferencesBecomeTheSameDoublesAsIntegers) {
  AtEveryTarget([&] {
    for (size_t round = 0; round < 4 * kZoneRows; ++round) {
      const size_t count = 1 + round % kZoneRows;
      const auto exponent = static_cast<unsigned>(RandomBits(3));
      const uint64_t base = RandomBits(40) - RandomBits(40);
      const uint64_t step = RandomBits(20) - RandomBits(20);
      const auto width = static_cast<unsigned>(RandomBits(5));
      const std::vector<uint64_t> differences = RandomValues(count - 1, width);
      std::string packed;
      PackBits(differences.data(), differences.size(), width, &packed);
      packed.append(round % 3 * 8, '\xFF');  // none: nothing behind may be read
      const std::vector<char> bits(packed.begin(), packed.end());
      std::vector<uint64_t> integers(count, base);
      std::vector<double> expected(count);
      for (size_t i = 0; i < count; ++i) {
        integers[i] = i == 0 ? base : integers[i - 1] + step + differences[i - 1];
        double power = 1;
        for (unsigned digit = 0; digit < exponent; ++digit) {
          power *= 10;
        }
        expected[i] = static_cast<double>(static_cast<int64_t>(integers[i])) / power;
      }
      std::vector<double> decoded(count);
      SumsToDoubles({.base = base,
                     .step = step,
                     .count = count,
                     .width = width,
                     .bits = {bits.data(), bits.size()}},
                    exponent, decoded.data());
      ASSERT_EQ(decoded, expected) << "count " << count;
      ToDoubles(integers.data(), count, 0, exponent, decoded.data());
      ASSERT_EQ(decoded, expected) << "count " << count;
    }
  });
}

TEST_F(ColumnKernelsTest, ColumnsDecodeToWhatWasEncoded) {
  AtEveryTarget([&] {
    for (unsigned width = 0; width <= 64; ++width) {
      const size_t count = 1 + random_() % (2 * kZoneRows);
      std::vector<uint64_t> values = RandomValues(count, width);
      for (size_t i = 1; i < count && width % 2 == 0; ++i) {
        values[i] += values[i - 1];  // so that differences are the smaller coding
      }
      const PackedIntegersEncoder encoder(values.data(), count);
      std::string bytes;
      encoder.Append(&bytes);
      const auto view = PackedIntegersView::Open(bytes, encoder.coding(), count);
      ASSERT_TRUE(view.has_value());
      uint64_t decoded[kZoneBufferSize];
      for (size_t i = 0; i < count; ++i) {
        if (i % kZoneRows == 0) {
          view->DecodeZone(i / kZoneRows, decoded);
        }
        ASSERT_EQ(decoded[i % kZoneRows], values[i]) << "width " << width << " row " << i;
      }
    }
  });
}

}  // namespace
}  // namespace tsdbd::storage
