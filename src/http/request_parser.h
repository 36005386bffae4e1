#pragma once
// RequestParser: bytes of a connection in, Requests out. No sockets, so that tests and fuzzers can
// feed it anything. The head goes through HeadScanner (strict, and finds the end), then in one
// piece through llhttp, then its fields are checked against each other. Body framing is done here.
//
// Stricter than the standard asks wherever two readers could disagree about where a request ends:
// everything doubtful is refused, and after a refusal the connection must be closed.
//
// Threads: one thread at a time.
//
//   kNeedMore ──bytes──> kHead ──AcceptHead──> kMessage ──TakeRequest──> (next request)
//        └──────────────────┴────────────────────> kRefused: final

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <llhttp.h>

#include "http/body_buffer.h"
#include "http/chunked_decoder.h"
#include "http/compression.h"
#include "http/head_scanner.h"
#include "http/refusal.h"
#include "http/request.h"

namespace tsdbd::http {

// What a route accepts as a body.
struct BodyRules {
  size_t max_body_bytes = 0;
  // A Content-Encoding that stays as it is.
  std::string_view raw_content_encoding = {};
};

class RequestParser {
 public:
  enum class Event { kNeedMore, kHead, kMessage, kRefused };

  RequestParser(size_t max_head_bytes, std::shared_ptr<BodyPool> body_pool)
      : max_head_bytes_(max_head_bytes), body_pool_(std::move(body_pool)) {}

  // Takes bytes off the front of `input` up to the next event.
  Event Parse(std::string_view* input);

  // From kHead to TakeRequest.
  Request* request() { return request_.get(); }
  // After kHead: what the head says about the body.
  bool has_body() const { return is_chunked_ || content_length_ > 0; }
  bool expects_continue() const { return expects_continue_; }
  // After kHead, before parsing on: refuses a body that breaks the rules.
  Refusal AcceptHead(const BodyRules& rules);

  // Where the body may be received directly, without Parse: empty unless in a body of known length
  // of which much is missing. Then CommitDirect tells how many bytes came.
  std::span<char> DirectSpace();
  Event CommitDirect(size_t bytes);

  // After kMessage; or after kHead, to drop a request without body. The body still has its content
  // coding: see InflateBody.
  std::unique_ptr<Request> TakeRequest();
  ContentCoding coding() const { return coding_; }
  size_t max_body_bytes() const { return max_body_bytes_; }
  // Takes the content coding off a request's body. Apart from the parser, because it may take long.
  static Refusal InflateBody(ContentCoding coding, size_t max_body_bytes, Request* request);

  // Between two requests.
  bool is_idle() const { return phase_ == Phase::kHead && partial_head_.empty(); }
  bool is_in_body() const { return phase_ == Phase::kBody; }
  // After kRefused.
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class Phase : uint8_t { kHead, kHeadDone, kBody, kMessageDone, kRefused };
  struct Callbacks;  // llhttp's

  Event ParseHead(std::string_view* input);
  Event FinishHead(std::string_view bytes);
  Refusal RunLlhttp();
  Refusal CheckFields();
  Refusal CheckFraming();
  Refusal CheckTarget();
  Event ParseBody(std::string_view* input);
  Event ParseSized(std::string_view* input);
  Event ParseChunked(std::string_view* input);
  void ReserveSized();
  Event Complete();
  Event Refuse(Refusal refusal);

  // Constant after construction.
  const size_t max_head_bytes_;
  const std::shared_ptr<BodyPool> body_pool_;

  Phase phase_ = Phase::kHead;
  HeadScanner scanner_;
  std::string partial_head_;  // of a head that did not come in one piece
  int64_t arrived_nanos_ = 0;

  std::unique_ptr<Request> request_;
  std::string_view target_;
  bool is_chunked_ = false;
  bool expects_continue_ = false;
  ContentCoding coding_ = ContentCoding::kIdentity;
  size_t max_body_bytes_ = 0;
  uint64_t content_length_ = 0;
  uint64_t remaining_bytes_ = 0;  // of a body of known length
  ChunkedDecoder chunks_;
  Refusal refusal_;
};

}  // namespace tsdbd::http
