// LMDB, integer keys. Its write transactions are begun for each put; without syncs.
#include <lmdb.h>

#include "benchmark_support.h"
#include "engine.h"

namespace tsdbd::benchmark {
namespace {

class LmdbEngine final : public Engine {
 public:
  LmdbEngine(bool write_map, const std::string& folder) {
    Check(mdb_env_create(&env_));
    // An upper bound; the file grows as needed.
    Check(mdb_env_set_mapsize(env_, size_t{64} << 30));
    const unsigned flags = MDB_NOSYNC | MDB_NOSUBDIR | (write_map ? MDB_WRITEMAP : 0U);
    Check(mdb_env_open(env_, (folder + "/lmdb.db").c_str(), flags, 0644));
    MDB_txn* txn = Begin(0);
    Check(mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY | MDB_CREATE, &dbi_));
    Check(mdb_txn_commit(txn));
    reader_ = Begin(MDB_RDONLY);
    mdb_txn_reset(reader_);
  }
  ~LmdbEngine() override {
    mdb_txn_abort(reader_);
    mdb_env_close(env_);
  }

  void Put(uint64_t key, std::string_view value) override {
    StopReading();
    MDB_txn* txn = Begin(0);
    PutOne(txn, key, value);
    Check(mdb_txn_commit(txn));
  }

  void PutDurably(std::span<const Record> records) override {
    StopReading();
    MDB_txn* txn = Begin(0);
    for (const Record& record : records) {
      PutOne(txn, record.key, record.value);
    }
    Check(mdb_txn_commit(txn));
    Check(mdb_env_sync(env_, 1));
  }
  bool supports_threads() const override { return false; }

  std::string_view Get(uint64_t key) override {
    StartReading();
    MDB_val wanted{sizeof(key), &key};
    MDB_val found{};
    const int code = mdb_get(reader_, dbi_, &wanted, &found);
    if (code == MDB_NOTFOUND) {
      return {};
    }
    Check(code);
    return {static_cast<const char*>(found.mv_data), found.mv_size};
  }

  void Scan(uint64_t from, size_t limit,
            const std::function<void(uint64_t, std::string_view)>& visit) override {
    StartReading();
    MDB_cursor* cursor = nullptr;
    Check(mdb_cursor_open(reader_, dbi_, &cursor));
    MDB_val key{sizeof(from), &from};
    MDB_val value{};
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (; limit > 0 && code == 0; --limit) {
      visit(*static_cast<const uint64_t*>(key.mv_data),
            {static_cast<const char*>(value.mv_data), value.mv_size});
      code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
  }

 private:
  static void Check(int code) { Require(code == 0, mdb_strerror(code)); }

  MDB_txn* Begin(unsigned flags) {
    MDB_txn* txn = nullptr;
    Check(mdb_txn_begin(env_, nullptr, flags, &txn));
    return txn;
  }
  void PutOne(MDB_txn* txn, uint64_t key, std::string_view value) {
    MDB_val wanted{sizeof(key), &key};
    MDB_val stored{value.size(), const_cast<char*>(value.data())};
    Check(mdb_put(txn, dbi_, &wanted, &stored, 0));
  }
  void StartReading() {
    if (!is_reading_) {
      Check(mdb_txn_renew(reader_));
      is_reading_ = true;
    }
  }
  void StopReading() {
    if (is_reading_) {
      mdb_txn_reset(reader_);
      is_reading_ = false;
    }
  }

  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  MDB_txn* reader_ = nullptr;
  bool is_reading_ = false;
};

}  // namespace

std::unique_ptr<Engine> MakeLmdbEngine(bool write_map, const std::string& folder) {
  return std::make_unique<LmdbEngine>(write_map, folder);
}

}  // namespace tsdbd::benchmark
