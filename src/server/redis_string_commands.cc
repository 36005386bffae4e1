// GET, SET and the other commands on whole values (redis_command.h).

#include "server/redis_string_commands.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "server/redis_command.h"
#include "server/redis_expiry.h"
#include "server/redis_key_commands.h"
#include "server/redis_service.h"
#include "server/redis_text.h"

namespace tsdbd::server {
namespace {

struct SetOptions {
  bool only_if_absent = false;
  bool only_if_present = false;
  bool keep_expiry = false;
  bool drop_expiry = false;
  bool wants_old = false;
  std::optional<int64_t> expires_ns;

  bool is_blind() const {
    return !only_if_absent && !only_if_present && !keep_expiry && !wants_old;
  }
};

bool RefuseExpiry(RedisCall* call) {
  return call->Refuse(fmt::format("ERR invalid expire time in '{}' command", call->command().name));
}

// Argument `index`: a time that lies ahead of 1970 or of now.
bool ReadExpiry(RedisCall* call, size_t index, ExpiryUnit unit, bool is_moment,
                std::optional<int64_t>* expires_ns) {
  int64_t number = 0;
  int64_t moment_ns = 0;
  if (!call->ReadInteger(index, &number)) {
    return false;
  }
  if (number <= 0 || !ToExpiry(number, unit, is_moment, call->now_ms(), &moment_ns)) {
    return RefuseExpiry(call);
  }
  *expires_ns = moment_ns;
  return true;
}

// One of EX, PX, EXAT, PXAT at `index`, with its number behind it.
struct ExpiryOption {
  bool is_one = false;
  ExpiryUnit unit = ExpiryUnit::kSeconds;
  bool is_moment = false;
};

ExpiryOption ExpiryOptionAt(const RedisCall& call, size_t index) {
  ExpiryOption option;
  option.is_moment = call.Is(index, "exat") || call.Is(index, "pxat");
  option.unit =
      call.Is(index, "px") || call.Is(index, "pxat") ? ExpiryUnit::kMillis : ExpiryUnit::kSeconds;
  option.is_one = option.is_moment || call.Is(index, "ex") || call.Is(index, "px");
  return option;
}

// The options of SET (from its fourth word) and GETEX (from its third). All are understood before
// the number of an expiry is looked at, as Redis does.
class OptionReader {
 public:
  OptionReader(RedisCall* call, bool is_set) : call_(call), is_set_(is_set) {}

  bool Read(size_t first, SetOptions* options) {
    for (size_t i = first; i < call_->size(); ++i) {
      if (!(is_set_ && TakeSetFlag(i, options)) && !TakeExpiry(&i, options)) {
        return call_->RefuseSyntax();
      }
    }
    return !expiry_.is_one ||
           ReadExpiry(call_, number_index_, expiry_.unit, expiry_.is_moment, &options->expires_ns);
  }

 private:
  bool TakeSetFlag(size_t index, SetOptions* options) {
    if (call_->Is(index, "nx") && !options->only_if_present) {
      return options->only_if_absent = true;
    }
    if (call_->Is(index, "xx") && !options->only_if_absent) {
      return options->only_if_present = true;
    }
    if (call_->Is(index, "get")) {
      return options->wants_old = true;
    }
    if (call_->Is(index, "keepttl") && !expiry_.is_one) {
      return options->keep_expiry = true;
    }
    return false;
  }

  bool TakeExpiry(size_t* index, SetOptions* options) {
    if (!is_set_ && call_->Is(*index, "persist") && !expiry_.is_one) {
      return options->drop_expiry = true;
    }
    const ExpiryOption option = ExpiryOptionAt(*call_, *index);
    const bool is_second =
        expiry_.is_one && (option.unit != expiry_.unit || option.is_moment != expiry_.is_moment);
    if (!option.is_one || is_second || options->keep_expiry || options->drop_expiry ||
        *index + 1 == call_->size()) {
      return false;
    }
    expiry_ = option;
    number_index_ = ++*index;
    return true;
  }

  RedisCall* const call_;
  const bool is_set_;
  ExpiryOption expiry_;
  size_t number_index_ = 0;
};

void ReplyValue(const kv::Entry* entry, resp::ReplyWriter* reply) {
  if (entry == nullptr) {
    reply->Null();
  } else {
    reply->Bulk(entry->value);
  }
}

// A read-modify-write that keeps the expiry: `change` makes the new value from the old one, which
// is empty if `is_new`; false: nothing is written.
using ValueChange = std::function<bool(bool is_new, std::string* value, resp::ReplyWriter* reply)>;

void ChangeValue(RedisCall* call, const ValueChange& change) {
  const std::string_view key = (*call)[1];
  std::string value;
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    value = current == nullptr ? std::string_view() : current->value;
    if (change(current == nullptr, &value, reply)) {
      batch->Put(key, value, current == nullptr ? call->default_expiry_ns() : current->expires_ns);
    }
  });
}

void AddInteger(RedisCall* call, int64_t amount) {
  ChangeValue(call, [&](bool is_new, std::string* value, resp::ReplyWriter* reply) {
    int64_t number = 0;
    if (!is_new && !ParseRedisInteger(*value, &number)) {
      reply->Error(kNotAnInteger);
      return false;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
      reply->Error("ERR increment or decrement would overflow");
      return false;
    }
    *value = std::to_string(number);
    reply->Integer(number);
    return true;
  });
}

// SETEX and PSETEX: key, time, value.
RedisPlan PlanSetWithExpiry(RedisCall* call, kv::WriteBatch* batch, ExpiryUnit unit) {
  std::optional<int64_t> expires_ns;
  if (!ReadExpiry(call, 2, unit, /*is_moment=*/false, &expires_ns)) {
    return RedisPlan::kNotPlanned;
  }
  batch->Put((*call)[1], (*call)[3], *expires_ns);
  return RedisPlan::kPlanned;
}

// From Redis' inclusive bounds, where negative ones count from the end.
std::string_view RangeOf(std::string_view value, int64_t first, int64_t last) {
  const auto size = static_cast<int64_t>(value.size());
  if (first < 0 && last < 0 && first > last) {
    return {};
  }
  first = std::max<int64_t>(first < 0 ? size + first : first, 0);
  last = std::min<int64_t>(std::max<int64_t>(last < 0 ? size + last : last, 0), size - 1);
  return first > last
             ? std::string_view()
             : value.substr(static_cast<size_t>(first), static_cast<size_t>(last - first + 1));
}

}  // namespace

bool ToExpiry(int64_t number, ExpiryUnit unit, bool is_moment, int64_t now_ms,
              int64_t* expires_ns) {
  int64_t millis = number;
  if ((unit == ExpiryUnit::kSeconds && __builtin_mul_overflow(number, 1'000, &millis)) ||
      (!is_moment && __builtin_add_overflow(millis, now_ms, &millis))) {
    return false;
  }
  if (__builtin_mul_overflow(millis, kNanosPerMilli, expires_ns)) {
    *expires_ns = std::numeric_limits<int64_t>::min();
    return millis < 0;
  }
  return true;
}

void ReadGet(RedisCall* call, std::span<const kv::Entry* const> entries) {
  ReplyValue(entries[0], &call->reply());
}

void ReadMGet(RedisCall* call, std::span<const kv::Entry* const> entries) {
  size_t bytes = 0;
  for (const kv::Entry* const entry : entries) {
    bytes += entry == nullptr ? 0 : entry->value.size();
  }
  if (bytes > call->service().options().max_reply_bytes) {
    call->RefuseLargeReply();
    return;
  }
  call->reply().BeginArray(entries.size());
  for (const kv::Entry* const entry : entries) {
    ReplyValue(entry, &call->reply());
  }
}

void ReadStrLen(RedisCall* call, std::span<const kv::Entry* const> entries) {
  call->reply().Integer(entries[0] == nullptr ? 0 : static_cast<int64_t>(entries[0]->value.size()));
}

void ReadGetRange(RedisCall* call, std::span<const kv::Entry* const> entries) {
  int64_t first = 0;
  int64_t last = 0;
  if (call->ReadInteger(2, &first) && call->ReadInteger(3, &last)) {
    call->reply().Bulk(
        RangeOf(entries[0] == nullptr ? std::string_view() : entries[0]->value, first, last));
  }
}

RedisPlan PlanSet(RedisCall* call, kv::WriteBatch* batch) {
  SetOptions options;
  if (call->size() > 3 &&
      (!OptionReader(call, /*is_set=*/true).Read(3, &options) || !options.is_blind())) {
    return RedisPlan::kNotPlanned;
  }
  batch->Put((*call)[1], (*call)[2], options.expires_ns.value_or(call->default_expiry_ns()));
  return RedisPlan::kPlanned;
}

void RunSet(RedisCall* call) {
  SetOptions options;
  if (!OptionReader(call, /*is_set=*/true).Read(3, &options)) {
    return;
  }
  const std::string_view key = (*call)[1];
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    const bool is_allowed = current == nullptr ? !options.only_if_present : !options.only_if_absent;
    if (options.wants_old) {
      ReplyValue(current, reply);
    } else if (is_allowed) {
      reply->Ok();
    } else {
      reply->Null();
    }
    if (is_allowed) {
      const int64_t kept = options.keep_expiry && current != nullptr ? current->expires_ns
                                                                     : call->default_expiry_ns();
      batch->Put(key, (*call)[2], options.expires_ns.value_or(kept));
    }
  });
}

RedisPlan PlanSetEx(RedisCall* call, kv::WriteBatch* batch) {
  return PlanSetWithExpiry(call, batch, ExpiryUnit::kSeconds);
}

RedisPlan PlanPSetEx(RedisCall* call, kv::WriteBatch* batch) {
  return PlanSetWithExpiry(call, batch, ExpiryUnit::kMillis);
}

RedisPlan PlanMSet(RedisCall* call, kv::WriteBatch* batch) {
  if (call->size() % 2 == 0) {
    call->Refuse("ERR wrong number of arguments for 'mset' command");
    return RedisPlan::kNotPlanned;
  }
  for (size_t i = 1; i < call->size(); i += 2) {
    batch->Put((*call)[i], (*call)[i + 1], call->default_expiry_ns());
  }
  return RedisPlan::kPlanned;
}

void RunSetNx(RedisCall* call) {
  const std::string_view key = (*call)[1];
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    reply->Integer(current == nullptr ? 1 : 0);
    if (current == nullptr) {
      batch->Put(key, (*call)[2], call->default_expiry_ns());
    }
  });
}

void RunGetSet(RedisCall* call) {
  const std::string_view key = (*call)[1];
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    ReplyValue(current, reply);
    batch->Put(key, (*call)[2], call->default_expiry_ns());
  });
}

void RunGetDel(RedisCall* call) {
  const std::string_view key = (*call)[1];
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    ReplyValue(current, reply);
    if (current != nullptr) {
      batch->Delete(key);
    }
  });
}

void RunGetEx(RedisCall* call) {
  SetOptions options;
  if (!OptionReader(call, /*is_set=*/false).Read(2, &options)) {
    return;
  }
  const std::string_view key = (*call)[1];
  const bool is_change = options.drop_expiry || options.expires_ns.has_value();
  std::string value;
  call->Update(key, [&](const kv::Entry* current, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    ReplyValue(current, reply);
    if (current != nullptr && is_change) {
      value = current->value;
      batch->Put(key, value, options.expires_ns.value_or(kv::kNeverExpires));
    }
  });
}

void RunIncr(RedisCall* call) {
  AddInteger(call, 1);
}

void RunDecr(RedisCall* call) {
  AddInteger(call, -1);
}

void RunIncrBy(RedisCall* call) {
  int64_t amount = 0;
  if (call->ReadInteger(2, &amount)) {
    AddInteger(call, amount);
  }
}

void RunDecrBy(RedisCall* call) {
  int64_t amount = 0;
  if (!call->ReadInteger(2, &amount)) {
    return;
  }
  if (amount == std::numeric_limits<int64_t>::min()) {
    call->Refuse("ERR decrement would overflow");
    return;
  }
  AddInteger(call, -amount);
}

void RunIncrByFloat(RedisCall* call) {
  ChangeValue(call, [&](bool is_new, std::string* value, resp::ReplyWriter* reply) {
    long double number = 0;
    long double amount = 0;
    if ((!is_new && !ParseRedisFloat(*value, &number)) || !ParseRedisFloat((*call)[2], &amount)) {
      reply->Error("ERR value is not a valid float");
      return false;
    }
    number += amount;
    if (!std::isfinite(number)) {
      reply->Error("ERR increment would produce NaN or Infinity");
      return false;
    }
    *value = RedisFloatText(number);
    reply->Bulk(*value);
    return true;
  });
}

void RunAppend(RedisCall* call) {
  ChangeValue(call, [&](bool, std::string* value, resp::ReplyWriter* reply) {
    value->append((*call)[2]);
    reply->Integer(static_cast<int64_t>(value->size()));
    return true;
  });
}

void RunSetRange(RedisCall* call) {
  int64_t offset = 0;
  if (!call->ReadInteger(2, &offset)) {
    return;
  }
  if (offset < 0) {
    call->Refuse("ERR offset is out of range");
    return;
  }
  const std::string_view patch = (*call)[3];
  const size_t max_bytes = call->service().options().max_value_bytes;
  ChangeValue(call, [&](bool, std::string* value, resp::ReplyWriter* reply) {
    if (patch.empty()) {
      reply->Integer(static_cast<int64_t>(value->size()));
      return false;
    }
    const auto begin = static_cast<size_t>(offset);
    if (begin > max_bytes || begin + patch.size() > max_bytes) {
      reply->Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
      return false;
    }
    value->resize(std::max(value->size(), begin + patch.size()));
    value->replace(begin, patch.size(), patch);
    reply->Integer(static_cast<int64_t>(value->size()));
    return true;
  });
}

void RunMSetNx(RedisCall* call) {
  if (call->size() % 2 == 0) {
    call->Refuse("ERR wrong number of arguments for 'msetnx' command");
    return;
  }
  std::vector<std::string_view> keys;
  for (size_t i = 1; i < call->size(); i += 2) {
    keys.push_back((*call)[i]);
  }
  kv::ReadView* const view = &call->view();
  call->Update(keys[0], [&](const kv::Entry*, kv::WriteBatch* batch, resp::ReplyWriter* reply) {
    bool is_any = false;
    if (!ReadWhetherAny(view, keys, reply, &is_any)) {
      return;
    }
    reply->Integer(is_any ? 0 : 1);
    for (size_t i = 0; !is_any && i < keys.size(); ++i) {
      batch->Put(keys[i], (*call)[2 * i + 2], call->default_expiry_ns());
    }
  });
}

}  // namespace tsdbd::server
