// HELLO, AUTH, SELECT, CLIENT and the like (redis_command.h).

#include "server/redis_connection_commands.h"

#include <algorithm>
#include <string>

#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "server/redis_server_commands.h"
#include "server/redis_service.h"
#include "server/redis_session.h"
#include "server/redis_text.h"

namespace tsdbd::server {
namespace {

constexpr std::string_view kWrongPassword =
    "WRONGPASS invalid username-password pair or user is disabled.";
constexpr std::string_view kWrongName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// Takes as long for every wrong password of the right length.
bool IsEqualSecret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) {
    return false;
  }
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  }
  return difference == 0;
}

bool Authenticate(RedisCall* call, std::string_view user, std::string_view password) {
  const std::string& expected = call->service().options().password;
  // Without a password everybody is the default user.
  if (user != "default" || (!expected.empty() && !IsEqualSecret(password, expected))) {
    return call->Refuse(kWrongPassword);
  }
  call->session().set_trusted(true);
  return true;
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

bool SetName(RedisCall* call, std::string_view name) {
  if (!IsPrintable(name)) {
    return call->Refuse(kWrongName);
  }
  RedisClient& client = call->session().client();
  MutexLock lock(&client.mutex);
  client.name = name;
  return true;
}

void ReplyHello(RedisCall* call) {
  // In the protocol that it has just chosen.
  resp::ReplyWriter reply(call->reply().out(), call->session().protocol());
  reply.BeginMap(7);
  reply.Bulk("server");
  reply.Bulk("redis");
  reply.Bulk("version");
  reply.Bulk(kRedisVersion);
  reply.Bulk("proto");
  reply.Integer(static_cast<int>(reply.protocol()));
  reply.Bulk("id");
  reply.Integer(static_cast<int64_t>(call->session().client().id));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("modules");
  reply.BeginArray(0);
}

int64_t SecondsSince(int64_t monotonic_ns) {
  return (MonotonicNanos() - monotonic_ns) / kNanosPerSecond;
}

// One line of CLIENT LIST, without what there is nothing of here.
std::string ClientLine(RedisClient* client) {
  const RedisCommand* const command = client->last_command.load(std::memory_order_relaxed);
  MutexLock lock(&client->mutex);
  return fmt::format(
      "id={} addr={} laddr={} name={} age={} idle={} flags=N db={} sub=0 psub=0 multi=-1 cmd={} "
      "user=default lib-name={} lib-ver={} resp={}\n",
      client->id, client->peer.address, client->peer.own_address, client->name,
      SecondsSince(client->connected_ns),
      SecondsSince(client->active_ns.load(std::memory_order_relaxed)),
      client->database.load(std::memory_order_relaxed), command == nullptr ? "NULL" : command->name,
      client->library_name, client->library_version,
      client->protocol.load(std::memory_order_relaxed));
}

}  // namespace

void RunPing(RedisCall* call) {
  if (call->size() > 2) {
    call->Refuse("ERR wrong number of arguments for 'ping' command");
  } else if (call->size() == 2) {
    call->reply().Bulk((*call)[1]);
  } else {
    call->reply().Simple("PONG");
  }
}

void RunEcho(RedisCall* call) {
  call->reply().Bulk((*call)[1]);
}

void RunHello(RedisCall* call) {
  int64_t version = static_cast<int>(call->session().protocol());
  if (call->size() > 1) {
    if (!ParseRedisInteger((*call)[1], &version)) {
      call->Refuse("ERR Protocol version is not an integer or out of range");
      return;
    }
    if (version < 2 || version > 3) {
      call->Refuse("NOPROTO unsupported protocol version");
      return;
    }
  }
  for (size_t i = 2; i < call->size(); ++i) {
    const size_t left = call->size() - i - 1;
    if (call->Is(i, "auth") && left >= 2) {
      if (!Authenticate(call, (*call)[i + 1], (*call)[i + 2])) {
        return;
      }
      i += 2;
    } else if (call->Is(i, "setname") && left >= 1) {
      if (!SetName(call, (*call)[i + 1])) {
        return;
      }
      i += 1;
    } else {
      call->Refuse(fmt::format("ERR Syntax error in HELLO option '{}'", (*call)[i]));
      return;
    }
  }
  if (!call->session().is_trusted()) {
    call->Refuse(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
        "protocol version at the same time");
    return;
  }
  call->session().set_protocol(version == 3 ? resp::Protocol::kResp3 : resp::Protocol::kResp2);
  ReplyHello(call);
}

void RunAuth(RedisCall* call) {
  if (call->size() > 3) {
    call->RefuseSyntax();
    return;
  }
  if (call->size() == 2 && call->service().options().password.empty()) {
    call->Refuse(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
    return;
  }
  if (Authenticate(call, call->size() == 3 ? (*call)[1] : "default", (*call)[call->size() - 1])) {
    call->reply().Ok();
  }
}

void RunSelect(RedisCall* call) {
  int64_t number = 0;
  if (!call->ReadInteger(1, &number)) {
    return;
  }
  if (number < 0 || static_cast<size_t>(number) >= call->service().databases().count()) {
    call->Refuse("ERR DB index is out of range");
    return;
  }
  call->session().set_database(static_cast<size_t>(number));
  call->reply().Ok();
}

void RunQuit(RedisCall* call) {
  call->reply().Ok();
  call->session().set_wants_close();
}

void RunReset(RedisCall* call) {
  call->session().Reset();
  call->reply().Simple("RESET");
}

void RunForeign(RedisCall* call) {
  spdlog::warn("resp connection closed: it speaks HTTP address={}",
               call->session().client().peer.address);
  call->session().set_wants_close();
}

void RunClientId(RedisCall* call) {
  call->reply().Integer(static_cast<int64_t>(call->session().client().id));
}

void RunClientGetName(RedisCall* call) {
  RedisClient& client = call->session().client();
  MutexLock lock(&client.mutex);
  if (client.name.empty()) {
    call->reply().Null();
  } else {
    call->reply().Bulk(client.name);
  }
}

void RunClientSetName(RedisCall* call) {
  if (SetName(call, (*call)[2])) {
    call->reply().Ok();
  }
}

void RunClientSetInfo(RedisCall* call) {
  const bool is_name = call->Is(2, "lib-name");
  if (!is_name && !call->Is(2, "lib-ver")) {
    call->Refuse(fmt::format("ERR Unrecognized option '{}'", (*call)[2]));
    return;
  }
  if (!IsPrintable((*call)[3])) {
    call->Refuse(fmt::format("ERR {} cannot contain spaces, newlines or special characters.",
                             is_name ? "lib-name" : "lib-ver"));
    return;
  }
  RedisClient& client = call->session().client();
  {
    MutexLock lock(&client.mutex);
    (is_name ? client.library_name : client.library_version) = (*call)[3];
  }
  call->reply().Ok();
}

void RunClientInfo(RedisCall* call) {
  call->reply().Verbatim("txt", ClientLine(&call->session().client()));
}

void RunClientList(RedisCall* call) {
  if (call->size() != 2 && !(call->size() == 4 && call->Is(2, "type"))) {
    call->RefuseSyntax();
    return;
  }
  // All are normal ones.
  const bool wants_none = call->size() == 4 && !call->Is(3, "normal");
  std::string lines;
  for (const std::shared_ptr<RedisClient>& client : call->service().Clients()) {
    if (!wants_none) {
      lines += ClientLine(client.get());
    }
  }
  call->reply().Verbatim("txt", lines);
}

void RunClientNoEvict(RedisCall* call) {
  if (!call->Is(2, "on") && !call->Is(2, "off")) {
    call->RefuseSyntax();
    return;
  }
  // No client is ever evicted.
  call->reply().Ok();
}

}  // namespace tsdbd::server
