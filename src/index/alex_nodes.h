#pragma once
// The nodes of AlexMap (alex_map.h has the essay): a sorted array of slots with spare ones among
// them, and how one is changed, built and freed.
//
// A node is both: a leaf (slots lead to payloads) and an inner node (slots lead to children). Every
// slot in use has a valid key and what belongs to it. A key may have several slots, side by side:
// its run. All but one of a run are spare. So there is no bitmap to look at, any slot with the
// right key is an answer, and a binary search needs to know nothing of spare slots. Slots behind
// the last one in use have kNoKey.
//
// Threads: as in alex_search.h. What only the writer uses is not atomic.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "common/check.h"
#include "index/alex_search.h"
#include "index/node_pool.h"

namespace tsdbd::index::alex {

inline constexpr size_t kLineBytes = 64;

// What a reader has to know of a node before it touches it; lies in the parent's slot, so that the
// first memory of a leaf that a look-up needs is the slot that it looks for.
// Where the node is and how large shares a word, so that a reader who comes while the writer
// changes the slot is led to some node, and reads nothing outside it. The model is only a hint.
class NodeRef {
 public:
  struct Shape {
    uint32_t capacity;  // a multiple of 8
    bool is_leaf;
    bool is_fenced;
    bool is_tight;  // nearly all keys are in the cache line that the model says
  };

  NodeRef() = default;
  NodeRef(uint64_t base, const void* node, const Model& model, const Shape& shape)
      : base_(base),
        node_(reinterpret_cast<uint64_t>(node) | uint64_t{shape.capacity / 8} << kCapacityShift |
              (shape.is_leaf ? kLeafBit : 0) | (shape.is_fenced ? kFencedBit : 0) |
              (shape.is_tight ? kTightBit : 0)),
        multiplier_(model.multiplier),
        offset_(static_cast<uint64_t>(model.offset)) {}
  explicit NodeRef(const Slot<3>& slot)
      : base_(slot.key), node_(slot.words[0]), multiplier_(slot.words[1]), offset_(slot.words[2]) {}
  Slot<3> ToSlot() const { return {base_, {node_, multiplier_, offset_}}; }

  // The parent's key for it, and that of the model.
  uint64_t base() const { return base_; }
  char* node() const { return reinterpret_cast<char*>(node_ & kAddressMask); }
  Model model() const { return {multiplier_, static_cast<int64_t>(offset_)}; }
  uint32_t capacity() const { return static_cast<uint32_t>(node_ >> kCapacityShift) * 8; }
  bool is_leaf() const { return (node_ & kLeafBit) != 0; }
  bool is_fenced() const { return (node_ & kFencedBit) != 0; }
  bool is_tight() const { return (node_ & kTightBit) != 0; }
  int64_t Predict(uint64_t key) const { return model().Predict(base_, key); }

 private:
  // User space has 47 bits of address, and nodes begin at cache lines.
  static constexpr uint32_t kCapacityShift = 48;
  static constexpr uint64_t kLeafBit = 1;
  static constexpr uint64_t kFencedBit = 2;
  static constexpr uint64_t kTightBit = 4;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << kCapacityShift) - kLineBytes;

  uint64_t base_ = 0;
  uint64_t node_ = kLeafBit;
  uint64_t multiplier_ = 0;
  uint64_t offset_ = 0;
};

// Behind the header lie the slots; behind them, in a fenced node, the keys of every
// kFenceStride-th. In a leaf a key and its payload lie together, one cache miss for both. In an
// inner node, which the caches have anyhow, the keys lie together, as a search looks at several.
template <size_t kWords>
class alignas(kLineBytes) Node {
 public:
  static constexpr bool kIsLeaf = kWords != 3;
  static constexpr size_t kKeyStride = kIsLeaf ? kWords + 1 : 1;
  static constexpr size_t kWordsStride = kIsLeaf ? kWords + 1 : kWords;
  using SlotType = Slot<kWords>;
  using KeysType = Keys<kKeyStride>;
  using W = Window<kKeyStride>;
  // A block between two fences is as much as one window.
  static constexpr uint32_t kFenceStride = 8;
  // Capacities are multiples of this: of a fence's block and of a window.
  static constexpr uint32_t kCapacityStep = 8;

  static size_t BytesOf(uint32_t capacity, bool is_fenced) {
    return NodePool::RoundUp(sizeof(Node) + capacity * sizeof(SlotType) +
                             (is_fenced ? capacity / kFenceStride * sizeof(uint64_t) : 0));
  }
  // The capacity of the memory that a node of `capacity` takes.
  static uint32_t RoundUp(uint32_t capacity, bool is_fenced) {
    const size_t bytes = BytesOf(capacity + kCapacityStep - 1, is_fenced) - sizeof(Node);
    const size_t block = kCapacityStep * sizeof(SlotType) + (is_fenced ? sizeof(uint64_t) : 0);
    return static_cast<uint32_t>(bytes / block) * kCapacityStep;
  }
  static Node* New(uint32_t capacity, bool is_fenced) {
    void* memory = NodePool::Instance().Allocate(BytesOf(capacity, is_fenced));
    CHECK(reinterpret_cast<uint64_t>(memory) >> 48 == 0);
    return new (memory) Node(capacity, is_fenced);
  }
  static void Delete(Node* node) { NodePool::Instance().Free(node, node->bytes()); }
  static Node* Of(const NodeRef& ref) { return reinterpret_cast<Node*>(ref.node()); }
  static Node* Of(const Slot<3>& slot) { return Of(NodeRef(slot)); }
  size_t bytes() const { return BytesOf(capacity, is_fenced); }

  // For readers, who know the shape from the parent.

  static KeysType KeysOf(const NodeRef& ref) { return KeysType(std::as_const(*Of(ref)).data()); }
  // -1 too: no key, no words that mean anything.
  [[gnu::always_inline]] static SlotType LoadSlot(const NodeRef& ref, int64_t i) {
    const Node* node = Of(ref);
    SlotType slot;
    slot.key = KeysOf(ref)[i];
    const uint64_t* words = node->WordsAt(ref.capacity(), i);
#pragma GCC unroll 3
    for (size_t k = 0; k < kWords; ++k) {
      slot.words[k] = LoadShared(words[k]);
    }
    return slot;
  }
  // The last slot with a key of at most `key`, or -1; any slot of the key if it is there.
  [[gnu::always_inline]] static int64_t Search(const NodeRef& ref, uint64_t key) {
    if (ref.is_fenced()) {
      return SearchFenced(ref, key);
    }
    const KeysType keys = KeysOf(ref);
    const uint32_t start = W::Start(ref.Predict(key), ref.capacity());
    const uint32_t count = CountNotAbove<W::kSlots>(keys.From(start), key);
    // All or none.
    if (count % W::kSlots == 0) [[unlikely]] {
      return SearchFar(keys, ref.capacity(), start, count, key);
    }
    return int64_t{start} + count - 1;
  }
  // A slot of `key`, if the search need not go far for it; else any, even -1.
  [[gnu::always_inline]] static int64_t Guess(const NodeRef& ref, uint64_t key) {
    if (ref.is_tight()) {
      const uint32_t start = LineOf(ref, key);
      return int64_t{start} + CountNotAbove<W::kAlign>(KeysOf(ref).From(start), key) - 1;
    }
    if (ref.is_fenced()) {
      return SearchFenced(ref, key);
    }
    const uint32_t start = W::Start(ref.Predict(key), ref.capacity());
    return int64_t{start} + CountNotAbove<W::kSlots>(KeysOf(ref).From(start), key) - 1;
  }
  // Asks for the memory that Search will read.
  static void Prefetch(const NodeRef& ref, uint64_t key) {
    const Node* node = Of(ref);
    if (ref.is_fenced()) {
      const uint64_t* fences = node->FencesAt(ref.capacity());
      for (uint32_t i = 0; i < ref.capacity() / kFenceStride; i += kLineBytes / sizeof(*fences)) {
        __builtin_prefetch(fences + i);
      }
      return;
    }
    if (ref.is_tight()) {
      __builtin_prefetch(node->data() + LineOf(ref, key) * kKeyStride);
      return;
    }
    const uint32_t start = W::Start(ref.Predict(key), ref.capacity());
    __builtin_prefetch(node->data() + start * kKeyStride);
    __builtin_prefetch(node->data() + (start + W::kSlots - 1) * kKeyStride);
  }

  // The same, and for `count` keys behind it.
  static void PrefetchRange(const NodeRef& ref, uint64_t key, size_t count) {
    const Node* node = Of(ref);
    if (ref.is_fenced()) {
      return;
    }
    const uint32_t start = W::Start(ref.Predict(key), ref.capacity());
    // A quarter of the slots are spare, more or less.
    const size_t slots = std::min<size_t>(ref.capacity() - start, count + count / 3);
    const uint64_t* first = node->data() + start * kKeyStride;
    for (size_t i = 0; i < slots * kKeyStride; i += kLineBytes / sizeof(uint64_t)) {
      __builtin_prefetch(first + i);
    }
  }

  // For the writer, and where nothing changes.

  uint64_t KeyAt(int64_t i) const {
    return data()[i * int64_t{kKeyStride}];
  }
  SlotType SlotAt(uint32_t i) const {
    SlotType slot;
    slot.key = KeyAt(i);
    std::copy_n(WordsAt(capacity, i), kWords, slot.words.begin());
    return slot;
  }
  uint64_t FenceAt(uint32_t i) const {
    return FencesAt(capacity)[i];
  }

  NodeRef RefTo(uint64_t base, const Model& model, bool is_tight = false) const {
    return {base, this, model, {capacity, kIsLeaf, is_fenced, is_tight}};
  }

  // Whether most keys came behind the others.
  bool IsGrowingInOrder() const {
    return appends > 0 && appends >= count / 2;
  }
  // Whether most keys came before the others.
  bool IsGrowingDownward() const {
    return prepends > 0 && prepends >= count / 2;
  }
  bool IsTimeToRebuild() const {
    return moves > kMovesPerSlot * capacity;
  }

  // Calls visit(slot) for each key once, in order.
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    for (uint32_t i = 0; i < used; ++i) {
      if (i == 0 || KeyAt(i) != KeyAt(i - 1)) {
        visit(SlotAt(i));
      }
    }
  }
  // Copies each key once, in order, to `out`, which has room for one more. No branch, as where
  // spare slots are cannot be foreseen.
  void CopyTo(SlotType* out) const {
    for (uint32_t i = 0; i < used; ++i) {
      *out = SlotAt(i);
      out += i + 1 < used && KeyAt(i + 1) != KeyAt(i) ? 1 : 0;
    }
  }

  // The run of slot i: [first, second).
  std::pair<uint32_t, uint32_t> RunOf(uint32_t i) const {
    const uint64_t key = KeyAt(i);
    uint32_t begin = i;
    while (begin > 0 && KeyAt(begin - 1) == key) {
      --begin;
    }
    uint32_t end = i + 1;
    while (end < used && KeyAt(end) == key) {
      ++end;
    }
    return {begin, end};
  }

  // Whether there are so many spare slots among the kNear on either side of slot i, where as many
  // inserts can then go for kNear moves each.
  static constexpr uint32_t kNear = 256;
  bool HasSpareNear(uint32_t i, size_t wanted) const {
    const uint32_t begin = i > kNear ? i - kNear : 1;
    const uint32_t end = std::min(i + kNear, capacity);
    size_t spare = end > used ? end - used : 0;
    for (uint32_t k = begin; k < std::min(end, used) && spare < wanted; ++k) {
      spare += IsSpareLeft(k) ? 1 : 0;
    }
    return spare >= wanted;
  }

  // Before anybody else sees the node.
  void FreeFrom(uint32_t begin) {
    for (uint32_t i = begin; i < capacity; ++i) {
      Put(i, kNoSlot);
    }
    used = begin;
  }
  void Put(uint32_t i, const SlotType& slot) {
    data()[i * kKeyStride] = slot.key;
    std::copy_n(slot.words.begin(), kWords, WordsAt(capacity, i));
  }
  void PutFences() {
    for (uint32_t i = 0; is_fenced && i < capacity; i += kFenceStride) {
      FencesAt(capacity)[i / kFenceStride] = KeyAt(i);
    }
  }

  // The rest announces its stores beforehand (AlexMap::Change).

  // The words first: a reader that sees the key in a slot that was free sees what belongs to it.
  void StoreSlot(uint32_t i, const SlotType& slot) {
    uint64_t* words = WordsAt(capacity, i);
    for (size_t k = 0; k < kWords; ++k) {
      StoreShared(&words[k], slot.words[k]);
    }
    StoreKey(i, slot.key);
  }
  void StoreKey(uint32_t i, uint64_t key) {
    StoreShared(&data()[i * kKeyStride], key);
    if (is_fenced && i % kFenceStride == 0) {
      StoreShared(&FencesAt(capacity)[i / kFenceStride], key);
    }
  }
  void Fill(uint32_t begin, uint32_t end, const SlotType& slot) {
    for (uint32_t i = begin; i < end; ++i) {
      StoreSlot(i, slot);
    }
  }

  // Adds a key behind all others. There must be room.
  void Append(const SlotType& slot) {
    StoreSlot(used, slot);
    ++used;
    ++count;
    ++appends;
  }

  // Where a key goes of which `last` is the last slot below it, and which the model would have in
  // slot `predicted`.
  struct Place {
    uint32_t begin = 0;  // its run
    uint32_t end = 0;    // 0: there is none within reach
    // Before that, the slots from there to `spare` move by one.
    uint32_t spare = 0;
    uint32_t distance = 0;
  };
  Place FindPlace(int64_t last, int64_t predicted, uint32_t reach) const {
    const auto next = static_cast<uint32_t>(last + 1);
    if (next >= 2 && predicted < next && IsSpareLeft(next - 1)) {
      uint32_t begin = next - 1;
      while (begin > predicted && begin >= 2 && next - begin < kMaxRun && IsSpareLeft(begin - 1)) {
        --begin;
      }
      return {begin, next, next, 0};
    }
    if (next + 1 < used && IsSpareRight(next)) {
      uint32_t end = next + 1;
      while (end <= predicted && end + 1 < used && end - next < kMaxRun && IsSpareRight(end)) {
        ++end;
      }
      return {next, end, next, 0};
    }
    if (next >= 2 && IsSpareLeft(next - 1)) {
      return {next - 1, next, next, 0};
    }
    for (uint32_t distance = 1; distance <= reach; ++distance) {
      const uint32_t right = next + distance;
      if (right == used ? used < capacity : right + 1 < used && IsSpareRight(right)) {
        return {next, next + 1, right, distance};
      }
      if (next >= distance + 2 && IsSpareLeft(next - 1 - distance)) {
        return {next - 1, next, next - 1 - distance, distance};
      }
      if (right > used && next < distance + 2) {
        break;
      }
    }
    return {};
  }
  void InsertAt(const Place& place, const SlotType& slot) {
    if (place.distance > 0 && place.spare >= place.end) {
      used += place.spare == used ? 1 : 0;
      for (uint32_t i = place.spare; i > place.begin; --i) {
        StoreSlot(i, SlotAt(i - 1));
      }
    } else if (place.distance > 0) {
      for (uint32_t i = place.spare; i < place.begin; ++i) {
        StoreSlot(i, SlotAt(i + 1));
      }
    }
    Fill(place.begin, place.end, slot);
    ++count;
    moves += place.distance;
  }
  // Adds a key that is not there. There must be a spare slot somewhere.
  void Insert(const NodeRef& self, const SlotType& slot) {
    const int64_t last = Search(self, slot.key);
    if (last + 1 == used && used < capacity) {
      Append(slot);
      return;
    }
    const Place place = FindPlace(last, PredictFor(self, slot.key, last), capacity);
    CHECK(place.end > 0);
    InsertAt(place, slot);
  }
  // Where the model wants a new key whose last slot below is `last`.
  static int64_t PredictFor(const NodeRef& self, uint64_t key, int64_t last) {
    return self.is_fenced() ? last + 1 : self.Predict(key);
  }

  // Takes out the key of slot i. Another one gets its slots.
  void EraseRun(uint32_t i) {
    const auto [begin, end] = RunOf(i);
    if (end == used) {
      // Only the keys: a reader that has just seen one still finds what it leads to.
      for (uint32_t k = end; k > begin; --k) {
        StoreKey(k - 1, kNoKey);
      }
      used = begin;
    } else {
      Fill(begin, end, SlotAt(begin > 0 ? begin - 1 : end));
    }
    --count;
  }

  const uint32_t capacity;
  const bool is_fenced;
  // The writer's.
  uint16_t prepends = 0;  // keys added before all others since it was built
  uint32_t used = 0;      // slots
  uint32_t count = 0;     // keys
  uint32_t appends = 0;   // keys added behind all others since it was built
  uint32_t moves = 0;     // slots moved for other keys since then
  // Neighbours of a leaf. Shared.
  Node* previous = nullptr;
  Node* next = nullptr;

 private:
  // Slots moved by inserts that make building it anew the better bargain: it costs a few
  // nanoseconds for each of its slots.
  static constexpr uint32_t kMovesPerSlot = 16;
  // A longer run costs more to write than it saves.
  static constexpr uint32_t kMaxRun = 32;
  static constexpr SlotType kNoSlot = {kNoKey, {}};

  Node(uint32_t node_capacity, bool fenced) : capacity(node_capacity), is_fenced(fenced) {}

  uint64_t* data() {
    return reinterpret_cast<uint64_t*>(this + 1);
  }
  const uint64_t* data() const {
    return reinterpret_cast<const uint64_t*>(this + 1);
  }
  const uint64_t* WordsAt(uint32_t slot_capacity, int64_t i) const {
    return data() + (kIsLeaf ? 1 : slot_capacity) + i * int64_t{kWordsStride};
  }
  uint64_t* WordsAt(uint32_t slot_capacity, int64_t i) {
    return data() + (kIsLeaf ? 1 : slot_capacity) + i * int64_t{kWordsStride};
  }
  const uint64_t* FencesAt(uint32_t slot_capacity) const {
    return data() + slot_capacity * (kWords + 1);
  }
  uint64_t* FencesAt(uint32_t slot_capacity) {
    return data() + slot_capacity * (kWords + 1);
  }

  // The cache line that the model says.
  static uint32_t LineOf(const NodeRef& ref, uint64_t key) {
    const int64_t last = int64_t{ref.capacity()} - 1;
    const int64_t slot = std::min(std::max<int64_t>(ref.Predict(key), 0), last);
    return static_cast<uint32_t>(slot) & ~(W::kAlign - 1);
  }

  static int64_t SearchFenced(const NodeRef& ref, uint64_t key) {
    const uint64_t* fences = std::as_const(*Of(ref)).FencesAt(ref.capacity());
    if (LoadShared(fences[0]) > key) {
      return -1;
    }
    const uint32_t block = BinaryLastNotAbove(0, ref.capacity() / kFenceStride, key,
                                              [&](uint32_t i) { return LoadShared(fences[i]); });
    const uint32_t first = block * kFenceStride;
    return int64_t{first} + CountNotAbove<kFenceStride>(KeysOf(ref).From(first), key) - 1;
  }

  // Whether the slot can be given up, its key being in the one before it, or behind it.
  bool IsSpareLeft(uint32_t i) const {
    return KeyAt(i) == KeyAt(i - 1);
  }
  bool IsSpareRight(uint32_t i) const {
    return KeyAt(i) == KeyAt(i + 1);
  }

  // Slot -1 (Keys): what lies before the first key must be none.
  const std::array<uint64_t, 3> before_first_ = {kNoKey, kNoKey, kNoKey};
};

// Then slot -1 is before_first_.
static_assert(sizeof(Node<1>) == kLineBytes);

// Limits and densities of the nodes of one kind.
template <size_t kWords>
struct Limits {
  static constexpr bool kIsLeaf = Node<kWords>::kIsLeaf;
  // A leaf: what one insert may have to copy. An inner node: as many leaves as make a second level
  // of inner nodes rare, while copying it stays far below a millisecond.
  static constexpr uint32_t kMaxKeys = kIsLeaf ? 2816 : 8192;
  // A fenced node: fences that a few cache lines hold.
  static constexpr uint32_t kMaxFencedKeys = kIsLeaf ? 352 : 512;
  // Shorter lines are not worth a node of their own.
  static constexpr size_t kMinLineKeys = kIsLeaf ? 64 : 32;
  // When a node is built because there were inserts, more are to be expected.
  static constexpr double kDensity = kIsLeaf ? 0.75 : 0.5;
  static constexpr double kGrowingDensity = kIsLeaf ? 0.62 : 0.5;
  static constexpr double kFullDensity = kIsLeaf ? 0.875 : 0.8;
  // Of predictions that miss the window: more make fences the cheaper way.
  static constexpr double kMaxMisses = 0.3;
  // A key that is not in its line costs as much as looking at the second line of many.
  static constexpr double kMinTight = 0.97;
};

// Builds the nodes for sorted, distinct keys: `at(i)` is the slot of key i.
template <size_t kWords, typename SlotAt>
class Builder {
 public:
  using NodeType = Node<kWords>;
  using SlotOf = Slot<kWords>;
  using Limit = Limits<kWords>;

  Builder(size_t count, double density, SlotAt at) : count_(count), density_(density), at_(at) {}

  // Appends the nodes' slots for their parent. `room_behind`: of the last node, for keys to come.
  void Build(uint32_t room_behind, std::vector<Slot<3>>* nodes) {
    size_t begin = 0;
    while (begin < count_) {
      const size_t left = count_ - begin;
      const size_t pieces = (left + Limit::kMaxKeys - 1) / Limit::kMaxKeys;
      const size_t wanted = (left + pieces - 1) / pieces;
      const size_t line = LengthOfLine(wanted, [&](size_t i) { return KeyOf(begin + i); });
      if ((line >= Limit::kMinLineKeys || line == wanted) &&
          BuildModelNode(begin, line, line == left ? room_behind : 0, nodes)) {
        begin += line;
        continue;
      }
      const size_t parts = (wanted + Limit::kMaxFencedKeys - 1) / Limit::kMaxFencedKeys;
      const size_t length = (wanted + parts - 1) / parts;
      BuildFencedNode(begin, length, nodes);
      begin += length;
    }
  }

 private:
  // False if too many predictions would miss.
  bool BuildModelNode(size_t begin, size_t length, uint32_t room_behind,
                      std::vector<Slot<3>>* nodes) {
    const auto key = [&](size_t i) { return KeyOf(begin + i); };
    const Line line = FitLine(length, key(0), key);
    const double stretch = 1 / density_;
    const Model model = Model::Of(line.slope * stretch, line.offset * stretch);
    const double size = static_cast<double>(length);
    // Where keys are dense, each integer has its slot, and no more are needed.
    const double range = static_cast<double>(key(length - 1) - key(0)) + 1;
    const double slots = std::max(std::min(size * stretch, range), size * 1.125) + 1;
    const uint32_t capacity = NodeType::RoundUp(static_cast<uint32_t>(slots), false);
    Offsets offsets;
    // One more, which is never reached.
    places_.assign(length + 1, std::numeric_limits<uint32_t>::max());
    Place(length, model, capacity, key, [&](size_t i, uint32_t slot, int64_t predicted) {
      offsets.Add(slot - predicted);
      places_[i] = slot;
    });
    const auto line_window = offsets.Best(0, NodeType::W::kAlign - 1);
    const bool is_tight = NodeType::W::kAlign > 1 && line_window.second >= Limit::kMinTight * size;
    const auto window =
        is_tight ? line_window : offsets.Best(NodeType::W::kBack, NodeType::W::kSlots - 1);
    if (window.second < (1 - Limit::kMaxMisses) * size) {
      return false;
    }
    auto* node = NodeType::New(
        room_behind == 0 ? capacity : NodeType::RoundUp(capacity + room_behind, false), false);
    // Spare slots belong to the key before; before the first key to that. No branch, as where they
    // are cannot be foreseen.
    const uint32_t used = places_[length - 1] + 1;
    places_[0] = 0;
    size_t i = 0;
    for (uint32_t slot = 0; slot < used; ++slot) {
      i += places_[i + 1] == slot ? 1 : 0;
      node->Put(slot, at_(begin + i));
    }
    Finish(node, used, length);
    nodes->push_back(
        node->RefTo(key(0), model.Shifted(NodeType::kIsLeaf ? window.first : 0), is_tight)
            .ToSlot());
    return true;
  }

  // How far keys lie from where the model has them: where two want the same slot, the second takes
  // the next. Moving the window behind the prediction finds more of them.
  class Offsets {
   public:
    void Add(int64_t offset) {
      offset += kBefore;
      ++counts_[offset < 0 || offset >= kCounted ? kCounted : offset];
    }
    // By how much to move the prediction, and how many keys are then expected in a window that
    // begins with the cache line of the slot `back` before it and is `last` + 1 slots long.
    std::pair<int64_t, double> Best(int64_t back, int64_t last) const {
      std::pair<int64_t, double> best(0, 0);
      for (int64_t shift = -kBefore; shift < kBefore; ++shift) {
        double sum = 0;
        for (int64_t i = 0; i < kCounted; ++i) {
          // Slots behind the one that the window has in its first line. That may be any of the
          // line.
          const int64_t behind = i - kBefore - shift + back;
          const int64_t places =
              std::min<int64_t>(kAlign, last - behind + 1) - std::max<int64_t>(0, -behind);
          sum += counts_[i] * static_cast<double>(std::max<int64_t>(places, 0)) / kAlign;
        }
        if (sum > best.second) {
          best = {shift, sum};
        }
      }
      return best;
    }

   private:
    static constexpr int64_t kAlign = NodeType::W::kAlign;
    static constexpr int64_t kBefore = 8;
    static constexpr int64_t kCounted = 24;
    std::array<uint32_t, kCounted + 1> counts_ = {};  // the last: farther away
  };

  // Calls visit(i, slot, predicted) for where each key goes.
  template <typename Key, typename Visitor>
  static void Place(size_t length, const Model& model, uint32_t capacity, Key key, Visitor visit) {
    const uint64_t base = key(0);
    int64_t next = 0;
    for (size_t i = 0; i < length; ++i) {
      const int64_t predicted = model.Predict(base, key(i));
      const auto last = static_cast<int64_t>(capacity - (length - i));
      const int64_t slot = std::min(std::max(predicted, next), last);
      visit(i, static_cast<uint32_t>(slot), predicted);
      next = slot + 1;
    }
  }

  void BuildFencedNode(size_t begin, size_t length, std::vector<Slot<3>>* nodes) {
    auto* node = NodeType::New(
        NodeType::RoundUp(static_cast<uint32_t>(static_cast<double>(length) / Limit::kDensity),
                          true),
        true);
    uint32_t used = 0;
    for (size_t i = 0; i < length; ++i) {
      const auto end = static_cast<uint32_t>((i + 1) * node->capacity / length);
      const SlotOf here = at_(begin + i);
      while (used < end) {
        node->Put(used++, here);
      }
    }
    Finish(node, used, length);
    nodes->push_back(node->RefTo(KeyOf(begin), {}).ToSlot());
  }

  static void Finish(NodeType* node, uint32_t used, size_t length) {
    node->FreeFrom(used);
    node->PutFences();
    node->count = static_cast<uint32_t>(length);
  }

  uint64_t KeyOf(size_t i) const { return at_(i).key; }

  const size_t count_;
  const double density_;
  const SlotAt at_;
  std::vector<uint32_t> places_;
};

template <size_t kWords, typename SlotAt>
std::vector<Slot<3>> BuildNodes(size_t count, double density, uint32_t room_behind, SlotAt at) {
  std::vector<Slot<3>> nodes;
  Builder<kWords, SlotAt>(count, density, at).Build(room_behind, &nodes);
  return nodes;
}

}  // namespace tsdbd::index::alex
