#pragma once
// Commands about the server, for the table (redis_command.h).

#include <string_view>

#include "server/redis_command.h"

namespace tsdbd::server {

// Whose commands and replies these are: clients choose by it what they send.
inline constexpr std::string_view kRedisVersion = "7.0.15";

void RunInfo(RedisCall* call);
void RunTime(RedisCall* call);
void RunWait(RedisCall* call);

void RunConfigGet(RedisCall* call);

void RunCommand(RedisCall* call);
void RunCommandCount(RedisCall* call);
void RunCommandDocs(RedisCall* call);
void RunCommandInfo(RedisCall* call);
void RunCommandList(RedisCall* call);

// The sub-commands of a command.
void RunHelp(RedisCall* call);

}  // namespace tsdbd::server
