#pragma once
// LogSegment: one file of the value log, in memory. SegmentTable: from a position to its segment,
// without a lock.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/env.h"
#include "common/epoch.h"
#include "common/mutex.h"
#include "kv/log_format.h"

namespace tsdbd::kv {

// What is in a segment, in bytes of records. The store's write lock guards it.
struct SegmentFigures {
  uint64_t end_bytes = kLogPageBytes;  // of what was written: where the next record would go
  uint64_t put_bytes = 0;
  uint64_t live_bytes = 0;  // of the puts, those that the index leads to
  uint64_t delete_bytes = 0;
  uint64_t dead_put_bytes() const { return put_bytes - live_bytes; }
};

class LogSegment {
 public:
  // Of a segment whose header is lost: no record in it passes its checks.
  static constexpr uint64_t kUnknownSalt = 0;

  // A segment that is being written.
  LogSegment(uint32_t number, uint64_t salt, std::string path,
             std::unique_ptr<WritableMapping> mapping)
      : number_(number), salt_(salt), path_(std::move(path)), writable_(std::move(mapping)) {
    bytes_ = {writable_->data().data(), writable_->data().size()};
  }
  // One that was written before the store was opened.
  LogSegment(uint32_t number, uint64_t salt, std::string path, std::unique_ptr<MappedFile> mapping)
      : number_(number), salt_(salt), path_(std::move(path)), mapped_(std::move(mapping)) {
    bytes_ = mapped_->data();
  }

  uint32_t number() const { return number_; }
  uint64_t salt() const { return salt_; }
  bool has_header() const { return salt_ != kUnknownSalt; }
  const std::string& path() const { return path_; }
  std::string_view bytes() const { return bytes_; }  // the whole file
  // After the file was cut there.
  void TrimTo(uint64_t size_bytes) { bytes_ = bytes_.substr(0, size_bytes); }
  char* writable() const { return writable_->data().data(); }
  Status Sync(uint64_t begin, uint64_t end) const { return writable_->Sync(begin, end - begin); }

  SegmentFigures figures;
  bool has_clear = false;   // as the figures
  bool is_removed = false;  // its file is gone, readers may still have it; ValueLog's
  // A record in it that was durable cannot be read. It is then never compacted away.
  std::atomic<bool> is_damaged = false;

 private:
  const uint32_t number_;
  const uint64_t salt_;
  const std::string path_;
  std::unique_ptr<WritableMapping> writable_;  // or
  std::unique_ptr<MappedFile> mapped_;
  std::string_view bytes_;
};

// Numbers rise without end while segments in the middle go, so the table covers the range from the
// lowest that is there, and is replaced by another when it is full.
// Threads: Find by any with a pin of the gate; the rest by one at a time.
class SegmentTable {
 public:
  explicit SegmentTable(EpochGate* gate) : gate_(gate) {}
  ~SegmentTable() { delete slots_.load(std::memory_order_relaxed); }
  SegmentTable(const SegmentTable&) = delete;
  SegmentTable& operator=(const SegmentTable&) = delete;

  // Null if it is gone.
  LogSegment* Find(uint32_t number) const {
    const Slots* slots = slots_.load(std::memory_order_acquire);
    const uint32_t index = number - slots->first;  // of a lower number: huge
    return index < slots->count ? slots->segments[index].load(std::memory_order_acquire) : nullptr;
  }
  // `segment` has the highest number so far.
  void Add(LogSegment* segment);
  void Remove(uint32_t number);

 private:
  struct Slots {
    Slots(uint32_t first_number, uint32_t size)
        : first(first_number),
          count(size),
          segments(std::make_unique<std::atomic<LogSegment*>[]>(size)) {}
    const uint32_t first;
    const uint32_t count;
    const std::unique_ptr<std::atomic<LogSegment*>[]> segments;
  };

  EpochGate* const gate_;
  std::atomic<Slots*> slots_ = new Slots(0, 0);
};

}  // namespace tsdbd::kv
