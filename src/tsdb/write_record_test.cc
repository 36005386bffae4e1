#include "tsdb/write_record.h"

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "common/hex_dump_testing.h"
#include "tsdb/head.h"

namespace tsdbd::tsdb {
namespace {

// Collects what it is shown as text.
class Collector : public WriteRecordVisitor {
 public:
  void OnDefinition(const GroupDefinition& definition) override {
    columns_[definition.reference] = definition.column_values.size();
    std::string labels;
    for (const model::LabelView& label : definition.labels) {
      labels += fmt::format("{}={} ", label.name, label.value);
    }
    seen.push_back(fmt::format("define {}: {}{}={}", definition.reference, labels,
                               definition.column_label, fmt::join(definition.column_values, "|")));
  }
  size_t ColumnCount(uint32_t reference) override { return columns_[reference]; }
  void OnRow(uint32_t reference, model::Timestamp timestamp, const double* values) override {
    std::string row = fmt::format("row {} @{}:", reference, timestamp);
    for (size_t i = 0; i < columns_[reference]; ++i) {
      row += fmt::format(" {:x}", std::bit_cast<uint64_t>(values[i]));
    }
    seen.push_back(row);
  }

  std::vector<std::string> seen;

 private:
  std::map<uint32_t, size_t> columns_;
};

class WriteRecordTest : public testing::Test {
 protected:
  Group* MakeGroup(uint32_t reference, const model::LabelViews& labels,
                   const std::vector<std::string>& columns) {
    Group* group = head_.FindOrCreate(labels, "__name__", columns);
    group->wal_reference = (uint64_t{1} << 32) | reference;
    return group;
  }

  Head head_;
};

TEST_F(WriteRecordTest, DefinitionsAndRowsComeBack) {
  Group* wide = MakeGroup(7, {{"host", "a"}}, {"x", "y", "z"});
  Group* narrow = MakeGroup(3, {}, {"n"});
  std::string record;
  const std::vector<Group*> definitions = {wide, narrow};
  WriteRecordEncoder encoder(definitions, 3, &record);
  const std::vector<double> values = {0.0, -0.0, std::nan("")};
  const double one = 58;
  encoder.AddRow(*wide, 1'000, values.data());
  encoder.AddRow(*narrow, 0, &one);
  encoder.AddRow(*narrow, std::numeric_limits<int64_t>::max(), &one);
  encoder.Finish();
  Collector collector;
  ASSERT_TRUE(DecodeWriteRecord(record, &collector).ok());
  EXPECT_EQ(collector.seen,
            (std::vector<std::string>{"define 7: host=a __name__=x|y|z", "define 3: __name__=n",
                                      "row 7 @1000: 0 8000000000000000 7ff8000000000000",
                                      "row 3 @0: 404d000000000000",
                                      "row 3 @9223372036854775807: 404d000000000000"}));
}

TEST_F(WriteRecordTest, ThePageShowsTheBytesThatAreWritten) {
  const std::vector<Group*> definitions = {
      MakeGroup(0, {{"host", "a"}}, {"cpu_user", "cpu_system"}), MakeGroup(1, {}, {"up"})};
  std::string record;
  WriteRecordEncoder encoder(definitions, 2, &record);
  const double cpu[] = {58, 1.5};
  const double up[] = {1};
  encoder.AddRow(*definitions[0], 1'700'000'000'000'000'000, cpu);
  encoder.AddRow(*definitions[1], 1'700'000'000'000'000'000, up);
  encoder.Finish();
  const std::string written = HexDump(record);
  EXPECT_TRUE(HexDumpInDocument("write-record.md") == written) << "the page should show\n"
                                                               << written;
}

TEST_F(WriteRecordTest, SmallIntegersTakeTwoOrThreeBytes) {
  Group* group = MakeGroup(0, {}, {"a", "b", "c", "d"});
  std::string record;
  WriteRecordEncoder encoder({}, 1, &record);
  const double values[] = {58, 99, 0, 1};
  encoder.AddRow(*group, 0, values);
  encoder.Finish();
  // Version, two counts, reference, timestamp; two control bytes; 2 + 3 + 0 + 2 bytes of values.
  EXPECT_EQ(record.size(), 3 + 2 + 2 + 7u);
}

TEST_F(WriteRecordTest, EveryBitPatternOfADoubleComesBack) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  Group* group = MakeGroup(0, {}, {"a", "b", "c"});
  std::string record;
  const std::vector<Group*> definitions = {group};
  WriteRecordEncoder encoder(definitions, 2000, &record);
  std::vector<std::string> expected;
  for (int i = 0; i < 2000; ++i) {
    double values[3];
    std::string row = fmt::format("row 0 @{}:", i);
    for (double& value : values) {
      const uint64_t bits = random() << (random() % 64);
      value = std::bit_cast<double>(bits);
      row += fmt::format(" {:x}", bits);
    }
    encoder.AddRow(*group, i, values);
    expected.push_back(row);
  }
  encoder.Finish();
  Collector collector;
  ASSERT_TRUE(DecodeWriteRecord(record, &collector).ok());
  collector.seen.erase(collector.seen.begin());
  EXPECT_EQ(collector.seen, expected);
}

TEST_F(WriteRecordTest, ARecordCutAnywhereIsRefused) {
  Group* group = MakeGroup(0, {{"host", "a"}}, {"x", "y"});
  std::string record;
  const std::vector<Group*> definitions = {group};
  WriteRecordEncoder encoder(definitions, 2, &record);
  const double values[] = {1.25, 3};
  encoder.AddRow(*group, 1, values);
  encoder.AddRow(*group, 2, values);
  encoder.Finish();
  for (size_t size = 0; size < record.size(); ++size) {
    Collector collector;
    EXPECT_EQ(DecodeWriteRecord(record.substr(0, size), &collector).code(), StatusCode::kDataLoss)
        << size;
  }
}

TEST_F(WriteRecordTest, ARowOfAnUndefinedGroupIsRefused) {
  Group* group = MakeGroup(5, {}, {"x"});
  std::string record;
  WriteRecordEncoder encoder({}, 1, &record);
  const double value = 1;
  encoder.AddRow(*group, 1, &value);
  encoder.Finish();
  Collector collector;
  const Status status = DecodeWriteRecord(record, &collector);
  EXPECT_NE(Message(status).find("undefined group"), std::string_view::npos);
}

}  // namespace
}  // namespace tsdbd::tsdb
