#pragma once
// What queries give as one line of text, and a fixture with a few series to ask for. One thread.

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "query/engine.h"
#include "query/memory_source_testing.h"
#include "query/text.h"

namespace tsdbd::query {

// "a{job=x} 1; b{} 2": in the order of the result. Rows of a range query: "a{} 1 _ 3". An error:
// its message.
std::string ResultText(const StatusOr<QueryResult>& result);

// Has the series m, n, c_total and h_bucket: see the constructor.
class EvaluationTest : public testing::Test {
 protected:
  EvaluationTest() {
    options_.parser.experimental_functions = true;
    options_.parser.duration_expressions = true;
    options_.parser.fill_modifiers = true;
    source_.Load(R"(
        m{host="a",zone="x"} 0:1 60:2 120:3
        m{host="b",zone="x"} 0:10 60:20 120:30
        m{host="c",zone="y"} 0:100 60:stale 120:300
        n{host="a"} 0:2 60:2 120:2
        n{host="b"} 0:4 60:4 120:4
        c_total{host="a"} 0:0 60:60 120:120 180:30
        h_bucket{le="1"} 0:1
        h_bucket{le="2"} 0:3
        h_bucket{le="+Inf"} 0:4)");
  }

  std::string At(double seconds, std::string_view query) {
    return ResultText(engine_.Instant(query, SecondsToNanos(seconds), options_));
  }
  // At 0, 60 and 120 seconds.
  std::string Range(std::string_view query) {
    return ResultText(
        engine_.Range(query, {0, 120 * kNanosPerSecond}, 60 * kNanosPerSecond, options_));
  }

  MemorySource source_;
  Engine engine_{&source_};
  QueryOptions options_;
};

}  // namespace tsdbd::query
