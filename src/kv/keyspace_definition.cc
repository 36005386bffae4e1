#include "kv/keyspace_definition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "common/hash.h"

namespace tsdbd::kv {
namespace {

constexpr std::string_view kFirstLine = "tsdbd keyspace 1\n";

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

std::string ChecksumLine(std::string_view text) {
  return fmt::format("checksum {:016x}\n", Hash64(text));
}

// Takes the line "<name> <value>" off the front.
StatusOr<std::string_view> TakeValue(std::string_view* text, std::string_view name) {
  const size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  if (end == text->npos || !line.starts_with(name) || line.size() <= name.size() ||
      line[name.size()] != ' ') {
    return DataLoss("there is no line '{}' where it should be", name);
  }
  *text = text->substr(end + 1);
  return line.substr(name.size() + 1);
}

template <typename Number>
StatusOr<Number> TakeNumber(std::string_view* text, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string_view value, TakeValue(text, name));
  Number number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end) {
    return DataLoss("'{}' of line '{}' is no number", value, name);
  }
  return number;
}

}  // namespace

std::string_view NameOf(KeyType key_type) {
  return key_type == KeyType::kBytes ? "bytes" : "integer";
}

std::string_view NameOf(Backend backend) {
  return backend == Backend::kAlex ? "alex" : "rocksdb";
}

std::optional<KeyType> KeyTypeOf(std::string_view name) {
  for (const KeyType key_type : {KeyType::kBytes, KeyType::kInteger}) {
    if (NameOf(key_type) == name) {
      return key_type;
    }
  }
  return std::nullopt;
}

std::optional<Backend> BackendOf(std::string_view name) {
  for (const Backend backend : {Backend::kAlex, Backend::kRocks}) {
    if (NameOf(backend) == name) {
      return backend;
    }
  }
  return std::nullopt;
}

Status CheckKeyspaceName(std::string_view name) {
  if (name.empty() || name.size() > kMaxKeyspaceNameBytes || name.front() == '.' ||
      !std::all_of(name.begin(), name.end(), IsNameByte)) {
    return InvalidArgument(
        "a keyspace's name is 1 to {} of a-z A-Z 0-9 _ . - and does not begin with a dot",
        kMaxKeyspaceNameBytes);
  }
  return OkStatus();
}

std::string EncodeDefinition(const KeyspaceDefinition& definition, uint64_t store_number) {
  std::string text(kFirstLine);
  text += fmt::format("key_type {}\nbackend {}\ndefault_ttl_ns {}\nstore {}\n",
                      NameOf(definition.key_type), NameOf(definition.backend),
                      definition.default_ttl_ns, store_number);
  return text + ChecksumLine(text);
}

Status DecodeDefinition(std::string_view text, KeyspaceDefinition* definition,
                        uint64_t* store_number) {
  if (!text.starts_with(kFirstLine)) {
    return DataLoss("it does not begin with '{}'", kFirstLine.substr(0, kFirstLine.size() - 1));
  }
  const size_t checked_bytes = text.rfind("checksum ");
  if (checked_bytes == text.npos ||
      text.substr(checked_bytes) != ChecksumLine(text.substr(0, checked_bytes))) {
    return DataLoss("its checksum is wrong");
  }
  std::string_view left = text.substr(kFirstLine.size());
  ASSIGN_OR_RETURN(const std::string_view key_type, TakeValue(&left, "key_type"));
  ASSIGN_OR_RETURN(const std::string_view backend, TakeValue(&left, "backend"));
  ASSIGN_OR_RETURN(const int64_t default_ttl_ns, TakeNumber<int64_t>(&left, "default_ttl_ns"));
  ASSIGN_OR_RETURN(*store_number, TakeNumber<uint64_t>(&left, "store"));
  const auto known_key_type = KeyTypeOf(key_type);
  const auto known_backend = BackendOf(backend);
  if (!known_key_type || !known_backend || default_ttl_ns < 0) {
    return DataLoss("key_type '{}', backend '{}' or default_ttl_ns {} is not a possible one",
                    key_type, backend, default_ttl_ns);
  }
  *definition = {
      .key_type = *known_key_type, .backend = *known_backend, .default_ttl_ns = default_ttl_ns};
  // Nothing else between or behind.
  return EncodeDefinition(*definition, *store_number) == text
             ? OkStatus()
             : DataLoss("it has more than it should");
}

}  // namespace tsdbd::kv
