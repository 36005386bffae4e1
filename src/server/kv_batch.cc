#include "server/kv_batch.h"

#include <cstring>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/clock.h"
#include "server/kv_text.h"

namespace tsdbd::server {
namespace {

using Json = nlohmann::json;
using Kind = KvOperation::Kind;

constexpr size_t kVersionBytes = 8;
// In the binary form: for ever.
constexpr uint64_t kForeverMillis = std::numeric_limits<uint64_t>::max();

Status TooMany() {
  return InvalidArgument("the batch has more than {} operations", kMaxBatchOperations);
}

// Takes the operations of a JSON array one by one as the parser completes them, so that no tree of
// the whole is built.
class JsonBatchReader {
 public:
  explicit JsonBatchReader(kv::KeyType key_type) : key_type_(key_type) {}

  StatusOr<KvBatch> Read(std::string_view body) {
    const auto callback = [this](int depth, Json::parse_event_t event, Json& parsed) {
      return Keep(depth, event, parsed);
    };
    const Json whole = Json::parse(body.begin(), body.end(), callback, false);
    RETURN_IF_ERROR(error_);
    if (whole.is_discarded() || !whole.is_array()) {
      return InvalidArgument("the body is not a JSON array of operations");
    }
    return std::move(batch_);
  }

 private:
  // False drops what was parsed. Depth 0 is the array, 1 its elements, 2 and 3 what is in them.
  bool Keep(int depth, Json::parse_event_t event, Json& parsed) {
    if (!error_.ok() || depth > 3) {
      return false;
    }
    const bool is_element = depth == 1 && (event == Json::parse_event_t::object_end ||
                                           event == Json::parse_event_t::array_end ||
                                           event == Json::parse_event_t::value);
    if (!is_element) {
      return true;
    }
    const size_t number = batch_.operations.size() + 1;
    const Status status = number > kMaxBatchOperations ? TooMany() : Add(parsed);
    if (!status.ok()) {
      error_ = InvalidArgument("operation {}: {}", number, Message(status));
    }
    return false;
  }

  Status Add(const Json& json) {
    if (!json.is_object()) {
      return InvalidArgument("it is not an object");
    }
    KvOperation operation;
    bool has_key = false;
    bool has_value = false;
    const auto op = json.find("op");
    if (op == json.end() || !op->is_string()) {
      return InvalidArgument("it has no \"op\"");
    }
    const auto& name = op->get_ref<const std::string&>();
    if (name == "put") {
      operation.kind = Kind::kPut;
    } else if (name == "delete") {
      operation.kind = Kind::kDelete;
    } else if (name != "get") {
      return InvalidArgument("\"op\" is '{}' but must be put, delete or get", name);
    }
    for (const auto& [field, value] : json.items()) {
      if (field == "key") {
        ASSIGN_OR_RETURN(operation.key, KeyOf(value));
        has_key = true;
      } else if (field == "value" && operation.kind == Kind::kPut) {
        ASSIGN_OR_RETURN(operation.value, BytesOf(value, "value"));
        has_value = true;
      } else if (field == "ttl" && operation.kind == Kind::kPut) {
        if (!value.is_string()) {
          return InvalidArgument("\"ttl\" is not a duration in quotes (like \"10s\")");
        }
        ASSIGN_OR_RETURN(operation.ttl_ns, ParseTtl(value.get_ref<const std::string&>()));
      } else if (field != "op") {
        return InvalidArgument("a {} has no \"{}\"", name, field);
      }
    }
    if (!has_key || (operation.kind == Kind::kPut && !has_value)) {
      return InvalidArgument("it has no \"{}\"", has_key ? "value" : "key");
    }
    batch_.operations.push_back(operation);
    return OkStatus();
  }

  // A text, or {"base64":"…"}.
  StatusOr<std::string_view> BytesOf(const Json& json, std::string_view field) {
    if (json.is_string()) {
      return std::string_view(batch_.bytes.emplace_back(json.get_ref<const std::string&>()));
    }
    if (json.is_object() && json.size() == 1) {
      const auto base64 = json.find("base64");
      if (base64 != json.end() && base64->is_string()) {
        auto bytes = FromBase64(base64->get_ref<const std::string&>());
        if (!bytes) {
          return InvalidArgument("\"{}\" is no base64", field);
        }
        return std::string_view(batch_.bytes.emplace_back(*std::move(bytes)));
      }
    }
    return InvalidArgument("\"{}\" is neither a text nor {{\"base64\":\"…\"}}", field);
  }

  StatusOr<std::string_view> KeyOf(const Json& json) {
    std::string text;
    if (json.is_number_unsigned() && key_type_ == kv::KeyType::kInteger) {
      text = json.dump();
    } else {
      ASSIGN_OR_RETURN(text, BytesOf(json, "key"));
    }
    ASSIGN_OR_RETURN(std::string key, KvKeyOf(key_type_, text));
    return std::string_view(batch_.bytes.emplace_back(std::move(key)));
  }

  const kv::KeyType key_type_;
  KvBatch batch_;
  Status error_;
};

// Little-endian numbers off the front; false if there are too few bytes.
template <typename Number>
bool Take(std::string_view* bytes, Number* number) {
  if (bytes->size() < sizeof(Number)) {
    return false;
  }
  std::memcpy(number, bytes->data(), sizeof(Number));
  bytes->remove_prefix(sizeof(Number));
  return true;
}

bool TakeBytes(std::string_view* bytes, std::string_view* taken) {
  uint32_t size_bytes = 0;
  if (!Take(bytes, &size_bytes) || bytes->size() < size_bytes) {
    return false;
  }
  *taken = bytes->substr(0, size_bytes);
  bytes->remove_prefix(size_bytes);
  return true;
}

int64_t TtlOfMillis(uint64_t millis) {
  const bool fits = millis <= static_cast<uint64_t>(kv::kNeverExpires / kNanosPerMilli);
  return fits ? static_cast<int64_t>(millis) * kNanosPerMilli : kv::kNeverExpires;
}

Status TakeOperation(std::string_view* bytes, KvOperation* operation) {
  uint8_t kind = 0;
  uint64_t ttl_millis = 0;
  if (!Take(bytes, &kind) || kind < 1 || kind > 3) {
    return InvalidArgument("kind {} is neither 1 (put), 2 (delete) nor 3 (get)", kind);
  }
  operation->kind = static_cast<Kind>(kind);
  const bool is_put = operation->kind == Kind::kPut;
  if ((is_put && !Take(bytes, &ttl_millis)) || !TakeBytes(bytes, &operation->key) ||
      (is_put && !TakeBytes(bytes, &operation->value))) {
    return InvalidArgument("the body ends before the operation does");
  }
  if (ttl_millis != 0) {
    operation->ttl_ns = TtlOfMillis(ttl_millis);
  }
  return OkStatus();
}

template <typename Number>
void Append(std::string* bytes, Number number) {
  bytes->append(reinterpret_cast<const char*>(&number), sizeof(number));
}

}  // namespace

StatusOr<KvBatch> ParseJsonBatch(std::string_view body, kv::KeyType key_type) {
  return JsonBatchReader(key_type).Read(body);
}

StatusOr<KvBatch> ParseBinaryBatch(std::string_view body) {
  KvBatch batch;
  while (!body.empty()) {
    if (batch.operations.size() == kMaxBatchOperations) {
      return TooMany();
    }
    const Status status = TakeOperation(&body, &batch.operations.emplace_back());
    if (!status.ok()) {
      return InvalidArgument("operation {}: {}", batch.operations.size(), Message(status));
    }
  }
  return batch;
}

void JsonBatchAnswer::AddMissing() {
  results_ += results_.empty() ? "null" : ",null";
}

void JsonBatchAnswer::AddEntry(const kv::Entry& entry) {
  results_ += results_.empty() ? "" : ",";
  results_ += KvEntryJson(key_type_, entry);
}

std::string JsonBatchAnswer::Finish(uint64_t version) {
  return fmt::format("{{\"version\":{},\"results\":[{}]}}\n", version, results_);
}

void BinaryBatchAnswer::AddMissing() {
  results_ += '\0';
}

void BinaryBatchAnswer::AddEntry(const kv::Entry& entry) {
  results_ += '\1';
  Append(&results_, entry.version);
  Append(&results_, entry.expires_ns == kv::kNeverExpires
                        ? kForeverMillis
                        : static_cast<uint64_t>(entry.expires_ns / kNanosPerMilli));
  Append(&results_, static_cast<uint32_t>(entry.value.size()));
  results_ += entry.value;
}

std::string BinaryBatchAnswer::Finish(uint64_t version) {
  std::string answer;
  answer.reserve(kVersionBytes + results_.size());
  Append(&answer, version);
  return answer + results_;
}

}  // namespace tsdbd::server
