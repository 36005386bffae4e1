#pragma once
// Connection: RESP on one socket. All complete commands that have come are executed in order as one
// batch, and their replies leave with one write; a reply that waits for a disk holds up those
// behind it, but not the execution of their commands.
//
// Threads: its loop's only. While a job runs, the session and the buffer are the pool's.
//
//   reading ──commands──> executed here ──must move──> job on the pool ──done──> reading
//       └── wrong bytes, QUIT, stop ──> ending: replies are sent ──> lingering ──> closed
//
// Lingering: the sending side is shut down and what still comes is dropped for a while. Closing at
// once would reset the connection, which could take the last reply from its client.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/connection.h"
#include "resp/input_buffer.h"
#include "resp/replies.h"
#include "resp/request_parser.h"
#include "resp/session.h"

namespace tsdbd::resp {

struct LoopState;
struct ServerState;

class Connection final : public net::Connection {
 public:
  // `server` outlives it.
  Connection(net::EventLoop* loop, ServerState* server);
  ~Connection() override;

  void Open(int descriptor) override;
  // Replies can be sent, or the job is done.
  void OnWake() override;
  void CheckTimeouts(uint64_t now_ms) override;
  // Executes nothing more, and closes when the replies of what it has executed are sent.
  void BeginStop() override;

 private:
  struct Job;

  // net::SocketEvents
  std::span<char> ReadSpace() override;
  void OnRead(std::span<char> bytes) override;
  void OnEndOfInput() override;
  void OnWritten() override;
  void OnClosed() override;

  // Executes what it can of `input`; returns how much of it is done with.
  size_t Process(std::string_view input);
  void ProcessBuffer();
  // False if not all of the batch was executed.
  bool ExecuteBatch(const CommandBatch& batch, size_t* executed);
  void TakeTrust();
  void RefuseInput(std::string_view error);
  void RefuseForMemory();
  void StartJob();
  void FinishJob();

  // Queues what `replies` has, behind what waits already.
  void QueueReplies(Replies* replies);
  void SendReady();
  // Sends what can be sent and brings the socket into line; after every event.
  void Settle();
  void SettleEnd();
  bool IsChoked();
  // Counts what waits to be sent against the server's memory. False if that is out.
  bool ChargeReplies();
  void CheckProgress(uint64_t now_ms);
  void RestartProgress();

  ServerState* const server_;
  LoopState* const loop_state_;
  std::unique_ptr<Session> session_;
  RequestParser parser_;
  InputBuffer buffer_;  // empty while a read is parsed where it lies
  Replies replies_;
  std::deque<Replies::Part> waiting_;
  size_t waiting_bytes_ = 0;
  size_t charged_bytes_ = 0;  // for replies that are not with the kernel
  std::unique_ptr<Job> job_;

  bool is_trusted_ = true;         // as the parser's limits have it
  bool must_move_ = false;         // the next command is for the pool
  bool is_stalled_ = false;        // commands in the buffer wait until the client takes replies
  bool is_out_of_memory_ = false;  // for what is read next
  bool is_input_ended_ = false;    // by the client
  bool is_ending_ = false;         // nothing more is executed
  bool is_lingering_ = false;
  bool is_closed_ = false;  // but a job still runs
  uint64_t linger_end_ms_ = 0;
  uint64_t progress_since_ms_ = 0;  // when the current wait for more of a request began
  uint64_t progress_bytes_ = 0;     // received since then
};

}  // namespace tsdbd::resp
