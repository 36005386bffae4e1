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
  return FindIn(GuessLeaf(bits), bits, payload);
}

template <typename Key, typename Payload>
alex::NodeRef AlexMap<Key, Payload>::LocateLeaf(uint64_t bits) const {
  alex::NodeRef ref(*root_.load(std::memory_order_acquire));
  while (!ref.is_leaf()) {
    ref = ReadConsistently(VersionOf(ref.node()), [&] {
      const int64_t i = std::max<int64_t>(InnerNode::Search(ref, bits), 0);
      return alex::NodeRef(InnerNode::LoadSlot(ref, i));
    });
  }
  return ref;
}

// When the quick way has not found it: seldom, if it is there.
template <typename Key, typename Payload>
[[gnu::noinline]] bool AlexMap<Key, Payload>::FindCertainly(uint64_t bits, Payload* payload) const {
  const alex::NodeRef leaf = LocateLeaf(bits);
  const LeafSlot slot = ReadConsistently(VersionOf(leaf.node()), [&] {
    return LeafNode::LoadSlot(leaf, LeafNode::Search(leaf, bits));
  });
  if (slot.key != bits) {
    return false;
  }
  *payload = ToPayload(slot.words);
  return true;
}

template <typename Key, typename Payload>
bool AlexMap<Key, Payload>::FindLargest(Payload* payload) const {
  const auto [exists, words] = ReadConsistently(&largest_version_, [&] {
    Words copy;
    for (size_t i = 0; i < kWords; ++i) {
      copy[i] = alex::LoadShared(largest_[i]);
    }
    return std::pair(alex::LoadShared(has_largest_) != 0, copy);
  });
  if (exists) {
    *payload = ToPayload(words);
  }
  return exists;
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::FindMany(std::span<const Key> keys, std::span<Payload> payloads,
                                     std::span<bool> found) const {
  // As many as the processor can have misses under way.
  constexpr size_t kGroup = 16;
  std::array<alex::NodeRef, kGroup> leaves;
  for (size_t begin = 0; begin < keys.size(); begin += kGroup) {
    const size_t count = std::min(kGroup, keys.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      // The largest key is not in the tree; any leaf will do for it.
      const uint64_t bits = std::min(ToBits(keys[begin + i]), alex::kNoKey - 1);
      leaves[i] = GuessLeaf(bits);
      LeafNode::Prefetch(leaves[i], bits);
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
void AlexMap<Key, Payload>::Prefetch(Key key) const {
  // The largest key is not in the tree; any leaf will do for it.
  const uint64_t bits = std::min(ToBits(key), alex::kNoKey - 1);
  const alex::NodeRef leaf = GuessLeaf(bits);
  __builtin_prefetch(leaf.node());
  LeafNode::Prefetch(leaf, bits);
}

// A leaf that was reached from its neighbour, so that nobody said what its model is.
template <typename Key, typename Payload>
alex::NodeRef AlexMap<Key, Payload>::RefOf(const LeafNode* leaf) {
  return leaf->RefTo(0, {});
}

template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::ScanForward(Key from, std::span<Pair> pairs) const {
  uint64_t bound = ToBits(from);  // the least key that is wanted
  size_t count = 0;
  if (bound != alex::kNoKey) {
    alex::NodeRef leaf = LocateLeaf(bound);
    LeafNode::PrefetchRange(leaf, bound, std::min(pairs.size(), kScanChunk));
    bool is_inside = true;
    while (count < pairs.size()) {
      bool is_at_end = false;
      const size_t wanted = std::min(pairs.size() - count, kScanChunk);
      count += ReadConsistently(VersionOf(leaf.node()), [&] {
        const int64_t at = is_inside ? LeafNode::Search(leaf, bound) : 0;
        return CopyUp(leaf, at, bound, pairs.subspan(count, wanted), &is_at_end);
      });
      if (count > 0) {
        bound = ToBits(pairs[count - 1].key) + 1;
      }
      is_inside = true;
      if (is_at_end) {
        const LeafNode* next = Next(LeafNode::Of(leaf));
        if (next == nullptr) {
          break;
        }
        leaf = RefOf(next);
        is_inside = false;
      }
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

// Copies the pairs from slot `from` on with keys of at least `bound`.
template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::CopyUp(const alex::NodeRef& leaf, int64_t from, uint64_t bound,
                                     std::span<Pair> pairs, bool* is_at_end) {
  const auto keys = LeafNode::KeysOf(leaf);
  int64_t i = std::max<int64_t>(from, 0);
  int64_t end = leaf.capacity();
  while (i < end && keys[i] < bound) {
    ++i;
  }
  *is_at_end = true;
  if (i >= end || keys[i] == alex::kNoKey) {
    return 0;
  }
  // Each slot is copied to where the next one goes too if it has the same key: no branch, as
  // whether it has cannot be foreseen. As many slots at once as there is certainly room for.
  size_t last = 0;
  uint64_t last_key = keys[i];
  Pair* const out = pairs.data();
  out[0].key = ToKey(last_key);
  out[0].payload = ToPayload(LeafNode::LoadSlot(leaf, i).words);
  while (++i < end && last + 1 < pairs.size()) {
    int64_t stop = std::min<int64_t>(end, i + static_cast<int64_t>(pairs.size() - 1 - last));
    if (keys[stop - 1] == alex::kNoKey) {
      // The leaf's free slots begin before that; slot i - 1 is in use.
      end = 1 + alex::BinaryLastNotAbove(static_cast<uint32_t>(i - 1), static_cast<uint32_t>(stop),
                                         alex::kNoKey - 1, [&](uint32_t k) { return keys[k]; });
      stop = end;
    }
    for (; i < stop; ++i) {
      const LeafSlot slot = LeafNode::LoadSlot(leaf, i);
      last += slot.key != last_key ? 1 : 0;
      last_key = slot.key;
      out[last].key = ToKey(slot.key);
      out[last].payload = ToPayload(slot.words);
    }
    --i;
  }
  *is_at_end = i >= end;
  return last + 1;
}

template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::ScanBackward(Key from, std::span<Pair> pairs) const {
  uint64_t bound = ToBits(from);  // the greatest key that is wanted
  size_t count = 0;
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
  alex::NodeRef leaf = LocateLeaf(bound);
  while (count < pairs.size()) {
    bool is_at_end = false;
    const size_t wanted = std::min(pairs.size() - count, kScanChunk);
    const size_t copied = ReadConsistently(VersionOf(leaf.node()), [&] {
      return CopyDown(leaf, bound, pairs.subspan(count, wanted), &is_at_end);
    });
    count += copied;
    if (copied > 0) {
      const uint64_t last = ToBits(pairs[count - 1].key);
      if (last == 0) {
        break;
      }
      bound = last - 1;
    }
    if (is_at_end) {
      const LeafNode* previous = Previous(LeafNode::Of(leaf));
      if (previous == nullptr) {
        break;
      }
      leaf = RefOf(previous);
    }
  }
  return count;
}

template <typename Key, typename Payload>
size_t AlexMap<Key, Payload>::CopyDown(const alex::NodeRef& leaf, uint64_t bound,
                                       std::span<Pair> pairs, bool* is_at_end) {
  const auto keys = LeafNode::KeysOf(leaf);
  int64_t i = -1;
  if (keys[0] <= bound) {
    i = alex::BinaryLastNotAbove(0, leaf.capacity(), bound, [&](uint32_t k) { return keys[k]; });
  }
  size_t count = 0;
  uint64_t last = alex::kNoKey;
  for (; i >= 0 && count < pairs.size(); --i) {
    const LeafSlot slot = LeafNode::LoadSlot(leaf, i);
    pairs[count].key = ToKey(slot.key);
    pairs[count].payload = ToPayload(slot.words);
    count += slot.key != last ? 1 : 0;
    last = slot.key;
  }
  *is_at_end = i < 0;
  return count;
}

}  // namespace tsdbd::index
