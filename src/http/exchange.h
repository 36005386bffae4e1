#pragma once
// Exchange: one request and its answer. The handler gets it on a loop thread and answers it once,
// there and then or later from any thread: with Respond, or with BeginStream, Write..., End.
//
//   void Ping(std::shared_ptr<Exchange> exchange) { exchange->Respond({.status = 204}); }
//
//   void Export(std::shared_ptr<Exchange> exchange) {            // on a query thread
//     exchange->BeginStream(200, "application/x-ndjson");
//     while (NextLine(&line) && exchange->Write(line)) {
//     }
//     exchange->End();
//   }
//
// Threads: all methods may be called from any thread; the answer itself is given by one thread at a
// time. An Exchange may outlive its connection and its Server: answering then does nothing.
//
// Invariants:
//  1. Every exchange is answered: if the handler lets go of it without, the client gets a 500, or,
//     in the middle of a stream, a connection that ends before the answer does.
//  2. The next request of a connection is not handed out before this one is answered.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/mutex.h"
#include "http/request.h"
#include "net/mailbox.h"

namespace tsdbd::http {

class Connection;
class GzipStream;

struct HeaderField {
  std::string name;
  std::string value;
};

// The server adds Content-Length, Connection, Date, Content-Encoding and X-Content-Type-Options.
struct Answer {
  int status = 200;
  std::string content_type = {};  // empty: no Content-Type
  std::string body = {};
  std::vector<HeaderField> headers = {};
};

// How answers are sent; from ServerOptions.
struct AnswerRules {
  size_t max_stream_bytes = 0;
  size_t min_gzip_bytes = 0;
};

class Exchange {
 public:
  Exchange(std::unique_ptr<Request> request, std::shared_ptr<net::Link> link, AnswerRules rules);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const Request& request() const { return *request_; }
  // Frees the body early, for handlers that wait for something after they have read it. No view of
  // the body may be used any more.
  void ReleaseBody() { request_->body_.Clear(); }

  // Answers in one piece. Compresses on the calling thread if the client asked for gzip and it
  // pays.
  void Respond(Answer answer) EXCLUDES(mutex_);
  void Respond(int status, std::string_view content_type, std::string body);

  // Answers piece by piece. Pieces are gathered to some 16 KiB before they are sent.
  void BeginStream(int status, std::string_view content_type, std::vector<HeaderField> headers = {})
      EXCLUDES(mutex_);
  // Adds to the answer. Waits while the client is slower than the caller and more than
  // max_stream_bytes are buffered (on a loop thread it never waits, so stream little there). False
  // if nobody will read it, now or later: the client is gone, or asked for the head only.
  bool Write(std::string_view bytes) EXCLUDES(mutex_);
  void End() EXCLUDES(mutex_);
  // Gives up: a 500 if nothing of the answer is sent yet, or else the connection closes without the
  // answer's end, so that the client knows it is not whole.
  void Abort() EXCLUDES(mutex_);

  // True once the client is gone (or has closed its sending side, which looks the same).
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  // Runs `callback` once when that happens, on the loop thread, or at once if it has. It must
  // neither block nor answer. It is dropped, with what it holds, when the answer is complete.
  void OnCancel(std::function<void()> callback) EXCLUDES(mutex_);
  // Runs `callback` on the loop thread when the answer's last byte is with the kernel, or the
  // client is gone; for timing answers. To be set before answering.
  void OnSent(std::function<void()> callback) EXCLUDES(mutex_);

 private:
  friend class Connection;

  enum class State : uint8_t { kWaiting, kWhole, kStreaming, kEnded, kAborted };

  // What the loop thread takes over to send.
  struct Output {
    bool has_head = false;
    bool is_stream = false;
    Answer answer;       // if has_head; for a stream without body
    std::string stream;  // its bytes since the last time
    bool ended = false;
    bool aborted = false;
    std::function<void()> on_sent;  // once ended
  };

  // For the connection, on its loop thread. The handler gets a handle of its own, so that the
  // connection learns when it lets go.
  static void RunHandler(const std::shared_ptr<Exchange>& exchange,
                         const std::function<void(std::shared_ptr<Exchange>)>& handler);
  bool has_output() EXCLUDES(mutex_);
  Output Take() EXCLUDES(mutex_);
  // The client has closed its sending side.
  void Cancel() EXCLUDES(mutex_);
  // The connection is closed: nothing more will be sent.
  void Disconnect() EXCLUDES(mutex_);

  // The handler has let go of the exchange.
  void Abandon() EXCLUDES(mutex_);
  // True if the caller must tell the loop, after unlocking.
  bool NeedsPost() REQUIRES(mutex_);
  void Post() { link_->Wake(); }
  bool ShouldGzip(const Answer& answer) const;

  // Constant after construction.
  const std::unique_ptr<Request> request_;
  const std::shared_ptr<net::Link> link_;
  const AnswerRules rules_;

  // The thread that answers.
  std::unique_ptr<GzipStream> gzip_;

  std::atomic<bool> cancelled_ = false;

  Mutex mutex_;
  CondVar drained_;
  State state_ GUARDED_BY(mutex_) = State::kWaiting;
  bool in_handler_ GUARDED_BY(mutex_) = false;  // the loop looks for output after the handler
  bool posted_ GUARDED_BY(mutex_) = false;      // the loop has been told and has not looked yet
  bool disconnected_ GUARDED_BY(mutex_) = false;
  bool head_taken_ GUARDED_BY(mutex_) = false;
  Answer answer_ GUARDED_BY(mutex_);
  std::string stream_ GUARDED_BY(mutex_);
  std::function<void()> on_cancel_ GUARDED_BY(mutex_);
  std::function<void()> on_sent_ GUARDED_BY(mutex_);
};

using Handler = std::function<void(std::shared_ptr<Exchange>)>;

}  // namespace tsdbd::http
