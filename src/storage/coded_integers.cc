#include "storage/coded_integers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "common/check.h"
#include "storage/bit_packing.h"
#include "storage/decimal.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {
namespace {

constexpr size_t kFixedHeaderSize = 7;
constexpr unsigned kMaxCodeSizeWidth = 8;
constexpr unsigned kMaxLowBits = 48;

// What a jump takes, about.
constexpr double kBitsPerJump = 48;

// What an encoder wants to know of a model.
struct ModelFacts {
  // The symbols with a code word.
  uint64_t min_symbol = 0;
  uint64_t max_symbol = 0;
  // The length of a symbol's code word if there were fractions of bits.
  double bits[kMaxSymbols] = {};
};

const std::vector<ModelFacts>& FactsOfModels() {
  static const std::vector<ModelFacts> all = [] {
    std::vector<ModelFacts> facts;
    for (const SymbolModel& model : SymbolModels()) {
      const SymbolWeights weights = WeightsOf(model);
      double sum = 0;
      for (const uint64_t weight : weights.of) {
        sum += static_cast<double>(weight);
      }
      ModelFacts& of = facts.emplace_back();
      of.min_symbol = model.center;
      for (size_t symbol = 0; symbol < size_t{1} << model.symbol_bits; ++symbol) {
        if (weights.of[symbol] == 0) {
          of.bits[symbol] = kBitsPerJump;
          continue;
        }
        of.bits[symbol] = std::log2(sum / static_cast<double>(weights.of[symbol]));
        of.min_symbol = std::min<uint64_t>(of.min_symbol, symbol);
        of.max_symbol = symbol;
      }
    }
    return facts;
  }();
  return all;
}

// The smallest low_bits at which `symbols` of them reach as far as `distance`.
unsigned LowBitsFor(uint64_t distance, uint64_t symbols) {
  unsigned low_bits = 0;
  while (low_bits < kMaxLowBits && symbols << low_bits < distance) {
    ++low_bits;
  }
  return low_bits;
}

uint64_t ResidualLimit(unsigned symbol_bits, unsigned low_bits) {
  return uint64_t{1} << (symbol_bits + low_bits);
}

// What stands in place of a residual that is a jump's: in the middle of the likeliest symbol.
uint64_t Filler(const SymbolModel& model, unsigned low_bits) {
  return uint64_t{model.center} << low_bits;
}

}  // namespace

// ---- Encoding

bool CodedIntegersEncoder::Append(const uint64_t* values, size_t count, size_t packed_size,
                                  IntegerCoding* coding, std::string* out) {
  CHECK(count >= 1 && count <= kMaxChunkRows);
  // Decoding symbols takes longer: they must save a tenth.
  constexpr double kMaxSymbolShare = 0.9;
  Choice packed{.bits_per_value = 64};
  Choice symbols{.bits_per_value = 64};
  for (const IntegerCoding candidate : {IntegerCoding::kFrame, IntegerCoding::kDelta}) {
    Sample(values, count, candidate);
    if (!sample_.empty()) {
      ConsiderPacking(candidate, &packed);
      ConsiderSymbols(candidate, &symbols);
    }
  }
  if (symbols.bits_per_value < packed.bits_per_value * kMaxSymbolShare) {
    const auto max_size = static_cast<size_t>(static_cast<double>(packed_size) * kMaxSymbolShare);
    *coding = symbols.coding;
    return AppendAs(symbols, values, count, max_size, out);
  }
  *coding = packed.coding;
  return packed_size > 1 && AppendAs(packed, values, count, packed_size - 1, out);
}

bool CodedIntegersEncoder::AppendAs(const Choice& choice, const uint64_t* values, size_t count,
                                    size_t max_size, std::string* out) {
  const double expected_size = choice.bits_per_value * static_cast<double>(count) / 8;
  if (expected_size > static_cast<double>(max_size)) {
    return false;
  }
  AppendZones(values, count, choice);
  // A jump takes as much as several values: many of them mean that the sample was misleading.
  if (jumps_.size() > count / 8) {
    return false;
  }
  const size_t begin = out->size();
  AppendHeader(values, count, choice, out);
  out->append(zones_);
  if (out->size() - begin > max_size) {
    out->resize(begin);
    return false;
  }
  return true;
}

// Some runs of neighbours, evenly spread.
void CodedIntegersEncoder::Sample(const uint64_t* values, size_t count, IntegerCoding coding) {
  constexpr size_t kRuns = 8;
  constexpr size_t kRunLength = 32;
  sample_.clear();
  const size_t runs = count <= kRuns * kRunLength ? 1 : kRuns;
  const size_t length = std::min(count, runs == 1 ? count : kRunLength);
  for (size_t run = 0; run < runs; ++run) {
    const size_t begin = runs == 1 ? 0 : run * (count - length) / (runs - 1);
    for (size_t i = begin; i < begin + length; ++i) {
      if (coding == IntegerCoding::kFrame) {
        sample_.push_back(static_cast<int64_t>(values[i]));
      } else if (i > 0) {
        sample_.push_back(static_cast<int64_t>(values[i] - values[i - 1]));
      }
    }
  }
  std::sort(sample_.begin(), sample_.end());
}

void CodedIntegersEncoder::ConsiderPacking(IntegerCoding coding, Choice* best) const {
  for (const size_t low : {0, 2}) {
    for (const size_t high : {98, 100}) {
      const uint64_t step = SampleAt(low);
      const Choice choice{
          .coding = coding, .low_bits = LowBitsFor(SampleAt(high) - step + 1, 1), .step = step};
      Consider(choice, /*symbol_bits=*/0, /*center=*/0, best);
    }
  }
}

void CodedIntegersEncoder::ConsiderSymbols(IntegerCoding coding, Choice* best) const {
  const uint64_t min = SampleAt(0);
  const uint64_t median = SampleAt(50);
  const uint64_t high = SampleAt(98);
  const uint64_t distance = std::max(high - median, median - SampleAt(2));
  const auto consider = [&](unsigned symbol_bits, unsigned center, unsigned low_bits) {
    const uint64_t center_value = center == 0 ? min : median - (uint64_t{1} << low_bits) / 2;
    const Choice choice{.coding = coding,
                        .low_bits = low_bits,
                        .step = center_value - (uint64_t{center} << low_bits)};
    Consider(choice, symbol_bits, center, best);
  };
  if (high - min <= 1) {
    consider(1, 0, 0);
  }
  if (high - min <= 3) {
    consider(2, 0, 0);
  }
  if (distance <= 2) {
    consider(2, 1, 0);
  }
  // So many symbols from the centre to the distance that 98 % do not exceed: with fewer the low
  // bits are not random, with more there are many jumps.
  struct Kind {
    unsigned symbol_bits;
    unsigned center;
    uint64_t distance;
    uint64_t symbols;
  };
  for (const Kind& kind : {Kind{4, 7, distance, 5}, Kind{4, 0, high - min, 12},
                           Kind{8, 128, distance, 12}, Kind{8, 0, high - min, 32}}) {
    const unsigned most = LowBitsFor(kind.distance, kind.symbols);
    consider(kind.symbol_bits, kind.center, most);
    if (most > 0) {
      consider(kind.symbol_bits, kind.center, most - 1);
    }
  }
}

// Looks for the model that suits best.
void CodedIntegersEncoder::Consider(Choice choice, unsigned symbol_bits, unsigned center,
                                    Choice* best) const {
  const uint64_t limit = ResidualLimit(symbol_bits, choice.low_bits);
  uint32_t counts[kMaxSymbols] = {};
  size_t jumps = 0;
  size_t min_symbol = kMaxSymbols;
  size_t max_symbol = 0;
  for (const int64_t value : sample_) {
    const uint64_t residual = static_cast<uint64_t>(value) - choice.step;
    if (residual < limit) {
      const size_t symbol = residual >> choice.low_bits;
      ++counts[symbol];
      min_symbol = std::min(min_symbol, symbol);
      max_symbol = std::max(max_symbol, symbol);
    } else {
      ++jumps;
    }
  }
  const auto size = static_cast<double>(sample_.size());
  for (size_t model = 0; model < SymbolModels().size(); ++model) {
    if (SymbolModels()[model].symbol_bits != symbol_bits ||
        SymbolModels()[model].center != center) {
      continue;
    }
    const double* symbol_bits_of = FactsOfModels()[model].bits;
    double bits = static_cast<double>(jumps) * kBitsPerJump;
    for (size_t symbol = min_symbol; symbol <= max_symbol; ++symbol) {
      bits += counts[symbol] * symbol_bits_of[symbol];
    }
    const double bits_per_value = bits / size + choice.low_bits;
    if (bits_per_value < best->bits_per_value) {
      *best = choice;
      best->model = model;
      best->bits_per_value = bits_per_value;
    }
  }
}

void CodedIntegersEncoder::AppendZones(const uint64_t* values, size_t count, const Choice& choice) {
  jumps_.clear();
  code_sizes_.clear();
  zones_.clear();
  for (size_t row = 0; row < count; row += kZoneRows) {
    AppendZone(values, row, std::min(kZoneRows, count - row), choice);
  }
}

void CodedIntegersEncoder::AppendZone(const uint64_t* values, size_t first_row, size_t count,
                                      const Choice& choice) {
  const SymbolModel& model = SymbolModels()[choice.model];
  const bool is_delta = choice.coding == IntegerCoding::kDelta;
  const ModelFacts& facts = FactsOfModels()[choice.model];
  const uint64_t min_residual = facts.min_symbol << choice.low_bits;
  const uint64_t residual_range = (facts.max_symbol - facts.min_symbol + 1) << choice.low_bits;
  const uint64_t filler = Filler(model, choice.low_bits);
  const uint64_t low_mask = (uint64_t{1} << choice.low_bits) - 1;
  const size_t first_residual = first_row + (is_delta ? 1 : 0);
  const size_t residual_count = count - (is_delta ? 1 : 0);
  uint64_t lows[kZoneRows];
  uint8_t symbols[kZoneRows + 8];
  for (size_t i = 0; i < residual_count; ++i) {
    const size_t row = first_residual + i;
    uint64_t residual = values[row] - (is_delta ? values[row - 1] : 0) - choice.step;
    if (residual - min_residual >= residual_range) [[unlikely]] {
      jumps_.push_back({static_cast<uint16_t>(row), residual - filler});
      residual = filler;
    }
    lows[i] = residual & low_mask;
    symbols[i] = static_cast<uint8_t>(residual >> choice.low_bits);
  }
  PackBits(lows, residual_count, choice.low_bits, &zones_);
  if (model.symbol_bits == 0) {
    code_sizes_.push_back(0);
    return;
  }
  // What fills up the last byte has a short code word.
  std::fill_n(symbols + residual_count, 8, model.center);
  uint8_t bytes[kZoneRows * kMaxSymbolBits / 8];
  const size_t byte_count = PackedSize(residual_count, model.symbol_bits);
  const size_t per_byte = 8u / model.symbol_bits;
  for (size_t i = 0; i < byte_count; ++i) {
    unsigned byte = 0;
    for (size_t symbol = 0; symbol < per_byte; ++symbol) {
      byte |= unsigned{symbols[i * per_byte + symbol]} << (symbol * model.symbol_bits);
    }
    bytes[i] = static_cast<uint8_t>(byte);
  }
  const size_t codes_begin = zones_.size();
  SymbolCode::Of(choice.model).Encode({bytes, byte_count}, &zones_);
  code_sizes_.push_back(zones_.size() - codes_begin);
}

void CodedIntegersEncoder::AppendHeader(const uint64_t* values, size_t count, const Choice& choice,
                                        std::string* out) {
  const size_t zone_count = (count + kZoneRows - 1) / kZoneRows;
  uint64_t offsets[kMaxChunkRows / kZoneRows] = {};
  uint64_t first = 0;
  uint64_t slope = 0;
  if (choice.coding == IntegerCoding::kDelta) {
    // The line through the first and the last base, moved down so that all are on or above it.
    const uint64_t last_base = values[(zone_count - 1) * kZoneRows];
    slope = zone_count == 1 ? 0
                            : static_cast<uint64_t>(static_cast<int64_t>(last_base - values[0]) /
                                                    static_cast<int64_t>(zone_count - 1));
    int64_t min = 0;
    for (size_t zone = 0; zone < zone_count; ++zone) {
      offsets[zone] = values[zone * kZoneRows] - values[0] - zone * slope;
      min = std::min(min, static_cast<int64_t>(offsets[zone]));
    }
    for (size_t zone = 0; zone < zone_count; ++zone) {
      offsets[zone] -= static_cast<uint64_t>(min);
    }
    first = values[0] + static_cast<uint64_t>(min);
  }
  unsigned jump_bytes = 0;
  for (const Jump& jump : jumps_) {
    jump_bytes = std::max(jump_bytes, SignedBytes(jump.difference));
  }
  const auto [min_size, max_size] = std::ranges::minmax(code_sizes_);
  const uint64_t min_code_size = min_size;
  const unsigned code_size_width = PackedWidth(max_size - min_size);
  for (uint64_t& size : code_sizes_) {
    size -= min_code_size;
  }
  const unsigned first_bytes = SignedBytes(first);
  const unsigned slope_bytes = SignedBytes(slope);
  const unsigned step_bytes = SignedBytes(choice.step);
  const unsigned offset_width = PackedWidth(*std::max_element(offsets, offsets + zone_count));
  out->push_back(static_cast<char>(choice.model));
  out->push_back(static_cast<char>(choice.low_bits));
  out->push_back(static_cast<char>(first_bytes | slope_bytes << 4));
  out->push_back(static_cast<char>(offset_width));
  out->push_back(static_cast<char>(step_bytes | jump_bytes << 4));
  out->push_back(static_cast<char>(min_code_size));
  out->push_back(static_cast<char>(code_size_width));
  AppendBytes(first, first_bytes, out);
  AppendBytes(slope, slope_bytes, out);
  AppendBytes(choice.step, step_bytes, out);
  if (!jumps_.empty()) {
    AppendBytes(jumps_.size(), sizeof(uint16_t), out);
    for (const Jump& jump : jumps_) {
      AppendBytes(jump.row, sizeof(uint16_t), out);
    }
    for (const Jump& jump : jumps_) {
      AppendBytes(jump.difference, jump_bytes, out);
    }
  }
  PackBits(offsets, zone_count, offset_width, out);
  PackBits(code_sizes_.data(), zone_count, code_size_width, out);
}

// ---- Decoding

std::optional<CodedIntegersView> CodedIntegersView::Open(std::string_view bytes,
                                                         IntegerCoding coding, size_t count) {
  if (bytes.size() < kFixedHeaderSize || count == 0) {
    return std::nullopt;
  }
  const auto byte = [&](size_t offset) { return static_cast<uint8_t>(bytes[offset]); };
  const unsigned first_bytes = byte(2) & 0xF;
  const unsigned slope_bytes = byte(2) >> 4;
  const unsigned step_bytes = byte(4) & 0xF;
  const unsigned jump_bytes = byte(4) >> 4;
  const size_t header_size = kFixedHeaderSize + first_bytes + slope_bytes + step_bytes +
                             (jump_bytes > 0 ? sizeof(uint16_t) : 0);
  if (byte(0) >= SymbolModels().size() || byte(1) > kMaxLowBits || !IsPackedWidth(byte(3)) ||
      byte(6) > kMaxCodeSizeWidth ||
      std::max({first_bytes, slope_bytes, step_bytes, jump_bytes}) > 8 ||
      bytes.size() < header_size) {
    return std::nullopt;
  }
  const CodedIntegersView view(bytes, coding, count);
  return view.IsWellFormed() ? std::optional(view) : std::nullopt;
}

CodedIntegersView::CodedIntegersView(std::string_view bytes, IntegerCoding coding, size_t count,
                                     size_t slack_bytes)
    : bytes_(bytes), count_(count), slack_bytes_(slack_bytes), coding_(coding) {
  const auto byte = [&](size_t offset) { return static_cast<uint8_t>(bytes[offset]); };
  model_ = byte(0);
  symbol_bits_ = SymbolModels()[model_].symbol_bits;
  low_bits_ = byte(1);
  first_bytes_ = byte(2) & 0xF;
  slope_bytes_ = byte(2) >> 4;
  offset_width_ = byte(3);
  step_bytes_ = byte(4) & 0xF;
  jump_bytes_ = byte(4) >> 4;
  min_code_size_ = byte(5);
  code_size_width_ = byte(6);
  const char* in = bytes.data() + kFixedHeaderSize;
  first_ = ReadSigned(in, first_bytes_);
  slope_ = ReadSigned(in + first_bytes_, slope_bytes_);
  step_ = ReadSigned(in + first_bytes_ + slope_bytes_, step_bytes_);
  jumps_offset_ = kFixedHeaderSize + first_bytes_ + slope_bytes_ + step_bytes_;
  if (jump_bytes_ > 0) {
    jump_count_ = ReadUnsigned(bytes.data() + jumps_offset_, sizeof(uint16_t));
    jumps_offset_ += sizeof(uint16_t);
  }
  offsets_offset_ = jumps_offset_ + jump_count_ * (sizeof(uint16_t) + jump_bytes_);
  sizes_offset_ = offsets_offset_ + PackedSize(ZoneCount(), offset_width_);
  zones_offset_ = sizes_offset_ + PackedSize(ZoneCount(), code_size_width_);
}

bool CodedIntegersView::IsWellFormed() const {
  if (bytes_.size() < zones_offset_) {
    return false;
  }
  for (size_t i = 0; i < jump_count_; ++i) {
    if (JumpRow(i) >= count_ || (i > 0 && JumpRow(i) <= JumpRow(i - 1)) ||
        (coding_ == IntegerCoding::kDelta && JumpRow(i) % kZoneRows == 0)) {
      return false;
    }
  }
  size_t size = zones_offset_ + CodeSizes(ZoneCount());
  for (size_t zone = 0; zone < ZoneCount(); ++zone) {
    size += LowSize(zone);
  }
  return size == bytes_.size();
}

size_t CodedIntegersView::ValuesInZone(size_t zone) const {
  return std::min(kZoneRows, count_ - zone * kZoneRows);
}

size_t CodedIntegersView::LowSize(size_t zone) const {
  return PackedSize(ResidualCount(ValuesInZone(zone)), low_bits_);
}

size_t CodedIntegersView::CodeSizes(size_t zone_count) const {
  uint64_t more[kZoneBufferSize];
  UnpackBits(bytes_.substr(sizes_offset_), zone_count, code_size_width_, more);
  return std::accumulate(more, more + zone_count, zone_count * min_code_size_);
}

uint64_t CodedIntegersView::Base(size_t zone) const {
  const std::string_view offsets =
      bytes_.substr(offsets_offset_, PackedSize(ZoneCount(), offset_width_));
  return first_ + zone * slope_ + UnpackOne(offsets, zone, offset_width_);
}

std::string_view CodedIntegersView::ZoneBits(size_t zone) const {
  // The zones before are full.
  const size_t offset =
      zones_offset_ + CodeSizes(zone) + zone * PackedSize(ResidualCount(kZoneRows), low_bits_);
  return {bytes_.data() + offset, bytes_.size() - offset + slack_bytes_};
}

uint16_t CodedIntegersView::JumpRow(size_t index) const {
  return static_cast<uint16_t>(
      ReadUnsigned(bytes_.data() + jumps_offset_ + index * sizeof(uint16_t), sizeof(uint16_t)));
}

uint64_t CodedIntegersView::JumpDifference(size_t index) const {
  const char* differences = bytes_.data() + jumps_offset_ + jump_count_ * sizeof(uint16_t);
  return ReadSigned(differences + index * jump_bytes_, jump_bytes_);
}

size_t CodedIntegersView::FindJump(size_t row) const {
  size_t low = 0;
  size_t high = jump_count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (JumpRow(middle) < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool CodedIntegersView::HasJumps(size_t first_row, size_t count) const {
  const size_t jump = FindJump(first_row);
  return jump < jump_count_ && JumpRow(jump) < first_row + count;
}

void CodedIntegersView::DecodeSymbols(size_t zone, std::string_view bits, size_t residual_count,
                                      SymbolBuffer* symbols) const {
  static_assert(sizeof(SymbolBuffer::bytes) >=
                kZoneRows * kMaxSymbolBits / 8 + SymbolCode::kWriteSlack + sizeof(uint64_t));
  bits.remove_prefix(LowSize(zone));
  SymbolCode::Of(model_).Decode(bits, PackedSize(residual_count, symbol_bits_), symbols->bytes);
}

void CodedIntegersView::DecodeResiduals(size_t zone, size_t residual_count, uint64_t* out) const {
  const std::string_view bits = ZoneBits(zone);
  if (!HasSymbols()) {
    UnpackBits(bits, residual_count, low_bits_, out);
  } else {
    SymbolBuffer symbols;
    DecodeSymbols(zone, bits, residual_count, &symbols);
    UnpackBits(symbols.view(), residual_count, symbol_bits_, out);
    if (low_bits_ > 0) {
      alignas(kZoneBufferAlignment) uint64_t lows[kZoneBufferSize];
      UnpackBits(bits, residual_count, low_bits_, lows);
      for (size_t i = 0; i < residual_count; ++i) {
        out[i] = out[i] << low_bits_ | lows[i];
      }
    }
  }
  // The first residual is that of the zone's first row, or leads to the row behind it.
  const size_t first_row = zone * kZoneRows + (coding_ == IntegerCoding::kDelta ? 1 : 0);
  for (size_t i = FindJump(first_row); i < jump_count_ && JumpRow(i) < first_row + residual_count;
       ++i) {
    out[JumpRow(i) - first_row] += JumpDifference(i);
  }
}

uint64_t CodedIntegersView::DecodeZoneOffsets(size_t zone, uint64_t* out) const {
  const size_t count = ValuesInZone(zone);
  if (coding_ == IntegerCoding::kFrame) {
    DecodeResiduals(zone, count, out);
    return Base(zone) + step_;
  }
  alignas(kZoneBufferAlignment) uint64_t residuals[kZoneBufferSize];
  DecodeResiduals(zone, count - 1, residuals);
  uint64_t offset = 0;
  out[0] = 0;
  for (size_t i = 1; i < count; ++i) {
    offset += step_ + residuals[i - 1];
    out[i] = offset;
  }
  return Base(zone);
}

void CodedIntegersView::DecodeZoneAsDecimals(size_t zone, size_t count, unsigned exponent,
                                             double* out) const {
  const size_t residual_count = ResidualCount(count);
  if (coding_ == IntegerCoding::kDelta && (low_bits_ == 0 || !HasSymbols()) &&
      !HasJumps(zone * kZoneRows, count)) {
    PackedZone packed = {.base = Base(zone), .step = step_, .count = count};
    if (!HasSymbols()) {
      packed.width = low_bits_;
      packed.bits = ZoneBits(zone);
      SumsToDoubles(packed, exponent, out);
      return;
    }
    SymbolBuffer symbols;
    DecodeSymbols(zone, ZoneBits(zone), residual_count, &symbols);
    packed.width = symbol_bits_;
    packed.bits = symbols.view();
    SumsToDoubles(packed, exponent, out);
    return;
  }
  alignas(kZoneBufferAlignment) uint64_t residuals[kZoneBufferSize];
  DecodeResiduals(zone, residual_count, residuals);
  if (coding_ == IntegerCoding::kDelta) {
    residuals[residual_count] = 0;  // there is none
    SumsToDoubles(residuals, {.base = Base(zone), .step = step_, .count = count}, exponent, out);
  } else {
    ToDoubles(residuals, count, Base(zone) + step_, exponent, out);
  }
}

uint64_t CodedIntegersView::At(size_t index) const {
  const size_t zone = index / kZoneRows;
  const size_t row = index % kZoneRows;
  alignas(kZoneBufferAlignment) uint64_t residuals[kZoneBufferSize];
  if (coding_ == IntegerCoding::kFrame && !HasSymbols() && jump_count_ == 0) {
    return Base(zone) + step_ + UnpackOne(ZoneBits(zone), row, low_bits_);
  }
  if (coding_ == IntegerCoding::kFrame) {
    DecodeResiduals(zone, row + 1, residuals);
    return Base(zone) + step_ + residuals[row];
  }
  DecodeResiduals(zone, row, residuals);
  uint64_t value = Base(zone) + row * step_;
  for (size_t i = 0; i < row; ++i) {
    value += residuals[i];
  }
  return value;
}

}  // namespace tsdbd::storage
