// Random operations on a store and on a std::map beside it: both must tell the same at every step.
// The seed is printed; TSDBD_TEST_SEED repeats a run.

#include <cstdlib>
#include <utility>

#include <gtest/gtest.h>

#include "kv/store_suite_testing.h"

namespace tsdbd::kv {
namespace {

// A view that is held, and what it must show.
struct HeldSnapshot {
  std::unique_ptr<ReadView> view;
  StoredValues values;
  int64_t taken_ns = 0;
};

class Model {
 public:
  Model(const StoreKind& kind, uint64_t seed) : store_(kind), random_(seed) {}

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE(fmt::format("step {}", step));
      Step();
    }
    snapshots_.clear();
    store_.Reopen();
    CheckAll();
  }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  std::string RandomKey() { return store_.Key(Below(kKeys)); }

  std::string RandomValue() {
    const size_t sizes[] = {0, 1, 10, 100, 1000, 20'000};
    return std::string(Below(sizes[Below(6)] + 1), static_cast<char>('a' + Below(26)));
  }

  int64_t RandomExpiry() {
    return Below(4) != 0 ? kNeverExpires
                         : store_.now_ns() + static_cast<int64_t>(Below(20)) * kNanosPerSecond;
  }

  void Step() {
    switch (Below(20)) {
      case 0:
        return Reopen();
      case 1:
        store_.AdvanceClock(static_cast<int64_t>(Below(5)) * kNanosPerSecond);
        return;
      case 2:
        if (snapshots_.size() < 3) {
          snapshots_.push_back({.view = store_->Read(Consistency::kSnapshot),
                                .values = values_,
                                .taken_ns = store_.now_ns()});
        }
        return;
      case 3:
        return CheckSnapshot();
      case 4:
        return Below(4) == 0 ? Maintain() : CheckAll();
      case 5:
      case 6:
        return CheckScan();
      case 7:
        return CheckMany();
      case 8:
      case 9:
      case 10:
        return UpdateOne();
      case 11:
      case 12:
      case 13:
        return CheckOne();
      default:
        return WriteSome();
    }
  }

  void WriteSome() {
    const size_t count = Below(3) == 0 ? 1 + Below(30) : 1;
    std::vector<std::string> bytes;
    bytes.reserve(2 * count);
    WriteBatch batch;
    for (size_t i = 0; i < count; ++i) {
      const std::string& key = bytes.emplace_back(RandomKey());
      if (Below(3) == 0) {
        batch.Delete(key);
      } else {
        batch.Put(key, bytes.emplace_back(RandomValue()), RandomExpiry());
      }
    }
    uint64_t version = 0;
    ASSERT_TRUE(store_->Write(batch, nullptr, &version).ok());
    Apply(batch, version);
  }

  void UpdateOne() {
    const std::string key = RandomKey();
    const std::string other = RandomKey();
    const int choice = static_cast<int>(Below(4));
    const auto expected = LiveValue(key);
    std::string value;
    WriteBatch written;
    const auto edit = [&](const Entry* current, WriteBatch* batch) {
      ASSERT_EQ(current != nullptr, expected.has_value());
      if (current != nullptr) {
        EXPECT_EQ(current->version, expected->version);
        EXPECT_EQ(current->value, expected->value);
      }
      value = (current == nullptr ? "" : std::string(current->value.substr(0, 50))) + "+";
      if (choice == 1) {
        batch->Delete(key);
      } else if (choice > 1) {
        batch->Put(key, value);
      }
      if (choice == 3) {
        batch->Put(other, value);
      }
      written = *batch;
    };
    uint64_t version = 0;
    ASSERT_TRUE(store_->Update(key, edit, nullptr, &version).ok());
    Apply(written, version);
  }

  void Apply(const WriteBatch& batch, uint64_t version) {
    if (batch.operations().empty()) {
      return;
    }
    EXPECT_GT(version, last_version_);
    last_version_ = version;
    for (const WriteBatch::Operation& operation : batch.operations()) {
      if (operation.is_delete) {
        values_.erase(std::string(operation.key));
      } else {
        values_[std::string(operation.key)] = {.value = std::string(operation.value),
                                               .version = version,
                                               .expires_ns = operation.expires_ns};
      }
    }
  }

  void Reopen() {
    snapshots_.clear();
    store_.Reopen();
    CheckAll();
  }

  void Maintain() {
    if (Below(6) == 0) {
      ASSERT_TRUE(store_->Clear().ok());
      values_.clear();
    } else {
      ASSERT_TRUE(store_->Compact().ok());
    }
    CheckAll();
  }

  std::optional<StoredValue> LiveValue(const std::string& key) {
    const auto found = values_.find(key);
    const bool is_live = found != values_.end() && found->second.expires_ns > store_.now_ns();
    return is_live ? std::optional(found->second) : std::nullopt;
  }

  void CheckOne() {
    const std::string key = RandomKey();
    const auto found = GetFrom(store_->Read(Consistency::kLatest).get(), key);
    ASSERT_TRUE(found.ok()) << ToString(found.status());
    EXPECT_EQ(*found, LiveValue(key));
  }

  void CheckMany() {
    std::vector<std::string> keys;
    for (size_t i = 0; i < 40; ++i) {
      keys.push_back(RandomKey());
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<Entry> entries(keys.size());
    std::vector<Status> statuses(keys.size());
    const auto view = store_->Read(Consistency::kLatest);
    view->GetMany(views, entries, statuses);
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto expected = LiveValue(keys[i]);
      ASSERT_EQ(statuses[i].ok(), expected.has_value());
      if (expected) {
        EXPECT_EQ(entries[i].value, expected->value);
        EXPECT_EQ(entries[i].version, expected->version);
        EXPECT_EQ(entries[i].expires_ns, expected->expires_ns);
      }
    }
  }

  void CheckAll() {
    const auto found = ScanAll(store_->Read(Consistency::kLatest).get(), {}, 1000, nullptr);
    ASSERT_TRUE(found.ok()) << ToString(found.status());
    EXPECT_EQ(*found, LiveAt(values_, store_.now_ns()));
  }

  void CheckScan() {
    const size_t page = 1 + Below(20);
    if (!store_->is_ordered()) {
      const auto found = ScanAll(store_->Read(Consistency::kLatest).get(), {}, page, nullptr);
      ASSERT_TRUE(found.ok()) << ToString(found.status());
      EXPECT_EQ(*found, LiveAt(values_, store_.now_ns()));
      return;
    }
    const std::string from = Below(3) == 0 ? "" : RandomKey();
    const std::string to = Below(3) == 0 ? "" : RandomKey();
    const bool is_descending = Below(2) == 0;
    std::vector<std::string> expected;
    for (const auto& [key, stored] : LiveAt(values_, store_.now_ns())) {
      if (key >= from && (to.empty() || key < to)) {
        expected.push_back(key);
      }
    }
    if (is_descending) {
      expected = {expected.rbegin(), expected.rend()};
    }
    std::vector<std::string> keys;
    const auto found =
        ScanAll(store_->Read(Consistency::kLatest).get(),
                {.from = from, .to = to, .is_descending = is_descending}, page, &keys);
    ASSERT_TRUE(found.ok()) << ToString(found.status());
    EXPECT_EQ(keys, expected);
  }

  // What expired since the snapshot was taken may be in it or not.
  void CheckSnapshot() {
    if (snapshots_.empty()) {
      return;
    }
    const size_t index = Below(snapshots_.size());
    const HeldSnapshot& held = snapshots_[index];
    const auto found = ScanAll(held.view.get(), {}, 1 + Below(100), nullptr);
    ASSERT_TRUE(found.ok()) << ToString(found.status());
    EXPECT_EQ(LiveAt(*found, store_.now_ns()), LiveAt(held.values, store_.now_ns()));
    EXPECT_EQ(*found, LiveAt(*found, held.taken_ns));
    const std::string key = RandomKey();
    const auto one = GetFrom(held.view.get(), key);
    ASSERT_TRUE(one.ok()) << ToString(one.status());
    EXPECT_EQ(one->has_value(), found->contains(key));
    if (Below(2) == 0) {
      snapshots_.erase(snapshots_.begin() + static_cast<ptrdiff_t>(index));
    }
  }

  // So few that they are overwritten, deleted and compacted often.
  static constexpr uint64_t kKeys = 300;

  StoreUnderTest store_;
  std::mt19937_64 random_;
  StoredValues values_;  // expired ones too
  uint64_t last_version_ = 0;
  std::vector<HeldSnapshot> snapshots_;
};

class StoreModel : public testing::TestWithParam<StoreKind> {};

INSTANTIATE_TEST_SUITE_P(Backends, StoreModel, testing::ValuesIn(AllStoreKinds()),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(StoreModel, TellsTheSameAsAMap) {
  const char* given = std::getenv("TSDBD_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::printf("seed %lu\n", seed);
  Model(GetParam(), seed).Run(1500);
}

}  // namespace
}  // namespace tsdbd::kv
