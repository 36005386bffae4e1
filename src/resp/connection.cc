#include "resp/connection.h"

#include <array>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/stages.h"
#include "net/event_loop.h"
#include "resp/reply_writer.h"
#include "resp/server_state.h"

namespace tsdbd::resp {

namespace {

// Commands of one batch: enough to make what a batch costs beside its commands small, few enough
// for other connections not to wait.
constexpr size_t kMaxBatchCommands = 256;
// Replies that their client has not taken, or that wait for the disk, beyond which nothing more is
// executed or read.
constexpr size_t kMaxUnsentBytes = size_t{256} << 10;
constexpr size_t kMaxWaitingParts = 1'024;
// A loop's buffer for replies that has grown beyond this is given back.
constexpr size_t kMaxKeptReplyBytes = size_t{4} << 20;
// What a client gets to notice that its connection ends.
constexpr uint64_t kLingerMs = 1'000;
// A peer that is silent for so long is asked whether it is there; as Redis does.
constexpr int kKeepAliveSeconds = 300;

std::string TextOf(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> host = {};
  if (address.ss_family == AF_INET6) {
    const auto* inet6 = reinterpret_cast<const sockaddr_in6*>(&address);
    inet_ntop(AF_INET6, &inet6->sin6_addr, host.data(), host.size());
    return fmt::format("[{}]:{}", host.data(), ntohs(inet6->sin6_port));
  }
  const auto* inet = reinterpret_cast<const sockaddr_in*>(&address);
  inet_ntop(AF_INET, &inet->sin_addr, host.data(), host.size());
  return fmt::format("{}:{}", host.data(), ntohs(inet->sin_port));
}

Peer PeerOf(int descriptor) {
  sockaddr_storage peer = {};
  sockaddr_storage own = {};
  socklen_t size = sizeof(peer);
  getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size);
  size = sizeof(own);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size);
  return {TextOf(peer), TextOf(own)};
}

void SetKeepAlive(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveSeconds, sizeof(kKeepAliveSeconds));
}

}  // namespace

struct Connection::Job {
  explicit Job(std::shared_ptr<net::Link> link) : replies(std::move(link)) {}

  CommandBatch batch;
  size_t input_bytes = 0;  // of the whole batch
  Replies replies;
  size_t executed = 0;
  std::atomic<bool> is_done = false;
};

Connection::Connection(net::EventLoop* loop, ServerState* server)
    : net::Connection(loop),
      server_(server),
      loop_state_(&server->loops[loop->index()]),
      buffer_(&server->memory),
      replies_(link_) {}

Connection::~Connection() {
  server_->memory.Return(charged_bytes_);
}

void Connection::Open(int descriptor) {
  SetKeepAlive(descriptor);
  session_ = server_->service->Connect(PeerOf(descriptor));
  parser_.set_limits(server_->options.request_limits, /*is_trusted=*/true);
  TakeTrust();
  RestartProgress();
  net::Connection::Open(descriptor);
}

std::span<char> Connection::ReadSpace() {
  const bool is_continued = !buffer_.empty() && !is_ending_;
  // Said anew each time: nothing may come now, and when it does there may be memory again.
  is_out_of_memory_ = is_continued && !buffer_.Grow(parser_.needed_bytes());
  return is_continued && !is_out_of_memory_ ? buffer_.space() : loop_->read_buffer();
}

void Connection::OnRead(std::span<char> bytes) {
  loop_->counters().received_bytes.Add(bytes.size());
  progress_bytes_ += bytes.size();
  if (is_ending_) {
    return;
  }
  if (is_out_of_memory_) {
    RefuseForMemory();
  } else if (buffer_.empty()) {
    const std::string_view input(bytes.data(), bytes.size());
    if (!buffer_.Append(input.substr(Process(input)))) {
      RefuseForMemory();
    }
  } else {
    buffer_.Commit(bytes.size());
    buffer_.Consume(Process(buffer_.contents()));
  }
  Settle();
}

void Connection::OnEndOfInput() {
  is_input_ended_ = true;
  Settle();
}

void Connection::OnWritten() {
  ProcessBuffer();
  Settle();
}

void Connection::OnWake() {
  if (job_ != nullptr && job_->is_done.load(std::memory_order_acquire)) {
    FinishJob();
    if (is_closed_) {
      Release();
      return;
    }
  }
  SendReady();
  ProcessBuffer();
  Settle();
}

void Connection::ProcessBuffer() {
  is_stalled_ = false;
  if (job_ == nullptr && !buffer_.empty() && !is_ending_) {
    buffer_.Consume(Process(buffer_.contents()));
  }
}

size_t Connection::Process(std::string_view input) {
  size_t taken = 0;
  CommandBatch* const batch = &loop_state_->batch;
  is_stalled_ = false;
  while (!is_ending_ && !must_move_ && taken < input.size()) {
    if (IsChoked()) {
      is_stalled_ = true;
      break;
    }
    batch->Clear();
    StageTimer timer(Stage::kKvParse);
    const size_t max_commands = is_trusted_ ? kMaxBatchCommands : 1;
    const size_t parsed = parser_.Parse(input.substr(taken), max_commands, batch);
    if (batch->empty()) {
      timer.Cancel();
    } else {
      timer.Stop(batch->size());
      size_t executed = 0;
      if (!ExecuteBatch(*batch, &executed)) {
        // The rest is parsed again when its turn has come.
        parser_.Reset();
        taken += batch->input_bytes(executed);
        continue;
      }
    }
    taken += parsed;
    if (parser_.has_failed()) {
      loop_state_->protocol_errors.Add();
      RefuseInput(fmt::format("ERR {}", parser_.error()));
    } else if (batch->size() < max_commands) {
      break;  // what is left is the beginning of a command
    }
  }
  return taken;
}

bool Connection::ExecuteBatch(const CommandBatch& batch, size_t* executed) {
  replies_.text()->swap(loop_state_->reply_buffer);
  const Session::Progress progress = session_->Execute(batch, Place::kLoop, &replies_);
  QueueReplies(&replies_);
  replies_.text()->swap(loop_state_->reply_buffer);
  if (loop_state_->reply_buffer.capacity() > kMaxKeptReplyBytes) {
    std::string().swap(loop_state_->reply_buffer);
  }
  RestartProgress();
  *executed = progress.executed;
  must_move_ = progress.must_move;
  is_ending_ = is_ending_ || session_->wants_close();
  TakeTrust();
  return progress.executed == batch.size();
}

void Connection::TakeTrust() {
  if (is_trusted_ != session_->is_trusted()) {
    is_trusted_ = session_->is_trusted();
    parser_.set_limits(is_trusted_ ? server_->options.request_limits : kUntrustedLimits,
                       is_trusted_);
  }
}

void Connection::RefuseForMemory() {
  loop_state_->out_of_memory.Add();
  RefuseInput("ERR out of memory for requests");
}

void Connection::RefuseInput(std::string_view error) {
  ReplyWriter(replies_.text(), Protocol::kResp2).Error(error);
  QueueReplies(&replies_);
  is_ending_ = true;
}

void Connection::StartJob() {
  must_move_ = false;
  job_ = std::make_unique<Job>(link_);
  job_->input_bytes =
      parser_.Parse(buffer_.contents(), is_trusted_ ? kMaxBatchCommands : 1, &job_->batch);
  // It begins with the command that had to move, so there is one.
  const bool is_accepted = server_->pool.TrySubmit([this, job = job_.get()] {
    // The connection stays until OnWake finds the job done.
    const std::shared_ptr<net::Link> link = link_;
    job->executed = session_->Execute(job->batch, Place::kPool, &job->replies).executed;
    job->is_done.store(true, std::memory_order_release);
    link->Wake();
  });
  if (!is_accepted) {
    job_.reset();
    RefuseInput("ERR the server stops");
  }
}

void Connection::FinishJob() {
  const std::unique_ptr<Job> job = std::move(job_);
  RestartProgress();
  QueueReplies(&job->replies);
  const bool is_whole = job->executed == job->batch.size();
  const size_t taken = is_whole ? job->input_bytes : job->batch.input_bytes(job->executed);
  is_ending_ = is_ending_ || session_->wants_close();
  if (!is_whole) {
    parser_.Reset();
  }
  TakeTrust();
  buffer_.Consume(taken);
  if (parser_.has_failed() && !is_ending_) {
    loop_state_->protocol_errors.Add();
    RefuseInput(fmt::format("ERR {}", parser_.error()));
  }
}

void Connection::QueueReplies(Replies* replies) {
  if (replies->has_parts()) {
    for (Replies::Part& part : replies->TakeParts()) {
      waiting_bytes_ += part.bytes.size();
      waiting_.push_back(std::move(part));
    }
    SendReady();
  }
  if (waiting_.empty()) {
    socket_.SendNow(*replies->text());
    replies->text()->clear();
  } else if (!replies->text()->empty()) {
    waiting_bytes_ += replies->text()->size();
    waiting_.push_back({.bytes = std::exchange(*replies->text(), {})});
  }
}

void Connection::SendReady() {
  while (!waiting_.empty() && waiting_.front().is_ready()) {
    waiting_bytes_ -= waiting_.front().bytes.size();
    socket_.SendBody(Replies::BytesOf(std::move(waiting_.front())));
    waiting_.pop_front();
  }
}

void Connection::Settle() {
  socket_.Flush();
  while (is_stalled_ && !IsChoked()) {
    ProcessBuffer();
  }
  if (!socket_.is_closing() && !ChargeReplies()) {
    loop_state_->out_of_memory.Add();
    socket_.CloseWithReset();
  }
  // Only now, so that the input is where a job can read it.
  if (must_move_ && !is_ending_ && !socket_.is_closing()) {
    StartJob();
  }
  if (socket_.is_closing()) {
    return;
  }
  NoteSent();
  if (is_input_ended_ && job_ == nullptr && !is_stalled_) {
    is_ending_ = true;  // what is left in the buffer is no whole command
  }
  if (is_ending_ && job_ == nullptr) {
    SettleEnd();
  } else {
    socket_.SetReading(!is_input_ended_ && job_ == nullptr && !IsChoked());
  }
}

void Connection::SettleEnd() {
  const bool is_all_sent = waiting_.empty() && socket_.unsent_bytes() == 0;
  if (is_all_sent && (is_input_ended_ || loop_->is_stopping())) {
    Close();
    return;
  }
  if (is_all_sent && !is_lingering_) {
    is_lingering_ = true;
    linger_end_ms_ = loop_->now_ms() + kLingerMs;
    socket_.ShutDownWriting();
  }
  socket_.SetReading(!is_input_ended_);
}

bool Connection::IsChoked() {
  return socket_.is_closing() || waiting_.size() > kMaxWaitingParts ||
         waiting_bytes_ + socket_.unsent_bytes() > kMaxUnsentBytes;
}

bool Connection::ChargeReplies() {
  const size_t bytes = waiting_bytes_ + socket_.unsent_bytes();
  if (bytes > charged_bytes_ && !server_->memory.TryTake(bytes - charged_bytes_)) {
    return false;
  }
  if (bytes < charged_bytes_) {
    server_->memory.Return(charged_bytes_ - bytes);
  }
  charged_bytes_ = bytes;
  return true;
}

void Connection::CheckTimeouts(uint64_t now_ms) {
  if (socket_.is_closing()) {
    return;
  }
  if (is_lingering_) {
    if (now_ms >= linger_end_ms_) {
      Close();
    }
    return;
  }
  if (job_ != nullptr && socket_.has_peer_left()) {
    job_->replies.Abandon();
  }
  if (server_->memory.is_scarce() && HasStalled(now_ms, server_->options.progress_timeout_ms)) {
    loop_->counters().connections_timed_out.Add();
    socket_.CloseWithReset();
    return;
  }
  CheckProgress(now_ms);
}

void Connection::CheckProgress(uint64_t now_ms) {
  const bool awaits_rest = !buffer_.empty() && job_ == nullptr && !is_ending_ && !IsChoked();
  if (!awaits_rest || progress_bytes_ >= net::kMinProgressBytes) {
    RestartProgress();
  } else if (now_ms - progress_since_ms_ >
             static_cast<uint64_t>(server_->options.progress_timeout_ms)) {
    loop_->counters().connections_timed_out.Add();
    RefuseInput("ERR the request came too slowly");
    buffer_.Consume(buffer_.contents().size());
    Settle();
  }
}

void Connection::RestartProgress() {
  progress_since_ms_ = loop_->now_ms();
  progress_bytes_ = 0;
}

void Connection::BeginStop() {
  is_ending_ = true;
  Settle();
}

void Connection::OnClosed() {
  if (job_ == nullptr) {
    Release();
  } else {
    job_->replies.Abandon();
    is_closed_ = true;
  }
}

}  // namespace tsdbd::resp
