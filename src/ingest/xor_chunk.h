#pragma once
// Prometheus' XOR chunk (after Gorilla): up to 120 samples as remote read streams them. Encoder
// only; nothing of ours is stored in it. Pure function.
//
//   chunk   := count:16  first  second  rest...        big-endian bits, padded with zeros to a byte
//   first   := zig-zag varint of the timestamp, value:64
//   second  := varint of the delta to the first timestamp, xored value
//   rest    := delta of delta of the timestamp, xored value
//   delta of delta := 0 | 10 d:14 | 110 d:17 | 1110 d:20 | 1111 d:64     the first that holds it
//   xored value    := 0                                                  equal to the one before
//                   | 10 bits                                            in the window before
//                   | 11 leading zeros:5  length:6  bits                 in a new window

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tsdbd::ingest {

// As many as Prometheus' own chunks have at most; its reader takes up to 65,535.
inline constexpr size_t kMaxXorChunkSamples = 120;

// Appends the chunk of the samples (timestamps_ms[i], values[i]), of which there is at least one
// and kMaxXorChunkSamples at most. Values keep their bits.
void AppendXorChunk(std::span<const int64_t> timestamps_ms, std::span<const double> values,
                    std::string* out);

}  // namespace tsdbd::ingest
