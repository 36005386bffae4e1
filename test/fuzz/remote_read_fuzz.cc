// Remote read: requests never crash the parser, and its ranges are times that samples can have;
// whatever samples there are come out of XOR chunks as they went in.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "common/check.h"
#include "ingest/remote_read.h"
#include "ingest/xor_chunk.h"
#include "ingest/xor_chunk_testing.h"

namespace tsdbd::ingest {
namespace {

void FuzzRequest(std::string_view message) {
  const auto request = ParseRemoteRead(message);
  if (!request.ok()) {
    return;
  }
  for (const RemoteReadQuery& query : request->queries) {
    const bool is_empty = query.range.min > query.range.max;
    CHECK(is_empty ||
          (query.range.min >= model::kMinTimestamp && query.range.max <= model::kMaxTimestamp));
    for (const model::Matcher& matcher : query.matchers) {
      (void)matcher.Matches("value");
    }
  }
}

// 16 bytes a sample.
void FuzzChunk(std::string_view bytes) {
  model::SampleColumns samples;
  while (bytes.size() >= 16 && samples.size() < kMaxXorChunkSamples) {
    uint64_t time_bits = 0;
    double value = 0;
    std::memcpy(&time_bits, bytes.data(), 8);
    std::memcpy(&value, bytes.data() + 8, 8);
    bytes.remove_prefix(16);
    // Rising, as a series' are, and not beyond what milliseconds can be.
    const auto step = static_cast<int64_t>(time_bits >> (20 + time_bits % 44));
    const int64_t last = samples.size() == 0 ? 0 : samples.timestamps.back();
    samples.timestamps.push_back(last + step);
    samples.values.push_back(value);
  }
  if (samples.size() == 0) {
    return;
  }
  std::string chunk;
  AppendXorChunk(samples.timestamps, samples.values, &chunk);
  const auto decoded = DecodeXorChunk(chunk);
  CHECK(decoded.ok());
  CHECK(decoded->timestamps == samples.timestamps);
  for (size_t i = 0; i < samples.size(); ++i) {
    CHECK(std::bit_cast<uint64_t>(decoded->values[i]) ==
          std::bit_cast<uint64_t>(samples.values[i]));
  }
}

}  // namespace
}  // namespace tsdbd::ingest

// The first byte chooses what the rest is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0) {
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (data[0] & 1) {
      tsdbd::ingest::FuzzChunk(input);
    } else {
      tsdbd::ingest::FuzzRequest(input);
    }
  }
  return 0;
}
