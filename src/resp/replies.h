#pragma once
// Replies: what some commands of a connection answer, in order. A reply whose text is known but
// that may only be sent once a write is durable waits for a Completion; what comes after it has
// been executed meanwhile and waits behind it.
//
// Threads: Replies one at a time, but for Abandon; a Completion is finished by any thread, once.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/check.h"
#include "net/mailbox.h"

namespace tsdbd::resp {

class Completion {
 public:
  explicit Completion(std::shared_ptr<net::Link> link) : link_(std::move(link)) {}

  void Succeed() { Finish({}); }
  // `error`: "ERR ...", sent instead of each of the replies.
  void Fail(std::string error) {
    CHECK(!error.empty());
    Finish(std::move(error));
  }

  bool is_done() const { return state_.load(std::memory_order_acquire) == State::kDone; }
  // Empty: it succeeded. Only once it is done.
  const std::string& error() const { return error_; }

  // From now on the connection is woken when it is done. False if it is done already.
  bool Await() {
    State expected = State::kOpen;
    return state_.compare_exchange_strong(expected, State::kAwaited, std::memory_order_acq_rel);
  }

 private:
  enum class State : uint8_t { kOpen, kAwaited, kDone };

  void Finish(std::string error) {
    error_ = std::move(error);
    if (state_.exchange(State::kDone, std::memory_order_acq_rel) == State::kAwaited &&
        link_ != nullptr) {
      link_->Wake();
    }
  }

  const std::shared_ptr<net::Link> link_;  // null: nobody needs to be woken
  std::string error_;
  std::atomic<State> state_ = State::kOpen;
};

class Replies {
 public:
  // Some bytes to send, at once or when `completion` is done.
  struct Part {
    std::string bytes;
    size_t reply_count = 0;  // only with a completion
    std::shared_ptr<Completion> completion = nullptr;

    bool is_ready() const { return completion == nullptr || completion->is_done(); }
  };

  explicit Replies(std::shared_ptr<net::Link> link) : link_(std::move(link)) {}

  // Where the next reply is written that waits for nothing of its own.
  std::string* text() { return &text_; }

  std::shared_ptr<Completion> NewCompletion() const { return std::make_shared<Completion>(link_); }
  // `bytes`, which are `reply_count` replies, may be sent when `completion` succeeds.
  void AddWaiting(std::string_view bytes, size_t reply_count,
                  std::shared_ptr<Completion> completion);

  // Bytes of all replies.
  size_t size_bytes() const { return part_bytes_ + text_.size(); }

  // All but the text behind the last waiting part, which stays in text().
  std::vector<Part> TakeParts() {
    part_bytes_ = 0;
    return std::exchange(parts_, {});
  }
  bool has_parts() const { return !parts_.empty(); }

  // The client is gone: what takes long need not go on. From any thread.
  void Abandon() { is_abandoned_.store(true, std::memory_order_relaxed); }
  bool is_abandoned() const { return is_abandoned_.load(std::memory_order_relaxed); }

  // The bytes of a part that is ready, with its outcome.
  static std::string BytesOf(Part part);

 private:
  const std::shared_ptr<net::Link> link_;
  std::vector<Part> parts_;
  size_t part_bytes_ = 0;
  std::string text_;  // behind parts_
  std::atomic<bool> is_abandoned_ = false;
};

}  // namespace tsdbd::resp
