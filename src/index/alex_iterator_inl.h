#pragma once
// AlexMap's iterator: for the writer, or while nobody writes.

#include "index/alex_map.h"

namespace tsdbd::index {

// Any slot of a key's run; or the largest key, which is in no leaf; or the end.
template <typename Key, typename Payload>
class AlexMap<Key, Payload>::Iterator {
 public:
  Pair operator*() const {
    if (leaf_ == nullptr) {
      return {ToKey(alex::kNoKey), ToPayload(map_->largest_)};
    }
    const LeafSlot slot = leaf_->SlotAt(slot_);
    return {ToKey(slot.key), ToPayload(slot.words)};
  }
  Iterator& operator++() {
    if (leaf_ == nullptr) {
      is_largest_ = false;
    } else {
      slot_ = leaf_->RunOf(slot_).second;
      Settle();
    }
    return *this;
  }
  Iterator& operator--() {
    if (leaf_ == nullptr && !is_largest_ && map_->has_largest_ != 0) {
      is_largest_ = true;
    } else if (leaf_ == nullptr) {
      leaf_ = map_->tail_;
      slot_ = leaf_->used - 1;
    } else if (const uint32_t begin = leaf_->RunOf(slot_).first; begin > 0) {
      slot_ = begin - 1;
    } else {
      leaf_ = leaf_->previous;
      slot_ = leaf_->used - 1;
    }
    return *this;
  }
  bool operator==(const Iterator& other) const {
    return leaf_ == other.leaf_ &&
           (leaf_ == nullptr ? is_largest_ == other.is_largest_
                             : leaf_->KeyAt(slot_) == other.leaf_->KeyAt(other.slot_));
  }

 private:
  friend class AlexMap;

  Iterator(const AlexMap* map, const LeafNode* leaf, uint32_t slot)
      : map_(map), leaf_(leaf), slot_(slot) {
    Settle();
  }

  // From behind the last slot of a leaf to the next.
  void Settle() {
    if (leaf_ != nullptr && slot_ >= leaf_->used) {
      leaf_ = leaf_->next;
      slot_ = 0;
    }
    is_largest_ = leaf_ == nullptr && map_->has_largest_ != 0;
  }

  const AlexMap* map_;
  const LeafNode* leaf_;
  uint32_t slot_;
  bool is_largest_ = false;
};

template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::Iterator AlexMap<Key, Payload>::LowerBound(Key key) const {
  const uint64_t bits = ToBits(key);
  if (bits == alex::kNoKey) {
    return Iterator(this, nullptr, 0);
  }
  const alex::NodeRef ref = LocateLeaf(bits);
  const LeafNode* leaf = LeafNode::Of(ref);
  const int64_t last = LeafNode::Search(ref, bits);
  return Iterator(this, leaf, static_cast<uint32_t>(leaf->KeyAt(last) == bits ? last : last + 1));
}

template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::Iterator AlexMap<Key, Payload>::UpperBound(Key key) const {
  Iterator at = LowerBound(key);
  if (at != end() && (*at).key == key) {
    ++at;
  }
  return at;
}

template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::Iterator AlexMap<Key, Payload>::end() const {
  Iterator at(this, nullptr, 0);
  at.is_largest_ = false;
  return at;
}

}  // namespace tsdbd::index
