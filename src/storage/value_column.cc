#include "storage/value_column.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/check.h"
#include "storage/decimal.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {
namespace {

constexpr uint8_t kHasExceptions = 0x80;
constexpr size_t kExceptionSize = sizeof(uint16_t) + sizeof(uint64_t);

// Copies of a bit pattern: NaNs are equal, 0 and -0 are not.
bool IsConstant(std::span<const double> values) {
  const auto first = std::bit_cast<uint64_t>(values[0]);
  uint64_t difference = 0;
  for (const double value : values) {
    difference |= std::bit_cast<uint64_t>(value) ^ first;
  }
  return difference == 0;
}

void AppendConstant(double value, std::string* out) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const unsigned zero_bytes = bits == 0 ? 8 : static_cast<unsigned>(std::countr_zero(bits)) / 8;
  out->push_back(static_cast<char>(ColumnCodec::kConstant));
  if (zero_bytes < 8) {
    AppendBytes(bits >> (8 * zero_bytes), 8 - zero_bytes, out);
  }
}

// Gives the exceptions integers that cost nothing: those of the rows before them.
void FillExceptions(std::span<const uint16_t> exceptions, std::span<uint64_t> integers) {
  size_t first_good = 0;
  while (first_good < exceptions.size() && exceptions[first_good] == first_good) {
    ++first_good;
  }
  for (const uint16_t row : exceptions) {
    integers[row] = row < first_good ? integers[first_good] : integers[row - 1];
  }
}

// False, and nothing appended, if it would not be smaller than the doubles themselves.
bool AppendDecimals(std::span<const double> values, EncodeFor purpose, ValueColumnScratch* scratch,
                    std::string* out) {
  unsigned exponent = 0;
  if (!ChooseExponent(values, &exponent)) {
    return false;
  }
  const size_t raw_size = values.size() * sizeof(double);
  const size_t exception_count =
      ToIntegers(values, exponent, scratch->integers, scratch->exceptions);
  if (exception_count * kExceptionSize >= raw_size || exception_count == values.size()) {
    return false;
  }
  const std::span<const uint16_t> exceptions(scratch->exceptions, exception_count);
  FillExceptions(exceptions, {scratch->integers, values.size()});
  const PackedIntegersEncoder integers(scratch->integers, values.size());
  const size_t exceptions_size =
      exception_count == 0 ? 0 : sizeof(uint16_t) + exception_count * kExceptionSize;
  if (1 + exceptions_size + integers.EncodedSize() >= raw_size) {
    return false;
  }
  const size_t begin = out->size();
  out->push_back(static_cast<char>(integers.coding() == IntegerCoding::kFrame
                                       ? ColumnCodec::kDecimalFrame
                                       : ColumnCodec::kDecimalDelta));
  out->push_back(static_cast<char>(exponent | (exception_count > 0 ? kHasExceptions : 0)));
  if (exception_count > 0) {
    AppendBytes(exception_count, sizeof(uint16_t), out);
    for (const uint16_t row : exceptions) {
      AppendBytes(row, sizeof(uint16_t), out);
    }
    for (const uint16_t row : exceptions) {
      AppendBytes(std::bit_cast<uint64_t>(values[row]), sizeof(uint64_t), out);
    }
  }
  IntegerCoding coding;
  if (purpose == EncodeFor::kCompaction &&
      scratch->coded.Append(scratch->integers, values.size(), integers.EncodedSize(), &coding,
                            out)) {
    (*out)[begin] =
        static_cast<char>(coding == IntegerCoding::kFrame ? ColumnCodec::kDecimalCodedFrame
                                                          : ColumnCodec::kDecimalCodedDelta);
    return true;
  }
  integers.Append(out);
  return true;
}

}  // namespace

void EncodeValues(std::span<const double> values, EncodeFor purpose, ValueColumnScratch* scratch,
                  std::string* out) {
  CHECK(!values.empty() && values.size() <= kMaxChunkRows);
  if (IsConstant(values)) {
    AppendConstant(values[0], out);
    return;
  }
  if (AppendDecimals(values, purpose, scratch, out)) {
    return;
  }
  const size_t begin = out->size();
  out->push_back(static_cast<char>(ColumnCodec::kReals));
  // Finding the cut takes too long for a flush.
  if (purpose == EncodeFor::kFlush || !AppendReals(values, out)) {
    (*out)[begin] = static_cast<char>(ColumnCodec::kRaw);
    out->append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
}

std::optional<ValueColumnView> ValueColumnView::Open(std::string_view bytes, size_t count) {
  if (bytes.empty() || static_cast<uint8_t>(bytes[0]) > static_cast<uint8_t>(ColumnCodec::kReals)) {
    return std::nullopt;
  }
  const auto codec = static_cast<ColumnCodec>(bytes[0]);
  const size_t payload_size = bytes.size() - 1;
  if ((codec == ColumnCodec::kConstant && payload_size > sizeof(double)) ||
      (codec == ColumnCodec::kRaw && payload_size != count * sizeof(double))) {
    return std::nullopt;
  }
  if (codec == ColumnCodec::kConstant || codec == ColumnCodec::kRaw) {
    return ValueColumnView(bytes, count);
  }
  if (codec == ColumnCodec::kReals) {
    return RealsView::Open(bytes.substr(1), count) ? std::optional(ValueColumnView(bytes, count))
                                                   : std::nullopt;
  }
  const bool has_exceptions = bytes.size() > 1 && (static_cast<uint8_t>(bytes[1]) & kHasExceptions);
  if (bytes.size() < 2 + (has_exceptions ? sizeof(uint16_t) : 0)) {
    return std::nullopt;
  }
  const ValueColumnView view(bytes, count);
  if (view.exponent_ > kMaxDecimalExponent || view.exception_count_ > count ||
      view.integers_offset_ > bytes.size() || !view.IntegersAreWellFormed()) {
    return std::nullopt;
  }
  for (size_t i = 0; i < view.exception_count_; ++i) {
    if (view.ExceptionRow(i) >= count ||
        (i > 0 && view.ExceptionRow(i) <= view.ExceptionRow(i - 1))) {
      return std::nullopt;
    }
  }
  return view;
}

bool ValueColumnView::IntegersAreWellFormed() const {
  const std::string_view integers = bytes_.substr(integers_offset_);
  return IsCoded() ? CodedIntegersView::Open(integers, Coding(), count_).has_value()
                   : PackedIntegersView::Open(integers, Coding(), count_).has_value();
}

ValueColumnView::ValueColumnView(std::string_view bytes, size_t count, size_t slack_bytes)
    : bytes_(bytes), count_(count), slack_bytes_(slack_bytes) {
  if (!IsDecimal()) {
    return;
  }
  const auto exponent = static_cast<uint8_t>(bytes[1]);
  exponent_ = exponent & ~kHasExceptions;
  integers_offset_ = 2;
  if (exponent & kHasExceptions) {
    exception_count_ = ReadUnsigned(bytes.data() + 2, sizeof(uint16_t));
    exceptions_offset_ = 2 + sizeof(uint16_t);
    integers_offset_ = exceptions_offset_ + exception_count_ * kExceptionSize;
  }
}

double ValueColumnView::Constant() const {
  const auto stored_bytes = static_cast<unsigned>(bytes_.size() - 1);
  if (stored_bytes == 0) {
    return 0;
  }
  return std::bit_cast<double>(ReadUnsigned(bytes_.data() + 1, stored_bytes)
                               << (8 * (sizeof(double) - stored_bytes)));
}

uint16_t ValueColumnView::ExceptionRow(size_t index) const {
  return static_cast<uint16_t>(ReadUnsigned(
      bytes_.data() + exceptions_offset_ + index * sizeof(uint16_t), sizeof(uint16_t)));
}

double ValueColumnView::ExceptionValue(size_t index) const {
  const char* values = bytes_.data() + exceptions_offset_ + exception_count_ * sizeof(uint16_t);
  return std::bit_cast<double>(ReadUnsigned(values + index * sizeof(uint64_t), sizeof(uint64_t)));
}

size_t ValueColumnView::FindException(size_t row) const {
  size_t low = 0;
  size_t high = exception_count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (ExceptionRow(middle) < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void ValueColumnView::Decode(size_t first, size_t count, double* out) const {
  DCHECK(first + count <= count_);
  if (count == 0) {
    return;  // `out` may be null
  }
  switch (codec()) {
    case ColumnCodec::kConstant:
      std::fill_n(out, count, Constant());
      return;
    case ColumnCodec::kRaw:
      std::memcpy(out, bytes_.data() + 1 + first * sizeof(double), count * sizeof(double));
      return;
    case ColumnCodec::kReals:
      Reals().Decode(first, count, out);
      return;
    default:
      DecodeDecimals(first, count, out);
      return;
  }
}

template <typename Integers>
void ValueColumnView::DecodeIntegers(const Integers& integers, size_t first, size_t count,
                                     double* out) const {
  alignas(kZoneBufferAlignment) uint64_t zone_integers[kZoneBufferSize];
  for (size_t row = first; row < first + count;) {
    const size_t begin = row % kZoneRows;
    const size_t rows = std::min(kZoneRows - begin, first + count - row);
    double* rows_out = out + (row - first);
    if (begin == 0) {
      integers.DecodeZoneAsDecimals(row / kZoneRows, rows, exponent_, rows_out);
    } else {
      const uint64_t base = integers.DecodeZoneOffsets(row / kZoneRows, zone_integers);
      ToDoubles(zone_integers + begin, rows, base, exponent_, rows_out);
    }
    row += rows;
  }
}

void ValueColumnView::DecodeDecimals(size_t first, size_t count, double* out) const {
  if (IsCoded()) {
    DecodeIntegers(CodedIntegers(), first, count, out);
  } else {
    DecodeIntegers(PackedIntegers(), first, count, out);
  }
  for (size_t i = FindException(first); i < exception_count_; ++i) {
    const size_t row = ExceptionRow(i);
    if (row < first || row >= first + count) {
      break;
    }
    out[row - first] = ExceptionValue(i);
  }
}

double ValueColumnView::At(size_t row) const {
  DCHECK(row < count_);
  if (!IsDecimal()) {
    double value;
    Decode(row, 1, &value);
    return value;
  }
  const size_t exception = FindException(row);
  if (exception < exception_count_ && ExceptionRow(exception) == row) {
    return ExceptionValue(exception);
  }
  const uint64_t integer = IsCoded() ? CodedIntegers().At(row) : PackedIntegers().At(row);
  double value;
  ToDoubles(&integer, 1, /*base=*/0, exponent_, &value);
  return value;
}

}  // namespace tsdbd::storage
