// Chunks: any bytes are refused or can be read wholly, in pieces and row by row, with the same
// result each way and without a look outside of them.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/check.h"
#include "storage/chunk.h"

namespace tsdbd::storage {
namespace {

bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

void CheckColumn(const ChunkView& chunk, size_t column) {
  const size_t rows = chunk.row_count();
  std::vector<double> all(rows);
  chunk.DecodeColumn(column, 0, rows, all.data());
  // They may be wrong, but they are found.
  static_cast<void>(chunk.ZonesWithNan(column) + chunk.ZonesWithFalls(column));
  const size_t first = rows / 3;
  std::vector<double> part(rows - first);
  chunk.DecodeColumn(column, first, part.size(), part.data());
  CHECK(
      std::equal(part.begin(), part.end(), all.begin() + static_cast<ptrdiff_t>(first), SameBits));
  for (size_t row = 0; row < rows; row += 1 + rows / 16) {
    CHECK(SameBits(chunk.ValueAt(column, row), all[row]));
  }
}

void CheckTimestamps(const ChunkView& chunk) {
  std::vector<model::Timestamp> all(chunk.row_count());
  chunk.DecodeTimestamps(0, all.size(), all.data());
  for (size_t row = 0; row < all.size(); row += 1 + all.size() / 16) {
    CHECK(chunk.TimestampAt(row) == all[row]);
    CHECK(chunk.LowerBound(all[row]) <= all.size());
  }
  if (std::ranges::adjacent_find(all, std::ranges::greater_equal()) == all.end()) {
    for (size_t row = 0; row < all.size(); ++row) {
      CHECK(chunk.LowerBound(all[row]) == row);
    }
  }
  CHECK(chunk.LowerBound(INT64_MIN) == 0);
  CHECK(chunk.LowerBound(INT64_MAX) <= all.size());
}

}  // namespace
}  // namespace tsdbd::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tsdbd::storage;
  // Of exactly the size, so that a sanitizer sees a read behind the end.
  const std::unique_ptr<char[]> copy(new char[size]);
  std::copy_n(data, size, copy.get());
  const auto chunk = ChunkView::Open({copy.get(), size});
  if (!chunk.ok()) {
    return 0;
  }
  CheckTimestamps(*chunk);
  // Columns are alike, and thousands of them would only take time.
  for (size_t column = 0; column < std::min<size_t>(chunk->column_count(), 16); ++column) {
    CheckColumn(*chunk, column);
  }
  if (chunk->has_sequences()) {
    std::vector<uint64_t> sequences(chunk->row_count());
    chunk->DecodeSequences(0, sequences.size(), sequences.data());
  }
  return 0;
}
