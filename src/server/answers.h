#pragma once
// The shapes of answers: InfluxDB's 1.x and 2.x, Prometheus', plain text.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "http/exchange.h"
#include "model/row_batch.h"

namespace tsdbd::server {

inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kTextType = "text/plain; charset=utf-8";

http::Answer JsonAnswer(int status, std::string json);
http::Answer TextAnswer(int status, std::string text);

// {"status":"error","errorType":"bad_data","error":"…"} with the status code of the error type.
http::Answer PrometheusError(const Status& status);

// Which of InfluxDB's two dialects a write speaks.
enum class InfluxApi { kV1, kV2 };

// 1.x: {"error":"…"}; 2.x: {"code":"invalid","message":"…"}. 503 comes with Retry-After.
http::Answer InfluxError(InfluxApi api, int status, std::string_view message);

// The status code of a write that failed as a whole: 400 for bad data, 507 for a full disk, 503 for
// what may pass, 500 for the rest.
int WriteFailureStatus(const Status& status);

// What came of a write's lines.
struct LineOutcome {
  uint64_t stored = 0;
  uint64_t refused = 0;
  std::vector<model::LineError> errors;  // the first of the refused, by line
};

// The answer to a write that was carried out: 204 if no line was refused, otherwise 400:
// 1.x {"error":"partial write: <first error>
// dropped=2","stored":8,"lines":[{"line":3,"error":"…"}]} (without "partial write" and "dropped" if
// nothing was stored, as InfluxDB words it); 2.x, where nothing was stored,
// {"code":"invalid","message":"line 3: …","line":3}.
http::Answer WriteAnswer(InfluxApi api, const LineOutcome& outcome);

}  // namespace tsdbd::server
