// The table of commands (redis_command.h), in the order of their names.

#include <array>

#include <absl/container/flat_hash_map.h>

#include "server/redis_command.h"
#include "server/redis_connection_commands.h"
#include "server/redis_key_commands.h"
#include "server/redis_server_commands.h"
#include "server/redis_string_commands.h"

namespace tsdbd::server {
namespace {

constexpr uint32_t kFast = RedisFlags::kFast;
constexpr uint32_t kPool = RedisFlags::kPool;
constexpr uint32_t kAdmin = RedisFlags::kAdmin;
constexpr uint32_t kNoAuth = RedisFlags::kNoAuth;
constexpr uint32_t kParent = RedisFlags::kParent;
constexpr uint32_t kNoValues = RedisFlags::kNoValues;
constexpr uint32_t kReads = RedisFlags::kRead | RedisFlags::kData;
constexpr uint32_t kWrites = RedisFlags::kWrite | RedisFlags::kData;

// Longer names than any in the table need not be looked for.
constexpr size_t kMaxNameBytes = 32;

// A row that reads the keys at first, first + step, ... up to last.
constexpr RedisCommand Reader(RedisCommand row, RedisRead read) {
  row.flags |= kReads;
  row.read = read;
  return row;
}

constexpr RedisCommand Planner(RedisCommand row, RedisPlanner plan,
                               void (*run)(RedisCall*) = nullptr) {
  row.flags |= kWrites;
  row.plan = plan;
  row.run = run;
  return row;
}

constexpr RedisCommand Runner(RedisCommand row, void (*run)(RedisCall*)) {
  row.run = run;
  return row;
}

// clang-format off
const auto kTable = std::to_array<RedisCommand>({
    Runner({"append", 3, kWrites | kFast, 1, 1, 1, "string", "2.0.0", "Appends to a value."}, RunAppend),
    Runner({"auth", -2, kFast | kNoAuth, 0, 0, 0, "connection", "1.0.0", "Gives the password."}, RunAuth),
    Runner({"client", -2, kParent, 0, 0, 0, "connection", "2.4.0", "Commands about connections."}, nullptr),
    Runner({"client|getname", 2, 0, 0, 0, 0, "connection", "2.6.9", "The connection's name."}, RunClientGetName),
    Runner({"client|help", 2, 0, 0, 0, 0, "connection", "5.0.0", "The sub-commands."}, RunHelp),
    Runner({"client|id", 2, 0, 0, 0, 0, "connection", "5.0.0", "The connection's number."}, RunClientId),
    Runner({"client|info", 2, 0, 0, 0, 0, "connection", "6.2.0", "What is known of the connection."}, RunClientInfo),
    Runner({"client|list", -2, kAdmin, 0, 0, 0, "connection", "2.4.0", "What is known of all connections."}, RunClientList),
    Runner({"client|no-evict", 3, kAdmin, 0, 0, 0, "connection", "7.0.0", "Accepted; no connection is evicted."}, RunClientNoEvict),
    Runner({"client|setinfo", 4, 0, 0, 0, 0, "connection", "7.2.0", "Names the client's library or its version."}, RunClientSetInfo),
    Runner({"client|setname", 3, 0, 0, 0, 0, "connection", "2.6.9", "Names the connection."}, RunClientSetName),
    Runner({"command", -1, kParent, 0, 0, 0, "server", "2.8.13", "What is known of all commands."}, RunCommand),
    Runner({"command|count", 2, 0, 0, 0, 0, "server", "2.8.13", "How many commands there are."}, RunCommandCount),
    Runner({"command|docs", -2, 0, 0, 0, 0, "server", "7.0.0", "What commands are for."}, RunCommandDocs),
    Runner({"command|help", 2, 0, 0, 0, 0, "server", "5.0.0", "The sub-commands."}, RunHelp),
    Runner({"command|info", -2, 0, 0, 0, 0, "server", "2.8.13", "What is known of some commands."}, RunCommandInfo),
    Runner({"command|list", -2, 0, 0, 0, 0, "server", "7.0.0", "The names of the commands."}, RunCommandList),
    Runner({"config", -2, kParent, 0, 0, 0, "server", "2.0.0", "Commands about the configuration."}, nullptr),
    Runner({"config|get", -3, kAdmin, 0, 0, 0, "server", "2.0.0", "Values of the configuration."}, RunConfigGet),
    Runner({"config|help", 2, 0, 0, 0, 0, "server", "5.0.0", "The sub-commands."}, RunHelp),
    Runner({"dbsize", 1, kReads | kFast, 0, 0, 0, "server", "1.0.0", "How many keys there are."}, RunDbSize),
    Runner({"decr", 2, kWrites | kFast, 1, 1, 1, "string", "1.0.0", "Takes one from a number."}, RunDecr),
    Runner({"decrby", 3, kWrites | kFast, 1, 1, 1, "string", "1.0.0", "Takes an amount from a number."}, RunDecrBy),
    Runner({"del", -2, kWrites, 1, -1, 1, "generic", "1.0.0", "Deletes keys."}, RunDel),
    Runner({"echo", 2, kFast, 0, 0, 0, "connection", "1.0.0", "Replies what it is given."}, RunEcho),
    Reader({"exists", -2, kFast | kNoValues, 1, -1, 1, "generic", "1.0.0", "How many of the keys are there."}, ReadExists),
    Runner({"expire", -3, kWrites | kFast, 1, 1, 1, "generic", "1.0.0", "Lets a key expire in some seconds."}, RunExpire),
    Runner({"expireat", -3, kWrites | kFast, 1, 1, 1, "generic", "1.2.0", "Lets a key expire at a Unix time."}, RunExpireAt),
    Reader({"expiretime", 2, kFast | kNoValues, 1, 1, 1, "generic", "7.0.0", "When a key expires, in seconds."}, ReadExpireTime),
    Runner({"flushall", -1, RedisFlags::kWrite | kPool, 0, 0, 0, "server", "1.0.0", "Deletes all keys of all databases."}, RunFlushAll),
    Runner({"flushdb", -1, kWrites | kPool, 0, 0, 0, "server", "1.0.0", "Deletes all keys of the database."}, RunFlushDb),
    Reader({"get", 2, kFast, 1, 1, 1, "string", "1.0.0", "The value of a key."}, ReadGet),
    Runner({"getdel", 2, kWrites | kFast, 1, 1, 1, "string", "6.2.0", "The value of a key, which is deleted."}, RunGetDel),
    Runner({"getex", -2, kWrites | kFast, 1, 1, 1, "string", "6.2.0", "The value of a key, whose expiry is set."}, RunGetEx),
    Reader({"getrange", 4, 0, 1, 1, 1, "string", "2.4.0", "A part of a value."}, ReadGetRange),
    Runner({"getset", 3, kWrites | kFast, 1, 1, 1, "string", "1.0.0", "Sets a value and replies the old one."}, RunGetSet),
    Runner({"hello", -1, kFast | kNoAuth, 0, 0, 0, "connection", "6.0.0", "Chooses the protocol."}, RunHello),
    Runner({"host:", -1, kNoAuth, 0, 0, 0, {}, {}, {}}, RunForeign),
    Runner({"incr", 2, kWrites | kFast, 1, 1, 1, "string", "1.0.0", "Adds one to a number."}, RunIncr),
    Runner({"incrby", 3, kWrites | kFast, 1, 1, 1, "string", "1.0.0", "Adds an amount to a number."}, RunIncrBy),
    Runner({"incrbyfloat", 3, kWrites | kFast, 1, 1, 1, "string", "2.6.0", "Adds an amount, which may be a fraction."}, RunIncrByFloat),
    Runner({"info", -1, kPool, 0, 0, 0, "server", "1.0.0", "Figures of the server."}, RunInfo),
    Runner({"keys", 2, kReads | kPool, 0, 0, 0, "generic", "1.0.0", "All keys that match a pattern."}, RunKeys),
    Reader({"mget", -2, kFast, 1, -1, 1, "string", "1.0.0", "The values of keys."}, ReadMGet),
    Planner({"mset", -3, 0, 1, -1, 2, "string", "1.0.1", "Sets values."}, PlanMSet),
    Runner({"msetnx", -3, kWrites, 1, -1, 2, "string", "1.0.1", "Sets values if none of the keys is there."}, RunMSetNx),
    Runner({"persist", 2, kWrites | kFast, 1, 1, 1, "generic", "2.2.0", "Lets a key no longer expire."}, RunPersist),
    Runner({"pexpire", -3, kWrites | kFast, 1, 1, 1, "generic", "2.6.0", "Lets a key expire in some milliseconds."}, RunPExpire),
    Runner({"pexpireat", -3, kWrites | kFast, 1, 1, 1, "generic", "2.6.0", "Lets a key expire at a Unix time in milliseconds."}, RunPExpireAt),
    Reader({"pexpiretime", 2, kFast | kNoValues, 1, 1, 1, "generic", "7.0.0", "When a key expires, in milliseconds."}, ReadPExpireTime),
    Runner({"ping", -1, kFast, 0, 0, 0, "connection", "1.0.0", "Replies PONG."}, RunPing),
    Runner({"post", -1, kNoAuth, 0, 0, 0, {}, {}, {}}, RunForeign),
    Planner({"psetex", 4, 0, 1, 1, 1, "string", "2.6.0", "Sets a value that expires in some milliseconds."}, PlanPSetEx),
    Reader({"pttl", 2, kFast | kNoValues, 1, 1, 1, "generic", "2.6.0", "Milliseconds until a key expires."}, ReadPTtl),
    Runner({"quit", -1, kFast | kNoAuth, 0, 0, 0, "connection", "1.0.0", "Ends the connection."}, RunQuit),
    Runner({"randomkey", 1, kReads, 0, 0, 0, "generic", "1.0.0", "Some key."}, RunRandomKey),
    Runner({"rename", 3, kWrites, 1, 2, 1, "generic", "1.0.0", "Gives a value another key."}, RunRename),
    Runner({"renamenx", 3, kWrites | kFast, 1, 2, 1, "generic", "1.0.0", "Gives a value another key, if that is not there."}, RunRenameNx),
    Runner({"reset", 1, kFast | kNoAuth, 0, 0, 0, "connection", "6.2.0", "Makes the connection as new."}, RunReset),
    Runner({"scan", -2, kReads, 0, 0, 0, "generic", "2.8.0", "Some of the keys, and where to go on."}, RunScan),
    Runner({"select", 2, kFast, 0, 0, 0, "connection", "1.0.0", "Chooses the database."}, RunSelect),
    Planner({"set", -3, 0, 1, 1, 1, "string", "1.0.0", "Sets the value of a key."}, PlanSet, RunSet),
    Planner({"setex", 4, 0, 1, 1, 1, "string", "2.0.0", "Sets a value that expires in some seconds."}, PlanSetEx),
    Runner({"setnx", 3, kWrites | kFast, 1, 1, 1, "string", "1.0.0", "Sets a value if the key is not there."}, RunSetNx),
    Runner({"setrange", 4, kWrites, 1, 1, 1, "string", "2.2.0", "Overwrites a part of a value."}, RunSetRange),
    Reader({"strlen", 2, kFast, 1, 1, 1, "string", "2.2.0", "The length of a value."}, ReadStrLen),
    Reader({"substr", 4, 0, 1, 1, 1, "string", "1.0.0", "A part of a value; getrange is the newer name."}, ReadGetRange),
    Runner({"time", 1, kFast, 0, 0, 0, "server", "2.6.0", "The server's clock."}, RunTime),
    Reader({"touch", -2, kFast | kNoValues, 1, -1, 1, "generic", "3.2.1", "How many of the keys are there."}, ReadExists),
    Reader({"ttl", 2, kFast | kNoValues, 1, 1, 1, "generic", "1.0.0", "Seconds until a key expires."}, ReadTtl),
    Reader({"type", 2, kFast | kNoValues, 1, 1, 1, "generic", "1.0.0", "The type of a value: string."}, ReadType),
    Runner({"unlink", -2, kWrites | kFast, 1, -1, 1, "generic", "4.0.0", "Deletes keys."}, RunDel),
    Runner({"wait", 3, 0, 0, 0, 0, "generic", "3.0.0", "Replies 0, the number of replicas."}, RunWait),
});
// clang-format on

using NameMap = absl::flat_hash_map<std::string, const RedisCommand*>;

const NameMap& CommandsByName() {
  static const auto* const map = [] {
    auto* const names = new NameMap;
    for (const RedisCommand& command : kTable) {
      names->emplace(command.name, &command);
    }
    return names;
  }();
  return *map;
}

}  // namespace

std::span<const RedisCommand> RedisCommands() {
  return kTable;
}

const RedisCommand* FindRedisCommand(std::string_view name) {
  std::array<char, kMaxNameBytes> lower;
  if (name.size() > lower.size()) {
    return nullptr;
  }
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    lower[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  const NameMap& map = CommandsByName();
  const auto found = map.find(std::string(lower.data(), name.size()));
  return found == map.end() ? nullptr : found->second;
}

}  // namespace tsdbd::server
