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
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "common/check.h"
#include "index/alex_search.h"

namespace tsdbd::index::alex {

inline constexpr size_t kLineBytes = 64;

// What a reader has to know of a node before it touches it; lies in the parent's slot, so that the
// first memory of the node that a search needs is the slot that it looks for.
struct NodeRef {
  void* node = nullptr;
  Model model;
  uint32_t capacity = 0;  // at most kMaxCapacity
  bool is_leaf = true;
  bool is_fenced = false;

  static constexpr uint32_t kCapacityBits = 24;
  static constexpr uint32_t kLeafBit = 1u << kCapacityBits;
  static constexpr uint32_t kFencedBit = 2u << kCapacityBits;

  static NodeRef Of(const Slot<3>& slot) {
    NodeRef ref;
    ref.node = reinterpret_cast<void*>(slot.words[0]);
    ref.model.multiplier = slot.words[1];
    ref.model.offset = static_cast<int32_t>(slot.words[2] >> 32);
    const auto shape = static_cast<uint32_t>(slot.words[2]);
    ref.capacity = shape & (kLeafBit - 1);
    ref.is_leaf = (shape & kLeafBit) != 0;
    ref.is_fenced = (shape & kFencedBit) != 0;
    return ref;
  }
  Slot<3> ToSlot(uint64_t key) const {
    const uint32_t shape = capacity | (is_leaf ? kLeafBit : 0) | (is_fenced ? kFencedBit : 0);
    return {key,
            {reinterpret_cast<uint64_t>(node), model.multiplier,
             uint64_t{static_cast<uint32_t>(model.offset)} << 32 | shape}};
  }
};

// Slots lie behind the header; behind them, in a fenced node, the keys of every kFenceStride-th.
template <size_t kWords>
class alignas(kLineBytes) Node {
 public:
  using SlotType = Slot<kWords>;
  // A block between two fences is as much as one window of a leaf.
  static constexpr uint32_t kFenceStride = 8;
  // Capacities are multiples of this: of a fence's block and of a window.
  static constexpr uint32_t kCapacityStep = 8;

  static size_t BytesOf(uint32_t capacity, bool is_fenced) {
    const size_t bytes = sizeof(Node) + capacity * sizeof(SlotType) +
                         (is_fenced ? capacity / kFenceStride * sizeof(uint64_t) : 0);
    return (bytes + kLineBytes - 1) / kLineBytes * kLineBytes;
  }
  static Node* New(uint32_t capacity, bool is_leaf, bool is_fenced) {
    void* memory = ::operator new (BytesOf(capacity, is_fenced), std::align_val_t{kLineBytes});
    return new (memory) Node(capacity, is_leaf, is_fenced);
  }
  static void Delete(Node* node) { ::operator delete (node, std::align_val_t{kLineBytes}); }
  size_t bytes() const { return BytesOf(capacity, is_fenced); }

  SlotType* slots() { return reinterpret_cast<SlotType*>(this + 1); }
  const SlotType* slots() const { return reinterpret_cast<const SlotType*>(this + 1); }
  uint64_t* fences() { return reinterpret_cast<uint64_t*>(slots() + capacity); }

  // For readers, who know the shape from the parent. The last slot with a key of at most `key`, or
  // -1.
  static int64_t Search(const NodeRef& ref, uint64_t base, uint64_t key) {
    const SlotType* slots = static_cast<const Node*>(ref.node)->slots();
    if (ref.is_fenced) {
      const auto* fences = reinterpret_cast<const uint64_t*>(slots + ref.capacity);
      if (LoadShared(fences[0]) > key) {
        return -1;
      }
      const uint32_t block = BinaryLastNotAbove(0, ref.capacity / kFenceStride, key,
                                                [&](uint32_t i) { return LoadShared(fences[i]); });
      const uint32_t first = block * kFenceStride;
      return int64_t{first} + CountNotAbove<kFenceStride>(slots + first, key) - 1;
    }
    return LastNotAbove(slots, ref.capacity, ref.model.Predict(base, key, ref.capacity), key);
  }

  // Asks for the memory that Search will read.
  static void Prefetch(const NodeRef& ref, uint64_t base, uint64_t key) {
    const SlotType* slots = static_cast<const Node*>(ref.node)->slots();
    if (ref.is_fenced) {
      const char* fences = reinterpret_cast<const char*>(slots + ref.capacity);
      for (uint32_t i = 0; i < ref.capacity / kFenceStride * sizeof(uint64_t); i += kLineBytes) {
        __builtin_prefetch(fences + i);
      }
      return;
    }
    using W = Window<SlotType>;
    const char* first = reinterpret_cast<const char*>(
        slots + W::Start(ref.model.Predict(base, key, ref.capacity), ref.capacity));
    __builtin_prefetch(first);
    __builtin_prefetch(first + (W::kSlots - 1) * sizeof(SlotType));
  }

  // Whether most keys came behind the others.
  bool IsGrowingInOrder() const { return appends > 0 && appends >= count / 2; }
  bool IsTimeToRebuild() const { return moves > kMovesPerSlot * capacity; }

  // Calls visit(slot) for each key once, in order.
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    for (uint32_t i = 0; i < used; ++i) {
      if (i == 0 || slots()[i].key != slots()[i - 1].key) {
        visit(slots()[i]);
      }
    }
  }

  // The run of slot i: [first, second).
  std::pair<uint32_t, uint32_t> RunOf(uint32_t i) const {
    const uint64_t key = slots()[i].key;
    uint32_t begin = i;
    while (begin > 0 && slots()[begin - 1].key == key) {
      --begin;
    }
    uint32_t end = i + 1;
    while (end < used && slots()[end].key == key) {
      ++end;
    }
    return {begin, end};
  }

  // Before anybody else sees the node.
  void FreeFrom(uint32_t begin) {
    for (uint32_t i = begin; i < capacity; ++i) {
      slots()[i] = {};
      slots()[i].key = kNoKey;
    }
    used = begin;
  }

  // The rest announces its stores beforehand (AlexMap::Change).

  void StoreSlot(uint32_t i, const SlotType& slot) {
    slots()[i].StoreAll(slot);
    if (is_fenced && i % kFenceStride == 0) {
      StoreShared(&fences()[i / kFenceStride], slot.key);
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
    // Before that, the slots from `spare` to there move by one towards it.
    uint32_t spare = 0;
    uint32_t distance = 0;
  };
  Place FindPlace(int64_t last, uint32_t predicted, uint32_t reach) const {
    const auto next = static_cast<uint32_t>(last + 1);
    if (next >= 2 && predicted < next && IsSpareLeft(next - 1)) {
      uint32_t begin = next - 1;
      while (begin > predicted && begin >= 2 && next - begin < kMaxRun && IsSpareLeft(begin - 1) &&
             slots()[begin - 1].key == slots()[last].key) {
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
    if (place.distance > 0) {
      if (place.spare >= place.end) {
        if (place.spare == used) {
          ++used;
        }
        for (uint32_t i = place.spare; i > place.begin; --i) {
          StoreSlot(i, slots()[i - 1]);
        }
      } else {
        for (uint32_t i = place.spare; i < place.begin; ++i) {
          StoreSlot(i, slots()[i + 1]);
        }
      }
    }
    Fill(place.begin, place.end, slot);
    ++count;
    ++inserts;
    moves += place.distance;
  }

  // Adds a key that is not there. There must be a spare slot somewhere.
  void Insert(const NodeRef& self, uint64_t base, const SlotType& slot) {
    const int64_t last = Search(self, base, slot.key);
    if (last + 1 == used && used < capacity) {
      Append(slot);
      return;
    }
    const uint32_t predicted =
        is_fenced ? static_cast<uint32_t>(last + 1) : self.model.Predict(base, slot.key, capacity);
    const Place place = FindPlace(last, predicted, capacity);
    CHECK(place.end > 0);
    InsertAt(place, slot);
  }

  // Takes out the key of slot i. Another one gets its slots.
  void EraseRun(uint32_t i) {
    const auto [begin, end] = RunOf(i);
    if (end == used) {
      SlotType none{};
      none.key = kNoKey;
      for (uint32_t k = end; k > begin; --k) {
        StoreSlot(k - 1, none);
      }
      used = begin;
    } else {
      Fill(begin, end, slots()[begin > 0 ? begin - 1 : end]);
    }
    --count;
  }

  const uint32_t capacity;
  const bool is_leaf;
  const bool is_fenced;
  // The writer's.
  uint32_t used = 0;     // slots
  uint32_t count = 0;    // keys
  uint32_t appends = 0;  // keys added behind all others since it was built
  uint32_t inserts = 0;  // other keys added since
  uint64_t moves = 0;    // slots moved for them
  // Neighbours of a leaf. Shared.
  Node* previous = nullptr;
  Node* next = nullptr;

 private:
  // Slots moved by inserts that make building it anew the better bargain: it costs a few
  // nanoseconds for each of its slots.
  static constexpr uint64_t kMovesPerSlot = 16;
  // A longer run costs more to write than it saves.
  static constexpr uint32_t kMaxRun = 32;

  Node(uint32_t node_capacity, bool leaf, bool fenced)
      : capacity(node_capacity), is_leaf(leaf), is_fenced(fenced) {}

  // Whether the slot can be given up, its key being in the one before it, or behind it.
  bool IsSpareLeft(uint32_t i) const { return slots()[i].key == slots()[i - 1].key; }
  bool IsSpareRight(uint32_t i) const { return slots()[i].key == slots()[i + 1].key; }
};

// Limits and densities of the nodes of one kind.
template <size_t kWords>
struct Limits {
  static constexpr bool kIsLeaf = kWords != 3;
  // A leaf: what one insert may have to copy. An inner node: as many leaves as make a second level
  // of inner nodes rare, while copying it stays far below a millisecond.
  static constexpr uint32_t kMaxKeys = kIsLeaf ? 2816 : 8192;
  // A fenced node: fences that a few cache lines hold.
  static constexpr uint32_t kMaxFencedKeys = kIsLeaf ? 352 : 512;
  // Shorter lines are not worth a node of their own.
  static constexpr size_t kMinLineKeys = kIsLeaf ? 64 : 32;
  static constexpr double kDensity = kIsLeaf ? 0.70 : 0.5;
  static constexpr double kFullDensity = kIsLeaf ? 0.875 : 0.8;
  // Of predictions that miss the window: more make fences the cheaper way.
  static constexpr double kMaxMisses = 0.3;
};

// Builds the nodes for sorted, distinct keys: `at(i)` is the slot of key i.
template <size_t kWords, typename SlotAt>
class Builder {
 public:
  using NodeType = Node<kWords>;
  using Limit = Limits<kWords>;

  Builder(size_t count, SlotAt at) : count_(count), at_(at) {}

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
  static uint32_t RoundUp(double capacity) {
    const auto step = NodeType::kCapacityStep;
    return (static_cast<uint32_t>(capacity) + step) / step * step;
  }

  // False if too many predictions would miss.
  bool BuildModelNode(size_t begin, size_t length, uint32_t room_behind,
                      std::vector<Slot<3>>* nodes) {
    const uint64_t base = KeyOf(begin);
    const auto key = [&](size_t i) { return KeyOf(begin + i); };
    const Line line = FitLine(length, base, key);
    const double stretch = 1 / Limit::kDensity;
    const Model model = Model::Of(line.slope * stretch, line.offset * stretch);
    const double size = static_cast<double>(length);
    // Where keys are dense, each integer has its slot, and no more are needed.
    const double range = static_cast<double>(key(length - 1) - key(0)) + 1;
    const double slots = std::max(std::min(size * stretch, range), size * 1.125 + 1);
    NodeRef ref{nullptr, model, RoundUp(slots), Limit::kIsLeaf, false};
    uint32_t misses = 0;
    Place(length, base, ref, key, [&](size_t, uint32_t slot, uint32_t predicted) {
      const uint32_t start = Window<Slot<kWords>>::Start(predicted, ref.capacity);
      misses += slot - start < Window<Slot<kWords>>::kSlots ? 0 : 1;
    });
    if (misses > Limit::kMaxMisses * size) {
      return false;
    }
    const uint32_t placed = ref.capacity;
    ref.capacity = room_behind == 0 ? placed : RoundUp(placed + room_behind - 1);
    auto* node = NodeType::New(ref.capacity, Limit::kIsLeaf, false);
    ref.node = node;
    NodeRef within = ref;
    within.capacity = placed;
    auto* slots_out = node->slots();
    uint32_t used = 0;
    Place(length, base, within, key, [&](size_t i, uint32_t slot, uint32_t) {
      const Slot<kWords> value = at_(begin + i);
      // Before it, the run of the key before; before the first key its own.
      const Slot<kWords> before = i == 0 ? value : slots_out[used - 1];
      while (used < slot) {
        slots_out[used++] = before;
      }
      slots_out[used++] = value;
    });
    Finish(node, used, length);
    nodes->push_back(ref.ToSlot(base));
    return true;
  }

  // Calls visit(i, slot, predicted) for where each key goes.
  template <typename Key, typename Visitor>
  static void Place(size_t length, uint64_t base, const NodeRef& ref, Key key, Visitor visit) {
    uint32_t next = 0;
    for (size_t i = 0; i < length; ++i) {
      const uint32_t predicted = ref.model.Predict(base, key(i), ref.capacity);
      const auto last = static_cast<uint32_t>(ref.capacity - (length - i));
      const uint32_t slot = std::min(std::max(predicted, next), last);
      visit(i, slot, predicted);
      next = slot + 1;
    }
  }

  void BuildFencedNode(size_t begin, size_t length, std::vector<Slot<3>>* nodes) {
    NodeRef ref;
    ref.capacity = RoundUp(static_cast<double>(length) / Limit::kDensity);
    ref.is_leaf = Limit::kIsLeaf;
    ref.is_fenced = true;
    auto* node = NodeType::New(ref.capacity, Limit::kIsLeaf, true);
    ref.node = node;
    auto* slots = node->slots();
    uint32_t used = 0;
    for (size_t i = 0; i < length; ++i) {
      const auto end = static_cast<uint32_t>((i + 1) * ref.capacity / length);
      const Slot<kWords> value = at_(begin + i);
      while (used < end) {
        slots[used++] = value;
      }
    }
    Finish(node, used, length);
    nodes->push_back(ref.ToSlot(KeyOf(begin)));
  }

  static void Finish(NodeType* node, uint32_t used, size_t length) {
    node->FreeFrom(used);
    if (node->is_fenced) {
      for (uint32_t i = 0; i < node->capacity; i += NodeType::kFenceStride) {
        node->fences()[i / NodeType::kFenceStride] = node->slots()[i].key;
      }
    }
    node->count = static_cast<uint32_t>(length);
  }

  uint64_t KeyOf(size_t i) const { return at_(i).key; }

  const size_t count_;
  const SlotAt at_;
};

template <size_t kWords, typename SlotAt>
std::vector<Slot<3>> BuildNodes(size_t count, uint32_t room_behind, SlotAt at) {
  std::vector<Slot<3>> nodes;
  Builder<kWords, SlotAt>(count, at).Build(room_behind, &nodes);
  return nodes;
}

}  // namespace tsdbd::index::alex
