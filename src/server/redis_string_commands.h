#pragma once
// Commands on values, for the table (redis_command.h).

#include <span>

#include "server/redis_command.h"

namespace tsdbd::server {

void ReadGet(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadMGet(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadStrLen(RedisCall* call, std::span<const kv::Entry* const> entries);
void ReadGetRange(RedisCall* call, std::span<const kv::Entry* const> entries);

RedisPlan PlanSet(RedisCall* call, kv::WriteBatch* batch);
RedisPlan PlanSetEx(RedisCall* call, kv::WriteBatch* batch);
RedisPlan PlanPSetEx(RedisCall* call, kv::WriteBatch* batch);
RedisPlan PlanMSet(RedisCall* call, kv::WriteBatch* batch);

void RunSet(RedisCall* call);
void RunSetNx(RedisCall* call);
void RunMSetNx(RedisCall* call);
void RunGetSet(RedisCall* call);
void RunGetDel(RedisCall* call);
void RunGetEx(RedisCall* call);
void RunIncr(RedisCall* call);
void RunDecr(RedisCall* call);
void RunIncrBy(RedisCall* call);
void RunDecrBy(RedisCall* call);
void RunIncrByFloat(RedisCall* call);
void RunAppend(RedisCall* call);
void RunSetRange(RedisCall* call);

}  // namespace tsdbd::server
