#pragma once
// Session: what a server does for one connection; Service: what makes sessions. Here the protocol
// ends and the database begins.
//
// Threads: Connect from any of the server's; a session from one at a time, its loop's or, for
// commands that may wait for a disk, one of the server's pool.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "resp/replies.h"
#include "resp/request_parser.h"

namespace tsdbd::resp {

// The two ends of a connection: "127.0.0.1:6379".
struct Peer {
  std::string address;
  std::string own_address;
};

// Where a command may run.
enum class Place : uint8_t {
  kLoop,  // must not wait for anything but short locks and memory-mapped reads
  kPool,  // may wait
};

class Session {
 public:
  struct Progress {
    size_t executed = 0;  // commands
    // The next one may wait: Place::kPool must do it.
    bool must_move = false;
  };

  virtual ~Session() = default;

  // Executes `commands` from the first on and adds a reply for each to `replies`. May stop early,
  // when there are enough replies for the client to read or when the next command does not belong
  // here, but does one command at least if that does.
  virtual Progress Execute(const CommandBatch& commands, Place place, Replies* replies) = 0;

  // The connection shall end when the replies are sent; commands behind are not executed.
  virtual bool wants_close() const = 0;
  // A client that has not given the password may only send small commands.
  virtual bool is_trusted() const = 0;
};

class Service {
 public:
  virtual ~Service() = default;
  virtual std::unique_ptr<Session> Connect(const Peer& peer) = 0;
};

}  // namespace tsdbd::resp
