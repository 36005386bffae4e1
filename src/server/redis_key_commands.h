#pragma once
// Commands on keys and keyspaces, for the table (redis_command.h).

#include <span>
#include <string_view>
#include <vector>

#include "server/redis_command.h"

namespace tsdbd::server {

void ReadExists(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadType(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadTtl(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadPTtl(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadExpireTime(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadPExpireTime(RedisCall* call, std::span<const kv::Entry* const> entries);

void RunDel(RedisCall* call);
void RunExpire(RedisCall* call);
void RunPExpire(RedisCall* call);
void RunExpireAt(RedisCall* call);
void RunPExpireAt(RedisCall* call);
void RunPersist(RedisCall* call);
void RunRename(RedisCall* call);
void RunRenameNx(RedisCall* call);

void RunScan(RedisCall* call);
void RunKeys(RedisCall* call);
void RunRandomKey(RedisCall* call);
void RunDbSize(RedisCall* call);
void RunFlushDb(RedisCall* call);
void RunFlushAll(RedisCall* call);

// Whether any of `keys` is there. Within an edit: as the other keys of a write are then, whoever
// else writes. False, with an error written, if a record cannot be read, since then nobody knows.
bool ReadWhetherAny(kv::ReadView* view, std::span<const std::string_view> keys,
                    resp::ReplyWriter* reply, bool* is_any);

}  // namespace tsdbd::server
