#include "http/chunked_decoder.h"

#include <algorithm>

#include "http/text.h"

namespace tsdbd::http {

namespace {

bool IsControlCharacter(char c) {
  return (static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7F;
}

}  // namespace

ChunkedDecoder::Event ChunkedDecoder::Next(std::string_view* input, std::string_view* data) {
  while (!input->empty()) {
    if (state_ == State::kData) {
      *data = input->substr(0, std::min<uint64_t>(remaining_bytes_, input->size()));
      input->remove_prefix(data->size());
      remaining_bytes_ -= data->size();
      if (remaining_bytes_ == 0) {
        state_ = State::kDataCr;
      }
      return Event::kData;
    }
    const char c = input->front();
    input->remove_prefix(1);
    const Event event = Step(c);
    if (event != Event::kNeedMore) {
      return event;
    }
  }
  return Event::kNeedMore;
}

ChunkedDecoder::Event ChunkedDecoder::Step(char c) {
  switch (state_) {
    case State::kSizeFirst:
    case State::kSize:
      return StepSize(c);
    case State::kExtension:
      return StepExtension(c);
    case State::kSizeLf:
      return c == '\n' ? EndSizeLine() : Malformed("chunk size line without LF after CR");
    case State::kDataCr:
      return Expect(c, '\r', State::kDataLf);
    case State::kDataLf:
      size_digits_ = 0;
      extension_bytes_ = 0;
      return Expect(c, '\n', State::kSizeFirst);
    case State::kTrailerFirst:
    case State::kTrailer:
      return StepTrailer(c);
    case State::kTrailerLf:
      return Expect(c, '\n', State::kTrailerFirst);
    case State::kEndLf:
      return c == '\n' ? Event::kDone : Malformed("CR without LF after the last chunk");
    case State::kData:
      break;
  }
  return Malformed("chunk data where none can be");
}

ChunkedDecoder::Event ChunkedDecoder::StepSize(char c) {
  int digit = -1;
  if (c >= '0' && c <= '9') {
    digit = c - '0';
  } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
    digit = (c | 0x20) - 'a' + 10;
  }
  if (digit >= 0) {
    if (++size_digits_ > kMaxSizeDigits) {
      return Malformed("chunk size has too many digits");
    }
    remaining_bytes_ = remaining_bytes_ * 16 + static_cast<uint64_t>(digit);
    state_ = State::kSize;
    return Event::kNeedMore;
  }
  if (state_ == State::kSize && c == ';') {
    state_ = State::kExtension;
    return Event::kNeedMore;
  }
  if (state_ == State::kSize && c == '\r') {
    state_ = State::kSizeLf;
    return Event::kNeedMore;
  }
  return Malformed("chunk size is not a hexadecimal number");
}

ChunkedDecoder::Event ChunkedDecoder::StepExtension(char c) {
  if (c == '\r') {
    state_ = State::kSizeLf;
    return Event::kNeedMore;
  }
  if (IsControlCharacter(c)) {
    return Malformed("control character in a chunk extension");
  }
  if (++extension_bytes_ > kMaxExtensionBytes ||
      ++extensions_total_bytes_ > kMaxExtensionsTotalBytes) {
    return Malformed("chunk extensions are too long");
  }
  return Event::kNeedMore;
}

ChunkedDecoder::Event ChunkedDecoder::StepTrailer(char c) {
  if (++trailer_bytes_ > kMaxTrailerBytes) {
    return Malformed("trailer is too long");
  }
  if (c == '\r') {
    state_ = state_ == State::kTrailerFirst ? State::kEndLf : State::kTrailerLf;
    return Event::kNeedMore;
  }
  if (IsControlCharacter(c) || (state_ == State::kTrailerFirst && !IsTokenCharacter(c))) {
    return Malformed("malformed trailer");
  }
  state_ = State::kTrailer;
  return Event::kNeedMore;
}

ChunkedDecoder::Event ChunkedDecoder::EndSizeLine() {
  state_ = remaining_bytes_ == 0 ? State::kTrailerFirst : State::kData;
  return Event::kNeedMore;
}

ChunkedDecoder::Event ChunkedDecoder::Expect(char c, char expected, State next) {
  if (c != expected) {
    return Malformed("chunk is not followed by CR LF");
  }
  state_ = next;
  return Event::kNeedMore;
}

}  // namespace tsdbd::http
