#include "http/body_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "common/check.h"

namespace tsdbd::http {

namespace {

// Sizes of kept blocks are rounded up to this, so that bodies of nearly the same size share them.
constexpr size_t kKeptGranularityBytes = size_t{128} << 10;

size_t RoundUp(size_t size) {
  return (size + kKeptGranularityBytes - 1) / kKeptGranularityBytes * kKeptGranularityBytes;
}

}  // namespace

BodyPool::~BodyPool() {
  for (const Block& block : kept_) {
    std::free(block.data);
  }
}

bool BodyPool::Charge(size_t bytes) {
  if (used_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= budget_bytes_) {
    return true;
  }
  Discharge(bytes);
  return false;
}

BodyPool::Block BodyPool::Allocate(size_t capacity) {
  if (capacity >= kMinKeptBytes) {
    capacity = RoundUp(capacity);
    MutexLock lock(&mutex_);
    // From the end: the block freed last is the one still in the cache.
    for (size_t i = kept_.size(); i-- > 0;) {
      if (kept_[i].capacity >= capacity) {
        const Block block = kept_[i];
        kept_.erase(kept_.begin() + static_cast<ptrdiff_t>(i));
        kept_bytes_ -= block.capacity;
        return block;
      }
    }
  }
  char* data = static_cast<char*>(std::malloc(capacity));
  CHECK(data != nullptr);
  return {data, capacity};
}

void BodyPool::Free(Block block) {
  std::vector<Block> evicted;
  if (block.capacity < kMinKeptBytes || block.capacity > kMaxKeptBytes) {
    evicted.push_back(block);
  } else {
    MutexLock lock(&mutex_);
    kept_.push_back(block);
    kept_bytes_ += block.capacity;
    while (kept_bytes_ > kMaxKeptTotalBytes) {
      kept_bytes_ -= kept_.front().capacity;
      evicted.push_back(kept_.front());
      kept_.erase(kept_.begin());
    }
  }
  for (const Block& old : evicted) {
    std::free(old.data);
  }
}

void BodyBuffer::Reserve(size_t bytes) {
  if (block_.capacity - size_ >= bytes) {
    return;
  }
  const size_t capacity = std::max(size_ + bytes, 2 * block_.capacity);
  const BodyPool::Block grown = pool_->Allocate(capacity);
  if (size_ > 0) {
    std::memcpy(grown.data, block_.data, size_);
  }
  if (block_.data != nullptr) {
    pool_->Free(block_);
  }
  block_ = grown;
}

bool BodyBuffer::Commit(size_t bytes) {
  CHECK(bytes <= block_.capacity - size_);
  if (!pool_->Charge(bytes)) {
    return false;
  }
  size_ += bytes;
  return true;
}

void BodyBuffer::Truncate(size_t size) {
  CHECK(size <= size_);
  pool_->Discharge(size_ - size);
  size_ = size;
}

bool BodyBuffer::Append(std::string_view bytes) {
  if (bytes.empty()) {
    return true;
  }
  Reserve(bytes.size());
  std::memcpy(block_.data + size_, bytes.data(), bytes.size());
  return Commit(bytes.size());
}

void BodyBuffer::Clear() {
  if (block_.data == nullptr) {
    return;
  }
  pool_->Discharge(size_);
  pool_->Free(block_);
  block_ = {};
  size_ = 0;
}

}  // namespace tsdbd::http
