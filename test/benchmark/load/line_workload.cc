#include "line_workload.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "benchmark_support.h"
#include "common/clock.h"

namespace tsdbd::benchmark {
namespace {

constexpr const char* kFieldNames[HostLines::kFields] = {
    "usage_user", "usage_system",  "usage_idle",  "usage_nice",  "usage_iowait",
    "usage_irq",  "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"};
constexpr const char* kRegions[] = {"us-east-1", "us-west-2", "eu-west-1", "eu-central-1",
                                    "ap-southeast-2"};

}  // namespace

HostLines::HostLines(uint32_t host_count) {
  for (uint32_t i = 0; i < host_count; ++i) {
    Host& host = hosts_.emplace_back();
    const char* region = kRegions[i % std::size(kRegions)];
    host.key = fmt::format(
        "cpu,hostname=host_{},region={},datacenter={}{},rack={},os=Ubuntu16.04LTS,arch=x64,team={},"
        "service={},service_version={},service_environment=production ",
        i, region, region, static_cast<char>('a' + i % 3), i % 100, i % 2 == 0 ? "SF" : "NYC",
        i % 20, i % 2);
    for (size_t field = 0; field < kFields; ++field) {
      host.levels.push_back(static_cast<double>(random_() % 100));
    }
  }
}

void HostLines::Append(size_t line_count, std::string* body) {
  auto out = std::back_inserter(*body);
  for (size_t i = 0; i < line_count; ++i) {
    Host& host = hosts_[next_];
    body->append(host.key);
    for (size_t field = 0; field < kFields; ++field) {
      double& level = host.levels[field];
      level = std::clamp(level + step_(random_), 0.0, 100.0);
      fmt::format_to(out, "{}{}={}i", field == 0 ? "" : ",", kFieldNames[field],
                     static_cast<int>(level));
    }
    fmt::format_to(out, " {}\n", time_s_ * kNanosPerSecond);
    if (++next_ == hosts_.size()) {
      next_ = 0;
      time_s_ += 10;
    }
  }
}

void AppendSensorLines(uint64_t first, size_t count, int64_t time_s, std::string* body) {
  auto out = std::back_inserter(*body);
  for (uint64_t i = first; i < first + count; ++i) {
    fmt::format_to(out, "sensor,id=s{:07},kind=temperature,site=plant-{} value={}.5 {}\n", i,
                   i % 100, i % 90, time_s * kNanosPerSecond);
  }
}

Lines::Lines() : decoder_(ingest::LineKeyDecoderOptions()) {}

const model::RowBatch& Lines::Parse(const std::string& body) {
  ingest::ParseOptions options;
  options.decoder = &decoder_;
  options.now = WallNanos();
  parser_.Parse(body, options, &batch_, &report_);
  Require(report_.error_count == 0, "a line was refused");
  return batch_;
}

}  // namespace tsdbd::benchmark
