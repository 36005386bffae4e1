#include "http/exchange.h"

#include <utility>

#include "common/check.h"
#include "http/answer_head.h"
#include "http/compression.h"
#include "http/text.h"
#include "net/server.h"

namespace tsdbd::http {

namespace {

// A wake-up of the loop and a packet or more for each piece: small pieces wait for each other.
constexpr size_t kMinPieceBytes = size_t{16} << 10;

bool HasHeader(const Answer& answer, std::string_view name) {
  for (const HeaderField& header : answer.headers) {
    if (EqualsIgnoringCase(header.name, name)) {
      return true;
    }
  }
  return false;
}

void RunIfSet(const std::function<void()>& callback) {
  if (callback) {
    callback();
  }
}

}  // namespace

Exchange::Exchange(std::unique_ptr<Request> request, std::shared_ptr<net::Link> link,
                   AnswerRules rules)
    : request_(std::move(request)), link_(std::move(link)), rules_(rules) {}

Exchange::~Exchange() = default;

void Exchange::Respond(Answer answer) {
  if (answer.body.size() >= rules_.min_gzip_bytes && ShouldGzip(answer)) {
    std::string compressed;
    if (GzipWhole(answer.body, &compressed)) {
      answer.body = std::move(compressed);
      answer.headers.push_back({"Content-Encoding", "gzip"});
      answer.headers.push_back({"Vary", "Accept-Encoding"});
    }
  }
  bool post = false;
  {
    MutexLock lock(&mutex_);
    CHECK(state_ == State::kWaiting);
    state_ = State::kWhole;
    answer_ = std::move(answer);
    post = NeedsPost();
  }
  if (post) {
    Post();
  }
}

void Exchange::Respond(int status, std::string_view content_type, std::string body) {
  Respond({status, std::string(content_type), std::move(body), {}});
}

void Exchange::BeginStream(int status, std::string_view content_type,
                           std::vector<HeaderField> headers) {
  CHECK(!HasNoBody(status));
  Answer answer{status, std::string(content_type), {}, std::move(headers)};
  if (ShouldGzip(answer)) {
    gzip_ = std::make_unique<GzipStream>();
    answer.headers.push_back({"Content-Encoding", "gzip"});
    answer.headers.push_back({"Vary", "Accept-Encoding"});
  }
  MutexLock lock(&mutex_);
  CHECK(state_ == State::kWaiting);
  state_ = State::kStreaming;
  answer_ = std::move(answer);
}

bool Exchange::Write(std::string_view bytes) {
  if (request_->method() == Method::kHead) {
    return false;
  }
  std::string compressed;
  if (gzip_ != nullptr) {
    gzip_->Write(bytes, &compressed);
    bytes = compressed;
  }
  bool post = false;
  {
    MutexLock lock(&mutex_);
    CHECK(state_ == State::kStreaming);
    while (stream_.size() >= rules_.max_stream_bytes && !disconnected_ &&
           !net::IsLoopThread()) {
      drained_.Wait(&mutex_);
    }
    if (disconnected_) {
      return false;
    }
    stream_.append(bytes);
    post = stream_.size() >= kMinPieceBytes && NeedsPost();
  }
  if (post) {
    Post();
  }
  return true;
}

void Exchange::End() {
  std::string compressed;
  if (gzip_ != nullptr && request_->method() != Method::kHead) {
    gzip_->End(&compressed);
  }
  bool post = false;
  {
    MutexLock lock(&mutex_);
    CHECK(state_ == State::kStreaming);
    stream_.append(compressed);
    state_ = State::kEnded;
    post = NeedsPost();
  }
  if (post) {
    Post();
  }
}

void Exchange::Abort() {
  bool post = false;
  {
    MutexLock lock(&mutex_);
    CHECK(state_ == State::kWaiting || state_ == State::kStreaming);
    state_ = State::kAborted;
    post = NeedsPost();
  }
  if (post) {
    Post();
  }
}

void Exchange::OnCancel(std::function<void()> callback) {
  {
    MutexLock lock(&mutex_);
    if (!cancelled()) {
      on_cancel_ = std::move(callback);
      return;
    }
  }
  callback();
}

void Exchange::OnSent(std::function<void()> callback) {
  MutexLock lock(&mutex_);
  on_sent_ = std::move(callback);
}

void Exchange::RunHandler(const std::shared_ptr<Exchange>& exchange,
                          const std::function<void(std::shared_ptr<Exchange>)>& handler) {
  {
    MutexLock lock(&exchange->mutex_);
    exchange->in_handler_ = true;
  }
  handler(std::shared_ptr<Exchange>(exchange.get(),
                                    [exchange](Exchange* handle) { handle->Abandon(); }));
  MutexLock lock(&exchange->mutex_);
  exchange->in_handler_ = false;
}

bool Exchange::has_output() {
  MutexLock lock(&mutex_);
  return (state_ != State::kWaiting && state_ != State::kStreaming) ||
         stream_.size() >= kMinPieceBytes;
}

Exchange::Output Exchange::Take() {
  Output output;
  std::function<void()> dropped;
  {
    MutexLock lock(&mutex_);
    posted_ = false;
    output.aborted = state_ == State::kAborted;
    output.is_stream = state_ == State::kStreaming || state_ == State::kEnded;
    if (state_ != State::kWaiting && !output.aborted && !head_taken_) {
      head_taken_ = true;
      output.has_head = true;
      output.answer = std::move(answer_);
    }
    output.stream = std::move(stream_);
    stream_.clear();
    output.ended = state_ == State::kWhole || state_ == State::kEnded;
    if (output.ended || output.aborted) {
      output.on_sent = std::move(on_sent_);
      dropped = std::move(on_cancel_);
      on_cancel_ = nullptr;
    }
  }
  drained_.NotifyAll();
  return output;
}

void Exchange::Cancel() {
  std::function<void()> callback;
  {
    MutexLock lock(&mutex_);
    cancelled_.store(true, std::memory_order_release);
    callback = std::exchange(on_cancel_, nullptr);
  }
  RunIfSet(callback);
}

void Exchange::Disconnect() {
  std::function<void()> on_sent;
  {
    MutexLock lock(&mutex_);
    disconnected_ = true;
    on_sent = std::exchange(on_sent_, nullptr);
  }
  drained_.NotifyAll();
  Cancel();
  RunIfSet(on_sent);
}

void Exchange::Abandon() {
  bool is_unfinished = false;
  {
    MutexLock lock(&mutex_);
    is_unfinished = state_ == State::kWaiting || state_ == State::kStreaming;
  }
  if (is_unfinished) {
    Abort();
  }
}

bool Exchange::NeedsPost() {
  if (in_handler_ || posted_ || disconnected_) {
    return false;
  }
  posted_ = true;
  return true;
}

bool Exchange::ShouldGzip(const Answer& answer) const {
  return request_->method() != Method::kHead && IsCompressibleType(answer.content_type) &&
         AcceptsGzip(request_->Header("accept-encoding")) && !HasHeader(answer, "content-encoding");
}

}  // namespace tsdbd::http
