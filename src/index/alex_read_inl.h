#pragma once
// AlexMap's look-ups and scans.

#include "index/alex_map.h"

namespace tsdbd::index {

template <typename Key, typename Payload>
bool AlexMap<Key, Payload>::Find(Key key, Payload* payload) const {
  const uint64_t bits = ToBits(key);
  if (bits == alex::kNoKey) [[unlikely]] {
    return FindLargest(payload);
  }
  return FindIn(LocateLeaf(bits), bits, payload);
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::FindMany(std::span<const Key> keys, std::span<Payload> payloads,
                                     std::span<bool> found) const {
  // As many as the processor can have misses under way.
  constexpr size_t kGroup = 16;
  std::array<NodeSlot, kGroup> leaves;
  for (size_t begin = 0; begin < keys.size(); begin += kGroup) {
    const size_t count = std::min(kGroup, keys.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      const uint64_t bits = ToBits(keys[begin + i]);
      // The largest key is not in the tree; any leaf will do for it.
      leaves[i] = LocateLeaf(std::min(bits, alex::kNoKey - 1));
      LeafNode::Prefetch(alex::NodeRef::Of(leaves[i]), leaves[i].key, bits);
    }
    for (size_t i = 0; i < count; ++i) {
      const uint64_t bits = ToBits(keys[begin + i]);
      Payload* payload = &payloads[begin + i];
      found[begin + i] =
          bits == alex::kNoKey ? FindLargest(payload) : FindIn(leaves[i], bits, payload);
    }
  }
}

template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::ScanForward(Key from, std::span<Pair> pairs) const {
  // What is read at once and read again if the writer comes between.
  constexpr size_t kChunk = 128;
  const uint64_t first = ToBits(from);
  size_t count = 0;
  const LeafNode* leaf = nullptr;
  NodeSlot slot;
  if (first != alex::kNoKey) {
    slot = LocateLeaf(first);
    leaf = LeafOf(slot);
  }
  // Keys above `bound`, or equal to it as long as nothing was found.
  uint64_t bound = first;
  bool is_at_end = false;
  while (leaf != nullptr && count < pairs.size()) {
    const size_t wanted = std::min(pairs.size() - count, kChunk);
    const size_t got = ReadConsistently(VersionOf(leaf), [&] {
      return CopyUp(leaf, slot, bound, count > 0, pairs.subspan(count, wanted), &is_at_end);
    });
    count += got;
    if (got > 0) {
      bound = ToBits(pairs[count - 1].key);
    }
    if (is_at_end) {
      leaf = Next(leaf);
      slot = {};
    }
  }
  if (count < pairs.size()) {
    Payload payload;
    if (FindLargest(&payload)) {
      pairs[count++] = {ToKey(alex::kNoKey), payload};
    }
  }
  return count;
}

template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::CopyUp(const LeafNode* leaf, const NodeSlot& slot, uint64_t bound,
                                     bool is_exclusive, std::span<Pair> pairs, bool* is_at_end) {
  const LeafSlot* slots = leaf->slots();
  const uint32_t capacity = leaf->capacity;
  // A leaf that was reached from its neighbour is read from its beginning.
  const int64_t at =
      slot.words[0] == 0 ? -1 : LeafNode::Search(alex::NodeRef::Of(slot), slot.key, bound);
  uint64_t last = bound;
  size_t count = 0;
  auto i = static_cast<uint32_t>(std::max<int64_t>(at, 0));
  if (!is_exclusive && i < capacity && alex::LoadShared(slots[i].key) == bound) {
    pairs[count++] = {ToKey(bound), ToPayload(slots[i].LoadAll().words)};
    ++i;
  }
  for (; i < capacity && count < pairs.size(); ++i) {
    const LeafSlot here = slots[i].LoadAll();
    if (here.key == alex::kNoKey) {
      i = capacity;
      break;
    }
    if (here.key > last) {
      pairs[count++] = {ToKey(here.key), ToPayload(here.words)};
      last = here.key;
    }
  }
  *is_at_end = i >= capacity;
  return count;
}

template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::ScanBackward(Key from, std::span<Pair> pairs) const {
  constexpr size_t kChunk = 128;
  size_t count = 0;
  uint64_t bound = ToBits(from);
  if (pairs.empty()) {
    return 0;
  }
  if (bound == alex::kNoKey) {
    Payload payload;
    if (FindLargest(&payload)) {
      pairs[count++] = {from, payload};
    }
    --bound;
  }
  const NodeSlot start = LocateLeaf(bound);
  const LeafNode* leaf = LeafOf(start);
  bool is_at_end = false;
  // Keys of at most `bound`.
  while (leaf != nullptr && count < pairs.size()) {
    const size_t wanted = std::min(pairs.size() - count, kChunk);
    const size_t got = ReadConsistently(VersionOf(leaf), [&] {
      return CopyDown(leaf, bound, pairs.subspan(count, wanted), &is_at_end);
    });
    count += got;
    if (got > 0) {
      bound = ToBits(pairs[count - 1].key);
      if (bound == 0) {
        break;
      }
      --bound;
    }
    if (is_at_end) {
      leaf = Previous(leaf);
    }
  }
  return count;
}

template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::CopyDown(const LeafNode* leaf, uint64_t bound, std::span<Pair> pairs,
                                       bool* is_at_end) {
  const LeafSlot* slots = leaf->slots();
  size_t count = 0;
  int64_t i = -1;
  if (alex::LoadShared(slots[0].key) <= bound) {
    i = alex::BinaryLastNotAbove(0, leaf->capacity, bound,
                                 [&](uint32_t k) { return alex::LoadShared(slots[k].key); });
  }
  bool is_first = true;
  uint64_t last = 0;
  for (; i >= 0 && count < pairs.size(); --i) {
    const LeafSlot here = slots[i].LoadAll();
    if (is_first || here.key < last) {
      pairs[count++] = {ToKey(here.key), ToPayload(here.words)};
      last = here.key;
      is_first = false;
    }
  }
  *is_at_end = i < 0;
  return count;
}

}  // namespace tsdbd::index
