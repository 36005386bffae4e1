#pragma once
// How AlexMap changes: what one writer does beside any number of readers. A node that readers may
// see is changed within a Change of its version, or replaced by new ones and retired.

#include "index/alex_map.h"

namespace tsdbd::index {

template <typename Key, typename Payload>
AlexMap<Key, Payload>::AlexMap(EpochGate* gate) : gate_(gate) {
  const NodeSlot leaf = NewLeaf(kFirstCapacity, 0, 0);
  tail_ = LeafOf(leaf);
  root_.store(new NodeSlot(leaf), std::memory_order_relaxed);
}

// What was in a map. Readers may still see it.
template <typename Key, typename Payload>
class AlexMap<Key, Payload>::Remains {
 public:
  Remains() = default;
  Remains(EpochGate* gate, const NodeSlot& root) : gate_(gate), root_(root) {}
  Remains(Remains&& other) noexcept
      : gate_(std::exchange(other.gate_, nullptr)), root_(other.root_) {}
  Remains& operator=(Remains&& other) noexcept {
    std::swap(gate_, other.gate_);
    std::swap(root_, other.root_);
    return *this;
  }
  ~Remains() {
    if (gate_ != nullptr) {
      RetireTree(gate_, root_);
    }
  }

 private:
  EpochGate* gate_ = nullptr;
  NodeSlot root_ = {};
};

template <typename Key, typename Payload>
AlexMap<Key, Payload>::~AlexMap() {
  RetireTree(gate_, *root_);
  delete root_.load(std::memory_order_relaxed);
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::Write(uint64_t bits, const Words& words,
                                                    bool replace) {
  if (bits == alex::kNoKey) [[unlikely]] {
    return WriteLargest(words, replace);
  }
  // Behind everything.
  if (tail_->used < tail_->capacity && tail_->used > 0 && bits > tail_->KeyAt(tail_->used - 1)) {
    Change change(VersionOf(tail_));
    tail_->Append({bits, words});
    AddSize(1);
    return std::nullopt;
  }
  const alex::NodeRef ref = Descend(bits);
  auto* leaf = LeafNode::Of(ref);
  __builtin_prefetch(leaf, 1);  // its counts, whose miss would else follow that of the slots
  const int64_t last = LeafNode::Search(ref, bits);
  if (leaf->KeyAt(last) == bits) {
    const auto at = static_cast<uint32_t>(last);
    const Payload before = ToPayload(leaf->SlotAt(at).words);
    if (replace) {
      const auto [begin, end] = leaf->RunOf(at);
      Change change(VersionOf(leaf));
      leaf->Fill(begin, end, {bits, words});
      written_slots_ += end - begin;
    }
    return before;
  }
  InsertInto(ref, last, {bits, words});
  AddSize(1);
  return std::nullopt;
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::WriteLargest(const Words& words, bool replace) {
  std::optional<Payload> before;
  if (has_largest_ != 0) {
    before = ToPayload(largest_);
  } else {
    AddSize(1);
  }
  if (!before.has_value() || replace) {
    SetLargest(true, words);
  }
  return before;
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::SetLargest(bool exists, const Words& words) {
  Change change(&largest_version_);
  for (size_t i = 0; i < kWords; ++i) {
    alex::StoreShared(&largest_[i], words[i]);
  }
  alex::StoreShared(&has_largest_, exists ? 1 : 0);
}

// The leaf for `bits`; the way there is left in path_.
template <typename Key, typename Payload>
alex::NodeRef AlexMap<Key, Payload>::Descend(uint64_t bits) {
  auto ref = alex::NodeRef(*root_.load(std::memory_order_relaxed));
  depth_ = 0;
  while (!ref.is_leaf()) {
    CHECK(depth_ < kMaxDepth);
    const auto i = static_cast<uint32_t>(std::max<int64_t>(InnerNode::Search(ref, bits), 0));
    auto* node = InnerNode::Of(ref);
    path_[depth_++] = {ref, node, i};
    ref = alex::NodeRef(node->SlotAt(i));
  }
  return ref;
}

// A new key, `last` being the last slot below it.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::InsertInto(const alex::NodeRef& ref, int64_t last,
                                       const LeafSlot& slot) {
  auto* leaf = LeafNode::Of(ref);
  const bool is_last = last + 1 == leaf->used;
  if (is_last && leaf->used < leaf->capacity) {
    Change change(VersionOf(leaf));
    leaf->Append(slot);
    return;
  }
  if (is_last && leaf->IsGrowingInOrder() && leaf->used == leaf->count) {
    AppendToFull(leaf, slot);
    return;
  }
  const bool has_room =
      leaf->used < leaf->capacity || leaf->count < LeafLimits::kFullDensity * leaf->capacity;
  if (has_room && !leaf->IsTimeToRebuild()) {
    const auto place = leaf->FindPlace(last, LeafNode::PredictFor(ref, slot.key, last), kReach);
    if (place.end > 0) {
      Change change(VersionOf(leaf));
      leaf->InsertAt(place, slot);
      leaf->prepends += last < 0 ? 1 : 0;
      written_slots_ += place.distance + (place.end - place.begin);
      return;
    }
  }
  if (last < 0 && leaf->count >= kMaxDownwardKeys) {
    PrependToLarge(leaf, slot);
    return;
  }
  if (last < 0 && leaf->IsGrowingDownward()) {
    GrowDownward(leaf, slot);
    return;
  }
  Rebuild(leaf, &slot);
}

// The key comes behind a full leaf without a spare slot that was filled in order: either it grows,
// or it is finished and another one is begun.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::AppendToFull(LeafNode* leaf, const LeafSlot& slot) {
  const uint64_t base = leaf->KeyAt(0);
  const alex::Line line =
      alex::FitLine(leaf->count, base, [&](size_t i) { return leaf->KeyAt(i); });
  const auto model = alex::Model::Of(line.slope, line.offset);
  if (leaf->capacity < kTailCapacity) {
    auto* grown = LeafNode::New(std::min(2 * leaf->capacity, kTailCapacity), false);
    for (uint32_t i = 0; i < leaf->used; ++i) {
      grown->Put(i, leaf->SlotAt(i));
    }
    grown->FreeFrom(leaf->used);
    grown->count = leaf->count;
    grown->appends = leaf->appends;
    grown->Append(slot);
    AddNode(*grown);
    ReplaceLeaf(leaf, {grown->RefTo(base, model).ToSlot()});
    return;
  }
  NodeSlot added =
      NewLeaf(leaf->next == nullptr ? kTailCapacity : kFirstTailCapacity, slot.key, line.slope);
  LeafOf(added)->Append(slot);
  uint32_t misses = 0;
  for (uint32_t i = 0; i < leaf->used; ++i) {
    const int64_t predicted = model.Predict(base, leaf->KeyAt(i));
    const uint32_t start = LeafNode::W::Start(predicted, leaf->capacity);
    misses += i - start < LeafNode::W::kSlots ? 0 : 1;
  }
  if (leaf->is_fenced || misses <= LeafLimits::kMaxMisses * leaf->used) {
    // It stays as it is, without a spare slot.
    LinkAll(leaf, {added}, leaf->next);
    ReplaceChild(depth_, {leaf->RefTo(base, model).ToSlot(), added});
    return;
  }
  auto nodes = BuildLeaves(leaf->count, LeafLimits::kDensity, 0,
                           [&](size_t i) { return leaf->SlotAt(static_cast<uint32_t>(i)); });
  nodes.push_back(added);
  ReplaceLeaf(leaf, std::move(nodes));
}

// The key comes before a leaf that is filled downward: it gets spare slots in front of it, and
// those behind it none, until the leaf is laid out for good.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::GrowDownward(LeafNode* leaf, const LeafSlot& slot) {
  const uint32_t count = leaf->count + 1;
  scratch_.resize(count + 1);
  scratch_[0] = slot;
  leaf->CopyTo(&scratch_[1]);
  auto* grown = LeafNode::New(LeafNode::RoundUp(kRoomInFront + count, false), false);
  for (uint32_t i = 0; i < kRoomInFront; ++i) {
    grown->Put(i, slot);
  }
  for (uint32_t i = 0; i < count; ++i) {
    grown->Put(kRoomInFront + i, scratch_[i]);
  }
  grown->FreeFrom(kRoomInFront + count);
  grown->count = count;
  grown->prepends = static_cast<uint16_t>(count);
  AddNode(*grown);
  const double range = static_cast<double>(scratch_[count - 1].key - slot.key);
  const auto model = alex::Model::Of(leaf->count / range, kRoomInFront);
  ReplaceLeaf(leaf, {grown->RefTo(slot.key, model).ToSlot()});
}

// The key comes before a leaf that has no spare slot near its first key, and is too large to be
// built anew for a few keys: it is laid out for good, and another is begun.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::PrependToLarge(LeafNode* leaf, const LeafSlot& slot) {
  scratch_.resize(leaf->count + 1);
  leaf->CopyTo(scratch_.data());
  auto nodes =
      BuildLeaves(leaf->count, LeafLimits::kDensity, 0, [&](size_t i) { return scratch_[i]; });
  const NodeSlot added = NewLeaf(kFirstTailCapacity, slot.key, 0);
  LeafOf(added)->Append(slot);
  LeafOf(added)->prepends = 1;
  nodes.insert(nodes.begin(), added);
  ReplaceLeaf(leaf, std::move(nodes));
}

// The leaf at the end of path_ anew, with `added` if that is not null.
template <typename Key, typename Payload>
void AlexMap<Key, Payload>::Rebuild(LeafNode* leaf, const LeafSlot* added) {
  scratch_.resize(leaf->count + 1);
  leaf->CopyTo(scratch_.data());
  if (added == nullptr) {
    scratch_.pop_back();
  } else {
    scratch_.back() = *added;
    const auto at =
        std::upper_bound(scratch_.begin(), scratch_.end() - 1, added->key,
                         [](uint64_t key, const LeafSlot& slot) { return key < slot.key; });
    std::rotate(at, scratch_.end() - 1, scratch_.end());
  }
  const bool in_order = leaf->IsGrowingInOrder();
  const auto room = in_order ? std::min<uint32_t>(kTailCapacity, leaf->count / 2 + 8) : 0;
  auto nodes = BuildLeaves(scratch_.size(), LeafLimits::kGrowingDensity, room,
                           [&](size_t i) { return scratch_[i]; });
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
      !parent->IsTimeToRebuild() && parent->HasSpareNear(end, added);
  if (added == 0 || fits_behind || fits_within) {
    Change change(VersionOf(parent));
    written_slots_ += end - begin + added - parent->moves;
    parent->Fill(begin, end, nodes[0]);
    for (size_t i = 1; i < nodes.size(); ++i) {
      parent->Insert(step.ref, nodes[i]);
    }
    written_slots_ += parent->moves;
    return;
  }
  std::vector<NodeSlot> children;
  children.reserve(parent->count + added);
  const uint64_t replaced = parent->KeyAt(step.index);
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
    auto* last = InnerNode::Of(parents.back());
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
  const NodeSlot* old = root_.exchange(new NodeSlot(nodes[0]), std::memory_order_acq_rel);
  gate_->Retire([](void*, void* pointer, size_t) { delete static_cast<NodeSlot*>(pointer); },
                nullptr, const_cast<NodeSlot*>(old), sizeof(NodeSlot));
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
    Change change(VersionOf(step.node));
    step.node->EraseRun(step.index);
  }
  // A root with one child is one step too many.
  auto root = alex::NodeRef(*root_);
  while (!root.is_leaf() && InnerNode::Of(root)->count == 1) {
    auto* node = InnerNode::Of(root);
    SetRoot({node->SlotAt(0)});
    Retire(node);
    root = alex::NodeRef(*root_);
  }
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::Erase(Key key) {
  const uint64_t bits = ToBits(key);
  if (bits == alex::kNoKey) [[unlikely]] {
    return EraseLargest();
  }
  const alex::NodeRef ref = Descend(bits);
  auto* leaf = LeafNode::Of(ref);
  const int64_t at = LeafNode::Search(ref, bits);
  if (leaf->KeyAt(at) != bits) {
    return std::nullopt;
  }
  const Payload before = ToPayload(leaf->SlotAt(static_cast<uint32_t>(at)).words);
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
    Change change(VersionOf(leaf));
    leaf->EraseRun(static_cast<uint32_t>(at));
  }
  if (leaf->count < leaf->capacity / kSparse && leaf->capacity > kFirstTailCapacity) {
    Rebuild(leaf, nullptr);
  }
  return before;
}

template <typename Key, typename Payload>
std::optional<Payload> AlexMap<Key, Payload>::EraseLargest() {
  if (has_largest_ == 0) {
    return std::nullopt;
  }
  const Payload before = ToPayload(largest_);
  SetLargest(false, {});
  AddSize(-1);
  return before;
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::BulkLoad(std::span<const Pair> pairs) {
  const Remains before(gate_, *root_);
  memory_bytes_.store(0, std::memory_order_relaxed);
  size_t count = pairs.size();
  const bool has_largest = count > 0 && ToBits(pairs.back().key) == alex::kNoKey;
  count -= has_largest ? 1 : 0;
  std::vector<NodeSlot> leaves;
  if (count > 0) {
    leaves = BuildLeaves(count, LeafLimits::kDensity, 0, [&](size_t i) {
      return LeafSlot{ToBits(pairs[i].key), ToWords(pairs[i].payload)};
    });
  } else {
    leaves = {NewLeaf(kFirstCapacity, 0, 0)};
  }
  LinkAll(nullptr, leaves, nullptr);
  SetRoot(std::move(leaves));
  SetLargest(has_largest, has_largest ? ToWords(pairs.back().payload) : Words{});
  size_.store(pairs.size(), std::memory_order_relaxed);
}

template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::Remains AlexMap<Key, Payload>::Clear() {
  Remains before(gate_, *root_);
  memory_bytes_.store(0, std::memory_order_relaxed);
  const NodeSlot leaf = NewLeaf(kFirstCapacity, 0, 0);
  tail_ = LeafOf(leaf);
  SetRoot({leaf});
  SetLargest(false, {});
  size_.store(0, std::memory_order_relaxed);
  return before;
}

// An empty leaf for keys from `key` on.
template <typename Key, typename Payload>
typename AlexMap<Key, Payload>::NodeSlot AlexMap<Key, Payload>::NewLeaf(uint32_t capacity,
                                                                        uint64_t key,
                                                                        double slope) {
  auto* leaf = LeafNode::New(capacity, false);
  leaf->FreeFrom(0);
  AddNode(*leaf);
  return leaf->RefTo(key, alex::Model::Of(slope, 0)).ToSlot();
}

template <typename Key, typename Payload>
void AlexMap<Key, Payload>::RetireTree(EpochGate* gate, const NodeSlot& slot) {
  const auto ref = alex::NodeRef(slot);
  if (ref.is_leaf()) {
    RetireTo(gate, LeafNode::Of(ref));
    return;
  }
  auto* node = InnerNode::Of(ref);
  node->ForEach([&](const NodeSlot& child) { RetireTree(gate, child); });
  RetireTo(gate, node);
}

}  // namespace tsdbd::index
