#pragma once
// How AlexMap changes: what one writer does beside any number of readers. A node that readers may
// see is changed within a Change of its version, or replaced by new ones and retired.

#include "index/alex_map.h"

namespace tsdbd::index {

template <typename Key, typename Payload>
AlexMap<Key, Payload>::AlexMap(EpochGate* gate) : gate_(gate) {
  SetRoot({NewLeaf(kFirstCapacity, 0, 0)});
  tail_ = LeafOf(root_);
}

template <typename Key, typename Payload>
AlexMap<Key, Payload>::~AlexMap() {
  RetireTree(root_);
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::Write(uint64_t bits, const Words& words,
                                                    bool replace) {
  // Behind everything.
  if (tail_->used < tail_->capacity && tail_->used > 0 &&
      bits > tail_->slots()[tail_->used - 1].key && bits != alex::kNoKey) [[likely]] {
    tail_->Append({bits, words});
    AddSize(1);
    return std::nullopt;
  }
  if (bits == alex::kNoKey) [[unlikely]] {
    return WriteLargest(words, replace);
  }
  const NodeSlot leaf_slot = Descend(bits);
  LeafNode* leaf = LeafOf(leaf_slot);
  const int64_t last = LeafNode::Search(alex::NodeRef::Of(leaf_slot), leaf_slot.key, bits);
  if (last >= 0 && leaf->slots()[last].key == bits) {
    const Payload before = ToPayload(leaf->slots()[last].words);
    if (replace) {
      const auto [begin, end] = leaf->RunOf(static_cast<uint32_t>(last));
      Change change(&VersionOf(leaf));
      leaf->Fill(begin, end, {bits, words});
    }
    return before;
  }
  InsertInto(leaf, leaf_slot, last, {bits, words});
  AddSize(1);
  return std::nullopt;
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::WriteLargest(const Words& words, bool replace) {
  const bool exists = largest_.key == alex::kNoKey;
  const Payload before = ToPayload(largest_.words);
  if (!exists || replace) {
    Change change(&VersionOf(&largest_));
    largest_.StoreAll({alex::kNoKey, words});
  }
  if (exists) {
    return before;
  }
  AddSize(1);
  return std::nullopt;
}

// The way to the leaf for `bits`, left in path_.
template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::NodeSlot AlexMap<Key, Payload>::Descend(uint64_t bits) {
  NodeSlot slot = root_;
  depth_ = 0;
  for (auto ref = alex::NodeRef::Of(slot); !ref.is_leaf; ref = alex::NodeRef::Of(slot)) {
    CHECK(depth_ < kMaxDepth);
    auto* node = static_cast<InnerNode*>(ref.node);
    const int64_t i = std::max<int64_t>(InnerNode::Search(ref, slot.key, bits), 0);
    path_[depth_++] = {slot, node, static_cast<uint32_t>(i)};
    slot = node->slots()[i];
  }
  return slot;
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::InsertInto(LeafNode* leaf, const NodeSlot& leaf_slot, int64_t last,
                                       const LeafSlot& slot) {
  const bool is_last = last + 1 == leaf->used;
  if (is_last && leaf->used < leaf->capacity) {
    leaf->Append(slot);
    return;
  }
  if (is_last && leaf->IsGrowingInOrder()) {
    AppendToFull(leaf, leaf_slot, slot);
    return;
  }
  const bool has_room = leaf->used < leaf->capacity ||
                        leaf->count < alex::Limits<kWords>::kFullDensity * leaf->capacity;
  if (has_room && !leaf->IsTimeToRebuild()) {
    const auto ref = alex::NodeRef::Of(leaf_slot);
    const uint32_t predicted = ref.is_fenced
                                   ? static_cast<uint32_t>(last + 1)
                                   : ref.model.Predict(leaf_slot.key, slot.key, ref.capacity);
    const auto place = leaf->FindPlace(last, predicted, kReach);
    if (place.end > 0) {
      Change change(&VersionOf(leaf));
      leaf->InsertAt(place, slot);
      return;
    }
  }
  Rebuild(leaf, &slot);
}

// The key comes behind a full leaf that was filled in order: either it grows, or it is finished and
// another one is begun.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::AppendToFull(LeafNode* leaf, const NodeSlot& leaf_slot,
                                         const LeafSlot& slot) {
  using Limit = alex::Limits<kWords>;
  if (leaf->used != leaf->count) {
    Rebuild(leaf, &slot);
    return;
  }
  const LeafSlot* slots = leaf->slots();
  const uint64_t base = slots[0].key;
  const auto key = [&](size_t i) { return slots[i].key; };
  const alex::Line line = alex::FitLine(leaf->count, base, key);
  if (leaf->capacity < kTailCapacity) {
    auto* grown = LeafNode::New(std::min(2 * leaf->capacity, kTailCapacity), true, false);
    AddBytes(grown->bytes());
    std::copy_n(slots, leaf->used, grown->slots());
    grown->FreeFrom(leaf->used);
    grown->count = leaf->count;
    grown->appends = leaf->appends;
    grown->Append(slot);
    alex::NodeRef ref{grown, alex::Model::Of(line.slope, line.offset), grown->capacity, true,
                      false};
    ReplaceLeaf(leaf, {ref.ToSlot(base)});
    return;
  }
  alex::NodeRef finished = alex::NodeRef::Of(leaf_slot);
  finished.model = alex::Model::Of(line.slope, line.offset);
  finished.is_fenced = false;
  uint32_t misses = 0;
  for (uint32_t i = 0; i < leaf->used; ++i) {
    const uint32_t predicted = finished.model.Predict(base, slots[i].key, leaf->capacity);
    const uint32_t start = alex::Window<LeafSlot>::Start(predicted, leaf->capacity);
    misses += i - start < alex::Window<LeafSlot>::kSlots ? 0 : 1;
  }
  const NodeSlot added =
      NewLeaf(leaf->next == nullptr ? kTailCapacity : kFirstTailCapacity, slot.key, line.slope);
  LeafOf(added)->Append(slot);
  std::vector<NodeSlot> nodes;
  if (misses <= Limit::kMaxMisses * leaf->used && !leaf->is_fenced) {
    nodes = {finished.ToSlot(base), added};
    LinkAll(leaf, {added}, leaf->next);
    ReplaceChild(depth_, std::move(nodes));
    return;
  }
  nodes = BuildLeaves(leaf->count, 0, [&](size_t i) { return slots[i]; });
  nodes.push_back(added);
  ReplaceLeaf(leaf, std::move(nodes));
}

// The leaf at the end of path_ anew, with `added` if that is not null.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::Rebuild(LeafNode* leaf, const LeafSlot* added) {
  scratch_.clear();
  leaf->ForEach([&](const LeafSlot& slot) {
    if (added != nullptr && added->key < slot.key) {
      scratch_.push_back(*added);
      added = nullptr;
    }
    scratch_.push_back(slot);
  });
  if (added != nullptr) {
    scratch_.push_back(*added);
  }
  const bool in_order = leaf->IsGrowingInOrder();
  const auto room = in_order ? std::min<uint32_t>(kTailCapacity, leaf->count / 2 + 8) : 0;
  auto nodes = BuildLeaves(scratch_.size(), room, [&](size_t i) { return scratch_[i]; });
  if (in_order) {
    LeafNode* last = LeafOf(nodes.back());
    last->appends = last->count;
  }
  ReplaceLeaf(leaf, std::move(nodes));
}

// `nodes` instead of the leaf at the end of path_.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::ReplaceLeaf(LeafNode* leaf, std::vector<NodeSlot> nodes) {
  LinkAll(leaf->previous, nodes, leaf->next);
  ReplaceChild(depth_, std::move(nodes));
  Retire(leaf);
}

// Makes `leaves` neighbours of each other and of those on either side. Who comes over a link before
// the parent has the leaves finds the same keys as through the parent.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::LinkAll(LeafNode* left, const std::vector<NodeSlot>& leaves,
                                    LeafNode* right) {
  LeafNode* const first = LeafOf(leaves.front());
  LeafNode* const last = LeafOf(leaves.back());
  // The new leaves first, before others lead to them.
  first->previous = left;
  last->next = right;
  for (size_t i = 1; i < leaves.size(); ++i) {
    Link(LeafOf(leaves[i - 1]), LeafOf(leaves[i]));
  }
  if (left != nullptr) {
    Link(left, first);
  }
  if (right != nullptr) {
    Link(last, right);
  } else {
    tail_ = last;
  }
}

// `nodes` instead of the child that path_ leads to at `depth`: all at once for readers.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::ReplaceChild(size_t depth, std::vector<NodeSlot> nodes) {
  if (depth == 0) {
    SetRoot(std::move(nodes));
    return;
  }
  const Step& step = path_[depth - 1];
  InnerNode* parent = step.node;
  const auto [begin, end] = parent->RunOf(step.index);
  const size_t added = nodes.size() - 1;
  const bool fits_behind = end == parent->used && parent->used + added <= parent->capacity;
  const bool fits_within =
      parent->count + added <= alex::Limits<3>::kFullDensity * parent->capacity &&
      !parent->IsTimeToRebuild();
  if (added == 0 || fits_behind || fits_within) {
    const auto ref = alex::NodeRef::Of(step.self);
    Change change(&VersionOf(parent));
    parent->Fill(begin, end, nodes[0]);
    for (size_t i = 1; i < nodes.size(); ++i) {
      parent->Insert(ref, step.self.key, nodes[i]);
    }
    return;
  }
  std::vector<NodeSlot> children;
  children.reserve(parent->count + added);
  const uint64_t replaced = parent->slots()[step.index].key;
  parent->ForEach([&](const NodeSlot& child) {
    if (child.key == replaced) {
      children.insert(children.end(), nodes.begin(), nodes.end());
    } else {
      children.push_back(child);
    }
  });
  const bool in_order = parent->IsGrowingInOrder();
  auto parents = BuildInner(children, in_order ? parent->count / 2 : 0);
  if (in_order) {
    auto* last = reinterpret_cast<InnerNode*>(parents.back().words[0]);
    last->appends = last->count;
  }
  ReplaceChild(depth - 1, std::move(parents));
  Retire(parent);
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::SetRoot(std::vector<NodeSlot> nodes) {
  while (nodes.size() > 1) {
    nodes = BuildInner(nodes, 0);
  }
  Change change(&root_version_);
  root_.StoreAll(nodes[0]);
}

// Takes out the child that path_ leads to at `depth`, in which nothing is left.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::RemoveChild(size_t depth) {
  if (depth == 0) {
    const NodeSlot empty = NewLeaf(kFirstCapacity, 0, 0);
    tail_ = LeafOf(empty);
    SetRoot({empty});
    return;
  }
  const Step& step = path_[depth - 1];
  if (step.node->count == 1) {
    RemoveChild(depth - 1);
    Retire(step.node);
    return;
  }
  {
    Change change(&VersionOf(step.node));
    step.node->EraseRun(step.index);
  }
  // A root with one child is one step too many.
  for (auto ref = alex::NodeRef::Of(root_); !ref.is_leaf; ref = alex::NodeRef::Of(root_)) {
    auto* node = static_cast<InnerNode*>(ref.node);
    if (node->count > 1) {
      break;
    }
    SetRoot({node->slots()[0]});
    Retire(node);
  }
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::Erase(Key key) {
  const uint64_t bits = ToBits(key);
  if (bits == alex::kNoKey) [[unlikely]] {
    return EraseLargest();
  }
  const NodeSlot leaf_slot = Descend(bits);
  LeafNode* leaf = LeafOf(leaf_slot);
  const int64_t at = LeafNode::Search(alex::NodeRef::Of(leaf_slot), leaf_slot.key, bits);
  if (at < 0 || leaf->slots()[at].key != bits) {
    return std::nullopt;
  }
  const Payload before = ToPayload(leaf->slots()[at].words);
  AddSize(-1);
  if (leaf->count == 1) {
    if (leaf->previous != nullptr || leaf->next != nullptr) {
      Link(leaf->previous, leaf->next);
    }
    if (leaf->next == nullptr) {
      tail_ = leaf->previous;
    }
    RemoveChild(depth_);
    Retire(leaf);
    return before;
  }
  {
    Change change(&VersionOf(leaf));
    leaf->EraseRun(static_cast<uint32_t>(at));
  }
  if (leaf->count < leaf->capacity / kSparse && leaf->capacity > kFirstTailCapacity) {
    Rebuild(leaf, nullptr);
  }
  return before;
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::EraseLargest() {
  if (largest_.key != alex::kNoKey) {
    return std::nullopt;
  }
  const Payload before = ToPayload(largest_.words);
  AddSize(-1);
  Change change(&VersionOf(&largest_));
  largest_.StoreAll({});
  return before;
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::BulkLoad(std::span<const Pair> pairs) {
  const NodeSlot old_root = root_;
  size_t count = pairs.size();
  const bool has_largest = count > 0 && ToBits(pairs.back().key) == alex::kNoKey;
  count -= has_largest ? 1 : 0;
  std::vector<NodeSlot> leaves;
  if (count > 0) {
    leaves = BuildLeaves(count, 0, [&](size_t i) {
      return LeafSlot{ToBits(pairs[i].key), ToWords(pairs[i].payload)};
    });
  } else {
    leaves = {NewLeaf(kFirstCapacity, 0, 0)};
  }
  LinkAll(nullptr, leaves, nullptr);
  SetRoot(std::move(leaves));
  {
    Change change(&VersionOf(&largest_));
    largest_.StoreAll(has_largest ? LeafSlot{alex::kNoKey, ToWords(pairs.back().payload)}
                                  : LeafSlot{});
  }
  size_.store(pairs.size(), std::memory_order_relaxed);
  RetireTree(old_root);
}

// An empty leaf for keys from `key` on.
template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::NodeSlot AlexMap<Key, Payload>::NewLeaf(uint32_t capacity,
                                                                        uint64_t key,
                                                                        double slope) {
  auto* leaf = LeafNode::New(capacity, true, false);
  leaf->FreeFrom(0);
  AddBytes(leaf->bytes());
  return alex::NodeRef{leaf, alex::Model::Of(slope, 0), capacity, true, false}.ToSlot(key);
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::RetireTree(const NodeSlot& slot) {
  const auto ref = alex::NodeRef::Of(slot);
  if (ref.is_leaf) {
    Retire(static_cast<LeafNode*>(ref.node));
    return;
  }
  auto* node = static_cast<InnerNode*>(ref.node);
  node->ForEach([&](const NodeSlot& child) { RetireTree(child); });
  Retire(node);
}

}  // namespace tsdbd::index
