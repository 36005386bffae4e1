#pragma once
// What stands behind a key in RocksDB: version (8 bytes) · expires_ns (8) · value, the numbers
// little-endian. RocksDB's own checksums cover it.

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kv/store.h"

namespace tsdbd::kv {

static_assert(std::endian::native == std::endian::little);

inline constexpr size_t kRocksHeaderBytes = 16;

inline std::array<char, kRocksHeaderBytes> RocksHeader(uint64_t version, int64_t expires_ns) {
  std::array<char, kRocksHeaderBytes> header;
  std::memcpy(header.data(), &version, sizeof(version));
  std::memcpy(header.data() + 8, &expires_ns, sizeof(expires_ns));
  return header;
}

// False if `record` is too short to be one. Leaves the entry's key alone.
inline bool ParseRocksRecord(std::string_view record, Entry* entry) {
  if (record.size() < kRocksHeaderBytes) {
    return false;
  }
  std::memcpy(&entry->version, record.data(), sizeof(entry->version));
  std::memcpy(&entry->expires_ns, record.data() + 8, sizeof(entry->expires_ns));
  entry->value = record.substr(kRocksHeaderBytes);
  return true;
}

}  // namespace tsdbd::kv
