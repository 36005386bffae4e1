#pragma once
// Deterministic line protocol for benchmarks: hosts with integer random walks in TSBS's manner, or
// series that are all new.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "ingest/line_key_decoder.h"
#include "ingest/line_protocol.h"
#include "model/row_batch.h"

namespace tsdbd::benchmark {

// 10 fields "cpu,hostname=host_17,region=eu-west-1,…(10 tags) usage_user=58i,…", each host once per
// round, a round every 10 s.
class HostLines {
 public:
  explicit HostLines(uint32_t host_count);

  // Appends `line_count` lines, going on where the last call ended.
  void Append(size_t line_count, std::string* body);
  static constexpr size_t kFields = 10;

 private:
  struct Host {
    std::string key;
    std::vector<double> levels;
  };
  std::mt19937_64 random_{42};
  std::normal_distribution<double> step_{0, 1};
  std::vector<Host> hosts_;
  size_t next_ = 0;
  int64_t time_s_ = 1'704'067'200;  // 2024-01-01
};

// "sensor,id=s000017,site=…,kind=… value=1.5 <time>": series first .. first + count - 1.
void AppendSensorLines(uint64_t first, size_t count, int64_t time_s, std::string* body);

// Parses with one reusable parser; requires that no line is refused.
class Lines {
 public:
  Lines();
  const model::RowBatch& Parse(const std::string& body);

 private:
  ingest::LineKeyDecoder decoder_;
  ingest::LineProtocolParser parser_;
  ingest::ParseReport report_;
  model::RowBatch batch_;
};

}  // namespace tsdbd::benchmark
