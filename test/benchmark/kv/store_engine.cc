// Our own stores.
#include <array>

#include "benchmark_support.h"
#include "engine.h"
#include "kv/alex_store.h"
#include "kv/rocks_store.h"
#include "kv/store.h"

namespace tsdbd::benchmark {
namespace {

class StoreEngine final : public Engine {
 public:
  explicit StoreEngine(std::unique_ptr<kv::Store> store) : store_(std::move(store)) {}
  ~StoreEngine() override {
    view_.reset();
    Check(store_->Close());
  }

  void Put(uint64_t key, std::string_view value) override {
    const std::array<char, 8> bytes = kv::IntegerKey(key);
    batch_.Clear();
    batch_.Put({bytes.data(), bytes.size()}, value);
    Check(store_->Write(batch_, nullptr, nullptr));
  }

  void PutDurably(std::span<const Record> records) override {
    std::vector<std::array<char, 8>> keys(records.size());
    kv::WriteBatch batch;
    for (size_t i = 0; i < records.size(); ++i) {
      keys[i] = kv::IntegerKey(records[i].key);
      batch.Put({keys[i].data(), keys[i].size()}, records[i].value);
    }
    Check(store_->WriteAndWait(batch));
  }

  std::string_view Get(uint64_t key) override {
    // As a server does it: one view for what one request or pipeline asks.
    if (gets_++ % kGetsPerView == 0) {
      view_ = store_->Read(kv::Consistency::kLatest);
    }
    const std::array<char, 8> bytes = kv::IntegerKey(key);
    kv::Entry entry;
    const Status status = view_->Get({bytes.data(), bytes.size()}, &entry);
    return status.ok() ? entry.value : std::string_view();
  }

  void GetMany(std::span<const uint64_t> keys,
               const std::function<void(size_t, std::string_view)>& visit) override {
    const size_t count = keys.size();
    key_bytes_.resize(count);
    keys_.resize(count);
    entries_.resize(count);
    statuses_.resize(count);
    for (size_t i = 0; i < count; ++i) {
      key_bytes_[i] = kv::IntegerKey(keys[i]);
      keys_[i] = {key_bytes_[i].data(), key_bytes_[i].size()};
    }
    view_ = store_->Read(kv::Consistency::kLatest);
    view_->GetMany(keys_, entries_, statuses_);
    for (size_t i = 0; i < count; ++i) {
      visit(i, statuses_[i].ok() ? entries_[i].value : std::string_view());
    }
  }

  void Scan(uint64_t from, size_t limit,
            const std::function<void(uint64_t, std::string_view)>& visit) override {
    const std::array<char, 8> bytes = kv::IntegerKey(from);
    std::string cursor;
    const auto view = store_->Read(kv::Consistency::kLatest);
    Check(view->Scan(
        {.from = {bytes.data(), bytes.size()}, .limit = limit},
        [&](const kv::Entry& entry) {
          visit(kv::IntegerOfKey(entry.key), entry.value);
          return true;
        },
        &cursor));
  }

  void Finish() override { Check(store_->Sync()); }

 private:
  static constexpr uint64_t kGetsPerView = 64;

  static void Check(const Status& status) { Require(status.ok(), ToString(status)); }

  std::unique_ptr<kv::Store> store_;
  kv::WriteBatch batch_;
  std::unique_ptr<kv::ReadView> view_;
  uint64_t gets_ = 0;
  std::vector<std::array<char, 8>> key_bytes_;  // of a GetMany, as the next ones
  std::vector<std::string_view> keys_;
  std::vector<kv::Entry> entries_;
  std::vector<Status> statuses_;
};

}  // namespace

std::unique_ptr<Engine> MakeStoreEngine(const std::string& name, const std::string& folder,
                                        Durability durability) {
  kv::StoreOptions options;
  options.directory = folder + "/" + name;
  options.key_type = kv::KeyType::kInteger;
  options.sync_mode =
      durability == Durability::kOnDisk ? kv::SyncMode::kAlways : kv::SyncMode::kNone;
  auto store = name == "alex"
                   ? kv::OpenAlexStore(Env::Default(), options, /*report=*/nullptr)
                   : kv::OpenRocksStore(options, {.cache = kv::MakeRocksCache(size_t{1} << 30),
                                                  .hot_bytes = size_t{64} << 20});
  Require(store.ok(), ToString(store.status()));
  return std::make_unique<StoreEngine>(std::move(*store));
}

}  // namespace tsdbd::benchmark
