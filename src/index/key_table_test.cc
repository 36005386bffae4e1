#include "index/key_table.h"

#include <deque>
#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "index/group_table.h"

namespace tsdbd::index {
namespace {

class KeyTableTest : public testing::Test {
 protected:
  const FieldSet* Fields(const std::vector<std::string>& names, std::string_view context = "c") {
    return table_.InternFieldSet(context, {names, model::HashFieldNames(names)});
  }
  static KeyTable::Query QueryFor(std::string_view key, const FieldSet* fields) {
    return {key, fields, KeyTable::HashOf(HashTo128(key), *fields), nullptr};
  }
  IndexedGroup* Find(std::string_view key, const FieldSet* fields) {
    KeyTable::Query query = QueryFor(key, fields);
    table_.Find({&query, 1});
    return query.group;
  }

  KeyTable table_;
  std::atomic<RawKey*> keys_ = nullptr;
  IndexedGroup group_;
  IndexedGroup other_group_;
};

TEST_F(KeyTableTest, AKeyIsFoundOnlyWithItsFieldListAndContext) {
  const FieldSet* fields = Fields({"a", "b"});
  table_.Insert(QueryFor("cpu,host=a", fields), &group_, &keys_);
  EXPECT_EQ(Find("cpu,host=a", fields), &group_);
  EXPECT_EQ(Find("cpu,host=b", fields), nullptr);
  EXPECT_EQ(Find("cpu,host=a", Fields({"b", "a"})), nullptr);
  EXPECT_EQ(Find("cpu,host=a", Fields({"a", "b"}, "other database")), nullptr);
  EXPECT_EQ(Fields({"a", "b"}), fields) << "equal lists are one";
}

TEST_F(KeyTableTest, KeysWithTheSameHashAreToldApartByTheirBytes) {
  const FieldSet* fields = Fields({"a"});
  KeyTable::Query first = QueryFor("first", fields);
  KeyTable::Query second = QueryFor("second", fields);
  second.hash = first.hash;
  table_.Insert(first, &group_, &keys_);
  table_.Find({&second, 1});
  EXPECT_EQ(second.group, nullptr);
  table_.Insert(second, &other_group_, &keys_);
  table_.Find({&first, 1});
  table_.Find({&second, 1});
  EXPECT_EQ(first.group, &group_);
  EXPECT_EQ(second.group, &other_group_);
}

TEST_F(KeyTableTest, ErasingAGroupsKeysForgetsThemAndTheirFieldLists) {
  const FieldSet* fields = Fields({"a"});
  table_.Insert(QueryFor("m,x=1,y=2", fields), &group_, &keys_);
  table_.Insert(QueryFor("m,y=2,x=1", fields), &group_, &keys_);
  table_.EraseUnusedFieldSets();
  EXPECT_EQ(Find("m,x=1,y=2", fields), &group_);
  const uint64_t before = table_.MemoryBytes();
  table_.EraseAll(keys_);
  EXPECT_EQ(Find("m,x=1,y=2", fields), nullptr);
  EXPECT_EQ(Find("m,y=2,x=1", fields), nullptr);
  EXPECT_LT(table_.MemoryBytes(), before);
  table_.EraseUnusedFieldSets();
}

TEST_F(KeyTableTest, ABatchAnswersAsAMapDoes) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const FieldSet* fields = Fields({"a"});
  std::deque<IndexedGroup> groups;
  std::map<std::string, IndexedGroup*> model;
  std::deque<std::string> names;
  for (int round = 0; round < 50; ++round) {
    std::vector<KeyTable::Query> queries;
    for (int i = 0; i < 200; ++i) {
      names.push_back("key" + std::to_string(random() % 5000));
      queries.push_back(QueryFor(names.back(), fields));
    }
    table_.Find(queries);
    for (const KeyTable::Query& query : queries) {
      const auto expected = model.find(std::string(query.key));
      ASSERT_EQ(query.group, expected == model.end() ? nullptr : expected->second) << query.key;
    }
    for (const KeyTable::Query& query : queries) {
      const auto [entry, is_new] = model.try_emplace(std::string(query.key));
      if (is_new) {
        entry->second = &groups.emplace_back();
      }
      table_.Insert(query, entry->second, &keys_);
    }
  }
}

}  // namespace
}  // namespace tsdbd::index
