#include "server/redis_session.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/clock.h"
#include "server/redis_text.h"

namespace tsdbd::server {
namespace {

// Replies of one batch beyond which the client shall read before more is executed.
constexpr size_t kMaxReplyBytes = size_t{1} << 20;
// Keys looked up together: more do not overlap better.
constexpr size_t kMaxRunKeys = 64;
// Keys looked up before the bytes of what was found are counted.
constexpr size_t kSliceKeys = 32;
// An MGET may have a million keys; what was made for so many is given back.
constexpr size_t kMaxKeptKeys = 4'096;
// Writes that share a batch: enough to make a record's own cost small.
constexpr size_t kMaxRunWrites = 256;
constexpr size_t kMaxRunBytes = size_t{1} << 20;
// Words of an unknown command that its error repeats, in bytes; as Redis.
constexpr size_t kMaxEchoBytes = 128;

std::string UnknownCommandText(resp::Command words) {
  std::string arguments;
  for (size_t i = 1; i < words.size() && arguments.size() < kMaxEchoBytes; ++i) {
    arguments += fmt::format("'{}' ", words[i].substr(0, kMaxEchoBytes - arguments.size()));
  }
  return fmt::format("ERR unknown command '{}', with args beginning with: {}",
                     words[0].substr(0, kMaxEchoBytes), arguments);
}

// A command with sub-commands is named by its first two words.
const RedisCommand* FindSubCommand(const RedisCommand& parent, std::string_view word) {
  return FindRedisCommand(fmt::format("{}|{}", parent.name, word));
}

std::string UpperCase(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
  return upper;
}

size_t KeyCount(const RedisCommand& command, size_t word_count) {
  return command.last_key > 0 ? 1
                              : (word_count - static_cast<size_t>(command.first_key)) /
                                    static_cast<size_t>(command.key_step);
}

}  // namespace

// What a run of reads needs, kept by each thread: for most connections it would be idle memory.
struct RedisSession::ReadScratch {
  std::vector<const RedisCommand*> commands;
  std::vector<std::string_view> keys;
  std::vector<kv::Entry> entries;
  std::vector<Status> statuses;
  std::vector<const kv::Entry*> found;

  static ReadScratch& Get() {
    thread_local ReadScratch scratch;
    return scratch;
  }

  void Clear() {
    if (keys.size() > kMaxKeptKeys) {
      *this = ReadScratch();
    }
    commands.clear();
    keys.clear();
  }
  void Add(const RedisCommand* command, resp::Command words) {
    commands.push_back(command);
    const size_t count = KeyCount(*command, words.size());
    for (size_t i = 0; i < count; ++i) {
      keys.push_back(words[static_cast<size_t>(command->first_key) +
                           i * static_cast<size_t>(command->key_step)]);
    }
  }
  // The first of these look-ups that failed, not counting keys that are not there.
  const Status* FailureAmong(size_t first, size_t count) const {
    for (size_t i = first; i < first + count; ++i) {
      if (!statuses[i].ok() && statuses[i].code() != StatusCode::kNotFound) {
        return &statuses[i];
      }
    }
    return nullptr;
  }
};

RedisSession::RedisSession(RedisService* service, std::shared_ptr<RedisClient> client)
    : service_(service),
      client_(std::move(client)),
      is_trusted_(service->options().password.empty()) {}

RedisSession::~RedisSession() {
  service_->Disconnect(client_->id);
}

void RedisSession::set_protocol(resp::Protocol protocol) {
  protocol_ = protocol;
  client_->protocol.store(static_cast<int>(protocol), std::memory_order_relaxed);
}

void RedisSession::set_database(size_t database) {
  database_ = database;
  client_->database.store(database, std::memory_order_relaxed);
  view_.reset();
  database_handle_ = {};
}

void RedisSession::Reset() {
  set_protocol(resp::Protocol::kResp2);
  set_database(0);
  is_trusted_ = service_->options().password.empty();
  MutexLock lock(&client_->mutex);
  client_->name.clear();
}

int64_t RedisSession::default_expiry_ns() const {
  const int64_t ttl_ns = database_handle_.default_ttl_ns;
  return ttl_ns == 0 || ttl_ns > kv::kNeverExpires - now_ns_ ? kv::kNeverExpires : now_ns_ + ttl_ns;
}

kv::ReadView& RedisSession::view() {
  if (view_ == nullptr) {
    view_ = store().Read(kv::Consistency::kLatest);
  }
  return *view_;
}

resp::Session::Progress RedisSession::Execute(const resp::CommandBatch& commands, resp::Place place,
                                              resp::Replies* replies) {
  replies_ = replies;
  now_ns_ = WallNanos();
  client_->active_ns.store(MonotonicNanos(), std::memory_order_relaxed);
  Progress progress;
  while (progress.executed < commands.size() && !wants_close_ &&
         (progress.executed == 0 || replies->size_bytes() < kMaxReplyBytes)) {
    const resp::Command words = commands[progress.executed];
    const RedisCommand* const command = Resolve(words, /*is_quiet=*/false);
    if (command == nullptr) {
      ++progress.executed;
      continue;
    }
    if (place == resp::Place::kLoop && MustMove(*command)) {
      progress.must_move = true;
      break;
    }
    client_->last_command.store(command, std::memory_order_relaxed);
    if ((command->flags & RedisFlags::kData) != 0 && !OpenStore()) {
      ++progress.executed;
    } else if (command->read != nullptr) {
      progress.executed += ExecuteReads(commands, progress.executed);
    } else if (command->plan != nullptr) {
      progress.executed += ExecutePlans(commands, progress.executed);
    } else {
      ExecuteOne(*command, words);
      ++progress.executed;
    }
  }
  // A keyspace that is dropped meanwhile is not held on to.
  view_.reset();
  database_handle_ = {};
  return progress;
}

const RedisCommand* RedisSession::Resolve(resp::Command words, bool is_quiet) {
  const RedisCommand* command = FindRedisCommand(words[0]);
  if (command == nullptr || words[0].find('|') != std::string_view::npos) {
    if (!is_quiet) {
      service_->CountUnknown();
      resp::ReplyWriter(replies_->text(), protocol_).Error(UnknownCommandText(words));
    }
    return nullptr;
  }
  if ((command->flags & RedisFlags::kParent) != 0 && words.size() > 1) {
    const RedisCommand* const sub_command = FindSubCommand(*command, words[1]);
    if (sub_command == nullptr) {
      return Refuse(command, is_quiet,
                    fmt::format("ERR unknown subcommand '{}'. Try {} HELP.",
                                words[1].substr(0, kMaxEchoBytes), UpperCase(command->name)));
    }
    command = sub_command;
  }
  if (!command->takes(words.size())) {
    return Refuse(command, is_quiet,
                  fmt::format("ERR wrong number of arguments for '{}' command", command->name));
  }
  if (!is_trusted_ && (command->flags & RedisFlags::kNoAuth) == 0) {
    return Refuse(command, is_quiet, "NOAUTH Authentication required.");
  }
  return command;
}

const RedisCommand* RedisSession::Refuse(const RedisCommand* command, bool is_quiet,
                                         std::string_view error) {
  if (!is_quiet) {
    service_->CountError(command);
    resp::ReplyWriter(replies_->text(), protocol_).Error(error);
  }
  return nullptr;
}

bool RedisSession::MustMove(const RedisCommand& command) {
  if ((command.flags & RedisFlags::kData) != 0) {
    if (database_handle_.store == nullptr) {
      database_handle_ = service_->databases().Find(database_);
    }
    if (database_handle_.store == nullptr || store().may_block()) {
      return true;
    }
  }
  return (command.flags & RedisFlags::kPool) != 0;
}

bool RedisSession::OpenStore() {
  if (database_handle_.store == nullptr) {
    auto database = service_->databases().Open(database_);
    if (!database.ok()) {
      resp::ReplyWriter(replies_->text(), protocol_)
          .Error(fmt::format("ERR {}", Message(database.status())));
      return false;
    }
    database_handle_ = *std::move(database);
  }
  return true;
}

void RedisSession::ExecuteOne(const RedisCommand& command, resp::Command words) {
  if ((command.flags & RedisFlags::kPool) != 0) {
    view_.reset();  // FLUSHDB might wait for it
  }
  std::string* const text = replies_->text();
  const size_t begin = text->size();
  RedisCall call = MakeCall(&command, words, text);
  command.run(&call);
  service_->CountCalls(&command, 1);
  // A reply that waits for the disk is no error, and in another part than `text`.
  if (begin < text->size() && (*text)[begin] == '-') {
    service_->CountError(&command);
  }
}

size_t RedisSession::ExecuteReads(const resp::CommandBatch& commands, size_t first) {
  ReadScratch& scratch = ReadScratch::Get();
  scratch.Clear();
  const RedisCommand* const first_command = Resolve(commands[first], /*is_quiet=*/true);
  const bool needs_values = (first_command->flags & RedisFlags::kNoValues) == 0;
  scratch.Add(first_command, commands[first]);
  const size_t max_bytes =
      scratch.keys.size() > kSliceKeys ? service_->options().max_reply_bytes : kMaxReplyBytes;
  for (size_t i = first + 1; i < commands.size() && scratch.keys.size() < kMaxRunKeys; ++i) {
    const RedisCommand* const command = Resolve(commands[i], /*is_quiet=*/true);
    if (command == nullptr || command->read == nullptr ||
        (!needs_values && (command->flags & RedisFlags::kNoValues) == 0)) {
      break;
    }
    scratch.Add(command, commands[i]);
  }
  const size_t found_keys = LookUp(&scratch, needs_values, max_bytes);

  std::string* const text = replies_->text();
  size_t executed = 0;
  size_t key = 0;
  while (executed < scratch.commands.size() &&
         (executed == 0 || replies_->size_bytes() < kMaxReplyBytes)) {
    const RedisCommand* const command = scratch.commands[executed];
    const resp::Command words = commands[first + executed];
    const size_t key_count = KeyCount(*command, words.size());
    if (executed > 0 && key + key_count > found_keys) {
      break;
    }
    const size_t begin = text->size();
    RedisCall call = MakeCall(command, words, text);
    if (key + key_count > found_keys) {
      call.RefuseLargeReply();
    } else if (const Status* const failure = scratch.FailureAmong(key, key_count)) {
      call.reply().Error(RedisErrorText(*failure));
    } else {
      command->read(&call, std::span(scratch.found).subspan(key, key_count));
    }
    if ((*text)[begin] == '-') {
      service_->CountError(command);
    }
    key += key_count;
    ++executed;
  }
  CountRuns(std::span(scratch.commands).first(executed));
  return executed;
}

void RedisSession::CountRuns(std::span<const RedisCommand* const> commands) {
  size_t begin = 0;
  for (size_t i = 1; i <= commands.size(); ++i) {
    if (i == commands.size() || commands[i] != commands[begin]) {
      service_->CountCalls(commands[begin], i - begin);
      begin = i;
    }
  }
}

size_t RedisSession::LookUp(ReadScratch* scratch, bool needs_values, size_t max_bytes) {
  const size_t count = scratch->keys.size();
  scratch->entries.resize(count);
  scratch->statuses.resize(count);
  scratch->found.resize(count);
  size_t end = 0;
  size_t bytes = 0;
  while (end < count && bytes <= max_bytes) {
    const size_t begin = end;
    end = std::min(begin + kSliceKeys, count);
    const auto slice = [&](auto& all) { return std::span(all).subspan(begin, end - begin); };
    const std::span<const std::string_view> keys = slice(scratch->keys);
    if (needs_values) {
      view().GetMany(keys, slice(scratch->entries), slice(scratch->statuses));
    } else {
      view().FindMany(keys, slice(scratch->entries), slice(scratch->statuses));
      view_.reset();  // a store that read values after all need not keep them
    }
    for (size_t i = begin; i < end; ++i) {
      const kv::Entry* const entry = &scratch->entries[i];
      scratch->found[i] = scratch->statuses[i].ok() ? entry : nullptr;
      bytes += scratch->statuses[i].ok() ? entry->value.size() : 0;
    }
  }
  return end;
}

size_t RedisSession::ExecutePlans(const resp::CommandBatch& commands, size_t first) {
  kv::WriteBatch batch;
  std::string text;
  size_t count = 0;
  size_t bytes = 0;
  while (first + count < commands.size() && batch.operations().size() < kMaxRunWrites &&
         bytes < kMaxRunBytes) {
    const resp::Command words = commands[first + count];
    const RedisCommand* const command = Resolve(words, /*is_quiet=*/true);
    std::string error;
    if (command == nullptr || command->plan == nullptr || !Plan(*command, words, &batch, &error)) {
      break;
    }
    ++count;
    for (const std::string_view word : words) {
      bytes += word.size();
    }
    text.append("+OK\r\n");
  }
  if (count > 1 && Write(batch, text, count).ok()) {
    for (size_t i = first; i < first + count; ++i) {
      service_->CountCalls(Resolve(commands[i], /*is_quiet=*/true), 1);
    }
    return count;
  }
  // Alone, or with one among them that cannot be written.
  ExecutePlan(*Resolve(commands[first], /*is_quiet=*/true), commands[first]);
  return 1;
}

bool RedisSession::Plan(const RedisCommand& command, resp::Command words, kv::WriteBatch* batch,
                        std::string* error) {
  RedisCall call = MakeCall(&command, words, error);
  return command.plan(&call, batch) == RedisPlan::kPlanned;
}

void RedisSession::ExecutePlan(const RedisCommand& command, resp::Command words) {
  kv::WriteBatch batch;
  std::string error;
  if (Plan(command, words, &batch, &error)) {
    const Status status = Write(batch, "+OK\r\n", 1);
    if (!status.ok()) {
      resp::ReplyWriter(&error, protocol_).Error(RedisErrorText(status));
    }
  } else if (error.empty()) {
    ExecuteOne(command, words);
    return;
  }
  replies_->text()->append(error);
  service_->CountCalls(&command, 1);
  if (!error.empty()) {
    service_->CountError(&command);
  }
}

Status RedisSession::Update(std::string_view key, const RedisCall::Edit& edit) {
  std::string text;
  const auto completion = replies_->NewCompletion();
  Status status = store().Update(
      key,
      [&](const kv::Entry* current, kv::WriteBatch* batch) {
        text.clear();
        resp::ReplyWriter reply(&text, protocol_);
        edit(current, batch, &reply);
      },
      [completion](const Status& outcome) {
        outcome.ok() ? completion->Succeed() : completion->Fail(RedisErrorText(outcome));
      },
      nullptr);
  if (!status.ok()) {
    return status;
  }
  if (text.starts_with('-')) {
    // Nothing was written, so there is nothing to wait for.
    replies_->text()->append(text);
  } else {
    replies_->AddWaiting(text, 1, completion);
  }
  return status;
}

Status RedisSession::Write(const kv::WriteBatch& batch, std::string_view reply,
                           size_t reply_count) {
  const auto completion = replies_->NewCompletion();
  Status status = store().Write(
      batch,
      [completion](const Status& outcome) {
        outcome.ok() ? completion->Succeed() : completion->Fail(RedisErrorText(outcome));
      },
      nullptr);
  if (status.ok()) {
    replies_->AddWaiting(reply, reply_count, completion);
  }
  return status;
}

// RedisCall: what its functions need of the session.

RedisService& RedisCall::service() {
  return session_->service();
}

int64_t RedisCall::now_ns() const {
  return session_->now_ns();
}

int64_t RedisCall::now_ms() const {
  return session_->now_ns() / kNanosPerMilli;
}

int64_t RedisCall::default_expiry_ns() const {
  return session_->default_expiry_ns();
}

bool RedisCall::is_abandoned() const {
  return session_->is_abandoned();
}

kv::Store& RedisCall::store() {
  return session_->store();
}

kv::ReadView& RedisCall::view() {
  return session_->view();
}

void RedisCall::Update(std::string_view key, const Edit& edit) {
  if (const Status status = TryUpdate(key, edit); !status.ok()) {
    reply_.Error(RedisErrorText(status));
  }
}

Status RedisCall::TryUpdate(std::string_view key, const Edit& edit) {
  return session_->Update(key, edit);
}

void RedisCall::Write(const kv::WriteBatch& batch, std::string_view reply) {
  if (const Status status = session_->Write(batch, reply, 1); !status.ok()) {
    reply_.Error(RedisErrorText(status));
  }
}

bool RedisCall::Refuse(std::string_view error) {
  reply_.Error(error);
  return false;
}

bool RedisCall::RefuseLargeReply() {
  return Refuse(fmt::format("ERR the values are too large for one reply (more than {} bytes)",
                            service().options().max_reply_bytes));
}

bool RedisCall::RefuseSyntax() {
  return Refuse("ERR syntax error");
}

bool RedisCall::ReadInteger(size_t index, int64_t* value) {
  return ParseRedisInteger(arguments_[index], value) || Refuse(kNotAnInteger);
}

bool RedisCall::Is(size_t index, std::string_view word) const {
  return EqualsWord(arguments_[index], word);
}

}  // namespace tsdbd::server
