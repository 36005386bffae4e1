#include "ingest/xor_chunk.h"

#include <algorithm>
#include <bit>

#include "common/check.h"
#include "common/varint.h"

namespace tsdbd::ingest {
namespace {

// Appends bits, the highest first.
class BitWriter {
 public:
  explicit BitWriter(std::string* out) : out_(out) {}

  // The `count` (1 to 64) lowest bits of `bits`.
  void Write(uint64_t bits, int count) {
    while (count > 0) {
      const int taken = std::min(count, 8 - filled_);
      const auto part = static_cast<uint8_t>((bits >> (count - taken)) & ((1u << taken) - 1));
      byte_ = static_cast<uint8_t>(byte_ | (part << (8 - filled_ - taken)));
      filled_ += taken;
      count -= taken;
      if (filled_ == 8) {
        Flush();
      }
    }
  }

  void WriteVarint(uint64_t value) {
    char bytes[kMaxVarintBytes];
    const char* const end = PutVarint(bytes, value);
    for (const char* p = bytes; p < end; ++p) {
      Write(static_cast<uint8_t>(*p), 8);
    }
  }

  void Finish() {
    if (filled_ > 0) {
      Flush();
    }
  }

 private:
  void Flush() {
    out_->push_back(static_cast<char>(byte_));
    byte_ = 0;
    filled_ = 0;
  }

  std::string* const out_;
  uint8_t byte_ = 0;
  int filled_ = 0;
};

// Whether a delta of delta has its place in `bits` bits: they hold one more above zero than below.
bool Fits(int64_t delta, int bits) {
  const int64_t half = int64_t{1} << (bits - 1);
  return -half + 1 <= delta && delta <= half;
}

void WriteDeltaOfDelta(int64_t delta, BitWriter* writer) {
  const auto bits = static_cast<uint64_t>(delta);
  if (delta == 0) {
    writer->Write(0, 1);
  } else if (Fits(delta, 14)) {
    writer->Write(0b10, 2);
    writer->Write(bits, 14);
  } else if (Fits(delta, 17)) {
    writer->Write(0b110, 3);
    writer->Write(bits, 17);
  } else if (Fits(delta, 20)) {
    writer->Write(0b1110, 4);
    writer->Write(bits, 20);
  } else {
    writer->Write(0b1111, 4);
    writer->Write(bits, 64);
  }
}

class ValueWriter {
 public:
  void Write(double value, BitWriter* writer) {
    const auto bits = std::bit_cast<uint64_t>(value);
    const uint64_t changed = bits ^ previous_;
    previous_ = bits;
    if (changed == 0) {
      writer->Write(0, 1);
      return;
    }
    writer->Write(1, 1);
    // Five bits tell of 31 at most.
    const int leading = std::min(std::countl_zero(changed), 31);
    const int trailing = std::countr_zero(changed);
    if (has_window_ && leading >= leading_ && trailing >= trailing_) {
      writer->Write(0, 1);
    } else {
      has_window_ = true;
      leading_ = leading;
      trailing_ = trailing;
      writer->Write(1, 1);
      writer->Write(static_cast<uint64_t>(leading), 5);
      // A length of 64 is written as 0: no window is empty.
      writer->Write(static_cast<uint64_t>(64 - leading - trailing) & 63, 6);
    }
    writer->Write(changed >> trailing_, 64 - leading_ - trailing_);
  }

  void Start(double value) { previous_ = std::bit_cast<uint64_t>(value); }

 private:
  uint64_t previous_ = 0;
  bool has_window_ = false;
  int leading_ = 0;
  int trailing_ = 0;
};

}  // namespace

void AppendXorChunk(std::span<const int64_t> timestamps_ms, std::span<const double> values,
                    std::string* out) {
  CHECK(!values.empty() && values.size() <= kMaxXorChunkSamples);
  CHECK(timestamps_ms.size() == values.size());
  BitWriter writer(out);
  ValueWriter value_writer;
  writer.Write(values.size(), 16);
  writer.WriteVarint(ZigZag(timestamps_ms[0]));
  writer.Write(std::bit_cast<uint64_t>(values[0]), 64);
  value_writer.Start(values[0]);
  int64_t previous_delta = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    const int64_t delta = timestamps_ms[i] - timestamps_ms[i - 1];
    if (i == 1) {
      writer.WriteVarint(static_cast<uint64_t>(delta));
    } else {
      WriteDeltaOfDelta(delta - previous_delta, &writer);
    }
    previous_delta = delta;
    value_writer.Write(values[i], &writer);
  }
  writer.Finish();
}

}  // namespace tsdbd::ingest
