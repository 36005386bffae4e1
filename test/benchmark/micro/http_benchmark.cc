// What HTTP costs per request without the kernel: parsing heads, taking bodies in, content codings,
// and the answer's head.

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "http/answer_head.h"
#include "http/compression.h"
#include "http/request_parser.h"

namespace tsdbd::http {
namespace {

constexpr size_t kMaxHeadBytes = size_t{32} << 10;
constexpr size_t kMaxBodyBytes = size_t{64} << 20;
// One read of the server.
constexpr size_t kReadBytes = size_t{64} << 10;
// 5,000 lines of ten fields.
constexpr size_t kCommonBodyBytes = 1'800'000;

std::string LineProtocol(size_t size_bytes) {
  std::mt19937 random(1);
  std::string text;
  for (int64_t time = 1'700'000'000'000'000'000; text.size() < size_bytes; time += 1'000'000) {
    text += fmt::format("cpu,hostname=host_{},region=eu-west-1,os=Ubuntu16.04LTS,arch=x64",
                        random() % 1'000);
    text += fmt::format(" usage_user={}i,usage_system={}i,usage_idle={}i {}\n", random() % 100,
                        random() % 100, random() % 100, time);
  }
  text.resize(size_bytes);
  return text;
}

// The body of the one request that `input` is, as the server takes it in: its size, or npos if it
// was refused.
size_t ParseAll(std::string_view input, const std::shared_ptr<BodyPool>& pool) {
  RequestParser parser(kMaxHeadBytes, pool);
  while (!input.empty()) {
    if (const auto space = parser.DirectSpace(); !space.empty()) {
      const size_t size = input.copy(space.data(), space.size());
      input.remove_prefix(size);
      parser.CommitDirect(size);
      continue;
    }
    std::string_view piece = input.substr(0, kReadBytes);
    input.remove_prefix(piece.size());
    if (parser.Parse(&piece) == RequestParser::Event::kHead) {
      parser.AcceptHead({kMaxBodyBytes, {}});
      parser.Parse(&piece);
    }
  }
  std::string_view nothing;
  return parser.Parse(&nothing) == RequestParser::Event::kMessage
             ? parser.TakeRequest()->body().size()
             : std::string_view::npos;
}

void MeasureParsing(benchmark::State& state, const std::string& input, size_t body_bytes) {
  const auto pool = std::make_shared<BodyPool>(kMaxBodyBytes);
  for (auto _ : state) {
    if (ParseAll(input, pool) != body_bytes) {
      state.SkipWithError("the request was not understood");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(input.size()));
}

void BM_ParseSmallGet(benchmark::State& state) {
  MeasureParsing(state, "GET /ping HTTP/1.1\r\nHost: localhost:8086\r\n\r\n", 0);
}
BENCHMARK(BM_ParseSmallGet);

void BM_ParseTelegrafHead(benchmark::State& state) {
  MeasureParsing(state,
                 "POST /write?db=telegraf&precision=ns HTTP/1.1\r\nHost: localhost:8086\r\n"
                 "User-Agent: Telegraf/1.24.4 Go/1.19\r\nContent-Length: 1\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\nAccept-Encoding: gzip\r\n\r\nx",
                 1);
}
BENCHMARK(BM_ParseTelegrafHead);

// One copy, that the kernel makes in the server.
void BM_TakeBodyOfKnownLength(benchmark::State& state) {
  MeasureParsing(state,
                 fmt::format("POST /write HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
                             kCommonBodyBytes, LineProtocol(kCommonBodyBytes)),
                 kCommonBodyBytes);
}
BENCHMARK(BM_TakeBodyOfKnownLength);

void BM_TakeChunkedBody(benchmark::State& state) {
  std::string input = "POST /write HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body = LineProtocol(kCommonBodyBytes);
  const auto chunk_bytes = static_cast<size_t>(state.range(0));
  for (size_t offset = 0; offset < body.size(); offset += chunk_bytes) {
    const std::string chunk = body.substr(offset, chunk_bytes);
    input += fmt::format("{:x}\r\n{}\r\n", chunk.size(), chunk);
  }
  MeasureParsing(state, input + "0\r\n\r\n", kCommonBodyBytes);
}
BENCHMARK(BM_TakeChunkedBody)->Arg(100)->Arg(32 << 10);

void BM_InflateBody(benchmark::State& state) {
  const std::string body = LineProtocol(kCommonBodyBytes);
  std::string compressed;
  GzipWhole(body, &compressed);
  const auto pool = std::make_shared<BodyPool>(kMaxBodyBytes);
  for (auto _ : state) {
    BodyBuffer inflated(pool);
    if (Inflate(ContentCoding::kGzip, compressed, kMaxBodyBytes, &inflated) ||
        inflated.size() != body.size()) {
      state.SkipWithError("the body was not inflated");
      break;
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(body.size()));
}
BENCHMARK(BM_InflateBody);

void BM_GzipAnswer(benchmark::State& state) {
  const std::string body = LineProtocol(kCommonBodyBytes);
  std::string compressed;
  for (auto _ : state) {
    if (state.range(0) != 0) {
      GzipStream stream;
      compressed.clear();
      stream.Write(body, &compressed);
      stream.End(&compressed);
    } else {
      GzipWhole(body, &compressed);
    }
    if (compressed.empty() || compressed.size() > body.size() / 2) {
      state.SkipWithError("the answer did not shrink");
      break;
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(body.size()));
}
BENCHMARK(BM_GzipAnswer)->ArgName("stream")->Arg(0)->Arg(1);

void BM_AnswerHead(benchmark::State& state) {
  const Answer answer{.status = 200, .content_type = "application/json"};
  const std::string date = HttpDate(784'111'777);
  for (auto _ : state) {
    std::string out;
    AppendAnswerHead(answer, {.length_bytes = 1'234, .date = date}, &out);
    if (!out.ends_with("Content-Length: 1234\r\n\r\n")) {
      state.SkipWithError("the head is wrong");
      break;
    }
  }
}
BENCHMARK(BM_AnswerHead);

}  // namespace
}  // namespace tsdbd::http

BENCHMARK_MAIN();
