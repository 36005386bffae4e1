#pragma once
// The little of InfluxQL that InfluxDB 1.x clients send before they write: CREATE DATABASE, SHOW
// DATABASES, SHOW RETENTION POLICIES. Everything else parses as kOther: queries are PromQL.
// Pure functions.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tsdbd::server {

struct InfluxStatement {
  enum class Kind { kCreateDatabase, kShowDatabases, kShowRetentionPolicies, kOther };
  Kind kind = Kind::kOther;
  std::string database;     // of CREATE DATABASE x and SHOW RETENTION POLICIES ON x
  bool has_policy = false;  // CREATE DATABASE x WITH …: retention, which is ours to decide
};

// `text` holds statements separated by semicolons. kInvalidArgument, worded as InfluxDB does, for
// an empty text, an unclosed quote, and a known statement that goes wrong.
StatusOr<std::vector<InfluxStatement>> ParseInfluxStatements(std::string_view text);

// "0s", "168h0m0s": a duration as InfluxDB prints it.
std::string InfluxDuration(int64_t nanos);

// One statement's part of an answer. Statements that only do something have no columns.
struct InfluxResult {
  std::string error;
  std::string warning;
  std::string series_name;
  std::vector<std::string> columns;
  // Cells as JSON.
  std::vector<std::vector<std::string>> rows;
};

// {"results":[{"statement_id":0,"series":[{"name":…,"columns":[…],"values":[[…]]}]}]}
std::string InfluxAnswer(const std::vector<InfluxResult>& results);

}  // namespace tsdbd::server
