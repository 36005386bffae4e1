#include "kv/rocks_versions.h"

#include <cstring>
#include <string>

namespace tsdbd::kv {
namespace {

constexpr const char* kVersionKey = "next_version";

// About what it takes in the log.
constexpr size_t kStoreBytes = 64;

}  // namespace

Status RocksVersions::Open() {
  MutexLock lock(&mutex_);
  std::string stored;
  const rocksdb::Status status =
      state_->db->Get(rocksdb::ReadOptions(), state_->meta, kVersionKey, &stored);
  if (!status.IsNotFound()) {
    RETURN_IF_ERROR(state_->Fail(status, "read the version of"));
    if (stored.size() != sizeof(next_)) {
      return DataLoss("open {}: the version has {} bytes instead of {}", state_->options.directory,
                      stored.size(), sizeof(next_));
    }
    std::memcpy(&next_, stored.data(), sizeof(next_));
    lease_end_ = next_;
  }
  // Without space the store can still be read.
  return state_->space.Take(kStoreBytes).ok() ? Lease() : OkStatus();
}

StatusOr<uint64_t> RocksVersions::Next() {
  MutexLock lock(&mutex_);
  if (next_ == lease_end_) {
    RETURN_IF_ERROR(Lease());
  }
  return next_++;
}

Status RocksVersions::Close() {
  MutexLock lock(&mutex_);
  if (next_ == lease_end_ || !state_->space.Take(kStoreBytes).ok()) {
    return OkStatus();
  }
  lease_end_ = next_;
  return Store(next_);
}

Status RocksVersions::Lease() {
  RETURN_IF_ERROR(Store(next_ + kLease));
  lease_end_ = next_ + kLease;
  return OkStatus();
}

Status RocksVersions::Store(uint64_t end) {
  char bytes[sizeof(end)];
  std::memcpy(bytes, &end, sizeof(end));
  rocksdb::WriteOptions options;
  options.sync = true;
  return state_->Fail(
      state_->db->Put(options, state_->meta, kVersionKey, rocksdb::Slice(bytes, sizeof(bytes))),
      "write the version of");
}

}  // namespace tsdbd::kv
