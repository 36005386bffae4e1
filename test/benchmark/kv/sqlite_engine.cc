// SQLite, one table with an integer primary key, prepared statements.
#include <sqlite3.h>

#include "benchmark_support.h"
#include "engine.h"

namespace tsdbd::benchmark {
namespace {

class SqliteEngine final : public Engine {
 public:
  SqliteEngine(bool tuned, const std::string& folder) : is_tuned_(tuned) {
    Check(sqlite3_open((folder + "/sqlite.db").c_str(), &db_));
    if (tuned) {
      Execute("PRAGMA journal_mode=WAL");
      Execute("PRAGMA cache_size=-1048576");  // 1 GiB
      Execute("PRAGMA mmap_size=8589934592");
    }
    SetSync(false);
    Execute("CREATE TABLE records (key INTEGER PRIMARY KEY, value BLOB NOT NULL)");
    put_ = Prepare("INSERT OR REPLACE INTO records VALUES (?, ?)");
    get_ = Prepare("SELECT value FROM records WHERE key = ?");
    scan_ = Prepare("SELECT key, value FROM records WHERE key >= ? ORDER BY key LIMIT ?");
    begin_ = Prepare("BEGIN");
    commit_ = Prepare("COMMIT");
  }
  ~SqliteEngine() override {
    for (sqlite3_stmt* statement : {put_, get_, scan_, begin_, commit_}) {
      sqlite3_finalize(statement);
    }
    sqlite3_close(db_);
  }

  void Put(uint64_t key, std::string_view value) override {
    SetSync(false);
    PutOne(key, value);
  }

  void PutDurably(std::span<const Record> records) override {
    SetSync(true);
    Run(begin_);
    for (const Record& record : records) {
      PutOne(record.key, record.value);
    }
    Run(commit_);
  }
  bool supports_threads() const override { return false; }

  std::string_view Get(uint64_t key) override {
    sqlite3_reset(get_);
    sqlite3_bind_int64(get_, 1, static_cast<int64_t>(key));
    if (sqlite3_step(get_) != SQLITE_ROW) {
      return {};
    }
    return Blob(get_, 0);
  }

  void Scan(uint64_t from, size_t limit,
            const std::function<void(uint64_t, std::string_view)>& visit) override {
    sqlite3_reset(scan_);
    sqlite3_bind_int64(scan_, 1, static_cast<int64_t>(from));
    sqlite3_bind_int64(scan_, 2, static_cast<int64_t>(limit));
    while (sqlite3_step(scan_) == SQLITE_ROW) {
      visit(static_cast<uint64_t>(sqlite3_column_int64(scan_, 0)), Blob(scan_, 1));
    }
    sqlite3_reset(scan_);
  }

 private:
  static void Check(int code) { Require(code == SQLITE_OK, sqlite3_errstr(code)); }
  static std::string_view Blob(sqlite3_stmt* row, int column) {
    return {static_cast<const char*>(sqlite3_column_blob(row, column)),
            static_cast<size_t>(sqlite3_column_bytes(row, column))};
  }

  // Untuned without syncs would still write its journal twice: that is what its defaults cost.
  void SetSync(bool durable) {
    if (is_durable_ == durable && is_set_) {
      return;
    }
    sqlite3_reset(get_);
    Execute(durable ? "PRAGMA synchronous=FULL"
                    : (is_tuned_ ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=OFF"));
    is_durable_ = durable;
    is_set_ = true;
  }
  void Execute(const char* sql) { Check(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr)); }
  sqlite3_stmt* Prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    Check(sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr));
    return statement;
  }
  static void Run(sqlite3_stmt* statement) {
    Require(sqlite3_step(statement) == SQLITE_DONE, "SQLite did not end a statement");
    sqlite3_reset(statement);
  }
  void PutOne(uint64_t key, std::string_view value) {
    sqlite3_reset(get_);
    sqlite3_bind_int64(put_, 1, static_cast<int64_t>(key));
    sqlite3_bind_blob(put_, 2, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    Run(put_);
  }

  const bool is_tuned_;
  bool is_durable_ = false;
  bool is_set_ = false;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* get_ = nullptr;
  sqlite3_stmt* scan_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
};

}  // namespace

std::unique_ptr<Engine> MakeSqliteEngine(bool tuned, const std::string& folder) {
  return std::make_unique<SqliteEngine>(tuned, folder);
}

}  // namespace tsdbd::benchmark
