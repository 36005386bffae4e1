// Batches of the key-value engine, JSON and binary: never a crash; what is accepted keeps the
// rules, and a batch written anew in the binary form is read as the same.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/check.h"
#include "server/kv_batch.h"

namespace tsdbd::server {
namespace {

using Kind = KvOperation::Kind;

template <typename Number>
void Append(std::string* bytes, Number number) {
  bytes->append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void AppendBytes(std::string* bytes, std::string_view added) {
  Append(bytes, static_cast<uint32_t>(added.size()));
  *bytes += added;
}

std::string ToBinary(const KvBatch& batch) {
  std::string bytes;
  for (const KvOperation& operation : batch.operations) {
    Append(&bytes, static_cast<uint8_t>(operation.kind));
    if (operation.kind == Kind::kPut) {
      Append(&bytes, uint64_t{0});
    }
    AppendBytes(&bytes, operation.key);
    if (operation.kind == Kind::kPut) {
      AppendBytes(&bytes, operation.value);
    }
  }
  return bytes;
}

void CheckBatch(const KvBatch& batch) {
  CHECK(batch.operations.size() <= kMaxBatchOperations);
  const std::string binary = ToBinary(batch);
  const auto again = ParseBinaryBatch(binary);
  CHECK(again.ok());
  CHECK(again->operations.size() == batch.operations.size());
  for (size_t i = 0; i < batch.operations.size(); ++i) {
    CHECK(again->operations[i].kind == batch.operations[i].kind);
    CHECK(again->operations[i].key == batch.operations[i].key);
    CHECK(again->operations[i].value == batch.operations[i].value);
  }
}

void FuzzJson(std::string_view body, kv::KeyType key_type) {
  const auto batch = ParseJsonBatch(body, key_type);
  if (!batch.ok()) {
    return;
  }
  for (const KvOperation& operation : batch->operations) {
    CHECK(key_type == kv::KeyType::kBytes ? !operation.key.empty() : operation.key.size() == 8);
    CHECK(operation.ttl_ns.value_or(1) > 0);
  }
  CheckBatch(*batch);
}

}  // namespace
}  // namespace tsdbd::server

// The first byte chooses what the rest is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'b') {
    if (const auto batch = tsdbd::server::ParseBinaryBatch(body); batch.ok()) {
      tsdbd::server::CheckBatch(*batch);
    }
  } else {
    tsdbd::server::FuzzJson(
        body, data[0] == 'i' ? tsdbd::kv::KeyType::kInteger : tsdbd::kv::KeyType::kBytes);
  }
  return 0;
}
