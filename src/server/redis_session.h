#pragma once
// RedisSession: one client's connection: protocol, database, password given or not; executes its
// commands on the keyspaces.
//
// Consecutive commands that only read look up all of their keys together, and consecutive ones that
// only write share one batch, which is one record of the log and one callback. Nothing of that can
// be told from outside, except that such writes also take effect together.
//
// Threads: see resp/session.h.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kv/store.h"
#include "resp/session.h"
#include "server/redis_command.h"
#include "server/redis_service.h"

namespace tsdbd::server {

class RedisSession final : public resp::Session {
 public:
  RedisSession(RedisService* service, std::shared_ptr<RedisClient> client);
  ~RedisSession() override;

  Progress Execute(const resp::CommandBatch& commands, resp::Place place,
                   resp::Replies* replies) override;
  bool wants_close() const override { return wants_close_; }
  bool is_trusted() const override { return is_trusted_; }

  // For commands.
  RedisService& service() { return *service_; }
  RedisClient& client() { return *client_; }
  resp::Protocol protocol() const { return protocol_; }
  void set_protocol(resp::Protocol protocol);
  size_t database() const { return database_; }
  void set_database(size_t database);
  void set_trusted(bool is_trusted) { is_trusted_ = is_trusted; }
  void set_wants_close() { wants_close_ = true; }
  // As a new connection.
  void Reset();
  kv::Store& store() { return *database_handle_.store; }
  int64_t default_expiry_ns() const;
  kv::ReadView& view();
  int64_t now_ns() const { return now_ns_; }
  bool is_abandoned() const { return replies_->is_abandoned(); }

  // These reply only if they return OK.
  Status Update(std::string_view key, const RedisCall::Edit& edit);
  Status Write(const kv::WriteBatch& batch, std::string_view reply, size_t reply_count);

 private:
  struct ReadScratch;

  // The command that `words` name, with sub-command; null, with an error written, if they do not
  // name one or may not be executed.
  const RedisCommand* Resolve(resp::Command words, bool is_quiet);
  const RedisCommand* Refuse(const RedisCommand* command, bool is_quiet, std::string_view error);
  bool MustMove(const RedisCommand& command);
  // False, with an error written, if the keyspace cannot be had.
  bool OpenStore();

  // Execute commands from `first` on; return how many, at least one.
  size_t ExecuteReads(const resp::CommandBatch& commands, size_t first);
  // Looks keys up, some at a time, until the values found have more than `max_bytes`; returns how
  // many.
  size_t LookUp(ReadScratch* scratch, bool needs_values, size_t max_bytes);
  // One counter for a run of the same command.
  void CountRuns(std::span<const RedisCommand* const> commands);
  size_t ExecutePlans(const resp::CommandBatch& commands, size_t first);
  void ExecutePlan(const RedisCommand& command, resp::Command words);
  bool Plan(const RedisCommand& command, resp::Command words, kv::WriteBatch* batch,
            std::string* error);
  void ExecuteOne(const RedisCommand& command, resp::Command words);

  RedisCall MakeCall(const RedisCommand* command, resp::Command words, std::string* out) {
    return RedisCall(this, command, words, resp::ReplyWriter(out, protocol_));
  }

  RedisService* const service_;
  const std::shared_ptr<RedisClient> client_;
  resp::Protocol protocol_ = resp::Protocol::kResp2;
  size_t database_ = 0;
  bool is_trusted_;
  bool wants_close_ = false;

  // Within Execute.
  RedisDatabase database_handle_;  // without a store until a command needs it
  std::unique_ptr<kv::ReadView> view_;
  resp::Replies* replies_ = nullptr;
  int64_t now_ns_ = 0;
};

}  // namespace tsdbd::server
