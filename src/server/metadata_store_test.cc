#include "server/metadata_store.h"

#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace tsdbd::server {
namespace {

TEST(MetadataStoreTest, KeepsTheNewestDescriptionOfAMetric) {
  MetadataStore store;
  EXPECT_FALSE(store.Find("up").has_value());
  ASSERT_TRUE(store.Set("up", {MetricType::kCounter, "old", ""}).ok());
  ASSERT_TRUE(store.Set("up", {MetricType::kGauge, "Whether it is up.", "bool"}).ok());
  EXPECT_EQ(store.Find("up"), (MetricMetadata{MetricType::kGauge, "Whether it is up.", "bool"}));
  EXPECT_EQ(store.List().size(), 1);
}

TEST(MetadataStoreTest, ListsByNameUpToALimit) {
  MetadataStore store;
  for (const char* name : {"c", "a", "b"}) {
    ASSERT_TRUE(store.Set(name, {}).ok());
  }
  ASSERT_EQ(store.List(2).size(), 2);
  EXPECT_EQ(store.List(2)[0].first, "a");
  EXPECT_EQ(store.List(2)[1].first, "b");
  EXPECT_TRUE(store.List(0).empty());
}

TEST(MetadataStoreTest, CutsLongTextsBetweenCharacters) {
  MetadataStore store;
  const std::string help = std::string(MetadataStore::kMaxHelpBytes - 1, 'x') + "\u00e4y";
  ASSERT_TRUE(store.Set("m", {MetricType::kGauge, help, std::string(1'000, 's')}).ok());
  EXPECT_EQ(store.Find("m")->help, std::string(MetadataStore::kMaxHelpBytes - 1, 'x'));
  EXPECT_EQ(store.Find("m")->unit.size(), MetadataStore::kMaxUnitBytes);
  // Bytes that are no UTF-8 end somewhere, too.
  ASSERT_TRUE(store.Set("m", {MetricType::kGauge, std::string(5'000, '\x80'), ""}).ok());
  EXPECT_EQ(store.Find("m")->help, "");
}

TEST(MetadataStoreTest, RefusesNamesThatAreEmptyOrTooLong) {
  MetadataStore store;
  EXPECT_EQ(store.Set("", {}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store.Set(std::string(MetadataStore::kMaxNameBytes + 1, 'n'), {}).code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(store.Set(std::string(MetadataStore::kMaxNameBytes, 'n'), {}).ok());
}

TEST(MetadataStoreTest, WhenItIsFullItStillTakesNewsOfWhatItHas) {
  MetadataStore store;
  for (size_t i = 0; i < MetadataStore::kMaxMetrics; ++i) {
    ASSERT_TRUE(store.Set(fmt::format("m{}", i), {}).ok());
  }
  EXPECT_EQ(store.Set("new", {}).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(store.Set("m0", {MetricType::kInfo, "", ""}).ok());
  EXPECT_EQ(store.Find("m0")->type, MetricType::kInfo);
  EXPECT_EQ(store.List().size(), MetadataStore::kMaxMetrics);
}

TEST(MetadataStoreTest, TypesHaveTheNamesOfPrometheus) {
  EXPECT_EQ(MetricTypeName(MetricType::kUnknown), "unknown");
  EXPECT_EQ(MetricTypeName(MetricType::kGaugeHistogram), "gaugehistogram");
  EXPECT_EQ(MetricTypeName(MetricType::kStateSet), "stateset");
  EXPECT_EQ(MetricTypeName(static_cast<MetricType>(200)), "unknown");
}

}  // namespace
}  // namespace tsdbd::server
