// What commands do where records cannot be read, and that those which need no values do not ask for
// them.

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/redis_fixture.h"

namespace tsdbd::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A MemoryStore some of whose records are damaged until they are overwritten or deleted.
class DamagedStore final : public kv::Store {
 public:
  void Damage(std::string key) { damaged_.insert(std::move(key)); }
  // Scans that asked for values.
  int value_scans() const { return value_scans_; }

  Status Write(const kv::WriteBatch& batch, Done done, uint64_t* version) override {
    Repair(batch);
    return store_.Write(batch, std::move(done), version);
  }
  Status Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) override {
    RETURN_IF_ERROR(Check(key));
    const auto edit_and_repair = [&](const kv::Entry* current, kv::WriteBatch* batch) {
      edit(current, batch);
      Repair(*batch);
    };
    return store_.Update(key, edit_and_repair, std::move(done), version);
  }
  std::unique_ptr<kv::ReadView> Read(kv::Consistency consistency) override {
    return std::make_unique<View>(this, store_.Read(consistency));
  }
  Status Sync() override { return store_.Sync(); }
  Status Clear() override { return store_.Clear(); }
  Status Compact() override { return store_.Compact(); }
  Status Close() override { return store_.Close(); }
  kv::StoreStats stats() const override { return store_.stats(); }
  bool is_ordered() const override { return store_.is_ordered(); }
  bool may_block() const override { return store_.may_block(); }

 private:
  class View final : public kv::ReadView {
   public:
    View(DamagedStore* store, std::unique_ptr<kv::ReadView> view)
        : store_(store), view_(std::move(view)) {}

    Status Get(std::string_view key, kv::Entry* entry) override {
      RETURN_IF_ERROR(store_->Check(key));
      return view_->Get(key, entry);
    }
    void GetMany(std::span<const std::string_view> keys, std::span<kv::Entry> entries,
                 std::span<Status> statuses) override {
      for (size_t i = 0; i < keys.size(); ++i) {
        statuses[i] = Get(keys[i], &entries[i]);
      }
    }
    Status Scan(const kv::ScanRange& range, const kv::EntryVisitor& visitor,
                std::string* cursor) override {
      store_->value_scans_ += range.keys_only ? 0 : 1;
      return view_->Scan(range, visitor, cursor);
    }

   private:
    DamagedStore* const store_;
    const std::unique_ptr<kv::ReadView> view_;
  };

  Status Check(std::string_view key) const {
    return damaged_.contains(key) ? DataLoss("the record of {} is damaged", key) : OkStatus();
  }
  void Repair(const kv::WriteBatch& batch) {
    for (const kv::WriteBatch::Operation& operation : batch.operations()) {
      damaged_.erase(std::string(operation.key));
    }
  }

  MemoryStore store_;
  std::set<std::string, std::less<>> damaged_;
  int value_scans_ = 0;
};

class OneDatabase final : public RedisDatabases {
 public:
  explicit OneDatabase(std::shared_ptr<kv::Store> store) : store_(std::move(store)) {}
  size_t count() const override { return 1; }
  RedisDatabase Find(size_t) override { return {store_, 0}; }
  StatusOr<RedisDatabase> Open(size_t) override { return RedisDatabase{store_, 0}; }

 private:
  const std::shared_ptr<kv::Store> store_;
};

class RedisDamageTest : public RedisFixture {
 protected:
  RedisDamageTest() {
    session_ = damaged_service_.Connect({"127.0.0.1:1", "127.0.0.1:2"});
    Run("MSET a 1 b 2 c 3");
    damaged_->Damage("b");
  }
  ~RedisDamageTest() override { session_.reset(); }  // before its service

  const std::shared_ptr<DamagedStore> damaged_ = std::make_shared<DamagedStore>();
  OneDatabase database_{damaged_};
  RedisService damaged_service_{{}, &database_};
};

TEST_F(RedisDamageTest, ADamagedRecordIsAnErrorToReadAndGoneOnceOverwritten) {
  EXPECT_THAT(Run("GET b"), HasSubstr("the record of b is damaged"));
  EXPECT_THAT(Run("EXISTS a b"), HasSubstr("the record of b is damaged"));
  EXPECT_EQ(Run("SET b 5\nGET b"), "+OK\r\n$1\r\n5\r\n");
}

TEST_F(RedisDamageTest, CommandsThatWriteOnlyWhatIsAbsentDoNotOverwriteIt) {
  for (const std::string_view line :
       {"SETNX b 5", "SET b 5 NX", "RENAMENX a b", "MSETNX b 5 x 5", "MSETNX x 5 b 5"}) {
    EXPECT_THAT(Run(line), StartsWith("-")) << line;
    EXPECT_THAT(Run(line), HasSubstr("the record of b is damaged")) << line;
  }
  EXPECT_EQ(Run("MGET a x"), "*2\r\n$1\r\n1\r\n$-1\r\n");
  EXPECT_THAT(Run("GET b"), HasSubstr("the record of b is damaged"));
}

TEST_F(RedisDamageTest, DelRemovesItUnreadAndCountsIt) {
  EXPECT_EQ(Run("DEL b\nGET b\nDEL b"), ":1\r\n$-1\r\n:0\r\n");
}

TEST_F(RedisDamageTest, DelOfManyKeysRemovesItWhereverItStandsAmongThem) {
  EXPECT_EQ(Run("DEL a b none"), ":2\r\n");
  EXPECT_EQ(Run("MGET a b c"), "*3\r\n$-1\r\n$-1\r\n$1\r\n3\r\n");
  Run("SET b 2");
  damaged_->Damage("b");
  EXPECT_EQ(Run("DEL none c b"), ":2\r\n");
  EXPECT_EQ(Run("DBSIZE"), ":0\r\n");
  Run("SET b 2");
  damaged_->Damage("b");
  EXPECT_EQ(Run("UNLINK c b"), ":1\r\n");
  EXPECT_EQ(Run("GET b"), "$-1\r\n");
}

TEST_F(RedisDamageTest, CommandsThatNeedNoValuesDoNotScanThem) {
  Run("KEYS *\nSCAN 0\nRANDOMKEY");
  EXPECT_EQ(damaged_->value_scans(), 0);
}

}  // namespace
}  // namespace tsdbd::server
