#include "kv/log_segment.h"

#include <algorithm>

namespace tsdbd::kv {

void SegmentTable::Add(LogSegment* segment) {
  Slots* const old = slots_.load(std::memory_order_relaxed);
  const uint32_t number = segment->number();
  if (number - old->first < old->count) {
    old->segments[number - old->first].store(segment, std::memory_order_release);
    return;
  }
  uint32_t first = number;
  for (uint32_t i = old->count; i > 0; --i) {
    if (old->segments[i - 1].load(std::memory_order_relaxed) != nullptr) {
      first = old->first + i - 1;
    }
  }
  constexpr uint32_t kMinSlots = 64;
  auto* const slots = new Slots(first, std::max(kMinSlots, 2 * (number - first + 1)));
  for (uint32_t i = 0; i < old->count; ++i) {
    if (LogSegment* const moved = old->segments[i].load(std::memory_order_relaxed)) {
      slots->segments[old->first + i - first].store(moved, std::memory_order_relaxed);
    }
  }
  slots->segments[number - first].store(segment, std::memory_order_relaxed);
  slots_.store(slots, std::memory_order_release);
  gate_->Retire([](void*, void* table, size_t) { delete static_cast<Slots*>(table); }, nullptr, old,
                sizeof(Slots));
}

void SegmentTable::Remove(uint32_t number) {
  Slots* const slots = slots_.load(std::memory_order_relaxed);
  if (number - slots->first < slots->count) {
    slots->segments[number - slots->first].store(nullptr, std::memory_order_release);
  }
}

}  // namespace tsdbd::kv
