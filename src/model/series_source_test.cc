#include "model/series_source.h"

#include <bit>

#include <gtest/gtest.h>

namespace tsdbd::model {
namespace {

constexpr Timestamp kEndOfTime = std::numeric_limits<Timestamp>::max();

// A set of two series, of which only Read and GetLabels are given.
class TwoSeries : public SeriesSet {
 public:
  size_t size() const override { return 2; }
  void GetLabels(size_t series, LabelViews* labels) const override {
    *labels = {{"__name__", "m"}};
    if (series == 1) {
      labels->push_back({"host", "b"});
    }
  }
  Status Read(size_t series, const TimeRange& range, SampleColumns* out) const override {
    EXPECT_LE(range.min, range.max);
    EXPECT_GE(range.min, kMinTimestamp);
    EXPECT_LE(range.max, kMaxTimestamp);
    out->Clear();
    for (size_t i = 0; i < samples[series].size(); ++i) {
      if (range.Contains(samples[series].timestamps[i])) {
        out->timestamps.push_back(samples[series].timestamps[i]);
        out->values.push_back(samples[series].values[i]);
      }
    }
    return OkStatus();
  }

  SampleColumns samples[2];
};

// 0 for the staleness marker.
std::vector<double> Steps(const TwoSeries& set, const StepTimes& times) {
  std::vector<double> values(2 * times.count, -1);
  EXPECT_TRUE(set.ReadSteps(0, 2, times, values.data()).ok());
  for (double& value : values) {
    value = IsStaleMarker(value) ? 0 : value;
  }
  return values;
}

TEST(SeriesSetTest, StepsTakeTheLatestSampleOfALeftOpenWindow) {
  TwoSeries set;
  set.samples[0] = {{10, 20, 30}, {1, 2, 3}};
  set.samples[1] = {{15, 30}, {7, 8}};
  EXPECT_EQ(Steps(set, {.first = 9, .step_ns = 5, .count = 6, .window_ns = 5}),
            (std::vector<double>{0, 1, 0, 2, 0, 3, 0, 0, 7, 0, 0, 8}))
      << "at 9, 14, 19, 24, 29, 34";
  EXPECT_EQ(Steps(set, {.first = 10, .step_ns = 5, .count = 3, .window_ns = 5}),
            (std::vector<double>{1, 0, 2, 0, 7, 0}))
      << "a sample at the moment is in the window, one at its begin is not";
}

TEST(SeriesSetTest, AStalenessMarkerHidesWhatIsBeforeIt) {
  TwoSeries set;
  set.samples[0] = {{10, 20, 30}, {1, StaleMarker(), 3}};
  EXPECT_EQ(Steps(set, {.first = 10, .step_ns = 10, .count = 3, .window_ns = 100}),
            (std::vector<double>{1, 0, 3, 0, 0, 0}));
}

TEST(SeriesSetTest, ValuesComeBitForBit) {
  TwoSeries set;
  const auto other_nan = std::bit_cast<double>(uint64_t{0x7FF0000000000003});
  set.samples[0] = {{1, 2}, {-0.0, other_nan}};
  double values[2];
  ASSERT_TRUE(
      set.ReadSteps(0, 1, {.first = 1, .step_ns = 1, .count = 2, .window_ns = 1}, values).ok());
  EXPECT_EQ(std::bit_cast<uint64_t>(values[0]), std::bit_cast<uint64_t>(-0.0));
  EXPECT_EQ(std::bit_cast<uint64_t>(values[1]), std::bit_cast<uint64_t>(other_nan));
}

TEST(SeriesSetTest, StepsMayLieBeyondTheEndsOfTime) {
  TwoSeries set;
  set.samples[0] = {{0, 5, kMaxTimestamp}, {1, 2, 3}};
  EXPECT_EQ(Steps(set, {.first = -kEndOfTime, .step_ns = 10, .count = 2, .window_ns = 100}),
            (std::vector<double>{0, 0, 0, 0}));
  EXPECT_EQ(Steps(set, {.first = -2, .step_ns = 4, .count = 3, .window_ns = kEndOfTime}),
            (std::vector<double>{0, 1, 2, 0, 0, 0}));
  EXPECT_EQ(Steps(set, {.first = 5, .step_ns = kEndOfTime, .count = 3, .window_ns = 10}),
            (std::vector<double>{2, 3, 3, 0, 0, 0}));
  EXPECT_EQ(Steps(set, {.first = 5, .step_ns = 0, .count = 2, .window_ns = 0}),
            (std::vector<double>{0, 0, 0, 0}));
  EXPECT_TRUE(Steps(set, {.first = 5, .step_ns = 1, .count = 0, .window_ns = 10}).empty());
}

TEST(SeriesSetTest, LabelValuesAreEmptyWhereThereIsNoSuchLabel) {
  const TwoSeries set;
  std::string_view values[2] = {"x", "x"};
  set.GetLabelValues("host", 0, 2, values);
  EXPECT_EQ(values[0], "");
  EXPECT_EQ(values[1], "b");
  set.GetLabelValues("__name__", 1, 1, values);
  EXPECT_EQ(values[0], "m");
}

}  // namespace
}  // namespace tsdbd::model
