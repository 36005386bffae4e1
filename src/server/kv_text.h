#pragma once
// Keys, values, versions and lifetimes of the key-value routes as texts, both ways.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"
#include "http/exchange.h"
#include "kv/store.h"

namespace tsdbd::server {

// {"error":"…"} with the status code of docs/http-api.md; 503 comes with Retry-After.
http::Answer KvError(const Status& status);

// The key that `text` stands for: itself, or, where keys are integers, a decimal number.
StatusOr<std::string> KvKeyOf(kv::KeyType key_type, std::string_view text);

// "10s", "500ms": ns; "0" is kNeverExpires: for ever, whatever the keyspace's default.
StatusOr<int64_t> ParseTtl(std::string_view text);

// A JSON text if `bytes` are UTF-8, otherwise {"base64":"…"}.
std::string KvBytesJson(std::string_view bytes);
// The same for a key; a number where keys are integers.
std::string KvKeyJson(kv::KeyType key_type, std::string_view key);
// {"key":…,"value":…,"version":7,"expires":"2023-11-14T22:13:20Z"}; no "expires" if it never does.
std::string KvEntryJson(kv::KeyType key_type, const kv::Entry& entry);

// Base64 with the alphabet of RFC 4648 for URLs, without padding; for cursors.
std::string ToUrlBase64(std::string_view bytes);
std::optional<std::string> FromUrlBase64(std::string_view text);
std::optional<std::string> FromBase64(std::string_view text);

// "\"17\"": the entity tag of a version.
std::string EntityTag(uint64_t version);

// What If-Match and If-None-Match ask for.
struct KvCondition {
  enum class Kind : uint8_t { kNone, kExists, kIsAbsent, kHasVersion, kHasOtherVersion };
  Kind kind = Kind::kNone;
  uint64_t version = 0;

  // `version`: of the entry that is there; none if there is none.
  bool HoldsFor(std::optional<uint64_t> version) const;
};
// From the values of the two headers; none, if they are not there. kInvalidArgument for both at
// once, and for what is neither * nor one entity tag of ours.
StatusOr<KvCondition> ParseKvCondition(std::optional<std::string_view> if_match,
                                       std::optional<std::string_view> if_none_match);

}  // namespace tsdbd::server
