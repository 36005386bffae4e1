// Whatever lies where (open buffers, sealed chunks, late rows, rows that a failed flush has set
// aside, blocks), what a selection reads at once is what its samples and labels say one by one.
#include <bit>
#include <cmath>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "tsdb/batch_testing.h"
#include "tsdb/database.h"

namespace tsdbd::tsdb {
namespace {

constexpr int64_t kSecond = kNanosPerSecond;
constexpr int64_t kPartition = 3600 * kSecond;
constexpr model::Timestamp kBegin = 100 * kPartition;

// The plain versions of ReadSteps and GetLabelValues over another set's Read and GetLabels.
class PlainSet : public model::SeriesSet {
 public:
  explicit PlainSet(const model::SeriesSet& set) : set_(set) {}
  size_t size() const override { return set_.size(); }
  void GetLabels(size_t series, model::LabelViews* labels) const override {
    set_.GetLabels(series, labels);
  }
  Status Read(size_t series, const model::TimeRange& range,
              model::SampleColumns* samples) const override {
    return set_.Read(series, range, samples);
  }

 private:
  const model::SeriesSet& set_;
};

std::vector<uint64_t> Bits(const std::vector<double>& values) {
  std::vector<uint64_t> bits;
  for (const double value : values) {
    bits.push_back(std::bit_cast<uint64_t>(value));
  }
  return bits;
}

// Series name → timestamp → bits of the value.
using Model = std::map<std::string, std::map<model::Timestamp, uint64_t>>;

class SelectionTest : public testing::Test {
 protected:
  SelectionTest() {
    DatabaseOptions options;
    options.data_dir = "/db";
    options.partition_ns = kPartition;
    options.wal.segment_bytes = 256 * 1024;
    db_ = Database::Open(&env_, options).value();
    now_ = kBegin;
  }

  size_t Random(size_t count) { return random_() % count; }

  double Value() {
    switch (Random(8)) {
      case 0:
        return model::StaleMarker();
      case 1:
        return std::bit_cast<double>(random_());
      case 2:
        return static_cast<double>(Random(1000)) / 100;
      default:
        return static_cast<double>(Random(100));
    }
  }

  void Add(const std::string& key, const std::vector<std::string>& fields, model::Timestamp t) {
    std::vector<std::pair<std::string, double>> values;
    for (const std::string& field : fields) {
      // Most fields are smooth, so that chunks come in every coding.
      smooth_[key + field] += static_cast<double>(Random(3));
      values.emplace_back(field, Random(10) == 0 ? Value() : smooth_[key + field]);
      const size_t comma = key.find(',');
      const std::string name =
          key.substr(0, comma) + "_" + field + "{" + key.substr(comma + 1) + "}";
      model_[name][t] = std::bit_cast<uint64_t>(values.back().second);
    }
    batch_.Row(key, values, t);
  }

  // Rows of all groups, mostly every 10 s, some late, some again, some missing.
  void WriteRows(size_t count) {
    for (size_t i = 0; i < count; ++i, now_ += 10 * kSecond) {
      const size_t kind = Random(100);
      const model::Timestamp jitter = kind < 20 ? static_cast<int64_t>(Random(kSecond)) : 0;
      const model::Timestamp late =
          kind == 99 ? static_cast<int64_t>(Random(static_cast<size_t>(now_ - kBegin + 1))) : 0;
      Add("regular,host=a,region=x", {"one"}, now_);
      Add("wide,host=a,region=x", {"one", "two", "three"}, now_ + jitter);
      Add("wide,host=b", {"one", "two", "three"}, now_ - late);
      if (kind % 10 == 0) {
        Add("wide,host=b", {"two"}, now_ + 5 * static_cast<int64_t>(Random(2)) * kSecond);
      }
      if (kind > 50) {
        Add("rare,host=c,region=y", {"one"}, now_ + jitter);
      }
      EXPECT_EQ(db_->Write(batch_.batch(), WriteMode::kPartial).rows_refused, 0u);
      batch_.Clear();
    }
  }

  // Leaves what the head holds as rows that are set aside.
  void FailToFlush() {
    env_.Inject({.operation = FileOperation::kRename, .times = 1000, .path_part = "blocks"});
    EXPECT_FALSE(db_->Flush().ok());
    env_.ClearFaults();
  }

  void CheckSamples(const model::SeriesSet& set, const model::TimeRange& range) {
    model::SampleColumns samples = {{1, 2, 3}, {1, 2, 3}};  // to be replaced
    model::LabelViews labels;
    for (size_t series = 0; series < set.size(); ++series) {
      set.GetLabels(series, &labels);
      ASSERT_TRUE(set.Read(series, range, &samples).ok());
      std::map<model::Timestamp, uint64_t> expected = model_[SeriesName(labels)];
      std::erase_if(expected, [&](const auto& each) { return !range.Contains(each.first); });
      ASSERT_EQ(samples.size(), expected.size()) << SeriesName(labels);
      size_t i = 0;
      for (const auto& [timestamp, bits] : expected) {
        EXPECT_EQ(samples.timestamps[i], timestamp);
        EXPECT_EQ(std::bit_cast<uint64_t>(samples.values[i++]), bits);
      }
    }
  }

  static void CheckSteps(const model::SeriesSet& set, const model::StepTimes& times) {
    SCOPED_TRACE(fmt::format("first {} step {} count {} window {}", times.first, times.step_ns,
                             times.count, times.window_ns));
    std::vector<double> found(set.size() * times.count, 1);
    std::vector<double> expected(set.size() * times.count, 2);
    const size_t half = set.size() / 2;
    ASSERT_TRUE(set.ReadSteps(0, half, times, found.data()).ok());
    ASSERT_TRUE(
        set.ReadSteps(half, set.size() - half, times, found.data() + half * times.count).ok());
    ASSERT_TRUE(PlainSet(set).ReadSteps(0, set.size(), times, expected.data()).ok());
    EXPECT_EQ(Bits(found), Bits(expected));
  }

  // What ReadEdges promises, against all samples. Counts those that it left out.
  void CheckEdges(const model::SeriesSet& set, const model::EdgeRequest& request) {
    const model::StepTimes& times = request.windows;
    SCOPED_TRACE(fmt::format("first {} step {} count {} window {}, falls {}", times.first,
                             times.step_ns, times.count, times.window_ns, request.with_falls));
    model::SampleColumns all;
    model::EdgeSamples edges = {.columns = {{1}, {1}}, .ordinals = {1}};  // to be replaced
    for (size_t series = 0; series < set.size(); ++series) {
      ASSERT_TRUE(set.Read(series, times.Range(), &all).ok());
      ASSERT_TRUE(set.ReadEdges(series, request, &edges).ok());
      ASSERT_EQ(edges.ordinals.size(), edges.columns.size());
      samples_left_out_ += all.size() - edges.columns.size();
      std::vector<bool> is_there(all.size());
      for (size_t i = 0; i < edges.columns.size(); ++i) {
        const uint32_t ordinal = edges.ordinals[i];
        ASSERT_LT(ordinal, all.size());
        ASSERT_TRUE(i == 0 || ordinal > edges.ordinals[i - 1]);
        ASSERT_EQ(edges.columns.timestamps[i], all.timestamps[ordinal]);
        ASSERT_EQ(std::bit_cast<uint64_t>(edges.columns.values[i]),
                  std::bit_cast<uint64_t>(all.values[ordinal]));
        is_there[ordinal] = true;
      }
      std::vector<size_t> kept;  // the samples that are no staleness markers
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_TRUE(is_there[i] || !std::isnan(all.values[i]));
        if (!model::IsStaleMarker(all.values[i])) {
          kept.push_back(i);
        }
      }
      for (size_t i = 1; request.with_falls && i < kept.size(); ++i) {
        const bool falls = all.values[kept[i]] < all.values[kept[i - 1]];
        ASSERT_TRUE(!falls || (is_there[kept[i]] && is_there[kept[i - 1]])) << kept[i];
      }
      for (size_t step = 0; step < times.count; ++step) {
        const model::TimeRange window = times.Window(times.At(step));
        const auto first =
            std::ranges::find_if(kept, [&](size_t i) { return all.timestamps[i] >= window.min; });
        const auto last = std::find_if(kept.rbegin(), kept.rend(),
                                       [&](size_t i) { return all.timestamps[i] <= window.max; });
        if (first != kept.end() && last != kept.rend() && *first <= *last) {
          ASSERT_TRUE(is_there[*first] && is_there[*last]) << "step " << step;
        }
      }
    }
  }

  static void CheckLabels(const model::SeriesSet& set) {
    for (const std::string_view name : {"__name__", "host", "region", "none"}) {
      std::vector<std::string_view> found(set.size(), "?");
      std::vector<std::string_view> expected(set.size());
      set.GetLabelValues(name, 0, set.size(), found.data());
      PlainSet(set).GetLabelValues(name, 0, set.size(), expected.data());
      EXPECT_EQ(found, expected) << name;
    }
  }

  void Check() {
    constexpr int64_t kSteps[] = {
        0, 1, kSecond, 7 * kSecond, 10 * kSecond, 60 * kSecond, 3600 * kSecond};
    constexpr int64_t kWindows[] = {0, 1, 10 * kSecond, 300 * kSecond, 100'000 * kSecond};
    for (int i = 0; i < 40; ++i) {
      const auto span = static_cast<size_t>(now_ - kBegin + 1000 * kSecond);
      model::Timestamp first = kBegin - 500 * kSecond + static_cast<int64_t>(Random(span));
      if (i % 2 == 0) {
        first -= first % kSecond;  // so that samples lie at the ends of windows
      }
      const model::StepTimes times = {.first = first,
                                      .step_ns = kSteps[Random(std::size(kSteps))],
                                      .count = Random(2) == 0 ? 1 : Random(500),
                                      .window_ns = kWindows[Random(std::size(kWindows))]};
      const auto set = db_->Select({.matchers = {}, .range = times.Range()});
      ASSERT_TRUE(set.ok()) << set.status();
      CheckSteps(**set, times);
      CheckLabels(**set);
      CheckEdges(**set, {.windows = times, .with_falls = Random(2) == 0});
      if (times.Range().min <= times.Range().max) {
        CheckSamples(**set, times.Range());
      }
    }
    EXPECT_FALSE(HasFailure());
  }

  const uint64_t seed_ = std::random_device()();
  std::mt19937_64 random_{seed_};
  testing::ScopedTrace trace_{__FILE__, __LINE__, "seed " + std::to_string(seed_)};
  FaultEnv env_;
  std::unique_ptr<Database> db_;
  BatchBuilder batch_;
  Model model_;
  std::map<std::string, double> smooth_;
  size_t samples_left_out_ = 0;
  model::Timestamp now_ = 0;
};

TEST_F(SelectionTest, StepsAndLabelsAreThoseOfTheSamplesWhereverTheseLie) {
  Check();
  WriteRows(3);
  Check();
  WriteRows(400);
  Check();
  ASSERT_TRUE(db_->Flush().ok());
  Check();
  WriteRows(400);
  ASSERT_TRUE(db_->Flush().ok());
  WriteRows(100);
  Check();
  FailToFlush();
  Check();
  WriteRows(100);
  Check();
  ASSERT_TRUE(db_->Flush().ok());
  Check();
}

TEST_F(SelectionTest, SingleStepsReachIntoBlocksOfManyChunks) {
  for (int row = 0; row < 6000; ++row, now_ += kSecond / 2) {
    Add("dense,host=a", {"one"}, now_);
    if (row % 500 == 499) {
      db_->Write(batch_.batch(), WriteMode::kPartial);
      batch_.Clear();
    }
  }
  ASSERT_TRUE(db_->Flush().ok());
  Check();
}

TEST_F(SelectionTest, EdgesOfWindowsLeaveOutWhatNoFunctionOfThemLooksAt) {
  double counter = 0;
  size_t stale_rows = 0;
  for (int row = 0; row < 9000; ++row, now_ += kSecond) {
    counter = Random(700) == 0 ? 0 : counter + static_cast<double>(Random(5));
    stale_rows = Random(2000) == 0 ? 1 + Random(300) : stale_rows - (stale_rows > 0 ? 1 : 0);
    const double quiet = stale_rows > 0 ? model::StaleMarker() : 5;
    const model::Timestamp late = Random(3000) == 0 ? 100 * kSecond : 0;
    batch_.Row("clean,host=a", {{"counter", counter}, {"quiet", quiet}}, now_ - late);
    if (row % 500 == 499) {
      db_->Write(batch_.batch(), WriteMode::kPartial);
      batch_.Clear();
    }
    if (row % 4000 == 3999) {
      ASSERT_TRUE(db_->Flush().ok());
    }
  }
  for (int round = 0; round < 200; ++round) {
    const int64_t step = static_cast<int64_t>(1 + Random(4000)) * kSecond;
    const model::StepTimes times = {
        .first = kBegin + static_cast<int64_t>(Random(2000)) * kSecond / 2,
        .step_ns = step,
        .count = 1 + static_cast<size_t>(9000 * kSecond / step),
        .window_ns = Random(3) == 0 ? static_cast<int64_t>(Random(5000)) * kSecond : step};
    const auto set = db_->Select({.matchers = {}, .range = times.Range()});
    ASSERT_TRUE(set.ok());
    CheckEdges(**set, {.windows = times, .with_falls = round % 2 == 0});
  }
  EXPECT_GT(samples_left_out_, 200'000u);
}

TEST_F(SelectionTest, StepsMayLieBeyondTheEndsOfTime) {
  WriteRows(100);
  constexpr model::Timestamp kEnd = std::numeric_limits<model::Timestamp>::max();
  const auto set = db_->Select({});
  ASSERT_TRUE(set.ok());
  for (const model::StepTimes& times :
       {model::StepTimes{.first = -kEnd, .step_ns = kEnd, .count = 4, .window_ns = kEnd},
        model::StepTimes{.first = 0, .step_ns = kEnd / 3, .count = 9, .window_ns = kSecond},
        model::StepTimes{.first = now_, .step_ns = kEnd, .count = 2, .window_ns = kEnd},
        model::StepTimes{.first = kEnd, .step_ns = 1, .count = 2, .window_ns = kEnd},
        model::StepTimes{.first = -5, .step_ns = 1, .count = 3, .window_ns = 5},
        model::StepTimes{.first = now_, .step_ns = 1, .count = 0, .window_ns = 5}}) {
    CheckSteps(**set, times);
  }
}

}  // namespace
}  // namespace tsdbd::tsdb
