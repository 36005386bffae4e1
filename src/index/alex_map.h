#pragma once
// AlexMap: an ordered map from 64-bit integer keys to payloads of up to 16 bytes, in memory. An own
// implementation of ALEX (Ding et al., "ALEX: An Updatable Adaptive Learned Index", SIGMOD 2020).
//
// Threads: one writer at a time; readers need no lock, only a pin of the gate that the map was made
// with, for as long as they read. A reader sees every change that was complete when it began.
//
// The idea. In a sorted array a key's place is a function of the key, and for most keys that people
// have (timestamps, counters, hashes) pieces of straight lines describe it. So instead of being
// compared from the root down, a key is multiplied: the line says in which slot it should be, and
// the search begins there. A leaf is an array with spare slots (gapped), and a key is inserted
// where the line wants it, so that the prediction stays good: each key near its line keeps it so.
//
// What costs time in an index larger than the caches is not comparing but waiting: for memory (one
// miss: 100 to 150 ns) and for branches that the processor did not foresee, which are as bad,
// since what waits behind one cannot begin its own misses. So everything here is made for one miss
// and no unforeseen branch a look-up:
//
// - Leaves are large (up to 2,816 keys), so that inner nodes are few and stay in the caches: 10 M
//   keys have 4,000 leaves, and mostly one inner node above them.
// - A leaf's line lies in its parent's slot. The first memory of a leaf that is touched is the slot
//   that is looked for. Key and payload lie side by side: one line, one miss.
// - A slot that is spare has the key and payload of a neighbour (alex_nodes.h): there is no bitmap,
//   and any slot with the right key is the answer.
// - Around the prediction eight keys are compared without a branch, or the four of a cache line
//   where nearly all keys of a leaf are in theirs. Only if the key is not among them come steps
//   that double, and halving. How far the window lies from the prediction is fitted too: keys that
//   want the same slot move to the next. (SSE4.2 is no faster here: benchmark_simd_search.)
// - Predictions are integer arithmetic relative to the leaf's first key (alex_search.h).
// - FindMany asks for the memory of 16 keys before it looks at the first.
//
// Where a line does not help. Whoever builds a node (a bulk load, a leaf that is full) cuts the
// keys into pieces near a line, lays them out, and counts how many would be outside their window.
// More than three in ten, or less than 64 keys to a line: then the node is fenced instead. It is
// small (352 keys), has the key of every eighth slot once more in front of a search that halves,
// and the eight slots between two fences are compared as above. Fractal keys make such a tree: a
// B+-tree.
//
// Inner nodes are of the same make as leaves: arrays with spare slots whose words lead to children,
// each slot with the least key of its child. This is where we differ from the paper most: there an
// inner node's line alone decides which child has a key, which costs no search but makes the depth
// depend on the keys. Here the tree is a B+-tree with predictions; its depth is that of a B+-tree,
// whatever the keys are.
//
// Bounds. A leaf has at most 2,816 keys, an inner node 8,192 (fenced: 352, 512). An insert moves at
// most kReach slots; where that finds no spare one, or moving has cost more than building anew
// would, or few slots are left, the leaf is built anew, as one or several. So an insert costs at
// most a leaf and an inner node on each level, tens of microseconds, mostly less than one.
//
// Keys that come in order fill leaves without spare slots, behind each other, at a few nanoseconds
// each: such a leaf grows by doubling, and when it is full, another begins. Its keys stay packed if
// they are near enough to a line, else they are laid out as above. This holds for the end of each
// leaf, not only for that of the map: keys like (series << 40 | time) come in order in many places.
// Keys that come downward, each below all others, find some spare slots in front of a small leaf,
// at tens of nanoseconds each; when it has 512, it is laid out for good and another begins.
// Erasing gives a key's slots to its neighbour; a leaf that is three quarters empty is built anew,
// an empty node is taken out.
//
// Readers beside the writer. A leaf is changed in place between two steps of a version, odd
// meanwhile; a reader that finds it changed reads again. Versions are few and shared, so that they
// stay in the first cache. All else is replaced: the new nodes are built, the parent's slot is
// changed to lead to the first of them and slots for the others are inserted, within one change of
// the parent's version, and the old node is retired to the gate. An old node never changes again,
// so a reader that still is in one sees the map as it was at some time since it began. Hence a key
// that is found is found, however the reader came to its leaf, and inner nodes' versions need only
// be looked at to say that a key is not there. Leaves are linked both ways for scans; the same
// holds for those who come over a link.
//
// The key with all bits set stands for "no key" in free slots, and has a place of its own in the
// map.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/epoch.h"
#include "index/alex_nodes.h"
#include "index/alex_search.h"

namespace tsdbd::index {

template <typename Key, typename Payload>
class AlexMap {
  static_assert(std::is_same_v<Key, uint64_t> || std::is_same_v<Key, int64_t>);
  static_assert(std::is_trivially_copyable_v<Payload> && sizeof(Payload) <= 16);

 public:
  struct Pair {
    Key key;
    Payload payload;
  };

  // `gate` outlives the map; memory that readers may still see is retired to it.
  explicit AlexMap(EpochGate* gate);
  // No reader may be left.
  ~AlexMap();
  AlexMap(const AlexMap&) = delete;
  AlexMap& operator=(const AlexMap&) = delete;

  // Readers.
  bool Find(Key key, Payload* payload) const;
  // Find for many keys whose cache misses overlap. The spans have equal sizes.
  void FindMany(std::span<const Key> keys, std::span<Payload> payloads,
                std::span<bool> found) const;
  // Asks for the memory that a Find, an Insert or an Upsert of `key` will look at first.
  void Prefetch(Key key) const;
  // Copies the first pairs with key >= `from`, in order; fewer than pairs.size() only at the end.
  size_t ScanForward(Key from, std::span<Pair> pairs) const;
  // The same downward: key <= `from`, the largest first.
  size_t ScanBackward(Key from, std::span<Pair> pairs) const;
  size_t size() const { return size_.load(std::memory_order_relaxed); }
  // Of the nodes; not of those that wait for a reader to go.
  size_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

  // For the writer, or while nobody writes; any change ends the validity of all iterators. They go
  // both ways; *iterator is a Pair.
  class Iterator;
  Iterator begin() const { return LowerBound(ToKey(0)); }
  Iterator end() const;
  // The first pair with a key of at least `key`, or above it.
  Iterator LowerBound(Key key) const;
  Iterator UpperBound(Key key) const;

  // What the tree is made of.
  struct Stats {
    size_t depth = 0;  // nodes on the longest way from the root to a leaf, both included
    size_t inner_nodes = 0;
    size_t model_leaves = 0;
    size_t fenced_leaves = 0;
    size_t slots = 0;  // of leaves
    size_t largest_node_bytes = 0;
  };

  // The writer.
  // Walks through all nodes.
  Stats stats() const;
  // Slots that were moved, filled or built so far, besides appending to leaves: the work behind
  // inserts.
  size_t written_slots() const { return written_slots_; }
  // Ends the process if anything is not as it should be. For tests: walks through all slots.
  void CheckInvariants() const;
  // False, without a change, if the key is there already.
  bool Insert(Key key, Payload payload) {
    return !Write(ToBits(key), ToWords(payload), /*replace=*/false).has_value();
  }
  // Inserts or replaces; the payload that was there before.
  std::optional<Payload> Upsert(Key key, Payload payload) {
    return Write(ToBits(key), ToWords(payload), /*replace=*/true);
  }
  // The payload that was there.
  std::optional<Payload> Erase(Key key);
  // Replaces everything by `pairs`, whose keys rise strictly.
  void BulkLoad(std::span<const Pair> pairs);
  // Removes everything, in the same time however much it is: what takes time is to let go of what
  // is returned, and that may any thread, as long as the gate lives.
  class Remains;
  Remains Clear();

 private:
  static constexpr size_t kWords = (sizeof(Payload) + 7) / 8;
  using LeafLimits = alex::Limits<kWords>;
  using LeafNode = alex::Node<kWords>;
  using InnerNode = alex::Node<3>;
  using LeafSlot = alex::Slot<kWords>;
  using NodeSlot = alex::Slot<3>;
  using Words = std::array<uint64_t, kWords>;
  using Version = std::atomic<uint64_t>;

  // Announces stores to what `version` guards: odd while they go on.
  class Change {
   public:
    explicit Change(Version* version)
        : version_(version), before_(version->load(std::memory_order_relaxed)) {
      version_->store(before_ + 1, std::memory_order_relaxed);
    }
    ~Change() { version_->store(before_ + 2, std::memory_order_release); }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    Version* const version_;
    const uint64_t before_;
  };

  // An inner node on the way to a leaf, and the slot taken there.
  struct Step {
    alex::NodeRef ref;
    InnerNode* node;
    uint32_t index;
  };
  // With at least 30 children to all but a few nodes: more than any memory holds.
  static constexpr size_t kMaxDepth = 24;

  // Order is kept: the sign bit of signed keys is flipped.
  static constexpr uint64_t kSignBit = std::is_signed_v<Key> ? uint64_t{1} << 63 : 0;
  static uint64_t ToBits(Key key) { return static_cast<uint64_t>(key) ^ kSignBit; }
  static Key ToKey(uint64_t bits) { return static_cast<Key>(bits ^ kSignBit); }
  static Words ToWords(const Payload& payload) {
    Words words{};
    std::memcpy(words.data(), &payload, sizeof(Payload));
    return words;
  }
  static Payload ToPayload(const Words& words) {
    Payload payload;
    std::memcpy(&payload, words.data(), sizeof(Payload));
    return payload;
  }

  // Of a node. There are fewer than nodes, so that they stay in the first cache: one in each node
  // would be one more miss. Readers of a node that shares another's only try again now and then.
  Version* VersionOf(const void* node) const {
    return &versions_[reinterpret_cast<uint64_t>(node) * 0x9E3779B97F4A7C15u >>
                      (64 - kVersionBits)];
  }
  // Runs `read` until nothing changed meanwhile.
  template <typename Reader>
  [[gnu::always_inline]] static auto ReadConsistently(const Version* version, Reader read) {
    while (true) {
      const uint64_t before = version->load(std::memory_order_acquire);
      const auto result = read();
      alex::EndOfLoads();
      const uint64_t after = version->load(std::memory_order_relaxed);
      if (((before ^ after) | before % 2) == 0) [[likely]] {
        return result;
      }
      __builtin_ia32_pause();
    }
  }

  // A leaf that was the one for `bits` at some time since the call began, unless the writer came
  // between: then any leaf. Not for kNoKey.
  [[gnu::always_inline]] alex::NodeRef GuessLeaf(uint64_t bits) const {
    alex::NodeRef ref(*root_.load(std::memory_order_acquire));
    while (!ref.is_leaf()) {
      const int64_t i = std::max<int64_t>(InnerNode::Search(ref, bits), 0);
      ref = alex::NodeRef(InnerNode::LoadSlot(ref, i));
    }
    return ref;
  }
  // The same, certainly.
  alex::NodeRef LocateLeaf(uint64_t bits) const;

  // A leaf that has the key is the right one, however it was found. Only to say that a key is not
  // there takes certainty.
  [[gnu::always_inline]] bool FindIn(const alex::NodeRef& leaf, uint64_t bits,
                                     Payload* payload) const {
    const Version* version = VersionOf(leaf.node());
    const uint64_t before = version->load(std::memory_order_acquire);
    const LeafSlot slot = LeafNode::LoadSlot(leaf, LeafNode::Guess(leaf, bits));
    alex::EndOfLoads();
    const uint64_t after = version->load(std::memory_order_relaxed);
    if (slot.key != bits || ((before ^ after) | before % 2) != 0) [[unlikely]] {
      return FindCertainly(bits, payload);
    }
    *payload = ToPayload(slot.words);
    return true;
  }
  bool FindCertainly(uint64_t bits, Payload* payload) const;
  bool FindLargest(Payload* payload) const;
  static LeafNode* Next(const LeafNode* leaf) {
    return __atomic_load_n(&leaf->next, __ATOMIC_ACQUIRE);
  }
  static LeafNode* Previous(const LeafNode* leaf) {
    return __atomic_load_n(&leaf->previous, __ATOMIC_ACQUIRE);
  }
  static void Link(LeafNode* left, LeafNode* right) {
    if (left != nullptr) {
      __atomic_store_n(&left->next, right, __ATOMIC_RELEASE);
    }
    if (right != nullptr) {
      __atomic_store_n(&right->previous, left, __ATOMIC_RELEASE);
    }
  }

  static alex::NodeRef RefOf(const LeafNode* leaf);
  static size_t CopyUp(const alex::NodeRef& leaf, int64_t from, uint64_t bound,
                       std::span<Pair> pairs, bool* is_at_end);
  static size_t CopyDown(const alex::NodeRef& leaf, uint64_t bound, std::span<Pair> pairs,
                         bool* is_at_end);

  std::optional<Payload> Write(uint64_t bits, const Words& words, bool replace);
  std::optional<Payload> WriteLargest(const Words& words, bool replace);
  void SetLargest(bool exists, const Words& words);
  std::optional<Payload> EraseLargest();
  void InsertInto(const alex::NodeRef& ref, int64_t last, const LeafSlot& slot);
  void AppendToFull(LeafNode* leaf, const LeafSlot& slot);
  void GrowDownward(LeafNode* leaf, const LeafSlot& slot);
  void PrependToLarge(LeafNode* leaf, const LeafSlot& slot);
  void Rebuild(LeafNode* leaf, const LeafSlot* added);
  alex::NodeRef Descend(uint64_t bits);
  void ReplaceLeaf(LeafNode* leaf, std::vector<NodeSlot> nodes);
  void ReplaceChild(size_t depth, std::vector<NodeSlot> nodes);
  void RemoveChild(size_t depth);
  void SetRoot(std::vector<NodeSlot> nodes);
  static void RetireTree(EpochGate* gate, const NodeSlot& slot);
  // Calls visit(slot, depth) for each node, children after their parents, in order.
  template <typename Visitor>
  static void VisitNodes(const NodeSlot& slot, size_t depth, const Visitor& visit);
  void LinkAll(LeafNode* left, const std::vector<NodeSlot>& leaves, LeafNode* right);
  NodeSlot NewLeaf(uint32_t capacity, uint64_t key, double slope);

  static LeafNode* LeafOf(const NodeSlot& slot) { return LeafNode::Of(slot); }
  void AddBytes(size_t bytes) {
    memory_bytes_.store(memory_bytes_.load(std::memory_order_relaxed) + bytes,
                        std::memory_order_relaxed);
  }
  void AddSize(int64_t count) {
    size_.store(size_.load(std::memory_order_relaxed) + static_cast<size_t>(count),
                std::memory_order_relaxed);
  }
  template <typename SlotAt>
  std::vector<NodeSlot> BuildLeaves(size_t count, double density, uint32_t room_behind, SlotAt at) {
    auto nodes = alex::BuildNodes<kWords>(count, density, room_behind, at);
    for (const NodeSlot& node : nodes) {
      AddNode(*LeafOf(node));
    }
    return nodes;
  }
  std::vector<NodeSlot> BuildInner(const std::vector<NodeSlot>& children, uint32_t room_behind) {
    auto nodes = alex::BuildNodes<3>(children.size(), alex::Limits<3>::kDensity, room_behind,
                                     [&](size_t i) { return children[i]; });
    for (const NodeSlot& node : nodes) {
      AddNode(*InnerNode::Of(node));
    }
    return nodes;
  }
  template <typename NodeType>
  void AddNode(const NodeType& node) {
    AddBytes(node.bytes());
    written_slots_ += node.capacity;
  }
  // The node is out of reach for readers that come from now on.
  template <typename NodeType>
  void Retire(NodeType* node) {
    AddBytes(-node->bytes());
    RetireTo(gate_, node);
  }
  template <typename NodeType>
  static void RetireTo(EpochGate* gate, NodeType* node) {
    gate->Retire(
        [](void*, void* pointer, size_t) { NodeType::Delete(static_cast<NodeType*>(pointer)); },
        nullptr, node, node->bytes());
  }

  static constexpr uint32_t kVersionBits = 8;
  // What a scan reads at once, and again if the writer comes between.
  static constexpr size_t kScanChunk = 128;
  // How many slots an insert moves at most before the leaf is built anew.
  static constexpr uint32_t kReach = 128;
  // Of a leaf whose keys come downward. Each writes as many slots as are left of it, so it is short
  // and often made anew, and the leaf therefore small.
  static constexpr uint32_t kRoomInFront = 64;
  static constexpr uint32_t kMaxDownwardKeys = 512;
  static constexpr uint32_t kFirstCapacity = 8;
  static constexpr uint32_t kFirstTailCapacity = 64;
  static constexpr uint32_t kTailCapacity = LeafLimits::kMaxKeys;
  // A leaf with fewer than a slot in so many filled shrinks.
  static constexpr uint32_t kSparse = 4;

  EpochGate* const gate_;
  // Shared.
  mutable std::array<Version, size_t{1} << kVersionBits> versions_ = {};
  // The root's slot, which never changes: another root has another one.
  std::atomic<const NodeSlot*> root_ = nullptr;
  // The key kNoKey, which the tree cannot have, with a version of its own.
  mutable Version largest_version_ = 0;
  uint64_t has_largest_ = 0;
  Words largest_ = {};
  std::atomic<size_t> size_ = 0;
  std::atomic<size_t> memory_bytes_ = 0;
  // The writer's.
  LeafNode* tail_ = nullptr;  // the last leaf
  std::array<Step, kMaxDepth> path_;
  size_t depth_ = 0;
  std::vector<LeafSlot> scratch_;
  size_t written_slots_ = 0;
};

}  // namespace tsdbd::index

#include "index/alex_iterator_inl.h"
#include "index/alex_read_inl.h"
#include "index/alex_stats_inl.h"
#include "index/alex_write_inl.h"
