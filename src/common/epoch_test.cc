#include "common/epoch.h"

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace tsdbd {
namespace {

void CountFree(void* owner, void*, size_t size) {
  *static_cast<size_t*>(owner) += size;
}

TEST(EpochGateTest, WithoutReadersAnObjectIsFreedAtOnce) {
  EpochGate gate;
  size_t freed = 0;
  gate.Retire(CountFree, &freed, nullptr, 7);
  EXPECT_EQ(freed, 7u);
}

TEST(EpochGateTest, AnObjectOutlivesTheReadersThatMayHaveIt) {
  EpochGate gate;
  size_t freed = 0;
  std::optional<EpochGate::Pin> early(std::in_place, &gate);
  gate.Retire(CountFree, &freed, nullptr, 1);
  std::optional<EpochGate::Pin> late(std::in_place, &gate);
  gate.Retire(CountFree, &freed, nullptr, 10);
  EXPECT_EQ(freed, 0u);
  EXPECT_EQ(gate.waiting_count(), 2u);
  early.reset();
  EXPECT_EQ(freed, 1u) << "the late reader cannot have the first object";
  late.reset();
  EXPECT_EQ(freed, 11u);
  EXPECT_EQ(gate.waiting_count(), 0u);
}

TEST(EpochGateTest, ALateReaderLeavingFirstFreesNothingEarly) {
  EpochGate gate;
  size_t freed = 0;
  std::optional<EpochGate::Pin> early(std::in_place, &gate);
  std::optional<EpochGate::Pin> late(std::in_place, &gate);
  gate.Retire(CountFree, &freed, nullptr, 1);
  late.reset();
  EXPECT_EQ(freed, 0u);
  early.reset();
  EXPECT_EQ(freed, 1u);
}

// A linked cell that one thread replaces while others read through it.
TEST(EpochGateTest, ReadersNeverSeeFreedMemory) {
  EpochGate gate;
  SpinLock lock;
  struct Cell {
    std::atomic<uint64_t> value;
  };
  Cell* current = new Cell{1};
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        EpochGate::Pin pin(&gate);
        lock.Lock();
        Cell* cell = current;
        lock.Unlock();
        for (int k = 0; k < 10; ++k) {
          ASSERT_NE(cell->value.load(), 0u);
        }
      }
    });
  }
  for (uint64_t i = 2; i < 20'000; ++i) {
    Cell* next = new Cell{i};
    lock.Lock();
    Cell* old = current;
    current = next;
    lock.Unlock();
    gate.Retire(
        [](void*, void* pointer, size_t) {
          static_cast<Cell*>(pointer)->value = 0;
          delete static_cast<Cell*>(pointer);
        },
        nullptr, old, sizeof(Cell));
  }
  stop = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  delete current;
}

}  // namespace
}  // namespace tsdbd
