#pragma once
// Commands about the connection itself, for the table (redis_command.h).

#include "server/redis_command.h"

namespace tsdbd::server {

void RunPing(RedisCall* call);
void RunEcho(RedisCall* call);
void RunHello(RedisCall* call);
void RunAuth(RedisCall* call);
void RunSelect(RedisCall* call);
void RunQuit(RedisCall* call);
void RunReset(RedisCall* call);
// What is no command but the beginning of an HTTP request: somebody makes a browser talk to us.
void RunForeign(RedisCall* call);

void RunClientId(RedisCall* call);
void RunClientGetName(RedisCall* call);
void RunClientSetName(RedisCall* call);
void RunClientSetInfo(RedisCall* call);
void RunClientInfo(RedisCall* call);
void RunClientList(RedisCall* call);
void RunClientNoEvict(RedisCall* call);

}  // namespace tsdbd::server
