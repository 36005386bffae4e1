#pragma once
// ChunkedDecoder: takes the chunked transfer coding off a body (RFC 9112, 7.1). Our own instead of
// llhttp's, because it must refuse what that one tolerates (bare LF, blanks after sizes) and bound
// extensions and trailers, which carry nothing for us and are dropped.
//
// Threads: one thread at a time.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tsdbd::http {

class ChunkedDecoder {
 public:
  enum class Event { kNeedMore, kData, kDone, kMalformed };

  // Takes bytes off the front of `input`. kData: `data` is the next piece of the body, a view into
  // what was taken. kNeedMore: input is used up. kDone: what is left belongs to the next request.
  Event Next(std::string_view* input, std::string_view* data);

  // After kMalformed.
  const char* error() const { return error_; }

 private:
  enum class State : uint8_t {
    kSizeFirst,  // first digit of a chunk's size
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerFirst,  // first character of a trailer line, or CR
    kTrailer,
    kTrailerLf,
    kEndLf,
  };

  // More digits overflow 64 bits.
  static constexpr int kMaxSizeDigits = 16;
  // For one chunk, and for all of a body: signatures fit, a stream of nothing else does not.
  static constexpr uint32_t kMaxExtensionBytes = 256;
  static constexpr uint32_t kMaxExtensionsTotalBytes = 128u << 10;
  static constexpr uint32_t kMaxTrailerBytes = 8u << 10;

  // One character outside of data. kNeedMore goes on.
  Event Step(char c);
  Event StepSize(char c);
  Event StepExtension(char c);
  Event StepTrailer(char c);
  Event EndSizeLine();
  Event Expect(char c, char expected, State next);
  Event Malformed(const char* reason) {
    error_ = reason;
    return Event::kMalformed;
  }

  State state_ = State::kSizeFirst;
  uint8_t size_digits_ = 0;
  uint32_t extension_bytes_ = 0;  // of this chunk
  uint32_t extensions_total_bytes_ = 0;
  uint32_t trailer_bytes_ = 0;
  uint64_t remaining_bytes_ = 0;  // of this chunk's data
  const char* error_ = nullptr;
};

}  // namespace tsdbd::http
