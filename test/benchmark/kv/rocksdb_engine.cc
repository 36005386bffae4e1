// RocksDB by itself.
#include <array>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include "benchmark_support.h"
#include "engine.h"
#include "kv/store.h"

namespace tsdbd::benchmark {
namespace {

rocksdb::Options OptionsOf(bool tuned) {
  rocksdb::Options options;
  options.create_if_missing = true;
  if (!tuned) {
    return options;
  }
  options.write_buffer_size = size_t{128} << 20;
  options.max_write_buffer_number = 4;
  options.max_background_jobs = 2;
  options.level_compaction_dynamic_level_bytes = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(size_t{1} << 30);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksDbEngine final : public Engine {
 public:
  RocksDbEngine(bool tuned, const std::string& folder) {
    rocksdb::DB* db = nullptr;
    Check(rocksdb::DB::Open(OptionsOf(tuned), folder + "/rocksdb", &db));
    db_.reset(db);
  }

  void Put(uint64_t key, std::string_view value) override {
    const std::array<char, 8> bytes = kv::IntegerKey(key);
    Check(db_->Put({}, {bytes.data(), bytes.size()}, {value.data(), value.size()}));
  }

  void PutDurably(std::span<const Record> records) override {
    rocksdb::WriteBatch batch;
    for (const Record& record : records) {
      const std::array<char, 8> bytes = kv::IntegerKey(record.key);
      Check(batch.Put({bytes.data(), bytes.size()}, {record.value.data(), record.value.size()}));
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    Check(db_->Write(options, &batch));
  }

  std::string_view Get(uint64_t key) override {
    const std::array<char, 8> bytes = kv::IntegerKey(key);
    value_.Reset();
    const rocksdb::Status status =
        db_->Get({}, db_->DefaultColumnFamily(), {bytes.data(), bytes.size()}, &value_);
    if (status.IsNotFound()) {
      return {};
    }
    Check(status);
    return {value_.data(), value_.size()};
  }

  void GetMany(std::span<const uint64_t> keys,
               const std::function<void(size_t, std::string_view)>& visit) override {
    const size_t count = keys.size();
    std::vector<std::array<char, 8>> bytes(count);
    std::vector<rocksdb::Slice> slices(count);
    std::vector<rocksdb::PinnableSlice> values(count);
    std::vector<rocksdb::Status> statuses(count);
    for (size_t i = 0; i < count; ++i) {
      bytes[i] = kv::IntegerKey(keys[i]);
      slices[i] = {bytes[i].data(), bytes[i].size()};
    }
    db_->MultiGet({}, db_->DefaultColumnFamily(), count, slices.data(), values.data(),
                  statuses.data());
    for (size_t i = 0; i < count; ++i) {
      visit(i, statuses[i].ok() ? std::string_view(values[i].data(), values[i].size())
                                : std::string_view());
    }
  }

  void Scan(uint64_t from, size_t limit,
            const std::function<void(uint64_t, std::string_view)>& visit) override {
    const std::array<char, 8> bytes = kv::IntegerKey(from);
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    at->Seek({bytes.data(), bytes.size()});
    for (; limit > 0 && at->Valid(); --limit, at->Next()) {
      visit(kv::IntegerOfKey(at->key().ToStringView()), at->value().ToStringView());
    }
  }

  void Finish() override { Check(db_->Flush({})); }

 private:
  static void Check(const rocksdb::Status& status) { Require(status.ok(), status.ToString()); }

  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::PinnableSlice value_;
};

}  // namespace

std::unique_ptr<Engine> MakeRocksDbEngine(bool tuned, const std::string& folder) {
  return std::make_unique<RocksDbEngine>(tuned, folder);
}

}  // namespace tsdbd::benchmark
