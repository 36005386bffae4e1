// DEL, EXPIRE, SCAN and the other commands that do not look into values (redis_command.h).

#include "server/redis_key_commands.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "server/redis_expiry.h"
#include "server/redis_service.h"
#include "server/redis_session.h"
#include "server/redis_text.h"

namespace tsdbd::server {
namespace {

// SCAN's COUNT is a hint; a loop must not be held up for more than some hundred microseconds.
constexpr int64_t kMaxScanCount = 1'000;
constexpr int64_t kDefaultScanCount = 10;
// KEYS answers in one piece. Whoever has more keys wants SCAN.
constexpr size_t kMaxKeysReply = 1'000'000;
// KEYS looks up between so many whether its client is still there, and lets go of what it has read.
constexpr size_t kKeysPage = 4'096;

constexpr std::string_view kWrongCursor = "ERR invalid cursor";

int64_t RoundToSeconds(int64_t millis) {
  return (millis + 500) / 1'000;
}

// Replies -2 for no key, -1 for one that never expires, else what `figure` makes of the moment.
template <typename Figure>
void ReplyExpiry(RedisCall* call, const kv::Entry* entry, Figure figure) {
  if (entry == nullptr) {
    call->reply().Integer(-2);
  } else if (entry->expires_ns == kv::kNeverExpires) {
    call->reply().Integer(-1);
  } else {
    call->reply().Integer(figure(ExpiryMillis(*entry)));
  }
}

struct ExpireConditions {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;

  // A key that never expires counts as one that does so after all others.
  bool Allow(int64_t old_ns, int64_t new_ns) const {
    const bool has_old = old_ns != kv::kNeverExpires;
    return !(nx && has_old) && !(xx && !has_old) && !(gt && (!has_old || new_ns <= old_ns)) &&
           !(lt && has_old && new_ns >= old_ns);
  }
};

bool ReadConditions(RedisCall* call, ExpireConditions* conditions) {
  for (size_t i = 3; i < call->size(); ++i) {
    if (call->Is(i, "nx")) {
      conditions->nx = true;
    } else if (call->Is(i, "xx")) {
      conditions->xx = true;
    } else if (call->Is(i, "gt")) {
      conditions->gt = true;
    } else if (call->Is(i, "lt")) {
      conditions->lt = true;
    } else {
      return call->Refuse(fmt::format("ERR Unsupported option {}", (*call)[i]));
    }
  }
  if (conditions->nx && (conditions->xx || conditions->gt || conditions->lt)) {
    return call->Refuse("ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  if (conditions->gt && conditions->lt) {
    return call->Refuse("ERR GT and LT options at the same time are not compatible");
  }
  return true;
}

void Expire(RedisCall* call, ExpiryUnit unit, bool is_moment) {
  ExpireConditions conditions;
  int64_t number = 0;
  int64_t expires_ns = 0;
  if (!ReadConditions(call, &conditions) || !call->ReadInteger(2, &number)) {
    return;
  }
  if (!ToExpiry(number, unit, is_moment, call->now_ms(), &expires_ns)) {
    call->Refuse(fmt::format("ERR invalid expire time in '{}' command", call->command().name));
    return;
  }
  const std::string_view key = (*call)[1];
  std::string value;
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    if (current == nullptr || !conditions.Allow(current->expires_ns, expires_ns)) {
      reply->Integer(0);
      return;
    }
    reply->Integer(1);
    if (expires_ns <= call->now_ns()) {
      batch->Delete(key);
    } else {
      value = current->value;
      batch->Put(key, value, expires_ns);
    }
  });
}

void Rename(RedisCall* call, bool only_if_absent) {
  const std::string_view from = (*call)[1];
  const std::string_view to = (*call)[2];
  kv::ReadView* const view = &call->view();
  std::string value;
  call->Update(from,
               [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
                 if (current == nullptr) {
                   reply->Error("ERR no such key");
                   return;
                 }
                 bool is_taken = false;
                 if (only_if_absent && !ReadWhetherAny(view, {&to, 1}, reply, &is_taken)) {
                   return;
                 }
                 if (only_if_absent) {
                   reply->Integer(is_taken ? 0 : 1);
                 } else {
                   reply->Ok();
                 }
                 if (!is_taken && from != to) {
                   value = current->value;
                   batch->Put(to, value, current->expires_ns);
                   batch->Delete(from);
                 }
               });
}

// Cursors as clients see them: a number, 0 at the beginning and at the end. Where keys are in hash
// order the store's 8 bytes are that number; other cursors are kept, by a number of their own.
class ScanCursor {
 public:
  explicit ScanCursor(RedisCall* call) : call_(call) {}

  bool Read(std::string_view text, std::string* cursor) {
    uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stop != end || text.empty()) {
      return call_->Refuse(kWrongCursor);
    }
    if (number == 0) {
      cursor->clear();
      return true;
    }
    if (!call_->store().is_ordered()) {
      const auto bytes = kv::IntegerKey(number);
      cursor->assign(bytes.data(), bytes.size());
      return true;
    }
    const std::optional<std::string> kept = call_->service().cursors().Find(number);
    if (!kept) {
      return call_->Refuse(kWrongCursor);
    }
    *cursor = *kept;
    return true;
  }

  std::string Text(std::string cursor) {
    if (cursor.empty()) {
      return "0";
    }
    return std::to_string(call_->store().is_ordered()
                              ? call_->service().cursors().Keep(std::move(cursor))
                              : kv::IntegerOfKey(cursor));
  }

 private:
  RedisCall* const call_;
};

struct ScanOptions {
  std::string_view pattern = "*";
  int64_t count = kDefaultScanCount;
  bool wants_strings = true;  // there are no other values
};

bool ReadScanOptions(RedisCall* call, ScanOptions* options) {
  for (size_t i = 2; i < call->size(); i += 2) {
    const bool has_value = i + 1 < call->size();
    if (has_value && call->Is(i, "count")) {
      if (!call->ReadInteger(i + 1, &options->count)) {
        return false;
      }
      if (options->count < 1) {
        return call->RefuseSyntax();
      }
    } else if (has_value && call->Is(i, "match")) {
      options->pattern = (*call)[i + 1];
    } else if (has_value && call->Is(i, "type")) {
      options->wants_strings = call->Is(i + 1, "string");
    } else {
      return call->RefuseSyntax();
    }
  }
  return true;
}

// FLUSHDB and FLUSHALL take ASYNC or SYNC; here both wait.
bool CheckFlushOption(RedisCall* call) {
  return call->size() == 1 ||
         (call->size() == 2 && (call->Is(1, "async") || call->Is(1, "sync"))) ||
         call->RefuseSyntax();
}

// Deletes those of `keys` that have a record, and returns how many. Damaged ones are among them:
// what is to go need not be readable.
int64_t DeleteExisting(kv::ReadView* view, std::span<const std::string_view> keys,
                       kv::WriteBatch* batch) {
  std::vector<kv::Entry> entries(keys.size());
  std::vector<Status> statuses(keys.size());
  view->FindMany(keys, entries, statuses);
  int64_t count = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].code() != StatusCode::kNotFound) {
      batch->Delete(keys[i]);
      ++count;
    }
  }
  return count;
}

uint64_t RandomNumber() {
  thread_local std::mt19937_64 generator{std::random_device()()};
  return generator();
}

}  // namespace

bool ReadWhetherAny(kv::ReadView* view, std::span<const std::string_view> keys,
                    resp::ReplyWriter* reply, bool* is_any) {
  std::vector<kv::Entry> entries(keys.size());
  std::vector<Status> statuses(keys.size());
  view->GetMany(keys, entries, statuses);
  *is_any = false;
  for (const Status& status : statuses) {
    if (!status.ok() && status.code() != StatusCode::kNotFound) {
      reply->Error(RedisErrorText(status));
      return false;
    }
    *is_any = *is_any || status.ok();
  }
  return true;
}

void ReadExists(RedisCall* call, std::span<const kv::Entry* const> entries) {
  call->reply().Integer(std::count_if(entries.begin(), entries.end(),
                                      [](const kv::Entry* entry) { return entry != nullptr; }));
}

void ReadType(RedisCall* call, std::span<const kv::Entry* const> entries) {
  call->reply().Simple(entries[0] == nullptr ? "none" : "string");
}

void ReadTtl(RedisCall* call, std::span<const kv::Entry* const> entries) {
  ReplyExpiry(call, entries[0], [&](int64_t millis) {
    return RoundToSeconds(std::max<int64_t>(millis - call->now_ms(), 0));
  });
}

void ReadPTtl(RedisCall* call, std::span<const kv::Entry* const> entries) {
  ReplyExpiry(call, entries[0],
              [&](int64_t millis) { return std::max<int64_t>(millis - call->now_ms(), 0); });
}

void ReadExpireTime(RedisCall* call, std::span<const kv::Entry* const> entries) {
  ReplyExpiry(call, entries[0], RoundToSeconds);
}

void ReadPExpireTime(RedisCall* call, std::span<const kv::Entry* const> entries) {
  ReplyExpiry(call, entries[0], [](int64_t millis) { return millis; });
}

void RunDel(RedisCall* call) {
  // Named twice it is deleted and counted once.
  std::vector<std::string_view> keys(call->arguments().begin() + 1, call->arguments().end());
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  kv::ReadView* const view = &call->view();
  const Status status = call->TryUpdate(
      keys[0], [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
        if (keys.size() > 1) {
          reply->Integer(DeleteExisting(view, keys, batch));
          return;
        }
        reply->Integer(current == nullptr ? 0 : 1);
        if (current != nullptr) {
          batch->Delete(keys[0]);
        }
      });
  if (status.code() == StatusCode::kDataLoss) {
    // The first key's record is damaged, which only an update minds. A write that comes between the
    // look and the deletion is deleted, too, as if it had come before.
    kv::WriteBatch batch;
    std::string reply;
    resp::ReplyWriter(&reply, call->reply().protocol()).Integer(DeleteExisting(view, keys, &batch));
    call->Write(batch, reply);
  } else if (!status.ok()) {
    call->Refuse(RedisErrorText(status));
  }
}

void RunExpire(RedisCall* call) {
  Expire(call, ExpiryUnit::kSeconds, /*is_moment=*/false);
}

void RunPExpire(RedisCall* call) {
  Expire(call, ExpiryUnit::kMillis, /*is_moment=*/false);
}

void RunExpireAt(RedisCall* call) {
  Expire(call, ExpiryUnit::kSeconds, /*is_moment=*/true);
}

void RunPExpireAt(RedisCall* call) {
  Expire(call, ExpiryUnit::kMillis, /*is_moment=*/true);
}

void RunPersist(RedisCall* call) {
  const std::string_view key = (*call)[1];
  std::string value;
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    const bool expires = current != nullptr && current->expires_ns != kv::kNeverExpires;
    reply->Integer(expires ? 1 : 0);
    if (expires) {
      value = current->value;
      batch->Put(key, value);
    }
  });
}

void RunRename(RedisCall* call) {
  Rename(call, /*only_if_absent=*/false);
}

void RunRenameNx(RedisCall* call) {
  Rename(call, /*only_if_absent=*/true);
}

void RunScan(RedisCall* call) {
  ScanCursor cursors(call);
  ScanOptions options;
  std::string cursor;
  if (!cursors.Read((*call)[1], &cursor) || !ReadScanOptions(call, &options)) {
    return;
  }
  std::string keys;
  resp::ReplyWriter key_writer(&keys, call->reply().protocol());
  int64_t matches = 0;
  std::string next;
  const Status status = call->view().Scan(
      {.cursor = cursor,
       .limit = static_cast<size_t>(std::min(options.count, kMaxScanCount)),
       .keys_only = true},
      [&](const kv::Entry& entry) {
        if (options.wants_strings && MatchesGlob(options.pattern, entry.key)) {
          key_writer.Bulk(entry.key);
          ++matches;
        }
        return true;
      },
      &next);
  if (!status.ok()) {
    call->Refuse(status.code() == StatusCode::kInvalidArgument ? std::string(kWrongCursor)
                                                               : RedisErrorText(status));
    return;
  }
  call->reply().BeginArray(2);
  call->reply().Bulk(cursors.Text(std::move(next)));
  call->reply().BeginArray(static_cast<size_t>(matches));
  call->reply().out()->append(keys);
}

void RunKeys(RedisCall* call) {
  const size_t max_bytes = call->service().options().max_reply_bytes;
  std::string keys;
  resp::ReplyWriter key_writer(&keys, call->reply().protocol());
  size_t matches = 0;
  bool is_too_much = false;
  const auto visit = [&](const kv::Entry& entry) {
    if (MatchesGlob((*call)[1], entry.key)) {
      key_writer.Bulk(entry.key);
      ++matches;
    }
    is_too_much = matches > kMaxKeysReply || keys.size() > max_bytes;
    return !is_too_much;
  };
  std::string cursor;
  do {
    if (call->is_abandoned()) {
      call->Refuse("ERR the client is gone");
      return;
    }
    const auto view = call->store().Read(kv::Consistency::kLatest);
    std::string next;
    const Status status =
        view->Scan({.cursor = cursor, .limit = kKeysPage, .keys_only = true}, visit, &next);
    if (!status.ok()) {
      call->Refuse(RedisErrorText(status));
      return;
    }
    cursor = std::move(next);
  } while (!cursor.empty() && !is_too_much);
  if (is_too_much) {
    call->Refuse(fmt::format("ERR more than {} keys or {} MiB of them match: use SCAN",
                             kMaxKeysReply, max_bytes >> 20));
    return;
  }
  call->reply().BeginArray(matches);
  call->reply().out()->append(keys);
}

void RunRandomKey(RedisCall* call) {
  // The first key behind a random place, or the first of all if none is behind.
  const auto place = kv::IntegerKey(RandomNumber());
  const std::string_view bytes(place.data(), place.size());
  std::string key;
  bool is_found = false;
  const auto take = [&](const kv::Entry& entry) {
    key = entry.key;
    is_found = true;
    return false;
  };
  kv::ScanRange range{.limit = 1, .keys_only = true};
  (call->store().is_ordered() ? range.from : range.cursor) = bytes;
  std::string next;
  Status status = call->view().Scan(range, take, &next);
  if (status.ok() && !is_found) {
    status = call->view().Scan({.limit = 1, .keys_only = true}, take, &next);
  }
  if (!status.ok()) {
    call->Refuse(RedisErrorText(status));
  } else if (is_found) {
    call->reply().Bulk(key);
  } else {
    call->reply().Null();
  }
}

void RunDbSize(RedisCall* call) {
  call->reply().Integer(static_cast<int64_t>(call->store().stats().keys));
}

void RunFlushDb(RedisCall* call) {
  if (!CheckFlushOption(call)) {
    return;
  }
  if (const Status status = call->store().Clear(); !status.ok()) {
    call->Refuse(RedisErrorText(status));
    return;
  }
  call->reply().Ok();
}

void RunFlushAll(RedisCall* call) {
  if (!CheckFlushOption(call)) {
    return;
  }
  RedisDatabases& databases = call->service().databases();
  for (size_t i = 0; i < databases.count(); ++i) {
    const std::shared_ptr<kv::Store> store = databases.Find(i).store;
    if (store == nullptr) {
      continue;
    }
    if (const Status status = store->Clear(); !status.ok()) {
      call->Refuse(RedisErrorText(status));
      return;
    }
  }
  call->reply().Ok();
}

}  // namespace tsdbd::server
