#include "http/connection.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "common/check.h"
#include "http/server_state.h"
#include "net/event_loop.h"

namespace tsdbd::http {

namespace {

// What a client may send ahead while a request of its is being answered, before it is no longer
// read from. One more read may come on top.
constexpr size_t kMaxPendingBytes = size_t{64} << 10;
// Unsent bytes above which no further request is begun and no more of a stream is taken.
constexpr size_t kMaxUnsentBytes = size_t{256} << 10;
// A client that is still sending when it has been refused gets this long after each read, and
// progress_timeout_ms in all, to notice.
constexpr uint64_t kLingerMs = 1'000;
// Compressed bodies above this are inflated on libuv's threads: they would hold up the loop for
// more than a few milliseconds.
constexpr size_t kMaxInlineInflateBytes = size_t{256} << 10;

}  // namespace

struct Connection::InflateJob {
  uv_work_t work;
  Connection* connection;  // null once it is closed
  std::unique_ptr<Request> request;
  ContentCoding coding;
  size_t max_body_bytes;
  Refusal refusal;
};

Connection::Connection(net::EventLoop* loop, ServerState* server)
    : net::Connection(loop),
      server_(server),
      loop_state_(&server->loops[loop->index()]),
      parser_(server->options.max_head_bytes, server->body_pool),
      since_ms_(loop->now_ms()) {}

Connection::~Connection() = default;

std::span<char> Connection::ReadSpace() {
  if (phase_ == Phase::kReading && pending_bytes() == 0) {
    if (const std::span<char> space = parser_.DirectSpace(); !space.empty()) {
      return space;
    }
  }
  return loop_->read_buffer();
}

void Connection::OnRead(std::span<char> bytes) {
  loop_->counters().received_bytes.Add(bytes.size());
  window_bytes_ += bytes.size();
  std::string_view input(bytes.data(), bytes.size());
  if (bytes.data() != loop_->read_buffer().data()) {
    HandleEvent(parser_.CommitDirect(bytes.size()), /*is_body_here=*/true);
  } else if (phase_ == Phase::kLingering) {
    since_ms_ = loop_->now_ms();
  } else {
    if (pending_bytes() == 0) {
      Process(&input);
    }
    pending_.append(input);
  }
  Settle();
}

void Connection::OnEndOfInput() {
  is_input_ended_ = true;
  if (exchange_ != nullptr) {
    exchange_->Cancel();
  }
  Settle();
}

void Connection::OnWritten() {
  if (exchange_ != nullptr && exchange_->has_output()) {
    TakeOutput();
  }
  ProcessPending();
  Settle();
}

void Connection::ProcessPending() {
  std::string_view input = std::string_view(pending_).substr(pending_offset_);
  Process(&input);
  pending_offset_ = pending_.size() - input.size();
  if (input.empty()) {
    std::string().swap(pending_);
    pending_offset_ = 0;
  } else if (pending_offset_ >= kMaxPendingBytes) {
    // A client that always has something waiting must not make it grow; seldom enough to cost
    // nothing.
    pending_.erase(0, std::exchange(pending_offset_, 0));
  }
}

void Connection::Process(std::string_view* input) {
  while (phase_ == Phase::kReading && !IsChoked()) {
    if (parser_.is_idle() && !input->empty()) {
      since_ms_ = loop_->now_ms();
    }
    const RequestParser::Event event = parser_.Parse(input);
    if (!HandleEvent(event, !input->empty())) {
      return;
    }
  }
}

bool Connection::HandleEvent(RequestParser::Event event, bool is_body_here) {
  switch (event) {
    case RequestParser::Event::kNeedMore:
      return false;
    case RequestParser::Event::kHead:
      HandleHead(is_body_here);
      return true;
    case RequestParser::Event::kMessage:
      HandleMessage();
      return true;
    case RequestParser::Event::kRefused:
      Refuse(parser_.refusal());
      return false;
  }
  return false;
}

void Connection::HandleHead(bool is_body_here) {
  const ServerOptions& options = server_->options;
  HeadDecision decision = server_->on_head(parser_.request());
  if (decision.handler == nullptr) {
    Answer answer = HasNoBody(decision.status)
                        ? Answer{.status = decision.status}
                        : options.error_answer(decision.status, decision.reason);
    std::move(decision.headers.begin(), decision.headers.end(), std::back_inserter(answer.headers));
    SendOwnAnswer(std::move(answer), parser_.request(), /*close=*/parser_.has_body());
    parser_.TakeRequest();
    return;
  }
  handler_ = decision.handler;
  BodyRules rules{options.max_body_bytes, decision.options->raw_content_encoding};
  if (decision.options->max_body_bytes > 0) {
    rules.max_body_bytes = decision.options->max_body_bytes;
  }
  if (const Refusal refusal = parser_.AcceptHead(rules)) {
    Refuse(refusal);
    return;
  }
  since_ms_ = loop_->now_ms();
  window_bytes_ = 0;
  if (parser_.has_body() && parser_.expects_continue() && !is_body_here) {
    socket_.SendSmall("HTTP/1.1 100 Continue\r\n\r\n");
  }
}

void Connection::HandleMessage() {
  const ContentCoding coding = parser_.coding();
  std::unique_ptr<Request> request = parser_.TakeRequest();
  if (coding != ContentCoding::kIdentity && request->body().size() > kMaxInlineInflateBytes) {
    InflateElsewhere(std::move(request));
    return;
  }
  const Refusal refusal =
      RequestParser::InflateBody(coding, parser_.max_body_bytes(), request.get());
  OnInflated(std::move(request), refusal);
}

void Connection::InflateElsewhere(std::unique_ptr<Request> request) {
  phase_ = Phase::kInflating;
  inflate_job_ =
      new InflateJob{{}, this, std::move(request), parser_.coding(), parser_.max_body_bytes(), {}};
  inflate_job_->work.data = inflate_job_;
  const auto inflate = [](uv_work_t* work) {
    auto* job = static_cast<InflateJob*>(work->data);
    job->refusal = RequestParser::InflateBody(job->coding, job->max_body_bytes, job->request.get());
  };
  const auto done = [](uv_work_t* work, int) {
    const std::unique_ptr<InflateJob> job(static_cast<InflateJob*>(work->data));
    if (Connection* connection = job->connection) {
      connection->inflate_job_ = nullptr;
      connection->OnInflated(std::move(job->request), job->refusal);
      connection->ProcessPending();
      connection->Settle();
    }
  };
  CHECK(uv_queue_work(loop_->uv_loop(), &inflate_job_->work, inflate, done) == 0);
}

void Connection::OnInflated(std::unique_ptr<Request> request, Refusal refusal) {
  if (refusal) {
    Refuse(refusal);
  } else {
    Dispatch(std::move(request));
  }
}

void Connection::Dispatch(std::unique_ptr<Request> request) {
  const ServerOptions& options = server_->options;
  loop_state_->requests.Add();
  exchange_ = std::make_shared<Exchange>(
      std::move(request), link_, AnswerRules{options.max_stream_bytes, options.min_gzip_bytes});
  phase_ = Phase::kAnswering;
  is_answer_begun_ = false;
  if (is_input_ended_) {
    exchange_->Cancel();
  }
  Exchange::RunHandler(exchange_, *handler_);
  if (exchange_->has_output()) {
    TakeOutput();
  }
}

void Connection::TakeOutput() {
  if (IsChoked()) {
    return;
  }
  Exchange::Output output = exchange_->Take();
  if (output.aborted && is_answer_begun_) {
    socket_.CloseWithReset();
    return;
  }
  if (output.on_sent) {
    on_sent_.push_back(std::move(output.on_sent));
  }
  if (output.aborted) {
    FinishAnswer();
    Refuse({500, "the request was given up"});
    return;
  }
  SendOutput(&output);
  if (output.ended) {
    FinishAnswer();
    if (!keep_alive_) {
      StartLingering();
    }
  }
}

void Connection::SendOutput(Exchange::Output* output) {
  const Request* request = &exchange_->request();
  const bool is_head_only = request->method() == Method::kHead;
  const bool is_chunked = output->is_stream && !request->is_http_1_0();
  if (output->has_head) {
    const AnswerFraming streamed =
        is_chunked ? AnswerFraming::kChunked : AnswerFraming::kUntilClose;
    SendHead(output->answer, output->is_stream ? streamed : AnswerFraming::kLength, request);
    is_answer_begun_ = true;
    if (!is_head_only && !HasNoBody(output->answer.status)) {
      socket_.SendBody(std::move(output->answer.body));
    }
  }
  if (is_head_only || !output->is_stream) {
    return;
  }
  if (!is_chunked) {
    socket_.SendBody(std::move(output->stream));
    return;
  }
  if (!output->stream.empty()) {
    SendChunk(std::move(output->stream));
  }
  if (output->ended) {
    socket_.SendSmall("0\r\n\r\n");
  }
}

void Connection::SendHead(const Answer& answer, AnswerFraming framing, const Request* request) {
  keep_alive_ = request != nullptr && request->keep_alive_ &&
                framing != AnswerFraming::kUntilClose && !loop_->is_stopping();
  std::string bytes;
  AppendAnswerHead(answer,
                   {.framing = framing,
                    .length_bytes = answer.body.size(),
                    .is_http_1_0 = request != nullptr && request->is_http_1_0(),
                    .keep_alive = keep_alive_,
                    .date = loop_state_->Date()},
                   &bytes);
  socket_.SendSmall(bytes);
  loop_state_->answers_by_class[answer.status / 100].Add();
}

void Connection::SendChunk(std::string bytes) {
  socket_.SendSmall(fmt::format("{:x}\r\n", bytes.size()));
  socket_.SendBody(std::move(bytes));
  socket_.SendSmall("\r\n");
}

void Connection::FinishAnswer() {
  exchange_.reset();
  phase_ = Phase::kReading;
  since_ms_ = loop_->now_ms();
}

void Connection::SendOwnAnswer(Answer answer, const Request* request, bool close) {
  loop_state_->refused_requests.Add();
  SendHead(answer, AnswerFraming::kLength, close ? nullptr : request);
  if (request == nullptr || request->method() != Method::kHead) {
    socket_.SendBody(std::move(answer.body));
  }
  if (!keep_alive_) {
    StartLingering();
  }
}

void Connection::Refuse(Refusal refusal) {
  Answer answer = server_->options.error_answer(refusal.status, refusal.reason);
  if (refusal.status == 503) {
    answer.headers.push_back({"Retry-After", "1"});
  } else if (refusal.status == 415) {
    answer.headers.push_back({"Accept-Encoding", "gzip, deflate"});
  }
  SendOwnAnswer(std::move(answer), nullptr, /*close=*/true);
}

void Connection::StartLingering() {
  phase_ = Phase::kLingering;
  since_ms_ = loop_->now_ms();
  linger_end_ms_ = since_ms_ + static_cast<uint64_t>(server_->options.progress_timeout_ms);
  parser_.TakeRequest();
}

void Connection::Settle() {
  socket_.Flush();
  if (socket_.is_closing()) {
    return;
  }
  NoteSent();
  const bool is_all_sent = socket_.unsent_bytes() == 0;
  if (is_all_sent) {
    for (const std::function<void()>& callback : std::exchange(on_sent_, {})) {
      callback();
    }
  }
  const bool is_done =
      phase_ == Phase::kLingering || (phase_ == Phase::kReading && pending_bytes() == 0);
  if (is_input_ended_ && is_done && is_all_sent) {
    Close();
    return;
  }
  if (phase_ == Phase::kLingering) {
    std::string().swap(pending_);
    pending_offset_ = 0;
    if (is_all_sent && !is_write_shut_) {
      is_write_shut_ = true;
      socket_.ShutDownWriting();
    }
  }
  socket_.SetReading(!is_input_ended_ && pending_bytes() < kMaxPendingBytes);
}

bool Connection::IsChoked() {
  if (socket_.unsent_bytes() > kMaxUnsentBytes) {
    socket_.Flush();
  }
  return socket_.is_closing() || socket_.unsent_bytes() > kMaxUnsentBytes;
}

bool Connection::IsIdle() const {
  return phase_ == Phase::kReading && parser_.is_idle() && pending_bytes() == 0;
}

void Connection::CheckTimeouts(uint64_t now_ms) {
  if (socket_.is_closing()) {
    return;
  }
  if (socket_.unsent_bytes() > 0) {
    if (HasStalled(now_ms, server_->options.write_stall_timeout_ms)) {
      loop_->counters().connections_timed_out.Add();
      socket_.CloseWithReset();
    }
  } else if (phase_ == Phase::kReading) {
    CheckReadTimeouts(now_ms);
  } else if (phase_ == Phase::kLingering &&
             (now_ms - since_ms_ > kLingerMs || now_ms > linger_end_ms_)) {
    Close();
  }
}

void Connection::CheckReadTimeouts(uint64_t now_ms) {
  const ServerOptions& options = server_->options;
  const uint64_t waited_ms = now_ms - since_ms_;
  if (IsIdle()) {
    if (waited_ms > static_cast<uint64_t>(options.idle_timeout_ms)) {
      loop_->counters().connections_timed_out.Add();
      Close();
    }
    return;
  }
  if (waited_ms <= static_cast<uint64_t>(options.progress_timeout_ms)) {
    return;
  }
  if (parser_.is_in_body() && window_bytes_ >= net::kMinProgressBytes) {
    since_ms_ = now_ms;
    window_bytes_ = 0;
    return;
  }
  loop_->counters().connections_timed_out.Add();
  Refuse({408, "the request came too slowly"});
  Settle();
}

void Connection::BeginStop() {
  if (IsIdle() && socket_.unsent_bytes() == 0) {
    Close();
  } else if (IsIdle()) {
    StartLingering();
    Settle();
  }
}

void Connection::OnClosed() {
  if (inflate_job_ != nullptr) {
    inflate_job_->connection = nullptr;
  }
  if (exchange_ != nullptr) {
    exchange_->Disconnect();
  }
  for (const std::function<void()>& callback : on_sent_) {
    callback();
  }
  Release();
}

}  // namespace tsdbd::http
