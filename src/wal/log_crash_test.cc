// Logs that die at random moments and come back, against a list of what was appended. The seed of a
// failing round is printed; TSDBD_SEED=n runs that one alone, TSDBD_ROUNDS=n runs more.

#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "wal/log_harness_testing.h"

namespace tsdbd::wal {
namespace {

// Some seconds for all tests together.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kRounds = 25;
#else
constexpr uint64_t kRounds = 100;
#endif

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : fallback;
}

class CrashRound : public LogHarness {
 public:
  enum class Fate { kUnknown, kAcknowledged, kFailed };
  struct Appended {
    std::string record;
    Fate fate = Fate::kUnknown;
    bool synced = false;  // a Sync() or a recovery vouched for it
  };

  CrashRound(SyncMode mode, uint64_t seed) : random_(seed) {
    options.sync_mode = mode;
    options.sync_interval_ms = 1;
    options.segment_bytes = (4 + random_() % 12) * kPageBytes;
    options.max_commit_bytes = (1 + random_() % 8) * kPageBytes;
    options.prepared_segments = random_() % 3;
    options.max_spare_segments = random_() % 3;
  }

  bool Chance(uint64_t one_in) { return random_() % one_in == 0; }

  void AppendOne() {
    const uint64_t size = Chance(30) ? random_() % 50'000 : random_() % 1'500;
    const std::string record = fmt::format("{}:{}", next_id_++, std::string(size, 'r'));
    size_t index;
    {
      MutexLock lock(&mu_);
      index = appended_.size();
      appended_.push_back({record, Fate::kUnknown, false});
    }
    const Status status = log->Append(record, [this, index](const Status& done) {
      MutexLock lock(&mu_);
      appended_[index].fate = done.ok() ? Fate::kAcknowledged : Fate::kFailed;
    });
    if (!status.ok()) {
      MutexLock lock(&mu_);
      appended_.pop_back();  // it is not in the log: only this thread appends
    }
  }

  void Act() {
    AppendOne();
    if (Chance(40)) {
      log->StartGeneration(++generation_, nullptr).IgnoreError();
    }
    if (Chance(20) && log->Sync().ok()) {
      MutexLock lock(&mu_);
      for (Appended& appended : appended_) {
        appended.synced = appended.synced || appended.fate == Fate::kAcknowledged;
      }
    }
  }

  // Recovered is all that must be, and nothing that was not appended, in order. Without failed
  // writes it is a prefix of what was appended.
  enum class Holes { kForbidden, kOfFailedRecords };
  void Check(CrashMode mode, Holes holes) {
    MutexLock lock(&mu_);
    const bool all_acknowledged_must_be_there =
        options.sync_mode == SyncMode::kAlways || mode == CrashMode::kKeepAll;
    size_t next = 0;
    std::vector<Appended> survivors;
    for (const Appended& appended : appended_) {
      const bool is_there = next < recovered.size() && recovered[next].bytes == appended.record;
      if (is_there) {
        ++next;
        survivors.push_back({appended.record, Fate::kAcknowledged, true});
        continue;
      }
      const bool acknowledged = appended.fate == Fate::kAcknowledged;
      ASSERT_FALSE(appended.synced) << "lost a synced record: " << appended.record.substr(0, 9);
      ASSERT_FALSE(acknowledged && all_acknowledged_must_be_there)
          << "lost an acknowledged record: " << appended.record.substr(0, 9);
      if (holes == Holes::kForbidden) {
        break;
      }
    }
    ASSERT_EQ(next, recovered.size()) << "a hole, or a record that nobody appended";
    ASSERT_EQ(report.damage_count, 0u) << report.damages[0].path << ": " << report.damages[0].what;
    appended_ = std::move(survivors);
    generation_ = std::max(generation_, log->stats().generation);
  }

  // Dies in recovery some times, at random points and in random ways, before it succeeds.
  CrashMode Recover(CrashMode worst) {
    while (Chance(2)) {
      env.StopAfter(random_() % 40);
      const Status status = Open();
      const CrashMode mode = RandomCrashMode();
      Crash(mode, random_());
      worst = mode == CrashMode::kKeepAll ? worst : mode;
      static_cast<void>(status);  // it may have come through before the end
    }
    MustOpen();
    return worst;
  }

  CrashMode RandomCrashMode() { return static_cast<CrashMode>(random_() % 3); }

  uint64_t Random() { return random_(); }
  uint64_t NextGeneration() { return ++generation_; }

 private:
  Mutex mu_;
  std::mt19937_64 random_;
  std::vector<Appended> appended_ GUARDED_BY(mu_);
  uint64_t next_id_ = 0;
  uint64_t generation_ = 1;
};

class CrashTest : public testing::TestWithParam<SyncMode> {
 protected:
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

TEST_P(CrashTest, OnlyASuffixOfWhatWasNotAcknowledgedIsLost) {
  ForEachSeed([](CrashRound* round) {
    round->MustOpen();
    for (int life = 0; life < 3 && !HasFailure(); ++life) {
      round->env.StopAfter(round->Random() % 120);
      for (int i = 0; i < 150; ++i) {
        round->Act();
      }
      const CrashMode mode = round->RandomCrashMode();
      round->Crash(mode, round->Random());
      round->Check(round->Recover(mode), CrashRound::Holes::kForbidden);
      // What was served is durable: a power cut right now changes nothing.
      const auto before = round->RecoveredBytes();
      round->Crash(CrashMode::kDropUnsynced);
      round->MustOpen();
      ASSERT_TRUE(round->RecoveredBytes() == before);
    }
  });
}

TEST_P(CrashTest, FailedWritesLoseNothingAcknowledged) {
  ForEachSeed([](CrashRound* round) {
    round->MustOpen();
    for (int life = 0; life < 3 && !HasFailure(); ++life) {
      for (int i = 0; i < 150; ++i) {
        if (round->Chance(30)) {
          round->env.Inject({.operation = FileOperation::kWrite,
                             .after = round->Random() % 3,
                             .times = 1 + round->Random() % 3,
                             .error_number = round->Chance(2) ? ENOSPC : EIO,
                             .short_write = round->Chance(2)});
        }
        round->Act();
        if (round->log->health().state == HealthState::kBroken) {
          round->log->StartGeneration(round->NextGeneration(), nullptr).IgnoreError();
        }
      }
      const CrashMode mode = round->RandomCrashMode();
      round->Crash(mode, round->Random());
      round->env.ClearFaults();
      round->Check(round->Recover(mode), CrashRound::Holes::kOfFailedRecords);
    }
  });
}

TEST_P(CrashTest, NothingIsAcknowledgedAfterAFailedSync) {
  ForEachSeed([](CrashRound* round) {
    round->MustOpen();
    round->env.Inject(
        {.operation = FileOperation::kSync, .after = round->Random() % 10, .path_part = "wal-"});
    bool was_poisoned = false;
    for (int i = 0; i < 100; ++i) {
      round->Act();
      const bool is_poisoned = round->log->health().state == HealthState::kPoisoned;
      ASSERT_FALSE(was_poisoned && !is_poisoned) << "a poisoned log recovered by itself";
      ASSERT_FALSE(is_poisoned && round->log->Sync().ok());
      was_poisoned = is_poisoned;
    }
    round->Crash(CrashMode::kDropUnsynced);
    round->env.ClearFaults();
    round->MustOpen();
    round->Check(CrashMode::kDropUnsynced, CrashRound::Holes::kForbidden);
  });
}

std::string ModeName(const testing::TestParamInfo<SyncMode>& info) {
  static constexpr const char* kNames[] = {"always", "interval", "none"};
  return kNames[static_cast<size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(AllModes, CrashTest,
                         testing::Values(SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone),
                         ModeName);

}  // namespace
}  // namespace tsdbd::wal
