#include "server/kv_text.h"

#include <charconv>
#include <utility>

#include <absl/strings/escaping.h>

#include "query/text.h"
#include "server/answers.h"
#include "server/text.h"
#include "server/units.h"

namespace tsdbd::server {
namespace {

// Long enough for a burst to pass; as for other writes.
constexpr const char* kRetryAfterSeconds = "1";

int KvStatusCode(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return 400;
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
      return 409;
    case StatusCode::kAborted:
      return 412;
    case StatusCode::kUnavailable:
      return 503;
    case StatusCode::kResourceExhausted:
      return 507;
    default:
      return 500;
  }
}

std::optional<uint64_t> ParseUint64(std::string_view text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

absl::string_view ToAbsl(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

http::Answer KvError(const Status& status) {
  http::Answer answer = JsonAnswer(KvStatusCode(status),
                                   fmt::format("{{\"error\":{}}}\n", JsonText(Message(status))));
  if (answer.status == 503) {
    answer.headers.push_back({"Retry-After", kRetryAfterSeconds});
  }
  return answer;
}

StatusOr<std::string> KvKeyOf(kv::KeyType key_type, std::string_view text) {
  if (key_type == kv::KeyType::kBytes) {
    if (text.empty()) {
      return InvalidArgument("the key is empty");
    }
    return std::string(text);
  }
  const std::optional<uint64_t> number = ParseUint64(text);
  if (!number) {
    return InvalidArgument("'{}' is not a key of this keyspace: a whole number below 2^64", text);
  }
  const auto key = kv::IntegerKey(*number);
  return std::string(key.data(), key.size());
}

StatusOr<int64_t> ParseTtl(std::string_view text) {
  const StatusOr<int64_t> nanos = ParseDuration(text);
  if (!nanos.ok()) {
    return InvalidArgument("ttl: {}", Message(nanos.status()));
  }
  return *nanos == 0 ? kv::kNeverExpires : *nanos;
}

std::string KvBytesJson(std::string_view bytes) {
  if (query::IsValidUtf8(bytes)) {
    return JsonText(bytes);
  }
  return fmt::format(R"({{"base64":"{}"}})", absl::Base64Escape(ToAbsl(bytes)));
}

std::string KvKeyJson(kv::KeyType key_type, std::string_view key) {
  return key_type == kv::KeyType::kInteger ? fmt::format("{}", kv::IntegerOfKey(key))
                                           : KvBytesJson(key);
}

std::string KvEntryJson(kv::KeyType key_type, const kv::Entry& entry) {
  std::string json =
      fmt::format(R"({{"key":{},"value":{},"version":{})", KvKeyJson(key_type, entry.key),
                  KvBytesJson(entry.value), entry.version);
  if (entry.expires_ns != kv::kNeverExpires) {
    json += fmt::format(R"(,"expires":"{}")", FormatRfc3339(entry.expires_ns));
  }
  return json + "}";
}

std::string ToUrlBase64(std::string_view bytes) {
  return std::string(absl::WebSafeBase64Escape(ToAbsl(bytes)));
}

std::optional<std::string> FromUrlBase64(std::string_view text) {
  std::string bytes;
  return absl::WebSafeBase64Unescape(ToAbsl(text), &bytes) ? std::optional(std::move(bytes))
                                                           : std::nullopt;
}

std::optional<std::string> FromBase64(std::string_view text) {
  std::string bytes;
  return absl::Base64Unescape(ToAbsl(text), &bytes) ? std::optional(std::move(bytes))
                                                    : std::nullopt;
}

std::string EntityTag(uint64_t version) {
  return fmt::format("\"{}\"", version);
}

bool KvCondition::HoldsFor(std::optional<uint64_t> found) const {
  switch (kind) {
    case Kind::kNone:
      return true;
    case Kind::kExists:
      return found.has_value();
    case Kind::kIsAbsent:
      return !found.has_value();
    case Kind::kHasVersion:
      return found == version;
    case Kind::kHasOtherVersion:
      return found != version;
  }
  return false;
}

StatusOr<KvCondition> ParseKvCondition(std::optional<std::string_view> if_match,
                                       std::optional<std::string_view> if_none_match) {
  using Kind = KvCondition::Kind;
  if (if_match && if_none_match) {
    return InvalidArgument("If-Match and If-None-Match exclude each other");
  }
  if (!if_match && !if_none_match) {
    return KvCondition();
  }
  const std::string_view text = if_match ? *if_match : *if_none_match;
  if (text == "*") {
    return KvCondition{.kind = if_match ? Kind::kExists : Kind::kIsAbsent};
  }
  const bool is_quoted = text.size() > 2 && text.front() == '"' && text.back() == '"';
  const auto version =
      is_quoted ? ParseUint64(text.substr(1, text.size() - 2)) : std::optional<uint64_t>();
  if (!version) {
    return InvalidArgument("{} is '{}' but must be * or one version in quotes, as ETag tells it",
                           if_match ? "If-Match" : "If-None-Match", text);
  }
  return KvCondition{.kind = if_match ? Kind::kHasVersion : Kind::kHasOtherVersion,
                     .version = *version};
}

}  // namespace tsdbd::server
