#pragma once
// What a keyspace is: what Create is told, and the small file that keeps it (docs/formats/keyspace.md).
// Pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"
#include "kv/store.h"

namespace tsdbd::kv {

enum class Backend : uint8_t {
  kAlex,   // in memory the index, on disk a log of values: the fastest (alex_store.h)
  kRocks,  // RocksDB: byte keys in order, indexes larger than memory (rocks_store.h)
};

struct KeyspaceDefinition {
  KeyType key_type = KeyType::kBytes;
  Backend backend = Backend::kAlex;
  // How long entries live whose write does not say; 0: until they are deleted.
  int64_t default_ttl_ns = 0;
  friend bool operator==(const KeyspaceDefinition&, const KeyspaceDefinition&) = default;
};

// "bytes", "integer"; "alex", "rocksdb".
std::string_view NameOf(KeyType key_type);
std::string_view NameOf(Backend backend);
std::optional<KeyType> KeyTypeOf(std::string_view name);
std::optional<Backend> BackendOf(std::string_view name);

// 1 to 64 of [a-zA-Z0-9_.-], not beginning with a dot: it is a folder's name, too.
inline constexpr size_t kMaxKeyspaceNameBytes = 64;
Status CheckKeyspaceName(std::string_view name);

// The file: lines of a name and a value, the last of which is a checksum of those before it.
// `store_number` names the folder of the keyspace's store.
std::string EncodeDefinition(const KeyspaceDefinition& definition, uint64_t store_number);
// kDataLoss, without the path, unless `text` is exactly what EncodeDefinition makes.
Status DecodeDefinition(std::string_view text, KeyspaceDefinition* definition,
                        uint64_t* store_number);

}  // namespace tsdbd::kv
