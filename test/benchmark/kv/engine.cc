#include "engine.h"

#include "benchmark_support.h"

namespace tsdbd::benchmark {

std::vector<std::string> EngineNames() {
  return {"alex",   "rocks",        "rocksdb", "rocksdb-tuned",
          "sqlite", "sqlite-tuned", "lmdb",    "lmdb-writemap"};
}

std::unique_ptr<Engine> MakeEngine(const std::string& name, const std::string& folder,
                                   Durability durability) {
  if (name == "alex" || name == "rocks") {
    return MakeStoreEngine(name, folder, durability);
  }
  if (name == "rocksdb" || name == "rocksdb-tuned") {
    return MakeRocksDbEngine(name == "rocksdb-tuned", folder);
  }
  if (name == "sqlite" || name == "sqlite-tuned") {
    return MakeSqliteEngine(name == "sqlite-tuned", folder);
  }
  if (name == "lmdb" || name == "lmdb-writemap") {
    return MakeLmdbEngine(name == "lmdb-writemap", folder);
  }
  Require(false, "no engine is called " + name);
  return nullptr;
}

}  // namespace tsdbd::benchmark
