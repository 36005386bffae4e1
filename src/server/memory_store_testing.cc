#include "server/memory_store_testing.h"

#include <deque>
#include <utility>

#include "common/clock.h"

namespace tsdbd::server {

class MemoryStore::View final : public kv::ReadView {
 public:
  explicit View(MemoryStore* store) : store_(store) {}

  Status Get(std::string_view key, kv::Entry* entry) override {
    Status status;
    GetMany({&key, 1}, {entry, 1}, {&status, 1});
    return status;
  }

  void GetMany(std::span<const std::string_view> keys, std::span<kv::Entry> entries,
               std::span<Status> statuses) override {
    MutexLock lock(&store_->mutex_);
    ++store_->look_ups_;
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto found = store_->values_.find(keys[i]);
      const bool is_there =
          found != store_->values_.end() && found->second->expires_ns > WallNanos();
      statuses[i] = is_there ? OkStatus() : NotFound("");
      if (is_there) {
        entries[i] = Pin(found->first, found->second);
      }
    }
  }

  Status Scan(const kv::ScanRange& range, const kv::EntryVisitor& visitor,
              std::string* cursor) override {
    MutexLock lock(&store_->mutex_);
    const std::string begin = !range.cursor.empty() && !store_->options_.is_ordered
                                  ? KeyOfCursor(range.cursor)
                                  : std::string(std::max(range.cursor, range.from));
    cursor->clear();
    size_t visited = 0;
    for (auto at = store_->values_.lower_bound(begin); at != store_->values_.end(); ++at) {
      if (visited == range.limit) {
        *cursor = store_->options_.is_ordered ? at->first : CursorOfKey(at->first);
        return OkStatus();
      }
      ++visited;
      if (at->second->expires_ns > WallNanos() && !visitor(Pin(at->first, at->second))) {
        return OkStatus();
      }
    }
    return OkStatus();
  }

 private:
  kv::Entry Pin(const std::string& key, const std::shared_ptr<const Value>& value) {
    pins_.push_back(value);
    keys_.push_back(key);
    return {.key = keys_.back(),
            .value = value->bytes,
            .version = value->version,
            .expires_ns = value->expires_ns};
  }

  // The first eight bytes of a key, as if they were its hash: tests of pages use keys that differ
  // in these.
  static std::string CursorOfKey(std::string key) {
    key.resize(8);
    return key;
  }
  static std::string KeyOfCursor(std::string_view cursor) {
    return std::string(cursor.substr(0, cursor.find('\0')));
  }

  MemoryStore* const store_;
  std::vector<std::shared_ptr<const Value>> pins_;
  std::deque<std::string> keys_;
};

Status MemoryStore::Apply(const kv::WriteBatch& batch, uint64_t* version) {
  MutexLock lock(&mutex_);
  if (!batch.operations().empty()) {
    RETURN_IF_ERROR(write_status_);
  }
  for (const kv::WriteBatch::Operation& operation : batch.operations()) {
    if (operation.key.size() > kv::kMaxKeyBytes ||
        operation.value.size() > options_.max_value_bytes) {
      return InvalidArgument("a key of {} bytes, a value of {} bytes: too long",
                             operation.key.size(), operation.value.size());
    }
  }
  if (!batch.operations().empty()) {
    ++batches_;
    ++version_;
  }
  for (const kv::WriteBatch::Operation& operation : batch.operations()) {
    if (operation.is_delete) {
      values_.erase(std::string(operation.key));
    } else {
      values_[std::string(operation.key)] = std::make_shared<const Value>(
          Value{std::string(operation.value), version_, operation.expires_ns});
    }
  }
  if (version != nullptr) {
    *version = version_;
  }
  return OkStatus();
}

void MemoryStore::Finish(Done done) {
  if (!done) {
    return;
  }
  {
    MutexLock lock(&mutex_);
    if (is_holding_) {
      held_.push_back(std::move(done));
      return;
    }
  }
  done(OkStatus());
}

Status MemoryStore::Write(const kv::WriteBatch& batch, Done done, uint64_t* version) {
  {
    MutexLock write_lock(&write_mutex_);
    RETURN_IF_ERROR(Apply(batch, version));
  }
  Finish(std::move(done));
  return OkStatus();
}

Status MemoryStore::Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) {
  {
    MutexLock write_lock(&write_mutex_);
    View view(this);
    kv::Entry entry;
    const bool is_there = view.Get(key, &entry).ok();
    kv::WriteBatch batch;
    edit(is_there ? &entry : nullptr, &batch);
    RETURN_IF_ERROR(Apply(batch, version));
  }
  Finish(std::move(done));
  return OkStatus();
}

std::unique_ptr<kv::ReadView> MemoryStore::Read(kv::Consistency) {
  return std::make_unique<View>(this);
}

Status MemoryStore::Clear() {
  MutexLock lock(&mutex_);
  values_.clear();
  return OkStatus();
}

kv::StoreStats MemoryStore::stats() const {
  MutexLock lock(&mutex_);
  return {.keys = values_.size()};
}

void MemoryStore::Hold() {
  MutexLock lock(&mutex_);
  is_holding_ = true;
}

void MemoryStore::Release(const Status& status) {
  std::vector<Done> held;
  {
    MutexLock lock(&mutex_);
    is_holding_ = false;
    held.swap(held_);
  }
  for (const Done& done : held) {
    done(status);
  }
}

size_t MemoryStore::held_count() const {
  MutexLock lock(&mutex_);
  return held_.size();
}

uint64_t MemoryStore::batches() const {
  MutexLock lock(&mutex_);
  return batches_;
}

uint64_t MemoryStore::look_ups() const {
  MutexLock lock(&mutex_);
  return look_ups_;
}

void MemoryStore::FailWrites(Status status) {
  MutexLock lock(&mutex_);
  write_status_ = std::move(status);
}

}  // namespace tsdbd::server
