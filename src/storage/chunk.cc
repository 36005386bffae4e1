#include "storage/chunk.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "common/check.h"
#include "storage/packed_integers.h"
#include "storage/short_integers.h"
#include "storage/timestamp_column.h"
#include "storage/value_column.h"

namespace tsdbd::storage {
namespace {

// Header: u8 version and flags, u8 timestamp codec, u16 rows, u16 columns, i64 first timestamp;
// then the directory: where each section ends, counted from the directory's end.
constexpr size_t kHeaderSize = 14;
constexpr uint8_t kVersion = 1;  // in the high four bits of the first byte
constexpr uint8_t kFlagSequences = 1;
constexpr uint8_t kFlagWideDirectory = 2;
constexpr uint8_t kFlagStatistics = 4;
constexpr uint8_t kKnownFlags = kFlagSequences | kFlagWideDirectory | kFlagStatistics;

// Of one kind for one column.
size_t ZoneBitsSize(size_t rows) {
  const size_t zones = (rows + kZoneRows - 1) / kZoneRows;
  return (zones + 7) / 8;
}

struct ZoneStatistics {
  uint32_t with_nan = 0;
  uint32_t with_falls = 0;
};

ZoneStatistics StatisticsOf(const double* values, size_t count) {
  ZoneStatistics statistics;
  for (size_t first = 0; first < count; first += kZoneRows) {
    const size_t end = std::min(count, first + kZoneRows);
    int64_t nan = 0;
    int64_t falls = 0;
    for (size_t i = std::max<size_t>(first, 1); i < end; ++i) {  // vectorised
      nan |= values[i] == values[i] ? 0 : -1;
      falls |= values[i] >= values[i - 1] ? 0 : -1;
    }
    const uint32_t zone = uint32_t{1} << (first / kZoneRows);
    statistics.with_nan |= nan != 0 || std::isnan(values[first]) ? zone : 0;
    statistics.with_falls |= falls != 0 ? zone : 0;
  }
  return statistics;
}

unsigned EntrySize(bool wide) {
  return wide ? sizeof(uint32_t) : sizeof(uint16_t);
}

void AppendStatistics(const double* values, size_t count, std::string* out) {
  const ZoneStatistics statistics = StatisticsOf(values, count);
  const auto size = static_cast<unsigned>(ZoneBitsSize(count));
  AppendBytes(statistics.with_nan, size, out);
  AppendBytes(statistics.with_falls, size, out);
}

// Constant columns have no statistics: one value says it all.
bool IsConstant(char codec) {
  return codec == static_cast<char>(ColumnCodec::kConstant);
}

void AppendSequences(const uint64_t* sequences, size_t count, std::string* out) {
  const PackedIntegersEncoder encoder(sequences, count);
  out->push_back(static_cast<char>(encoder.coding()));
  encoder.Append(out);
}

// The column behind its coding byte, or nothing if it is not well-formed.
std::optional<PackedIntegersView> OpenSequences(std::string_view section, size_t count) {
  if (section.empty() || static_cast<uint8_t>(section[0]) > 1) {
    return std::nullopt;
  }
  return PackedIntegersView::Open(section.substr(1), static_cast<IntegerCoding>(section[0]), count);
}

}  // namespace

struct ChunkEncoder::Scratch {
  ValueColumnScratch values;
  std::string sections;
  std::vector<uint32_t> section_ends;
};

ChunkEncoder::ChunkEncoder(EncodeFor purpose)
    : purpose_(purpose), scratch_(std::make_unique<Scratch>()) {}
ChunkEncoder::~ChunkEncoder() = default;
ChunkEncoder::ChunkEncoder(ChunkEncoder&&) noexcept = default;
ChunkEncoder& ChunkEncoder::operator=(ChunkEncoder&&) noexcept = default;

void ChunkEncoder::Encode(const ChunkInput& input, std::string* out) {
  const size_t rows = input.timestamps.size();
  CHECK(rows >= 1 && rows <= kMaxChunkRows && input.columns.size() <= kMaxChunkColumns);
  std::string& sections = scratch_->sections;
  std::vector<uint32_t>& ends = scratch_->section_ends;
  sections.clear();
  ends.clear();
  const auto end_section = [&] { ends.push_back(static_cast<uint32_t>(sections.size())); };

  const TimestampCodec timestamp_codec = EncodeTimestamps(input.timestamps, &sections);
  end_section();
  if (input.sequences != nullptr) {
    AppendSequences(input.sequences, rows, &sections);
    end_section();
  }
  // A zone alone is what reading decodes anyway.
  const bool has_statistics = rows > kZoneRows && !input.columns.empty();
  for (const double* column : input.columns) {
    const size_t begin = sections.size();
    EncodeValues({column, rows}, purpose_, &scratch_->values, &sections);
    if (has_statistics && !IsConstant(sections[begin])) {
      AppendStatistics(column, rows, &sections);
    }
    end_section();
  }

  const bool wide = sections.size() > UINT16_MAX;
  const uint8_t flags = (input.sequences != nullptr ? kFlagSequences : 0) |
                        (wide ? kFlagWideDirectory : 0) | (has_statistics ? kFlagStatistics : 0);
  out->push_back(static_cast<char>(kVersion << 4 | flags));
  out->push_back(static_cast<char>(timestamp_codec));
  AppendBytes(rows, sizeof(uint16_t), out);
  AppendBytes(input.columns.size(), sizeof(uint16_t), out);
  AppendBytes(static_cast<uint64_t>(input.timestamps[0]), sizeof(uint64_t), out);
  for (const uint32_t end : ends) {
    AppendBytes(end, EntrySize(wide), out);
  }
  out->append(sections);
}

StatusOr<ChunkView> ChunkView::Open(std::string_view bytes) {
  if (bytes.size() < kHeaderSize) {
    return DataLoss("chunk of {} bytes is shorter than its header", bytes.size());
  }
  const auto version_and_flags = static_cast<uint8_t>(bytes[0]);
  if (version_and_flags >> 4 != kVersion || ((version_and_flags & 0xF) & ~kKnownFlags) != 0) {
    return DataLoss("chunk begins with {:#04x}: not a version or flag known here",
                    version_and_flags);
  }
  ChunkView view = OpenTrusted(bytes);
  if (view.row_count_ < 1 || view.row_count_ > kMaxChunkRows) {
    return DataLoss("chunk says it has {} rows", view.row_count_);
  }
  RETURN_IF_ERROR(view.CheckDirectory());
  RETURN_IF_ERROR(view.CheckSections());
  return view;
}

ChunkView ChunkView::OpenTrusted(std::string_view bytes) {
  ChunkView view;
  view.bytes_ = bytes;
  view.ReadHeader();
  return view;
}

void ChunkView::ReadHeader() {
  const auto version_and_flags = static_cast<uint8_t>(bytes_[0]);
  has_sequences_ = version_and_flags & kFlagSequences;
  wide_directory_ = version_and_flags & kFlagWideDirectory;
  has_statistics_ = version_and_flags & kFlagStatistics;
  timestamp_codec_ = static_cast<uint8_t>(bytes_[1]);
  row_count_ = static_cast<uint16_t>(ReadUnsigned(bytes_.data() + 2, sizeof(uint16_t)));
  column_count_ = static_cast<uint16_t>(ReadUnsigned(bytes_.data() + 4, sizeof(uint16_t)));
  first_timestamp_ =
      static_cast<model::Timestamp>(ReadUnsigned(bytes_.data() + 6, sizeof(uint64_t)));
  directory_end_ = static_cast<uint32_t>(kHeaderSize + (FirstColumnSection() + column_count_) *
                                                           EntrySize(wide_directory_));
}

Status ChunkView::CheckDirectory() const {
  const size_t section_count = FirstColumnSection() + column_count_;
  if (bytes_.size() < directory_end_ || bytes_.size() > UINT32_MAX) {
    return DataLoss("chunk of {} bytes cannot hold {} sections", bytes_.size(), section_count);
  }
  size_t begin = 0;
  for (size_t section = 0; section < section_count; ++section) {
    const size_t end = SectionEnd(section);
    if (end < begin || end > bytes_.size() - directory_end_) {
      return DataLoss("chunk section {} ends at {}, beyond the chunk's {} bytes", section, end,
                      bytes_.size());
    }
    begin = end;
  }
  if (begin != bytes_.size() - directory_end_) {
    return DataLoss("chunk has {} bytes behind its sections",
                    bytes_.size() - directory_end_ - begin);
  }
  return OkStatus();
}

Status ChunkView::CheckSections() const {
  if (!TimestampColumnView::Open(Section(0), timestamp_codec_, first_timestamp_, row_count_)) {
    return DataLoss("chunk has a malformed timestamp column (codec {})", timestamp_codec_);
  }
  if (has_sequences_ && !OpenSequences(Section(1), row_count_)) {
    return DataLoss("chunk has a malformed sequence column");
  }
  for (size_t column = 0; column < column_count_; ++column) {
    const size_t statistics_size = has_statistics_ ? 2 * ZoneBitsSize(row_count_) : 0;
    if (Column(column).size() < 1 + statistics_size && !IsConstantColumn(column)) {
      return DataLoss("chunk has no statistics of zones of value column {}", column);
    }
    if (!ValueColumnView::Open(ColumnValues(column), row_count_)) {
      return DataLoss("chunk has a malformed or unknown value column {}", column);
    }
  }
  return OkStatus();
}

size_t ChunkView::SectionEnd(size_t section) const {
  const char* directory = bytes_.data() + kHeaderSize;
  // Sizes that the compiler knows: these are the most frequent reads of all.
  return wide_directory_ ? ReadUnsigned(directory + section * sizeof(uint32_t), sizeof(uint32_t))
                         : ReadUnsigned(directory + section * sizeof(uint16_t), sizeof(uint16_t));
}

std::string_view ChunkView::Section(size_t section) const {
  const size_t begin = section == 0 ? 0 : SectionEnd(section - 1);
  return bytes_.substr(directory_end_ + begin, SectionEnd(section) - begin);
}

std::string_view ChunkView::Column(size_t column) const {
  CHECK(column < column_count_);
  return Section(FirstColumnSection() + column);
}

bool ChunkView::IsConstantColumn(size_t column) const {
  const std::string_view bytes = Column(column);
  return !bytes.empty() && IsConstant(bytes[0]);
}

std::string_view ChunkView::ColumnValues(size_t column) const {
  std::string_view bytes = Column(column);
  if (has_statistics_ && !IsConstantColumn(column)) {
    bytes.remove_suffix(2 * ZoneBitsSize(row_count_));
  }
  return bytes;
}

TimestampColumnView ChunkView::Timestamps() const {
  return TimestampColumnView(Section(0), static_cast<TimestampCodec>(timestamp_codec_),
                             first_timestamp_, row_count_);
}

int64_t ChunkView::RegularInterval() const {
  return timestamp_codec_ == static_cast<uint8_t>(TimestampCodec::kRegular)
             ? static_cast<int64_t>(ReadUnsigned(Section(0).data(), Section(0).size()))
             : 0;
}

ValueColumnView ChunkView::Values(size_t column) const {
  const std::string_view bytes = ColumnValues(column);
  return ValueColumnView(
      bytes, row_count_,
      static_cast<size_t>(bytes_.data() + bytes_.size() - (bytes.data() + bytes.size())));
}

model::Timestamp ChunkView::TimestampAt(size_t row) const {
  CHECK(row < row_count_);
  return Timestamps().At(row);
}

size_t ChunkView::LowerBound(model::Timestamp timestamp) const {
  return Timestamps().LowerBound(timestamp);
}

void ChunkView::DecodeTimestamps(size_t first, size_t count, model::Timestamp* out) const {
  CHECK(first <= row_count_ && count <= row_count_ - first);
  Timestamps().Decode(first, count, out);
}

void ChunkView::DecodeColumn(size_t column, size_t first, size_t count, double* out) const {
  CHECK(first <= row_count_ && count <= row_count_ - first);
  Values(column).Decode(first, count, out);
}

double ChunkView::ValueAt(size_t column, size_t row) const {
  CHECK(row < row_count_);
  return Values(column).At(row);
}

ColumnCodec ChunkView::codec(size_t column) const {
  return static_cast<ColumnCodec>(Column(column)[0]);
}

uint32_t ChunkView::ZoneBits(size_t column, ZoneBitsKind kind) const {
  if (!has_statistics_) {
    return UINT32_MAX;
  }
  const std::string_view bytes = Column(column);
  if (IsConstant(bytes[0])) {
    return std::isnan(ValueAt(column, 0)) ? UINT32_MAX : 0;
  }
  const size_t size = ZoneBitsSize(row_count_);
  return static_cast<uint32_t>(
      ReadUnsigned(bytes.data() + bytes.size() - (kind == kZonesWithNan ? 2 : 1) * size, size));
}

void ChunkView::DecodeSequences(size_t first, size_t count, uint64_t* out) const {
  CHECK(has_sequences_ && first <= row_count_ && count <= row_count_ - first);
  const std::string_view section = Section(1);
  const PackedIntegersView sequences(section.substr(1), static_cast<IntegerCoding>(section[0]),
                                     row_count_);
  uint64_t zone[kZoneBufferSize];
  for (size_t row = first; row < first + count;) {
    const size_t begin = row % kZoneRows;
    const size_t rows = std::min(kZoneRows - begin, first + count - row);
    sequences.DecodeZone(row / kZoneRows, zone);
    std::copy_n(zone + begin, rows, out + (row - first));
    row += rows;
  }
}

}  // namespace tsdbd::storage
