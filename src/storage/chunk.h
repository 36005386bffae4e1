#pragma once
// A chunk: up to 4,096 rows of one series group, encoded into immutable bytes: one timestamp
// column, one column of doubles per series, and optionally the rows' write sequence numbers.
// Format: docs/formats/block.md. The bytes carry no checksum: whoever stores them adds one.
//
// Invariants
// 1. Every double comes back bit for bit: -0, subnormals and NaN payloads too.
// 2. Open() accepts or refuses any bytes whatever; after it, no access reads outside of them.
//    Bytes that were damaged but still open decode to some values: that is the checksum's job.
// 3. Zones (kZoneRows rows) are independent: reading a row touches its zone and the headers only.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/sample.h"

namespace tsdbd::storage {

class TimestampColumnView;
class ValueColumnView;

// Chunks of compacted blocks, which are written once and kept for long: more rows save little more.
inline constexpr size_t kMaxChunkRows = 4096;
// Chunks of the head and of flushed blocks: rows amortise headers up to about here, and a chunk's
// column (8 KiB raw) still fits in L1.
inline constexpr size_t kFlushChunkRows = 1024;
// A zone is the unit of random access: small enough to decode in about 100 ns.
inline constexpr size_t kZoneRows = 128;
inline constexpr size_t kMaxChunkColumns = 65'535;

struct ChunkInput {
  std::span<const model::Timestamp> timestamps;  // 1..kMaxChunkRows, strictly rising, >= 0
  std::span<const double* const> columns;        // each points to timestamps.size() values
  // Null, or timestamps.size() write sequence numbers, kept for groups whose rows compete with
  // those of other groups for the same series and timestamp.
  const uint64_t* sequences = nullptr;
};

// What chunks are encoded for decides how much time encoding and decoding them may take.
enum class EncodeFor : uint8_t {
  kFlush,       // bit-packed: fast both ways
  kCompaction,  // small: with an entropy stage where it saves a tenth
};

// Encodes chunks. Keeps scratch memory between calls; one thread at a time.
class ChunkEncoder {
 public:
  explicit ChunkEncoder(EncodeFor purpose = EncodeFor::kFlush);
  ~ChunkEncoder();
  ChunkEncoder(ChunkEncoder&&) noexcept;
  ChunkEncoder& operator=(ChunkEncoder&&) noexcept;

  // Appends the chunk's bytes to *out.
  void Encode(const ChunkInput& input, std::string* out);

 private:
  struct Scratch;
  EncodeFor purpose_;
  std::unique_ptr<Scratch> scratch_;
};

// How a column is encoded. On disk: numbers are never reused.
enum class ColumnCodec : uint8_t {
  kConstant = 0,
  kRaw = 1,
  kDecimalFrame = 2,  // value = integer / 10^exponent; integers bit-packed from the zone's minimum
  kDecimalDelta = 3,  // the same; differences of neighbours bit-packed
  // The same with jumps, and an entropy stage where it pays.
  kDecimalCodedFrame = 4,
  kDecimalCodedDelta = 5,
  kReals = 6,  // of compacted chunks: high parts in a dictionary, low parts bit-packed
};

// Reads a chunk in place: copies are cheap, the bytes must outlive it. Thread-safe (constant).
// Row and column numbers are the caller's responsibility: out of range is a bug (CHECK).
class ChunkView {
 public:
  // kDataLoss if the bytes are no chunk, or one of a later version.
  static StatusOr<ChunkView> Open(std::string_view bytes);
  // Of bytes that passed Open before, or that ChunkEncoder made, and that have not changed since.
  static ChunkView OpenTrusted(std::string_view bytes);
  // Of no bytes: only to be assigned to.
  ChunkView() = default;

  size_t row_count() const { return row_count_; }
  size_t column_count() const { return column_count_; }
  bool has_sequences() const { return has_sequences_; }
  std::string_view bytes() const { return bytes_; }
  model::Timestamp min_time() const { return first_timestamp_; }
  model::Timestamp max_time() const { return TimestampAt(row_count_ - 1); }

  // The distance of neighbouring timestamps, if all are equally far apart; else 0.
  int64_t RegularInterval() const;
  // O(1).
  model::Timestamp TimestampAt(size_t row) const;
  // The first row whose timestamp is >= `timestamp`; row_count() if there is none. Expected O(1).
  size_t LowerBound(model::Timestamp timestamp) const;
  // Rows first .. first + count - 1. Only the zones touched are decoded.
  void DecodeTimestamps(size_t first, size_t count, model::Timestamp* out) const;

  void DecodeColumn(size_t column, size_t first, size_t count, double* out) const;
  // O(1); for delta-coded columns one zone is summed, with an entropy stage it is also decoded.
  double ValueAt(size_t column, size_t row) const;
  // Whether ValueAt looks at that row's bits only.
  bool HasFastAccess(size_t column) const {
    return codec(column) <= ColumnCodec::kDecimalFrame || codec(column) == ColumnCodec::kReals;
  }
  // Statistics: a bit for each zone, zone 0 the lowest. The zones that hold a NaN (staleness
  // markers are NaN); those where a value is less than the one before it, be that in the zone
  // before, or cannot be compared with it. All bits are set if the chunk has no statistics.
  uint32_t ZonesWithNan(size_t column) const { return ZoneBits(column, kZonesWithNan); }
  uint32_t ZonesWithFalls(size_t column) const { return ZoneBits(column, kZonesWithFalls); }
  // Fetches the beginning of a column's bytes, to be decoded soon.
  void PrefetchColumn(size_t column) const { __builtin_prefetch(Column(column).data()); }
  ColumnCodec codec(size_t column) const;
  // Bytes that the column takes.
  size_t column_size_bytes(size_t column) const { return Column(column).size(); }

  // has_sequences() must be true.
  void DecodeSequences(size_t first, size_t count, uint64_t* out) const;

 private:
  void ReadHeader();
  Status CheckDirectory() const;
  Status CheckSections() const;
  size_t FirstColumnSection() const { return has_sequences_ ? 2 : 1; }
  enum ZoneBitsKind { kZonesWithNan, kZonesWithFalls };
  uint32_t ZoneBits(size_t column, ZoneBitsKind kind) const;
  size_t SectionEnd(size_t section) const;
  // Section 0 holds the timestamps, then the sequences if there are any, then the columns.
  std::string_view Section(size_t section) const;
  std::string_view Column(size_t column) const;
  bool IsConstantColumn(size_t column) const;
  // The same without the statistics of zones behind it.
  std::string_view ColumnValues(size_t column) const;
  TimestampColumnView Timestamps() const;
  ValueColumnView Values(size_t column) const;

  std::string_view bytes_;
  uint32_t directory_end_ = 0;  // where section 0 begins
  uint16_t row_count_ = 0;
  uint16_t column_count_ = 0;
  uint8_t timestamp_codec_ = 0;
  bool wide_directory_ = false;
  bool has_sequences_ = false;
  bool has_statistics_ = false;
  model::Timestamp first_timestamp_ = 0;
};

}  // namespace tsdbd::storage
