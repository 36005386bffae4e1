#pragma once
// Engine: what the key-value benchmarks ask of our stores and of their peers: 64-bit keys, values
// of bytes, one process. Each peer is used as its documentation advises for speed; what each
// promises about durability stands in its name.
//
// One thread at a time, except PutDurably, which is called from many where supports_threads().

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tsdbd::benchmark {

struct Record {
  uint64_t key;
  std::string_view value;
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual void Put(uint64_t key, std::string_view value) = 0;
  // All together, atomically, on disk when it returns.
  virtual void PutDurably(std::span<const Record> records) = 0;
  virtual bool supports_threads() const { return true; }
  // Valid until the next call; empty if there is no such key.
  virtual std::string_view Get(uint64_t key) = 0;
  // Calls visit(i, value) for each key, as Get; together where the engine can.
  virtual void GetMany(std::span<const uint64_t> keys,
                       const std::function<void(size_t i, std::string_view value)>& visit) {
    for (size_t i = 0; i < keys.size(); ++i) {
      visit(i, Get(keys[i]));
    }
  }
  // Visits up to `limit` records with keys from `from` on, in order.
  virtual void Scan(uint64_t from, size_t limit,
                    const std::function<void(uint64_t key, std::string_view value)>& visit) = 0;
  // Ends a bulk load: everything handed over, background work done where the engine can wait for
  // it.
  virtual void Finish() {}
};

// The names that MakeEngine knows, ours first:
//   alex            kv::AlexStore        rocks           kv::RocksStore
//   rocksdb         RocksDB's defaults   rocksdb-tuned   bloom filters, large buffers and cache
//   sqlite          its defaults         sqlite-tuned    WAL, synchronous=NORMAL, large cache
//   lmdb            NOSYNC               lmdb-writemap   NOSYNC, WRITEMAP
std::vector<std::string> EngineNames();

// Whether an engine is made for Put, which goes to the log of each without a sync, or for
// PutDurably. Only our stores ask: they sync either everything or nothing.
enum class Durability { kWritten, kOnDisk };
std::unique_ptr<Engine> MakeEngine(const std::string& name, const std::string& folder,
                                   Durability durability = Durability::kWritten);

std::unique_ptr<Engine> MakeStoreEngine(const std::string& name, const std::string& folder,
                                        Durability durability);
std::unique_ptr<Engine> MakeRocksDbEngine(bool tuned, const std::string& folder);
std::unique_ptr<Engine> MakeSqliteEngine(bool tuned, const std::string& folder);
std::unique_ptr<Engine> MakeLmdbEngine(bool write_map, const std::string& folder);

}  // namespace tsdbd::benchmark
