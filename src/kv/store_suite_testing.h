#pragma once
// What the tests that every backend must pass are made of (store_suite_test.cc): the backends, a
// store in a folder of its own under a clock that stands still, and the model that it is compared
// with.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "kv/store.h"

namespace tsdbd::kv {

using NowFunction = std::function<int64_t()>;

struct StoreBackend {
  std::string name;
  std::function<StatusOr<std::unique_ptr<Store>>(const StoreOptions&, NowFunction)> open;
};

// A backend with one type of keys: what a test runs on.
struct StoreKind {
  StoreBackend backend;
  KeyType key_type = KeyType::kBytes;
};
std::vector<StoreKind> AllStoreKinds();
std::string NameOf(const StoreKind& kind);  // "RocksInteger"
inline void PrintTo(const StoreKind& kind, std::ostream* out) {
  *out << NameOf(kind);
}

// A store in a temporary folder, which goes away with it.
class StoreUnderTest {
 public:
  explicit StoreUnderTest(StoreKind kind, SyncMode sync_mode = SyncMode::kNone);
  ~StoreUnderTest();
  StoreUnderTest(const StoreUnderTest&) = delete;
  StoreUnderTest& operator=(const StoreUnderTest&) = delete;

  Store* operator->() { return store_.get(); }
  Store& operator*() { return *store_; }

  void Close();
  void Reopen();

  StoreOptions& options() { return options_; }  // for the next Reopen
  int64_t now_ns() const { return now_ns_.load(); }
  void AdvanceClock(int64_t nanos) { now_ns_.fetch_add(nanos); }

  // The key of the keyspace's type that stands for `number`; their order is that of the numbers.
  std::string Key(uint64_t number) const;

 private:
  const StoreKind kind_;
  StoreOptions options_;
  std::atomic<int64_t> now_ns_ = int64_t{1'700'000'000} * kNanosPerSecond;
  std::unique_ptr<Store> store_;
};

// An entry that owns its bytes.
struct StoredValue {
  std::string value;
  uint64_t version = 0;
  int64_t expires_ns = kNeverExpires;
  friend bool operator==(const StoredValue&, const StoredValue&) = default;
};
void PrintTo(const StoredValue& stored, std::ostream* out);

using StoredValues = std::map<std::string, StoredValue>;

// Those of `values` that have not expired at `now_ns`.
StoredValues LiveAt(const StoredValues& values, int64_t now_ns);

// All entries that a scan of `view` visits, in pages of `page` entries, each going on where the one
// before ended; `keys` (may be null) gets the keys in the order of the visits.
StatusOr<StoredValues> ScanAll(ReadView* view, ScanRange range, size_t page,
                               std::vector<std::string>* keys);

// The entry of `key`, if there is one.
StatusOr<std::optional<StoredValue>> GetFrom(ReadView* view, std::string_view key);

}  // namespace tsdbd::kv
