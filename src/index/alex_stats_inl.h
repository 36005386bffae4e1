#pragma once
// What AlexMap tells of itself.

#include "index/alex_map.h"

namespace tsdbd::index {

template <typename Key, typename Payload>
template <typename Visitor>
void AlexMap<Key, Payload>::VisitNodes(const NodeSlot& slot, size_t depth, const Visitor& visit) {
  visit(slot, depth);
  const alex::NodeRef ref(slot);
  if (!ref.is_leaf()) {
    InnerNode::Of(ref)->ForEach(
        [&](const NodeSlot& child) { VisitNodes(child, depth + 1, visit); });
  }
}

template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::Stats AlexMap<Key, Payload>::stats() const {
  Stats stats;
  VisitNodes(*root_, 1, [&](const NodeSlot& slot, size_t depth) {
    const alex::NodeRef ref(slot);
    const size_t bytes = ref.is_leaf() ? LeafOf(slot)->bytes() : InnerNode::Of(ref)->bytes();
    stats.depth = std::max(stats.depth, depth);
    stats.largest_node_bytes = std::max(stats.largest_node_bytes, bytes);
    if (!ref.is_leaf()) {
      ++stats.inner_nodes;
      return;
    }
    stats.slots += ref.capacity();
    ++(ref.is_fenced() ? stats.fenced_leaves : stats.model_leaves);
  });
  return stats;
}

namespace alex {

// What holds in every node; returns its number of keys.
template <size_t kWords>
size_t CheckNode(const NodeRef& ref) {
  const auto* node = Node<kWords>::Of(ref);
  CHECK(node->capacity == ref.capacity());
  CHECK(node->is_fenced == ref.is_fenced());
  CHECK(node->used <= node->capacity);
  size_t count = 0;
  for (uint32_t i = 0; i < node->capacity; ++i) {
    const uint64_t key = node->KeyAt(i);
    if (i >= node->used) {
      CHECK(key == kNoKey);
    } else if (i == 0 || key != node->KeyAt(i - 1)) {
      CHECK(key != kNoKey);
      CHECK(i == 0 || key > node->KeyAt(i - 1));
      ++count;
    } else {
      CHECK(node->SlotAt(i).words == node->SlotAt(i - 1).words);
    }
    CHECK(!node->is_fenced || i % Node<kWords>::kFenceStride != 0 ||
          node->FenceAt(i / Node<kWords>::kFenceStride) == key);
  }
  CHECK(count == node->count);
  return count;
}

}  // namespace alex

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::CheckInvariants() const {
  size_t count = has_largest_;
  size_t bytes = 0;
  const LeafNode* last_leaf = nullptr;
  std::optional<uint64_t> last_key;
  size_t leaf_depth = 0;
  VisitNodes(*root_, 1, [&](const NodeSlot& slot, size_t depth) {
    const alex::NodeRef ref(slot);
    if (!ref.is_leaf()) {
      CHECK(alex::CheckNode<3>(ref) > 0);
      bytes += InnerNode::Of(ref)->bytes();
      return;
    }
    const LeafNode* leaf = LeafOf(slot);
    const size_t keys = alex::CheckNode<kWords>(ref);
    CHECK(keys > 0 || depth == 1);
    CHECK(leaf_depth == 0 || leaf_depth == depth);
    CHECK(leaf->previous == last_leaf);
    CHECK(last_leaf == nullptr || last_leaf->next == leaf);
    leaf->ForEach([&](const LeafSlot& at) {
      CHECK(!last_key.has_value() || *last_key < at.key);
      // Only what lies before all others may be below its leaf's own key.
      CHECK(at.key >= slot.key || last_leaf == nullptr);
      last_key = at.key;
      CHECK(LeafNode::Of(LocateLeaf(at.key)) == leaf);
    });
    count += keys;
    bytes += leaf->bytes();
    last_leaf = leaf;
    leaf_depth = depth;
  });
  CHECK(last_leaf == tail_);
  CHECK(last_leaf->next == nullptr);
  CHECK(count == size());
  CHECK(bytes == memory_bytes());
}

}  // namespace tsdbd::index
