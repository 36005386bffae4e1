#pragma once
// RedisCommand: one row of the table of commands that are spoken over RESP; RedisCall: one command
// being executed. The table stands in redis_command_table.cc, the functions in
// redis_{string,expiry,key,connection,server}_commands.cc.
//
// Threads: the table is constant; a call is one thread's.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "kv/store.h"
#include "resp/reply_writer.h"
#include "resp/request_parser.h"

namespace tsdbd::server {

class RedisCall;
class RedisService;
class RedisSession;

struct RedisFlags {
  static constexpr uint32_t kWrite = 1 << 0;
  static constexpr uint32_t kRead = 1 << 1;
  static constexpr uint32_t kAdmin = 1 << 2;
  static constexpr uint32_t kFast = 1 << 3;      // takes as long for any number of keys
  static constexpr uint32_t kNoAuth = 1 << 4;    // before the password was given, too
  static constexpr uint32_t kData = 1 << 5;      // needs the keyspace
  static constexpr uint32_t kPool = 1 << 6;      // may wait for a disk or take long
  static constexpr uint32_t kParent = 1 << 7;    // only has sub-commands ("client|id")
  static constexpr uint32_t kNoValues = 1 << 8;  // of a reader: its entries need no values
};

// What a command needs that only reads the entries of its keys. They are looked up for many such
// commands together, so that their cache misses overlap; null: there is no such key.
using RedisRead = void (*)(RedisCall* call, std::span<const kv::Entry* const> entries);

// What a command does that writes without looking at what is there: it adds to a batch, which
// consecutive such commands share, and replies OK.
enum class RedisPlan : uint8_t {
  kPlanned,
  // Nothing was added: the arguments are wrong, which the reply says, or it must look after all,
  // for which there is `run`.
  kNotPlanned,
};
using RedisPlanner = RedisPlan (*)(RedisCall* call, kv::WriteBatch* batch);

struct RedisCommand {
  std::string_view name;  // lower case
  int arity = 0;          // with the name; negative: at least so many
  uint32_t flags = 0;
  int first_key = 0;  // 0: none
  int last_key = 0;   // negative: counted from the end
  int key_step = 0;
  std::string_view group;
  std::string_view since;  // the Redis that had it first
  std::string_view summary;

  // One of these, or plan and run.
  void (*run)(RedisCall* call) = nullptr;
  RedisRead read = nullptr;
  RedisPlanner plan = nullptr;

  bool takes(size_t argument_count) const {
    const auto count = static_cast<int>(argument_count);
    return arity >= 0 ? count == arity : count >= -arity;
  }
};

// All commands, sub-commands among them; their index names them in counters.
std::span<const RedisCommand> RedisCommands();
// In any case of letters; null: there is none. Sub-commands are found by their full name only.
const RedisCommand* FindRedisCommand(std::string_view name);

// One command being executed. Replies at once through reply(), or through Update() and Write(),
// which hold the reply back until the write is durable.
class RedisCall {
 public:
  // Sees what is there (null: nothing) and adds operations; writes the reply, which is dropped if
  // the write fails. Keys and values must live until Update returns.
  using Edit = std::function<void(const kv::Entry* current, kv::WriteBatch* batch,
                                  resp::ReplyWriter* reply)>;

  RedisCall(RedisSession* session, const RedisCommand* command, resp::Command arguments,
            resp::ReplyWriter reply)
      : session_(session), command_(command), arguments_(arguments), reply_(reply) {}

  const RedisCommand& command() const { return *command_; }
  // Of a sub-command, too, [0] is the first word sent.
  std::string_view operator[](size_t index) const { return arguments_[index]; }
  size_t size() const { return arguments_.size(); }
  resp::Command arguments() const { return arguments_; }

  resp::ReplyWriter& reply() { return reply_; }
  RedisSession& session() { return *session_; }
  RedisService& service();
  int64_t now_ns() const;
  int64_t now_ms() const;
  // When what is written now expires if the command does not say.
  int64_t default_expiry_ns() const;

  // The client is gone: what takes long need not go on.
  bool is_abandoned() const;

  // Only for commands with kData.
  kv::Store& store();
  kv::ReadView& view();
  void Update(std::string_view key, const Edit& edit);
  // Replies only if it returns OK.
  Status TryUpdate(std::string_view key, const Edit& edit);
  void Write(const kv::WriteBatch& batch, std::string_view reply);

  // Wrong arguments. False, so that they end a condition.
  bool RefuseSyntax();
  bool RefuseLargeReply();
  bool Refuse(std::string_view error);
  // Argument `index` as a whole number; false, with an error written, if it is none.
  bool ReadInteger(size_t index, int64_t* value);
  // Whether an argument is `word`, in any case of letters; `word` is in lower case.
  bool Is(size_t index, std::string_view word) const;

 private:
  RedisSession* const session_;
  const RedisCommand* const command_;
  const resp::Command arguments_;
  resp::ReplyWriter reply_;
};

}  // namespace tsdbd::server
