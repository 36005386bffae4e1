#include "index/series_index.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace tsdbd::index {
namespace {

using Labels = std::map<std::string, std::string>;

// Groups over a LabelStore, and what brute force says about them.
class SeriesIndexTest : public testing::Test {
 protected:
  ~SeriesIndexTest() override {
    for (Entry& entry : entries_) {
      if (entry.is_live) {
        Remove(&entry);
      }
    }
  }

  struct Entry {
    IndexedGroup group;
    std::vector<LabelPair*> pairs;
    Labels labels;
    std::vector<std::string> columns;
    bool is_live = true;
  };

  Entry* Add(const Labels& labels, const std::vector<std::string>& columns,
             const std::string& column_label = "__name__") {
    Entry& entry = entries_.emplace_back();
    entry.labels = labels;
    entry.columns = columns;
    for (const auto& [name, value] : labels) {
      entry.pairs.push_back(store_.InternPair(name, value));
    }
    entry.group.labels = entry.pairs.data();
    entry.group.label_count = static_cast<uint32_t>(entry.pairs.size());
    entry.group.schema = store_.InternSchema(column_label, columns);
    index_.Add(&entry.group);
    return &entry;
  }
  void Remove(Entry* entry) {
    index_.Remove(&entry->group);
    for (LabelPair* pair : entry->pairs) {
      store_.Release(pair);
    }
    store_.Release(entry->group.schema);
    entry->is_live = false;
  }

  // Group address and column of all that match.
  using Found = std::set<std::pair<const IndexedGroup*, uint32_t>>;
  Found Select(const std::vector<model::Matcher>& matchers) {
    Found found;
    const StatusOr<SelectedGroups> selected = index_.Select(matchers, 0);
    EXPECT_TRUE(selected.ok());
    for (const SelectedGroups::Entry& entry : selected->groups) {
      for (const uint32_t column : selected->columns[entry.columns].columns) {
        found.emplace(entry.group, column);
      }
    }
    EXPECT_EQ(found.size(), selected->series_count);
    return found;
  }
  Found BruteForce(const std::vector<model::Matcher>& matchers) {
    Found found;
    for (const Entry& entry : entries_) {
      for (uint32_t column = 0; entry.is_live && column < entry.columns.size(); ++column) {
        Labels labels = entry.labels;
        labels[entry.group.schema->column_label] = entry.columns[column];
        if (std::ranges::all_of(matchers, [&](const model::Matcher& matcher) {
              return matcher.Matches(labels[matcher.name()]);
            })) {
          found.emplace(&entry.group, column);
        }
      }
    }
    return found;
  }

  EpochGate gate_;
  LabelStore store_{&gate_};
  SeriesIndex index_{&store_};
  std::deque<Entry> entries_;
};

TEST_F(SeriesIndexTest, SelectsAsBruteForceDoesWhileGroupsComeAndGo) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto value = [&](int count) {
    return std::string(1, static_cast<char>('a' + random() % count));
  };
  const std::vector<std::string> patterns = {"", "a", "b", "a|b", "[a-c]", ".*", ".+", "z", "a?"};
  for (int step = 0; step < 400; ++step) {
    Labels labels;
    for (const char* name : {"host", "dc", "__name__"}) {
      if (random() % 3 != 0) {
        labels[name] = value(5);
      }
    }
    // A label may tell columns apart in one group and be an own label of another.
    const bool by_field = labels.contains("__name__");
    Add(labels,
        random() % 2 == 0 ? std::vector<std::string>{value(4)}
                          : std::vector<std::string>{"a", "b", "c"},
        by_field ? "__field__" : "__name__");
    if (random() % 3 == 0) {
      Entry& victim = entries_[random() % entries_.size()];
      if (victim.is_live) {
        Remove(&victim);
      }
    }
    std::vector<model::Matcher> matchers;
    for (size_t i = 0, count = random() % 4; i < count; ++i) {
      const std::vector<std::string> names = {"host", "dc", "__name__", "__field__", "nolabel"};
      matchers.push_back(*model::Matcher::Create(static_cast<model::MatchType>(random() % 4),
                                                 names[random() % names.size()],
                                                 patterns[random() % patterns.size()]));
    }
    ASSERT_EQ(Select(matchers), BruteForce(matchers)) << "step " << step;
  }
}

TEST_F(SeriesIndexTest, LabelNamesAndValuesAreThoseOfLivingGroups) {
  Add({{"host", "a"}}, {"cpu"});
  Entry* gone = Add({{"host", "b"}, {"rack", "1"}}, {"mem"});
  EXPECT_EQ(*index_.LabelNames({}), (std::vector<std::string>{"__name__", "host", "rack"}));
  EXPECT_EQ(*index_.LabelValues("host", {}), (std::vector<std::string>{"a", "b"}));
  Remove(gone);
  EXPECT_EQ(*index_.LabelNames({}), (std::vector<std::string>{"__name__", "host"}));
  EXPECT_EQ(*index_.LabelValues("host", {}), std::vector<std::string>{"a"});
  EXPECT_EQ(*index_.LabelValues("__name__", {}), std::vector<std::string>{"cpu"});
  EXPECT_EQ(store_.pair_count(), 1u);
}

// Whoever adds a group finds it, also while another thread is moving the queue to the postings.
TEST_F(SeriesIndexTest, AGroupIsFoundAtOnceWhileTheQueueIsBeingApplied) {
  std::atomic<bool> stop = false;
  std::thread applier([&] {
    while (!stop) {
      index_.ApplyPending();
    }
  });
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const std::string host = "h" + std::to_string(i);
    Entry* entry = Add({{"host", host}}, {"cpu"});
    const auto found = Select({*model::Matcher::Create(model::MatchType::kEqual, "host", host)});
    EXPECT_EQ(found, (Found{{&entry->group, 0}})) << host;
  }
  stop = true;
  applier.join();
}

TEST_F(SeriesIndexTest, MoreSeriesThanTheLimitAreRefused) {
  Add({{"host", "a"}}, {"x", "y"});
  EXPECT_TRUE(index_.Select({}, 2).ok());
  EXPECT_EQ(index_.Select({}, 1).status().code(), StatusCode::kResourceExhausted);
}

TEST(GroupTableTest, GroupsThatShareASeriesAreReported) {
  EpochGate gate;
  LabelStore store(&gate);
  GroupTable table;
  std::deque<IndexedGroup> groups;
  std::vector<IndexedGroup*> overlapping;
  const auto find_or_create = [&](const std::vector<std::string>& columns) {
    overlapping.clear();
    Schema* schema = store.InternSchema("__name__", columns);
    return table.FindOrCreate(
        schema, {}, 0,
        [&] {
          IndexedGroup& group = groups.emplace_back();
          group.schema = schema;
          return &group;
        },
        &overlapping);
  };
  IndexedGroup* ab = find_or_create({"a", "b"});
  EXPECT_TRUE(overlapping.empty());
  EXPECT_EQ(find_or_create({"a", "b"}), ab);
  IndexedGroup* bc = find_or_create({"b", "c"});
  EXPECT_EQ(overlapping, std::vector<IndexedGroup*>{ab});
  find_or_create({"d"});
  EXPECT_TRUE(overlapping.empty());
  EXPECT_EQ(table.series_count(), 4u);
  table.Erase(ab);
  EXPECT_EQ(find_or_create({"b", "c"}), bc) << "found although another had registered first";
  find_or_create({"a"});
  EXPECT_TRUE(overlapping.empty());
}

}  // namespace
}  // namespace tsdbd::index
