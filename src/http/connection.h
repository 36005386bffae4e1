#pragma once
// Connection: HTTP on one socket: parses requests, runs handlers one at a time, sends their
// answers, and ends the connection when its client is too slow, wrong or gone.
//
// Threads: its loop's only.
//
//   kReading ──request──> [kInflating] ──> kAnswering ──answer──> kReading ...
//       └────────refusal, or last answer────────┴──> kLingering ──> closed
//
// Lingering: the last bytes are sent, the sending side is shut down, and what the client still
// sends is dropped for a while. Closing at once would reset the connection and could take the
// answer from a client that is still busy sending its body.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/answer_head.h"
#include "http/exchange.h"
#include "http/request_parser.h"
#include "http/router.h"
#include "net/connection.h"

namespace tsdbd::http {

struct LoopState;
struct ServerState;

class Connection final : public net::Connection {
 public:
  // `server` outlives it.
  Connection(net::EventLoop* loop, ServerState* server);
  ~Connection() override;

  // The exchange has output.
  void OnWake() override { OnWritten(); }
  void CheckTimeouts(uint64_t now_ms) override;
  // Closes if idle, otherwise after the current answer.
  void BeginStop() override;

 private:
  enum class Phase : uint8_t { kReading, kInflating, kAnswering, kLingering };
  struct InflateJob;

  // net::SocketEvents
  std::span<char> ReadSpace() override;
  void OnRead(std::span<char> bytes) override;
  void OnEndOfInput() override;
  void OnWritten() override;
  void OnClosed() override;

  // Requests.
  void ProcessPending();
  void Process(std::string_view* input);
  // False if there is nothing to go on with.
  bool HandleEvent(RequestParser::Event event, bool is_body_here);
  void HandleHead(bool is_body_here);
  void HandleMessage();
  void InflateElsewhere(std::unique_ptr<Request> request);
  void OnInflated(std::unique_ptr<Request> request, Refusal refusal);
  void Dispatch(std::unique_ptr<Request> request);

  // Answers.
  void TakeOutput();
  void SendOutput(Exchange::Output* output);
  void SendHead(const Answer& answer, AnswerFraming framing, const Request* request);
  void SendChunk(std::string bytes);
  void FinishAnswer();
  // Answers without a handler. `request` may be null; the connection ends then, or if `close`.
  void SendOwnAnswer(Answer answer, const Request* request, bool close);
  void Refuse(Refusal refusal);
  void StartLingering();

  // Sends what can be sent and brings the socket into line with the phase; after every event.
  void Settle();
  bool IsChoked();
  bool IsIdle() const;
  void CheckReadTimeouts(uint64_t now_ms);
  size_t pending_bytes() const { return pending_.size() - pending_offset_; }

  const ServerState* const server_;
  LoopState* const loop_state_;
  RequestParser parser_;

  Phase phase_ = Phase::kReading;
  bool is_input_ended_ = false;
  bool is_write_shut_ = false;
  bool is_answer_begun_ = false;                // the head of exchange_'s answer is queued
  bool keep_alive_ = true;                      // as the last head said
  const Handler* handler_ = nullptr;            // of the request that is coming
  std::shared_ptr<Exchange> exchange_;          // while kAnswering
  InflateJob* inflate_job_ = nullptr;           // while kInflating
  std::string pending_;                         // came while a request was being answered
  size_t pending_offset_ = 0;                   // taken of it
  std::vector<std::function<void()>> on_sent_;  // for when all is with the kernel

  uint64_t since_ms_;          // when the current wait for the client began
  uint64_t window_bytes_ = 0;  // received since then
  uint64_t linger_end_ms_ = 0;
};

}  // namespace tsdbd::http
