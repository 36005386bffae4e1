#include "storage/chunk.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "storage/column_generators_testing.h"

namespace tsdbd::storage {
namespace {

using model::Timestamp;

// What goes into a chunk, as vectors.
struct Rows {
  std::vector<Timestamp> timestamps;
  std::vector<std::vector<double>> columns;
  std::vector<uint64_t> sequences;
};

std::string Encode(const Rows& rows, EncodeFor purpose = EncodeFor::kFlush) {
  std::vector<const double*> columns;
  for (const auto& column : rows.columns) {
    columns.push_back(column.data());
  }
  std::string bytes;
  ChunkEncoder(purpose).Encode(
      {.timestamps = rows.timestamps,
       .columns = columns,
       .sequences = rows.sequences.empty() ? nullptr : rows.sequences.data()},
      &bytes);
  return bytes;
}

Rows RegularRows(size_t count, std::vector<std::string> shapes, uint64_t seed = 1) {
  Random random(seed);
  Rows rows;
  rows.timestamps = TimestampShapeNamed("regular").generate(count, &random);
  for (const std::string& shape : shapes) {
    rows.columns.push_back(ValueShapeNamed(shape).generate(count, &random));
  }
  return rows;
}

ChunkView OpenOrDie(std::string_view bytes) {
  StatusOr<ChunkView> chunk = ChunkView::Open(bytes);
  EXPECT_TRUE(chunk.ok()) << ToString(chunk.status());
  return *chunk;
}

std::vector<uint64_t> Bits(std::span<const double> values) {
  std::vector<uint64_t> bits;
  for (const double value : values) {
    bits.push_back(std::bit_cast<uint64_t>(value));
  }
  return bits;
}

void ExpectTimestamps(const ChunkView& chunk, const std::vector<Timestamp>& expected) {
  ASSERT_EQ(chunk.row_count(), expected.size());
  EXPECT_EQ(chunk.min_time(), expected.front());
  EXPECT_EQ(chunk.max_time(), expected.back());
  std::vector<Timestamp> decoded(expected.size());
  chunk.DecodeTimestamps(0, decoded.size(), decoded.data());
  ASSERT_EQ(decoded, expected);
  for (size_t row = 0; row < expected.size(); ++row) {
    ASSERT_EQ(chunk.TimestampAt(row), expected[row]) << "row " << row;
    ASSERT_EQ(chunk.LowerBound(expected[row]), row);
    if (row > 0) {  // anywhere between two rows
      const Timestamp before = expected[row - 1] + 1;
      ASSERT_EQ(chunk.LowerBound(before), row);
      ASSERT_EQ(chunk.LowerBound(before + (expected[row] - before) / 2), row);
    }
  }
  EXPECT_EQ(chunk.LowerBound(0), 0u);
  if (expected.back() < model::kMaxTimestamp) {
    EXPECT_EQ(chunk.LowerBound(expected.back() + 1), expected.size());
    EXPECT_EQ(chunk.LowerBound(model::kMaxTimestamp), expected.size());
  }
}

void ExpectColumn(const ChunkView& chunk, size_t column, const std::vector<double>& expected) {
  std::vector<double> decoded(expected.size());
  chunk.DecodeColumn(column, 0, decoded.size(), decoded.data());
  ASSERT_EQ(Bits(decoded), Bits(expected));
  for (size_t row = 0; row < expected.size(); ++row) {
    ASSERT_EQ(std::bit_cast<uint64_t>(chunk.ValueAt(column, row)),
              std::bit_cast<uint64_t>(expected[row]))
        << "row " << row;
  }
}

constexpr size_t kRowCounts[] = {1,   2,   3,   16,   100,  127,  128,  129,
                                 255, 256, 257, 1000, 1023, 1024, 4095, 4096};

TEST(ChunkTest, EveryShapeOfTimestampsComesBack) {
  for (const TimestampShape& shape : TimestampShapes()) {
    for (const size_t count : kRowCounts) {
      SCOPED_TRACE(shape.name + " × " + std::to_string(count));
      Random random(count);
      Rows rows;
      rows.timestamps = shape.generate(count, &random);
      const std::string bytes = Encode(rows);
      ExpectTimestamps(OpenOrDie(bytes), rows.timestamps);
    }
  }
}

TEST(ChunkTest, EveryShapeOfValuesComesBackBitForBit) {
  for (const ValueShape& shape : ValueShapes()) {
    for (const size_t count : kRowCounts) {
      SCOPED_TRACE(shape.name + " × " + std::to_string(count));
      const Rows rows = RegularRows(count, {shape.name}, count);
      for (const EncodeFor purpose : {EncodeFor::kFlush, EncodeFor::kCompaction}) {
        const std::string bytes = Encode(rows, purpose);
        const ChunkView chunk = OpenOrDie(bytes);
        ASSERT_EQ(chunk.column_count(), 1u);
        ExpectColumn(chunk, 0, rows.columns[0]);
      }
    }
  }
}

// What only the encoder for compaction looks for.
std::vector<double> ColumnWithJumps(size_t count, double jump, Random* random) {
  std::vector<double> column(count);
  double value = 0;
  for (size_t i = 0; i < count; ++i) {
    value += static_cast<double>((*random)() % 4);
    value = (*random)() % 200 == 0 ? value + jump : value;
    column[i] = value;
  }
  return column;
}

TEST(ChunkTest, CompactedColumnsWithJumpsComeBack) {
  Random random(3);
  for (const size_t count : kRowCounts) {
    for (const double jump : {-1e3, 1e9, -1e15}) {
      SCOPED_TRACE(std::to_string(jump) + " × " + std::to_string(count));
      Rows rows = RegularRows(count, {});
      rows.columns.push_back(ColumnWithJumps(count, jump, &random));
      std::vector<double> levels(count);  // the jumps alone: most values are near zero
      for (double& level : levels) {
        level = random() % 100 == 0 ? jump : static_cast<double>(random() % 3) / 100;
      }
      rows.columns.push_back(levels);
      const std::string bytes = Encode(rows, EncodeFor::kCompaction);
      const ChunkView chunk = OpenOrDie(bytes);
      ExpectColumn(chunk, 0, rows.columns[0]);
      ExpectColumn(chunk, 1, rows.columns[1]);
    }
  }
}

TEST(ChunkTest, CompactedColumnsOfEveryModelComeBack) {
  Random random(4);
  for (double scale = 0.02; scale < 1e6; scale *= 1.3) {
    Rows rows = RegularRows(1000, {});
    std::normal_distribution<double> normal(0, scale);
    std::exponential_distribution<double> exponential(1 / scale);
    std::vector<double> columns[4] = {};
    double walk = 0;
    double counter = 0;
    for (size_t i = 0; i < 1000; ++i) {
      columns[0].push_back(std::round(normal(random)));
      columns[1].push_back(walk += std::round(normal(random)));
      columns[2].push_back(counter += std::floor(exponential(random)));
      columns[3].push_back(std::floor(exponential(random)));
    }
    rows.columns.assign(columns, columns + 4);
    const std::string bytes = Encode(rows, EncodeFor::kCompaction);
    const ChunkView chunk = OpenOrDie(bytes);
    for (size_t column = 0; column < 4; ++column) {
      SCOPED_TRACE(std::to_string(scale) + ", column " + std::to_string(column));
      ExpectColumn(chunk, column, rows.columns[column]);
    }
  }
}

TEST(ChunkTest, RandomChunksGiveTheRightRowsForRandomRanges) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  for (int round = 0; round < 300; ++round) {
    const size_t count = 1 + below(round % 2 ? kMaxChunkRows : 200);
    Rows rows;
    rows.timestamps = TimestampShapes()[below(TimestampShapes().size())].generate(count, &random);
    for (size_t column = below(5); column > 0; --column) {
      rows.columns.push_back(ValueShapes()[below(ValueShapes().size())].generate(count, &random));
    }
    if (round % 3 == 0) {
      for (size_t i = 0; i < count; ++i) {
        rows.sequences.push_back(round % 2 ? random() : 1'000'000 + i * 3 + below(3));
      }
    }
    const std::string bytes =
        Encode(rows, below(2) == 0 ? EncodeFor::kFlush : EncodeFor::kCompaction);
    const ChunkView chunk = OpenOrDie(bytes);
    ASSERT_EQ(chunk.has_sequences(), !rows.sequences.empty());
    for (int range = 0; range < 20; ++range) {
      const size_t first = below(count + 1);
      const size_t length = below(count - first + 1);
      std::vector<Timestamp> timestamps(length);
      chunk.DecodeTimestamps(first, length, timestamps.data());
      ASSERT_TRUE(std::equal(timestamps.begin(), timestamps.end(),
                             rows.timestamps.begin() + static_cast<ptrdiff_t>(first)));
      for (size_t column = 0; column < rows.columns.size(); ++column) {
        std::vector<double> values(length);
        chunk.DecodeColumn(column, first, length, values.data());
        ASSERT_EQ(Bits(values), Bits(std::span(rows.columns[column]).subspan(first, length)));
      }
      if (chunk.has_sequences()) {
        std::vector<uint64_t> sequences(length);
        chunk.DecodeSequences(first, length, sequences.data());
        ASSERT_TRUE(std::equal(sequences.begin(), sequences.end(),
                               rows.sequences.begin() + static_cast<ptrdiff_t>(first)));
      }
    }
  }
}

TEST(ChunkTest, EveryRowOfARandomTimestampColumnIsFound) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    Rows rows;
    // Two shapes one behind the other: the line that fits one does not fit the other.
    const size_t count = 1 + random() % 500;
    rows.timestamps = TimestampShapes()[random() % 5].generate(count, &random);
    for (const Timestamp step : TimestampShapes()[random() % 5].generate(count, &random)) {
      rows.timestamps.push_back(rows.timestamps[count - 1] + 1 + step / 1'000'000'000);
    }
    std::sort(rows.timestamps.begin(), rows.timestamps.end());
    rows.timestamps.erase(std::unique(rows.timestamps.begin(), rows.timestamps.end()),
                          rows.timestamps.end());
    const std::string bytes = Encode(rows);
    ExpectTimestamps(OpenOrDie(bytes), rows.timestamps);
  }
}

TEST(ChunkTest, ChunkOfTwentyThousandColumnsComesBack) {
  Rows rows = RegularRows(16, {});
  for (size_t column = 0; column < 20'000; ++column) {
    rows.columns.push_back(std::vector<double>(16, static_cast<double>(column)));
    rows.columns.back()[3] = 0.25;
  }
  const std::string bytes = Encode(rows);
  const ChunkView chunk = OpenOrDie(bytes);
  ASSERT_EQ(chunk.column_count(), 20'000u);
  EXPECT_EQ(chunk.ValueAt(19'999, 2), 19'999);
  EXPECT_EQ(chunk.ValueAt(19'999, 3), 0.25);
  EXPECT_EQ(chunk.ValueAt(0, 15), 0);
}

TEST(ChunkTest, StatisticsTellWhichZonesFallAndWhichHoldNan) {
  Rows rows = RegularRows(300, {});
  std::vector<double> rising(300);
  std::iota(rising.begin(), rising.end(), -7);
  std::vector<double> with_reset = rising;
  with_reset[128] = 0;                   // less than the last value of the zone before
  std::vector<double> with_nan(300, 5);  // equal values do not fall
  with_nan[0] = with_nan[299] = model::StaleMarker();
  rows.columns = {rising, with_reset, with_nan};
  const std::string bytes = Encode(rows);
  const ChunkView chunk = OpenOrDie(bytes);
  EXPECT_EQ(chunk.ZonesWithNan(0), 0u);
  EXPECT_EQ(chunk.ZonesWithFalls(0), 0u);
  EXPECT_EQ(chunk.ZonesWithNan(1), 0u);
  EXPECT_EQ(chunk.ZonesWithFalls(1), 0b010u);
  EXPECT_EQ(chunk.ZonesWithNan(2), 0b101u);
  EXPECT_EQ(chunk.ZonesWithFalls(2), 0b101u);
}

TEST(ChunkTest, StatisticsAreRightForEveryShape) {
  for (const ValueShape& shape : ValueShapes()) {
    for (const size_t count : kRowCounts) {
      SCOPED_TRACE(shape.name + " × " + std::to_string(count));
      const Rows rows = RegularRows(count, {shape.name, shape.name}, count);
      const std::string bytes = Encode(rows, EncodeFor::kCompaction);
      const ChunkView chunk = OpenOrDie(bytes);
      const std::vector<double>& values = rows.columns[1];
      uint32_t nan = 0;
      uint32_t falls = 0;
      for (size_t row = 0; row < count; ++row) {
        const uint32_t zone = uint32_t{1} << (row / kZoneRows);
        nan |= std::isnan(values[row]) ? zone : 0;
        falls |= row > 0 && !(values[row] >= values[row - 1]) ? zone : 0;
      }
      EXPECT_EQ(chunk.ZonesWithNan(1), count > kZoneRows ? nan : UINT32_MAX);
      EXPECT_EQ(chunk.ZonesWithFalls(1), count > kZoneRows ? falls : UINT32_MAX);
    }
  }
}

TEST(ChunkTest, EncoderAppendsAndCanBeUsedAgain) {
  const Rows rows = RegularRows(50, {"two_decimals"});
  const double* column = rows.columns[0].data();
  ChunkEncoder encoder;
  std::string bytes;
  encoder.Encode({.timestamps = rows.timestamps, .columns = {&column, 1}}, &bytes);
  const size_t size = bytes.size();
  encoder.Encode({.timestamps = rows.timestamps, .columns = {&column, 1}}, &bytes);
  ASSERT_EQ(bytes.size(), 2 * size);
  EXPECT_EQ(bytes.substr(0, size), bytes.substr(size));
}

TEST(ChunkTest, CodecIsTheOneThatTheValuesCallFor) {
  const Rows rows =
      RegularRows(1024, {"constant", "random_bits", "two_decimals", "counter", "integer_walk"});
  const std::string bytes = Encode(rows);
  const ChunkView chunk = OpenOrDie(bytes);
  EXPECT_EQ(chunk.codec(0), ColumnCodec::kConstant);
  EXPECT_EQ(chunk.codec(1), ColumnCodec::kRaw);
  EXPECT_EQ(chunk.codec(2), ColumnCodec::kDecimalFrame);
  EXPECT_EQ(chunk.codec(3), ColumnCodec::kDecimalDelta);
  EXPECT_EQ(chunk.codec(4), ColumnCodec::kDecimalDelta);
}

// The sizes that the format promises (bytes per sample, timestamps included).
double BytesPerSample(size_t rows, size_t columns, const std::string& shape,
                      EncodeFor purpose = EncodeFor::kFlush) {
  const Rows input = RegularRows(rows, std::vector<std::string>(columns, shape));
  return static_cast<double>(Encode(input, purpose).size()) / static_cast<double>(rows * columns);
}

TEST(ChunkTest, SizesStayWithinTheirTargets) {
  EXPECT_LE(BytesPerSample(1024, 10, "integer_walk"), 0.5);
  EXPECT_LE(BytesPerSample(1024, 10, "counter"), 10.0 / 8 + 0.1);  // increments below 1000
  EXPECT_LE(BytesPerSample(1024, 10, "two_decimal_walk"), 1.0);
  EXPECT_LE(BytesPerSample(1024, 10, "constant"), 0.01);
}

TEST(ChunkTest, CompactedSizesStayWithinTheirTargets) {
  const auto size_of = [](const std::string& shape) {
    return BytesPerSample(kMaxChunkRows, 10, shape, EncodeFor::kCompaction);
  };
  EXPECT_LE(size_of("integer_walk"), 0.295);  // the entropy of its steps is 2.15 bits
  EXPECT_LE(size_of("booleans"), 0.055);
  EXPECT_LE(size_of("two_decimal_walk"), 0.74);
  EXPECT_LE(size_of("counter_with_resets"), 0.86);
}

TEST(ChunkTest, RealsTakeLessThanTheirDoubles) {
  const auto size_of = [](const std::string& shape) {
    return BytesPerSample(kMaxChunkRows, 10, shape, EncodeFor::kCompaction);
  };
  EXPECT_LE(size_of("reals"), 7.5);         // normal, around zero: many exponents
  EXPECT_LE(size_of("random_bits"), 8.02);  // cannot be made smaller
}

TEST(ChunkTest, SmallChunksHaveLittleOverhead) {
  const Rows constants = RegularRows(16, {"constant"});
  EXPECT_LE(Encode(constants).size(), 16u + 8u + 5u);  // chunk, column, interval of 5 bytes
  Rows wide = RegularRows(16, std::vector<std::string>(20, "integer_walk"));
  // 16 values of 4 bits and 10 bytes of headers a column.
  EXPECT_LE(Encode(wide).size(), 24 + 20 * (8 + 10));
}

// --- Damage ---

// Calls everything there is. Returns a sum so that no call can be left out.
uint64_t ReadAll(const ChunkView& chunk) {
  uint64_t sum = static_cast<uint64_t>(chunk.max_time());
  std::vector<Timestamp> timestamps(chunk.row_count());
  std::vector<double> values(chunk.row_count());
  chunk.DecodeTimestamps(0, timestamps.size(), timestamps.data());
  for (size_t row = 0; row < timestamps.size(); row += 7) {
    sum += static_cast<uint64_t>(chunk.TimestampAt(row)) + chunk.LowerBound(timestamps[row]) +
           chunk.LowerBound(timestamps[row] ^ 1);
  }
  for (size_t column = 0; column < chunk.column_count(); ++column) {
    chunk.DecodeColumn(column, 0, values.size(), values.data());
    sum += std::bit_cast<uint64_t>(chunk.ValueAt(column, values.size() - 1));
    sum += std::bit_cast<uint64_t>(values.back());
  }
  if (chunk.has_sequences()) {
    std::vector<uint64_t> sequences(chunk.row_count());
    chunk.DecodeSequences(0, sequences.size(), sequences.data());
    sum += sequences.back();
  }
  return sum;
}

// Opens a copy of exactly the bytes' size, so that a sanitizer sees each read beyond them.
bool OpensAndReads(std::string_view bytes) {
  std::unique_ptr<char[]> copy(new char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  const StatusOr<ChunkView> chunk = ChunkView::Open({copy.get(), bytes.size()});
  if (!chunk.ok()) {
    EXPECT_EQ(chunk.status().code(), StatusCode::kDataLoss);
    return false;
  }
  ReadAll(*chunk);
  return true;
}

Rows RowsOfAllCodecs(size_t count) {
  Random random(7);
  Rows rows = RegularRows(count, {"constant", "integer_walk", "counter", "two_decimals", "reals",
                                  "decimals_with_exceptions", "booleans", "counter_with_resets"});
  rows.timestamps = TimestampShapeNamed("jittered_milliseconds").generate(count, &random);
  for (size_t i = 0; i < count; ++i) {
    rows.sequences.push_back(5000 + 3 * i);
  }
  return rows;
}

TEST(ChunkTest, ChunkCutAnywhereIsRefused) {
  for (const EncodeFor purpose : {EncodeFor::kFlush, EncodeFor::kCompaction}) {
    const std::string bytes = Encode(RowsOfAllCodecs(150), purpose);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(OpensAndReads(std::string_view(bytes).substr(0, size))) << size;
    }
    EXPECT_TRUE(OpensAndReads(bytes));
    EXPECT_FALSE(OpensAndReads(bytes + '\0'));
  }
}

TEST(ChunkTest, NoDamagedByteMakesAReadLeaveTheChunk) {
  for (const EncodeFor purpose : {EncodeFor::kFlush, EncodeFor::kCompaction}) {
    std::string bytes = Encode(RowsOfAllCodecs(150), purpose);
    for (size_t offset = 0; offset < bytes.size(); ++offset) {
      const char original = bytes[offset];
      for (const int flip : {0x01, 0x80, 0xFF}) {
        bytes[offset] = static_cast<char>(original ^ flip);
        OpensAndReads(bytes);
      }
      bytes[offset] = original;
    }
  }
}

TEST(ChunkTest, RandomBytesNeverMakeAReadLeaveTheChunk) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  const std::string originals[] = {Encode(RowsOfAllCodecs(300)),
                                   Encode(RowsOfAllCodecs(300), EncodeFor::kCompaction)};
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = originals[round % 2];
    for (size_t changes = 1 + random() % 8; changes > 0; --changes) {
      // Mostly in the headers, where it hurts.
      const size_t limit = random() % 2 ? 64 : bytes.size();
      bytes[random() % limit] = static_cast<char>(random());
    }
    OpensAndReads(bytes);
  }
}

TEST(ChunkTest, LaterVersionsAndUnknownCodecsAreRefused) {
  const std::string bytes = Encode(RegularRows(10, {"constant"}));
  const auto with = [&](size_t offset, char value) {
    std::string changed = bytes;
    changed[offset] = value;
    return changed;
  };
  EXPECT_FALSE(OpensAndReads(with(0, 0x20)));  // version 2
  EXPECT_FALSE(OpensAndReads(with(0, 0x18)));  // an unknown flag
  EXPECT_FALSE(OpensAndReads(with(1, 2)));     // an unknown timestamp codec
  const size_t column = bytes.size() - OpenOrDie(bytes).column_size_bytes(0);
  EXPECT_TRUE(OpensAndReads(with(column, 0)));
  EXPECT_FALSE(OpensAndReads(with(column, 7)));
}

}  // namespace
}  // namespace tsdbd::storage
