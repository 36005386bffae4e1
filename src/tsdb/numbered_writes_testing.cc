#include "tsdb/numbered_writes_testing.h"

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tsdbd::tsdb {
namespace {

constexpr int64_t kPartitionSeconds = 100;

struct NumberedRow {
  std::string key;
  std::vector<std::string> fields;
  int64_t second = 0;
};

std::vector<NumberedRow> RowsOf(uint64_t number) {
  const auto second = static_cast<int64_t>(number) % kPartitionSeconds;
  return {{"own,n=" + std::to_string(number), {"v"}, second},
          {"m,h=a", {"a", "b"}, second},
          {"m,h=a", {"a"}, std::max<int64_t>(second - 1, 0)},
          {"m,h=b", {"a"}, kPartitionSeconds + second},
          {"m,h=b", {"a"}, 2 * kPartitionSeconds + second}};
}

// "m,h=a" and "b" → "m_b{h=a}".
std::string SeriesNameOf(const std::string& key, const std::string& field) {
  const size_t comma = key.find(',');
  return key.substr(0, comma) + "_" + field + "{" + key.substr(comma + 1) + "}";
}

}  // namespace

DatabaseOptions SmallDatabase() {
  DatabaseOptions options;
  options.data_dir = "/db";
  options.partition_ns = kPartitionSeconds * kNanosPerSecond;
  options.wal.segment_bytes = 32 * 1024;
  options.compacts_by_itself = false;  // the tests count steps and files
  return options;
}

WriteNumbers FirstWrites(uint64_t count) {
  WriteNumbers writes;
  for (uint64_t number = 1; number <= count; ++number) {
    writes.insert(number);
  }
  return writes;
}

Contents ContentsOf(const WriteNumbers& writes) {
  Contents contents;
  for (const uint64_t number : writes) {
    for (const NumberedRow& row : RowsOf(number)) {
      for (const std::string& field : row.fields) {
        contents[SeriesNameOf(row.key, field)][row.second * kNanosPerSecond] =
            static_cast<double>(number);
      }
    }
  }
  return contents;
}

std::string Difference(const Contents& found, const Contents& expected) {
  std::string difference;
  const auto list = [&](const Contents& from, const Contents& without, std::string_view what) {
    for (const auto& [series, samples] : from) {
      const auto other = without.find(series);
      for (const auto& [timestamp, value] : samples) {
        const bool is_there = other != without.end() && other->second.contains(timestamp) &&
                              other->second.at(timestamp) == value;
        if (!is_there) {
          difference += fmt::format("{} {} at {} ns: {}\n", what, series, timestamp, value);
        }
      }
    }
  };
  list(expected, found, "missing");
  list(found, expected, "unexpected");
  return difference;
}

WriteNumbers WritesIn(const Contents& contents) {
  WriteNumbers writes;
  for (const auto& [series, samples] : contents) {
    for (const auto& [timestamp, value] : samples) {
      writes.insert(static_cast<uint64_t>(value));
    }
  }
  return writes;
}

Status NumberedWrites::Next(Database* db) {
  const uint64_t number = ++sent_;
  BatchBuilder batch;
  for (const NumberedRow& row : RowsOf(number)) {
    std::vector<std::pair<std::string, double>> fields;
    for (const std::string& field : row.fields) {
      fields.emplace_back(field, static_cast<double>(number));
    }
    batch.Row(row.key, fields, row.second * kNanosPerSecond);
  }
  const Status status = db->Write(batch.batch(), WriteMode::kPartial).status;
  if (status.ok()) {
    acknowledged_.insert(number);
  }
  return status;
}

void NumberedWrites::MustSend(Database* db, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const Status status = Next(db);
    ASSERT_TRUE(status.ok()) << status;
  }
}

bool NumberedWrites::Resume(Database* db, int64_t limit_ms) {
  const int64_t deadline_ns = MonotonicNanos() + limit_ms * kNanosPerMilli;
  while (MonotonicNanos() < deadline_ns) {
    if (Next(db).ok()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

void NumberedWrites::Check(const Database& db) const {
  const Contents contents = ReadAll(db);
  const WriteNumbers found = WritesIn(contents);
  EXPECT_TRUE(std::ranges::includes(found, acknowledged_))
      << "lost: " << testing::PrintToString(acknowledged_)
      << " were acknowledged, found: " << testing::PrintToString(found);
  EXPECT_LE(found.empty() ? 0 : *found.rbegin(), sent_);
  EXPECT_EQ(Difference(contents, ContentsOf(found)), "") << "a write is there in part";
}

}  // namespace tsdbd::tsdb
