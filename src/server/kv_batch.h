#pragma once
// Batches of operations on one keyspace, as they come in a body: JSON, or binary with lengths
// before the bytes (docs/http-api.md describes both). Pure functions.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "kv/store.h"

namespace tsdbd::server {

// An operation takes 64 bytes besides its key and value: what all of a batch need stays small
// against the largest body.
inline constexpr size_t kMaxBatchOperations = 100'000;

struct KvOperation {
  enum class Kind : uint8_t { kPut = 1, kDelete = 2, kGet = 3 };
  Kind kind = Kind::kGet;
  std::string_view key;
  std::string_view value = {};
  std::optional<int64_t> ttl_ns = std::nullopt;  // none: the keyspace's
};

struct KvBatch {
  std::vector<KvOperation> operations;
  // What the operations' views point to, unless it is the body. (A deque does not move them.)
  std::deque<std::string> bytes;
};

// kInvalidArgument, naming the operation's number (the first is 1).
StatusOr<KvBatch> ParseJsonBatch(std::string_view body, kv::KeyType key_type);
// Its views point into `body`.
StatusOr<KvBatch> ParseBinaryBatch(std::string_view body);

// The answers to a batch: the version of its writes, and for each get, in order, what is there.
class KvBatchAnswer {
 public:
  virtual ~KvBatchAnswer() = default;
  virtual void AddMissing() = 0;
  virtual void AddEntry(const kv::Entry& entry) = 0;
  virtual std::string Finish(uint64_t version) = 0;
};

class JsonBatchAnswer final : public KvBatchAnswer {
 public:
  explicit JsonBatchAnswer(kv::KeyType key_type) : key_type_(key_type) {}
  void AddMissing() override;
  void AddEntry(const kv::Entry& entry) override;
  std::string Finish(uint64_t version) override;

 private:
  const kv::KeyType key_type_;
  std::string results_;
};

class BinaryBatchAnswer final : public KvBatchAnswer {
 public:
  void AddMissing() override;
  void AddEntry(const kv::Entry& entry) override;
  std::string Finish(uint64_t version) override;

 private:
  std::string results_;
};

}  // namespace tsdbd::server
