// INFO, COMMAND, CONFIG GET and the like (redis_command.h).

#include "server/redis_server_commands.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/redis_service.h"
#include "server/redis_text.h"

namespace tsdbd::server {
namespace {

bool IsSubCommand(const RedisCommand& command) {
  return command.name.find('|') != std::string_view::npos;
}

// HTTP words are in the table to be refused.
bool IsListed(const RedisCommand& command) {
  return !IsSubCommand(command) && !command.group.empty();
}

std::vector<const RedisCommand*> ListedCommands() {
  std::vector<const RedisCommand*> listed;
  for (const RedisCommand& command : RedisCommands()) {
    if (IsListed(command)) {
      listed.push_back(&command);
    }
  }
  return listed;
}

std::vector<std::string_view> FlagNames(const RedisCommand& command) {
  std::vector<std::string_view> names;
  for (const auto& [flag, name] :
       {std::pair<uint32_t, std::string_view>{RedisFlags::kWrite, "write"},
        {RedisFlags::kRead, "readonly"},
        {RedisFlags::kAdmin, "admin"},
        {RedisFlags::kNoAuth, "no_auth"},
        {RedisFlags::kFast, "fast"}}) {
    if ((command.flags & flag) != 0) {
      names.push_back(name);
    }
  }
  return names;
}

std::vector<std::string> CategoryNames(const RedisCommand& command) {
  std::vector<std::string> names;
  if ((command.flags & RedisFlags::kWrite) != 0) {
    names.emplace_back("@write");
  }
  if ((command.flags & RedisFlags::kRead) != 0) {
    names.emplace_back("@read");
  }
  if ((command.flags & RedisFlags::kAdmin) != 0) {
    names.emplace_back("@admin");
  }
  // Redis calls the group of keys otherwise here.
  names.push_back(fmt::format("@{}", command.group == "generic" ? "keyspace" : command.group));
  names.emplace_back((command.flags & RedisFlags::kFast) != 0 ? "@fast" : "@slow");
  return names;
}

void ReplyCommandInfo(const RedisCommand& command, resp::ReplyWriter* reply) {
  reply->BeginArray(10);
  reply->Bulk(command.name);
  reply->Integer(command.arity);
  const std::vector<std::string_view> flags = FlagNames(command);
  reply->BeginSet(flags.size());
  for (const std::string_view flag : flags) {
    reply->Simple(flag);
  }
  reply->Integer(command.first_key);
  reply->Integer(command.last_key);
  reply->Integer(command.key_step);
  const std::vector<std::string> categories = CategoryNames(command);
  reply->BeginSet(categories.size());
  for (const std::string& category : categories) {
    reply->Simple(category);
  }
  reply->BeginArray(0);  // tips
  reply->BeginArray(0);  // key specifications
  std::vector<const RedisCommand*> children;
  for (const RedisCommand& child : RedisCommands()) {
    if (child.name.starts_with(fmt::format("{}|", command.name))) {
      children.push_back(&child);
    }
  }
  reply->BeginArray(children.size());
  for (const RedisCommand* const child : children) {
    ReplyCommandInfo(*child, reply);
  }
}

void ReplyCommandDocs(const RedisCommand& command, resp::ReplyWriter* reply) {
  reply->Bulk(command.name);
  reply->BeginMap(3);
  reply->Bulk("summary");
  reply->Bulk(command.summary);
  reply->Bulk("since");
  reply->Bulk(command.since);
  reply->Bulk("group");
  reply->Bulk(command.group);
}

struct InfoSection {
  std::string_view name;
  std::string_view title;
  std::function<void(RedisCall* call, std::string* text)> append;
};

void AppendServer(RedisCall* call, std::string* text) {
  RedisService& service = call->service();
  const int64_t uptime_seconds = (WallNanos() - service.start_ns()) / kNanosPerSecond;
  *text += fmt::format(
      "redis_version:{}\r\nredis_mode:standalone\r\nserver_name:tsdbd\r\nprocess_id:{}\r\n"
      "tcp_port:{}\r\nuptime_in_seconds:{}\r\nuptime_in_days:{}\r\n",
      kRedisVersion, getpid(), service.port(), uptime_seconds, uptime_seconds / 86'400);
}

void AppendClients(RedisCall* call, std::string* text) {
  *text += fmt::format("connected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:0\r\n",
                       call->service().Clients().size(), call->service().options().max_connections);
}

void AppendMemory(RedisCall*, std::string* text) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  *text += fmt::format("used_memory_peak:{}\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
                       usage.ru_maxrss * 1'024);
}

void AppendPersistence(RedisCall*, std::string* text) {
  *text += "loading:0\r\naof_enabled:1\r\nrdb_bgsave_in_progress:0\r\n";
}

void AppendStats(RedisCall* call, std::string* text) {
  uint64_t calls = 0;
  uint64_t errors = call->service().unknown_commands();
  for (const RedisCommandCount& count : call->service().CommandCounts()) {
    calls += count.calls;
    errors += count.errors;
  }
  *text += fmt::format(
      "total_connections_received:{}\r\ntotal_commands_processed:{}\r\n"
      "total_error_replies:{}\r\n",
      call->service().connections_accepted(), calls, errors);
}

void AppendReplication(RedisCall*, std::string* text) {
  *text += "role:master\r\nconnected_slaves:0\r\n";
}

void AppendCpu(RedisCall*, std::string* text) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  *text += fmt::format("used_cpu_sys:{}.{:06}\r\nused_cpu_user:{}.{:06}\r\n", usage.ru_stime.tv_sec,
                       usage.ru_stime.tv_usec, usage.ru_utime.tv_sec, usage.ru_utime.tv_usec);
}

void AppendCommandStats(RedisCall* call, std::string* text) {
  for (const RedisCommandCount& count : call->service().CommandCounts()) {
    *text += fmt::format("cmdstat_{}:calls={},failed_calls={}\r\n", count.name, count.calls,
                         count.errors);
  }
}

void AppendCluster(RedisCall*, std::string* text) {
  *text += "cluster_enabled:0\r\n";
}

void AppendKeyspace(RedisCall* call, std::string* text) {
  RedisDatabases& databases = call->service().databases();
  for (size_t i = 0; i < databases.count(); ++i) {
    const std::shared_ptr<kv::Store> store = databases.Find(i).store;
    const uint64_t keys = store == nullptr ? 0 : store->stats().keys;
    if (keys > 0) {
      *text += fmt::format("db{}:keys={}\r\n", i, keys);
    }
  }
}

const std::vector<InfoSection>& InfoSections() {
  static const auto* const sections = new std::vector<InfoSection>{
      {"server", "Server", AppendServer},
      {"clients", "Clients", AppendClients},
      {"memory", "Memory", AppendMemory},
      {"persistence", "Persistence", AppendPersistence},
      {"stats", "Stats", AppendStats},
      {"replication", "Replication", AppendReplication},
      {"cpu", "CPU", AppendCpu},
      {"commandstats", "Commandstats", AppendCommandStats},
      {"cluster", "Cluster", AppendCluster},
      {"keyspace", "Keyspace", AppendKeyspace},
  };
  return *sections;
}

bool IsSectionWanted(const RedisCall& call, const InfoSection& section) {
  const bool is_default = section.name != "commandstats";
  for (size_t i = 1; i < call.size(); ++i) {
    if (call.Is(i, section.name) || call.Is(i, "all") || call.Is(i, "everything") ||
        (is_default && call.Is(i, "default"))) {
      return true;
    }
  }
  return call.size() == 1 && is_default;
}

// What clients and benchmarks ask for, as far as there is an answer.
std::vector<std::pair<std::string_view, std::string>> ConfigValues(RedisCall* call) {
  const RedisOptions& options = call->service().options();
  return {{"appendfsync", std::string(options.sync_mode)},
          {"appendonly", "yes"},
          {"databases", std::to_string(call->service().databases().count())},
          {"maxclients", std::to_string(options.max_connections)},
          {"maxmemory", "0"},
          {"maxmemory-policy", "noeviction"},
          {"port", std::to_string(call->service().port())},
          {"proto-max-bulk-len", std::to_string(options.max_value_bytes)},
          {"save", ""},
          {"timeout", "0"}};
}

}  // namespace

void RunInfo(RedisCall* call) {
  std::string text;
  for (const InfoSection& section : InfoSections()) {
    if (IsSectionWanted(*call, section)) {
      text += fmt::format("{}# {}\r\n", text.empty() ? "" : "\r\n", section.title);
      section.append(call, &text);
    }
  }
  call->reply().Verbatim("txt", text);
}

void RunTime(RedisCall* call) {
  const int64_t now_us = WallNanos() / 1'000;
  call->reply().BeginArray(2);
  call->reply().Bulk(std::to_string(now_us / 1'000'000));
  call->reply().Bulk(std::to_string(now_us % 1'000'000));
}

void RunWait(RedisCall* call) {
  int64_t replicas = 0;
  int64_t timeout_ms = 0;
  if (!call->ReadInteger(1, &replicas)) {
    return;
  }
  if (!ParseRedisInteger((*call)[2], &timeout_ms)) {
    call->Refuse("ERR timeout is not an integer or out of range");
  } else if (timeout_ms < 0) {
    call->Refuse("ERR timeout is negative");
  } else {
    call->reply().Integer(0);  // there are no replicas
  }
}

void RunConfigGet(RedisCall* call) {
  std::vector<std::pair<std::string_view, std::string>> wanted;
  for (auto& [name, value] : ConfigValues(call)) {
    for (size_t i = 2; i < call->size(); ++i) {
      if (MatchesGlob(LowerCase((*call)[i]), name)) {
        wanted.emplace_back(name, value);
        break;
      }
    }
  }
  call->reply().BeginMap(wanted.size());
  for (const auto& [name, value] : wanted) {
    call->reply().Bulk(name);
    call->reply().Bulk(value);
  }
}

void RunCommand(RedisCall* call) {
  const std::vector<const RedisCommand*> commands = ListedCommands();
  call->reply().BeginArray(commands.size());
  for (const RedisCommand* const command : commands) {
    ReplyCommandInfo(*command, &call->reply());
  }
}

void RunCommandCount(RedisCall* call) {
  call->reply().Integer(static_cast<int64_t>(ListedCommands().size()));
}

void RunCommandDocs(RedisCall* call) {
  std::vector<const RedisCommand*> commands;
  if (call->size() == 2) {
    commands = ListedCommands();
  }
  for (size_t i = 2; i < call->size(); ++i) {
    const RedisCommand* const command = FindRedisCommand((*call)[i]);
    if (command != nullptr && !command->group.empty()) {
      commands.push_back(command);
    }
  }
  call->reply().BeginMap(commands.size());
  for (const RedisCommand* const command : commands) {
    ReplyCommandDocs(*command, &call->reply());
  }
}

void RunCommandInfo(RedisCall* call) {
  if (call->size() == 2) {
    RunCommand(call);
    return;
  }
  call->reply().BeginArray(call->size() - 2);
  for (size_t i = 2; i < call->size(); ++i) {
    const RedisCommand* const command = FindRedisCommand((*call)[i]);
    if (command == nullptr || command->group.empty()) {
      call->reply().Null();
    } else {
      ReplyCommandInfo(*command, &call->reply());
    }
  }
}

void RunCommandList(RedisCall* call) {
  const bool is_filtered = call->size() > 2;
  if (is_filtered && (call->size() != 5 || !call->Is(2, "filterby") || !call->Is(3, "pattern"))) {
    call->RefuseSyntax();
    return;
  }
  const std::string pattern = is_filtered ? LowerCase((*call)[4]) : "*";
  std::vector<const RedisCommand*> commands = ListedCommands();
  std::erase_if(commands,
                [&](const RedisCommand* command) { return !MatchesGlob(pattern, command->name); });
  call->reply().BeginArray(commands.size());
  for (const RedisCommand* const command : commands) {
    call->reply().Bulk(command->name);
  }
}

void RunHelp(RedisCall* call) {
  const std::string_view name = call->command().name;
  const std::string prefix(name.substr(0, name.find('|') + 1));
  std::vector<std::string> lines = {fmt::format(
      "{} <subcommand> [<argument> ...]. Subcommands are:", prefix.substr(0, prefix.size() - 1))};
  for (const RedisCommand& command : RedisCommands()) {
    if (command.name.starts_with(prefix)) {
      lines.push_back(std::string(command.name.substr(prefix.size())));
      lines.push_back(fmt::format("    {}", command.summary));
    }
  }
  call->reply().BeginArray(lines.size());
  for (const std::string& line : lines) {
    call->reply().Simple(line);
  }
}

}  // namespace tsdbd::server
