#include "server/cardinality.h"

#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tsdbd::server {

bool operator==(const NamedCount& a, const NamedCount& b) {
  return a.name == b.name && a.count == b.count;
}
void PrintTo(const NamedCount& count, std::ostream* out) {
  *out << count.name << ": " << count.count;
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CardinalityTest, CountsNothingWhereNothingIs) {
  EXPECT_THAT(Cardinality().SeriesByMetricName(10), IsEmpty());
  EXPECT_THAT(Cardinality().SeriesByLabelPair(10), IsEmpty());
}

TEST(CardinalityTest, NamesTheLargestFirst) {
  Cardinality cardinality;
  cardinality.Add({{"__name__", "up"}, {"host", "a"}, {"zone", "eu"}});
  cardinality.Add({{"__name__", "up"}, {"host", "bbbb"}, {"zone", "eu"}});
  cardinality.Add({{"__name__", "cpu"}, {"host", "a"}, {"zone", "eu"}});
  EXPECT_THAT(cardinality.SeriesByMetricName(10),
              ElementsAre(NamedCount{"up", 2}, NamedCount{"cpu", 1}));
  EXPECT_THAT(cardinality.SeriesByMetricName(1), ElementsAre(NamedCount{"up", 2}));
  EXPECT_THAT(cardinality.ValuesByLabelName(10),
              ElementsAre(NamedCount{"__name__", 2}, NamedCount{"host", 2}, NamedCount{"zone", 1}));
  EXPECT_THAT(cardinality.ValueBytesByLabelName(10),
              ElementsAre(NamedCount{"__name__", 5}, NamedCount{"host", 5}, NamedCount{"zone", 2}));
  EXPECT_THAT(
      cardinality.SeriesByLabelPair(3),
      ElementsAre(NamedCount{"zone=eu", 3}, NamedCount{"__name__=up", 2}, NamedCount{"host=a", 2}));
}

TEST(CardinalityTest, CountsNoMorePairsThanItMay) {
  Cardinality cardinality;
  for (size_t i = 0; i <= Cardinality::kMaxPairs; ++i) {
    const std::string value = fmt::format("{}", i);
    cardinality.Add({{"id", value}});
  }
  cardinality.Add({{"id", "0"}});
  EXPECT_THAT(cardinality.ValuesByLabelName(10),
              ElementsAre(NamedCount{"id", Cardinality::kMaxPairs}));
  EXPECT_THAT(cardinality.SeriesByLabelPair(1), ElementsAre(NamedCount{"id=0", 2}));
}

}  // namespace
}  // namespace tsdbd::server
