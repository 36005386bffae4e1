// AlexStores that die at random moments, in the middle of writes, compaction, checkpoints and
// recovery, and come back, against a model. The seed of a failing round is printed; TSDBD_SEED=n
// runs that one alone, TSDBD_ROUNDS=n runs more.

#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "kv/alex_harness_testing.h"

namespace tsdbd::kv {
namespace {

// Some seconds for all tests together.
#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kRounds = 8;
#elif defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kRounds = 15;
#else
constexpr uint64_t kRounds = 60;
#endif

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : fallback;
}

// Few, so that keys collide also where the keyspace is small.
uint64_t WeakHash(std::string_view key) {
  return Hash64(key) % 37 * 0x0123'4567'89AB'CDEF;
}

// One store through its lives, and what it must hold.
class CrashRound : public AlexHarness {
 public:
  CrashRound(SyncMode mode, uint64_t seed) : random_(seed) {
    options.store.sync_mode = mode;
    options.store.sync_interval_ms = 1;
    options.min_segment_bytes = (2 + random_() % 4) * kLogPageBytes;
    options.max_segment_bytes = 2 * options.min_segment_bytes;
    options.checkpoint_interval_bytes = Chance(2) ? 20'000 : 1 << 20;
    options.has_upkeep = Chance(2);
    options.upkeep_interval_ms = 1;
    options.hash = Chance(2) ? WeakHash : nullptr;
    options.now_ns = [this] { return now_ns_.load(); };
  }

  bool Chance(uint64_t one_in) { return random_() % one_in == 0; }
  uint64_t Random() { return random_(); }
  CrashMode RandomCrashMode() { return static_cast<CrashMode>(random_() % 3); }

  void Act() {
    if (Chance(60)) {
      store->Compact().IgnoreError();
    } else if (Chance(100)) {
      now_ns_ += 1 + random_() % 5;
    } else if (Chance(300)) {
      Write({});
    } else if (Chance(25) && store->Sync().ok() && !env.is_stopped()) {
      durable_ = writes_.size();
    } else {
      Step step;
      for (uint64_t count = Chance(5) ? 1 + random_() % 8 : 1; count > 0; --count) {
        step.push_back(RandomOperation());
      }
      Write(std::move(step));
    }
  }

  // What is there is what some of the writes left, in their order, with at least all those that
  // were promised.
  void Check(CrashMode mode) {
    size_t promised = durable_;
    if (mode == CrashMode::kKeepAll || options.store.sync_mode == SyncMode::kAlways) {
      promised = std::max<size_t>(promised, acknowledged_);
    }
    ASSERT_EQ(report.damage_count, 0u) << report.damages[0].path << " " << report.damages[0].offset
                                       << ": " << report.damages[0].what;
    const Contents found = All();
    Model model = base_;
    size_t applied = 0;
    while (applied < promised) {
      Apply(writes_[applied++], &model);
    }
    while (Visible(model) != found) {
      ASSERT_LT(applied, writes_.size())
          << "not what any number of writes left: " << Difference(found, promised);
      Apply(writes_[applied++], &model);
    }
    ASSERT_EQ(store->stats().damaged_records, 0u);
    base_ = std::move(model);
    writes_.clear();
    durable_ = 0;
    acknowledged_ = 0;
  }

  // Dies in recovery some times before it succeeds. Returns the worst that happened.
  CrashMode Recover(CrashMode worst) {
    while (Chance(2)) {
      env.StopAfter(random_() % 20);
      Open().IgnoreError();  // it may have come through before the end
      const CrashMode mode = RandomCrashMode();
      Crash(mode, random_());
      worst = mode == CrashMode::kKeepAll ? worst : mode;
    }
    MustOpen();
    return worst;
  }

 private:
  struct Operation {
    bool is_delete = false;
    std::string key;
    std::string value;
    int64_t expires_ns = kNeverExpires;
  };
  using Step = std::vector<Operation>;  // empty: a Clear
  using Model = std::map<std::string, Operation>;

  Operation RandomOperation() {
    Operation operation;
    operation.key = fmt::format("key {}", random_() % 60);
    operation.is_delete = Chance(4);
    if (!operation.is_delete) {
      operation.value =
          fmt::format("{}:{}", next_value_++,
                      std::string(Chance(20) ? random_() % 9'000 : random_() % 200, 'v'));
      operation.expires_ns =
          Chance(4) ? now_ns_ + static_cast<int64_t>(random_() % 12) : kNeverExpires;
    }
    return operation;
  }

  void Write(Step step) {
    writes_.push_back(std::move(step));
    const size_t count = writes_.size();
    if (writes_.back().empty()) {
      const Status status = store->Clear();
      Finish(status, count);
      durable_ = acknowledged_ == count ? count : durable_;
      if (!status.ok() && store->stats().keys != 0) {
        writes_.pop_back();  // it was refused
      }
      return;
    }
    WriteBatch batch;
    for (const Operation& operation : writes_.back()) {
      operation.is_delete ? batch.Delete(operation.key)
                          : batch.Put(operation.key, operation.value, operation.expires_ns);
    }
    Status done_status = Unavailable("not yet");
    std::atomic<bool> is_done = false;
    const bool waits = Chance(3) || options.store.sync_mode != SyncMode::kAlways;
    const Status accepted = store->Write(batch,
                                         waits ? Store::Done([&](const Status& status) {
                                           done_status = status;
                                           is_done = true;
                                         })
                                               : nullptr,
                                         nullptr);
    if (!accepted.ok()) {
      writes_.pop_back();
      return;
    }
    while (waits && !is_done) {
      std::this_thread::yield();
    }
    Finish(done_status, count);
  }

  // An answer of a dead process reached nobody.
  void Finish(const Status& status, size_t count) {
    if (status.ok() && !env.is_stopped()) {
      acknowledged_ = count;
    }
  }

  static void Apply(const Step& step, Model* model) {
    if (step.empty()) {
      model->clear();
    }
    for (const Operation& operation : step) {
      model->erase(operation.key);
      if (!operation.is_delete) {
        model->emplace(operation.key, operation);
      }
    }
  }

  Contents Visible(const Model& model) const {
    Contents contents;
    for (const auto& [key, operation] : model) {
      if (operation.expires_ns > now_ns_) {
        contents.emplace(key, operation.value);
      }
    }
    return contents;
  }

  // Against what was promised.
  std::string Difference(const Contents& found, size_t promised) const {
    Model model = base_;
    for (size_t i = 0; i < promised; ++i) {
      Apply(writes_[i], &model);
    }
    const Contents expected = Visible(model);
    std::string text;
    for (const auto& [key, value] : expected) {
      if (!found.contains(key) || found.at(key) != value) {
        text += fmt::format("\n{}: {:.12} and not {:.12}", key,
                            found.contains(key) ? found.at(key) : "nothing", value);
      }
    }
    for (const auto& [key, value] : found) {
      if (!expected.contains(key)) {
        text += fmt::format("\n{}: {:.12} and not nothing", key, value);
      }
    }
    return text;
  }

  std::mt19937_64 random_;
  std::atomic<int64_t> now_ns_ = 1'000;
  Model base_;  // at the start of this life
  std::vector<Step> writes_;
  size_t acknowledged_ = 0;  // of the writes, so many
  size_t durable_ = 0;
  uint64_t next_value_ = 0;
};

class AlexCrashTest : public testing::TestWithParam<SyncMode> {
 protected:
  // Dead processes complain.
  void SetUp() override { spdlog::set_level(spdlog::level::off); }
  void TearDown() override { spdlog::set_level(spdlog::level::info); }

  template <typename Round>
  void ForEachSeed(Round round) {
    constexpr uint64_t kAll = UINT64_MAX;
    const uint64_t chosen = FromEnvironment("TSDBD_SEED", kAll);
    const uint64_t first = chosen == kAll ? 0 : chosen;
    const uint64_t count = chosen == kAll ? FromEnvironment("TSDBD_ROUNDS", kRounds) : 1;
    for (uint64_t seed = first; seed < first + count && !HasFailure(); ++seed) {
      SCOPED_TRACE(fmt::format("TSDBD_SEED={}", seed));
      CrashRound fresh(GetParam(), seed);
      round(&fresh);
    }
  }
};

TEST_P(AlexCrashTest, NothingAcknowledgedIsLostAndNothingDeletedReturns) {
  ForEachSeed([](CrashRound* round) {
    round->MustOpen();
    for (int life = 0; life < 4 && !HasFailure(); ++life) {
      if (!round->Chance(4)) {
        round->env.StopAfter(round->Random() % 200);
      }
      for (int i = 0; i < 300; ++i) {
        round->Act();
      }
      if (round->Chance(5)) {
        round->store->Close().IgnoreError();
      }
      const CrashMode mode = round->RandomCrashMode();
      round->Crash(mode, round->Random());
      round->Check(round->Recover(mode));
      // What is served is durable: a power cut right now changes nothing.
      const auto before = round->All();
      round->CrashAndOpen(CrashMode::kDropUnsynced);
      ASSERT_TRUE(round->All() == before);
    }
  });
}

TEST_P(AlexCrashTest, FailedOperationsLoseNothingAcknowledged) {
  ForEachSeed([](CrashRound* round) {
    round->MustOpen();
    for (int life = 0; life < 3 && !HasFailure(); ++life) {
      for (int i = 0; i < 300; ++i) {
        if (round->Chance(20)) {
          constexpr FileOperation kKinds[] = {
              FileOperation::kWrite,  FileOperation::kOpen, FileOperation::kRename,
              FileOperation::kRemove, FileOperation::kSync, FileOperation::kSyncDirectory};
          round->env.Inject({.operation = kKinds[round->Random() % (round->Chance(4) ? 6 : 4)],
                             .after = round->Random() % 3,
                             .times = 1 + round->Random() % 3,
                             .error_number = round->Chance(2) ? ENOSPC : EIO,
                             .short_write = round->Chance(2)});
        }
        round->Act();
      }
      const CrashMode mode = round->RandomCrashMode();
      round->Crash(mode, round->Random());
      round->env.ClearFaults();
      round->Check(round->Recover(mode));
    }
  });
}

std::string ModeName(const testing::TestParamInfo<SyncMode>& info) {
  static constexpr const char* kNames[] = {"always", "interval", "none"};
  return kNames[static_cast<size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(AllModes, AlexCrashTest,
                         testing::Values(SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone),
                         ModeName);

}  // namespace
}  // namespace tsdbd::kv
