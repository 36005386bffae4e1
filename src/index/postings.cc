#include "index/postings.h"

namespace tsdbd::index {

void Postings::Add(uint32_t id) {
  if (empty()) {
    state_ = (static_cast<uint64_t>(id) << 1) | 1;
    return;
  }
  if (is_single()) {
    if (single() == id) {
      return;
    }
    auto* made = new Roaring();
    made->add(single());
    state_ = reinterpret_cast<uint64_t>(made);
  }
  bitmap()->add(id);
}

void Postings::Remove(uint32_t id) {
  if (is_single()) {
    if (single() == id) {
      state_ = 0;
    }
    return;
  }
  if (is_bitmap()) {
    bitmap()->remove(id);
    if (bitmap()->isEmpty()) {
      delete bitmap();
      state_ = 0;
    }
  }
}

void Postings::UnionInto(Roaring* out) const {
  if (is_single()) {
    out->add(single());
  } else if (is_bitmap()) {
    *out |= *bitmap();
  }
}

void Postings::IntersectInto(Roaring* out) const {
  if (is_bitmap()) {
    *out &= *bitmap();
    return;
  }
  const bool keep = is_single() && out->contains(single());
  *out = Roaring();
  if (keep) {
    out->add(single());
  }
}

}  // namespace tsdbd::index
