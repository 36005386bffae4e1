#include "tsdb/write_record.h"

#include <bit>
#include <cstring>

#include "common/varint.h"

namespace tsdbd::tsdb {
namespace {

constexpr uint8_t kRecordVersion = 1;

// Bounds what a damaged count can make the decoder allocate.
constexpr uint64_t kMaxColumns = 65'535;
constexpr uint64_t kMaxLabels = 65'535;

uint32_t Reference(const Group& group) {
  return static_cast<uint32_t>(group.wal_reference.load(std::memory_order_relaxed));
}

// Doubles that people measure have short mantissas, so the low bytes are mostly zero: a value is
// its leading bytes, and how many there are (0 to 8) is a nibble in the row's control bytes.
uint32_t SignificantBytes(uint64_t bits) {
  return bits == 0 ? 0 : 8 - std::countr_zero(bits) / 8;
}
uint32_t DroppedBits(uint32_t significant_bytes) {
  return (64 - 8 * significant_bytes) & 63;
}

}  // namespace

WriteRecordEncoder::WriteRecordEncoder(std::span<Group* const> definitions, size_t row_count,
                                       std::string* record)
    : record_(record) {
  record_->push_back(static_cast<char>(kRecordVersion));
  AppendVarint(record_, definitions.size());
  for (const Group* group : definitions) {
    AddDefinition(*group);
  }
  AppendVarint(record_, row_count);
  size_ = record_->size();
}

void WriteRecordEncoder::AddDefinition(const Group& group) {
  AppendVarint(record_, Reference(group));
  AppendVarint(record_, group.label_count);
  for (const index::LabelPair* pair : group.label_span()) {
    AppendLengthPrefixed(record_, pair->name->name);
    AppendLengthPrefixed(record_, pair->value());
  }
  AppendLengthPrefixed(record_, group.schema->column_label);
  AppendVarint(record_, group.column_count());
  for (const std::string& value : group.schema->column_values) {
    AppendLengthPrefixed(record_, value);
  }
}

void WriteRecordEncoder::Reserve(size_t bytes) {
  if (record_->size() - size_ < bytes) {
    record_->resize(std::max(record_->size() * 2, size_ + bytes));
  }
}

void WriteRecordEncoder::AddRow(const Group& group, model::Timestamp timestamp,
                                const double* values) {
  const size_t columns = group.column_count();
  const size_t control_bytes = (columns + 1) / 2;
  Reserve(2 * kMaxVarintBytes + control_bytes + columns * sizeof(double) + sizeof(double));
  char* out = record_->data() + size_;
  const uint32_t reference = Reference(group);
  out = PutVarint(out, ZigZag(static_cast<int64_t>(reference) - previous_reference_));
  // Wraps for times further apart than int64 holds; the decoder wraps back.
  out = PutVarint(out, ZigZag(static_cast<int64_t>(static_cast<uint64_t>(timestamp) -
                                                   static_cast<uint64_t>(previous_timestamp_))));
  previous_reference_ = reference;
  previous_timestamp_ = timestamp;
  auto* control = reinterpret_cast<uint8_t*>(out);
  out += control_bytes;
  const auto put = [&out](double value) {
    const auto bits = std::bit_cast<uint64_t>(value);
    const uint32_t bytes = SignificantBytes(bits);
    const uint64_t leading = bits >> DroppedBits(bytes);
    std::memcpy(out, &leading, sizeof(leading));
    out += bytes;
    return bytes;
  };
  size_t column = 0;
  for (; column + 1 < columns; column += 2) {
    const uint32_t low = put(values[column]);
    *control++ = static_cast<uint8_t>(low | (put(values[column + 1]) << 4));
  }
  if (column < columns) {
    *control = static_cast<uint8_t>(put(values[column]));
  }
  size_ = out - record_->data();
}

void WriteRecordEncoder::Finish() {
  record_->resize(size_);
}

namespace {

class Decoder {
 public:
  Decoder(std::string_view record, WriteRecordVisitor* visitor)
      : record_(record), reader_(record), visitor_(visitor) {}

  Status Decode() {
    std::string_view version;
    if (!reader_.Bytes(1, &version) || version[0] != kRecordVersion) {
      return Bad("version");
    }
    uint64_t definitions = 0;
    if (!reader_.Varint(&definitions)) {
      return Bad("count of definitions");
    }
    for (uint64_t i = 0; i < definitions; ++i) {
      if (!DecodeDefinition()) {
        return Bad("definition");
      }
      visitor_->OnDefinition(definition_);
    }
    uint64_t rows = 0;
    if (!reader_.Varint(&rows)) {
      return Bad("count of rows");
    }
    for (uint64_t i = 0; i < rows; ++i) {
      RETURN_IF_ERROR(DecodeRow());
    }
    return reader_.left() == 0 ? OkStatus() : Bad("end");
  }

 private:
  Status Bad(std::string_view what) const {
    return DataLoss("bad write record: {} at byte {} of {}", what,
                    reader_.position() - record_.data(), record_.size());
  }

  bool DecodeDefinition() {
    uint64_t reference = 0;
    uint64_t labels = 0;
    if (!reader_.Varint(&reference) || reference > ~uint32_t{0} || !reader_.Varint(&labels) ||
        labels > kMaxLabels) {
      return false;
    }
    definition_.reference = static_cast<uint32_t>(reference);
    definition_.labels.resize(labels);
    for (model::LabelView& label : definition_.labels) {
      if (!reader_.LengthPrefixed(&label.name) || !reader_.LengthPrefixed(&label.value)) {
        return false;
      }
    }
    uint64_t columns = 0;
    if (!reader_.LengthPrefixed(&definition_.column_label) || !reader_.Varint(&columns) ||
        columns == 0 || columns > kMaxColumns) {
      return false;
    }
    definition_.column_values.resize(columns);
    for (std::string_view& value : definition_.column_values) {
      if (!reader_.LengthPrefixed(&value)) {
        return false;
      }
    }
    return true;
  }

  Status DecodeRow() {
    uint64_t reference_delta = 0;
    uint64_t timestamp_delta = 0;
    if (!reader_.Varint(&reference_delta) || !reader_.Varint(&timestamp_delta)) {
      return Bad("row");
    }
    reference_ += static_cast<uint32_t>(UnZigZag(reference_delta));
    timestamp_ += static_cast<uint64_t>(UnZigZag(timestamp_delta));
    const size_t columns = visitor_->ColumnCount(reference_);
    if (columns == 0) {
      return Bad("row of an undefined group");
    }
    std::string_view control;
    if (!reader_.Bytes((columns + 1) / 2, &control)) {
      return Bad("row's control bytes");
    }
    values_.resize(columns);
    for (size_t column = 0; column < columns; ++column) {
      const auto byte = static_cast<uint8_t>(control[column / 2]);
      if (!DecodeValue(column % 2 == 0 ? byte & 0xF : byte >> 4, &values_[column])) {
        return Bad("value");
      }
    }
    visitor_->OnRow(reference_, static_cast<model::Timestamp>(timestamp_), values_.data());
    return OkStatus();
  }

  bool DecodeValue(uint32_t size, double* value) {
    if (size > sizeof(uint64_t) || size > reader_.left()) {
      return false;
    }
    uint64_t leading = 0;
    if (reader_.left() >= sizeof(leading)) {
      std::memcpy(&leading, reader_.position(), sizeof(leading));
      leading &= size == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1;
    } else {
      std::memcpy(&leading, reader_.position(), size);
    }
    reader_.SetPosition(reader_.position() + size);
    *value = std::bit_cast<double>(leading << DroppedBits(size));
    return true;
  }

  const std::string_view record_;
  ByteReader reader_;
  WriteRecordVisitor* const visitor_;
  GroupDefinition definition_;
  std::vector<double> values_;
  uint32_t reference_ = 0;
  uint64_t timestamp_ = 0;
};

}  // namespace

Status DecodeWriteRecord(std::string_view record, WriteRecordVisitor* visitor) {
  return Decoder(record, visitor).Decode();
}

}  // namespace tsdbd::tsdb
