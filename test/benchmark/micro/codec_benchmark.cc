// The chunk codecs: values per second in and out, time of one value, bytes per sample. Each
// benchmark first checks that what it decodes is what was encoded.
//
// The chunks have ten columns and share one regular timestamp column, like the rows of a line with
// ten fields. items/s are values per second on one core. Names that begin with "compacted" are of
// chunks as compaction writes them: longer, with an entropy stage.

#include <bit>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "storage/chunk.h"
#include "storage/column_generators_testing.h"

namespace tsdbd::storage {
namespace {

constexpr size_t kColumns = 10;
constexpr uint64_t kSeed = 42;

struct Input {
  std::vector<model::Timestamp> timestamps;
  std::vector<std::vector<double>> columns;
  std::vector<const double*> pointers;

  size_t SampleCount() const { return timestamps.size() * columns.size(); }
  std::string Encode(ChunkEncoder* encoder) const {
    std::string bytes;
    encoder->Encode({.timestamps = timestamps, .columns = pointers}, &bytes);
    return bytes;
  }
};

Input MakeInput(const std::string& timestamp_shape, const std::string& value_shape, size_t rows) {
  Random random(kSeed);
  Input input;
  input.timestamps = TimestampShapeNamed(timestamp_shape).generate(rows, &random);
  for (size_t column = 0; column < kColumns; ++column) {
    input.columns.push_back(ValueShapeNamed(value_shape).generate(rows, &random));
    input.pointers.push_back(input.columns.back().data());
  }
  return input;
}

bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

bool DecodesTo(std::string_view bytes, const Input& input) {
  const StatusOr<ChunkView> chunk = ChunkView::Open(bytes);
  if (!chunk.ok()) {
    return false;
  }
  std::vector<model::Timestamp> timestamps(input.timestamps.size());
  chunk->DecodeTimestamps(0, timestamps.size(), timestamps.data());
  bool same = timestamps == input.timestamps;
  for (size_t column = 0; column < kColumns; ++column) {
    std::vector<double> values(timestamps.size());
    chunk->DecodeColumn(column, 0, values.size(), values.data());
    for (size_t row = 0; row < values.size(); ++row) {
      same = same && SameBits(values[row], input.columns[column][row]) &&
             SameBits(values[row], chunk->ValueAt(column, row));
    }
  }
  return same;
}

// Everything that a benchmark needs, checked.
struct Fixture {
  Fixture(benchmark::State& state, const std::string& timestamp_shape,
          const std::string& value_shape, size_t rows, EncodeFor purpose = EncodeFor::kFlush)
      : encoder(purpose),
        input(MakeInput(timestamp_shape, value_shape, rows)),
        bytes(input.Encode(&encoder)) {
    if (!DecodesTo(bytes, input)) {
      state.SkipWithError("the chunk does not decode to what was encoded");
    }
  }
  ChunkView View() const { return *ChunkView::Open(bytes); }

  ChunkEncoder encoder;
  Input input;
  std::string bytes;
};

size_t FullRows(EncodeFor purpose) {
  return purpose == EncodeFor::kFlush ? kFlushChunkRows : kMaxChunkRows;
}

void Encode(benchmark::State& state, const std::string& shape, size_t rows, EncodeFor purpose) {
  Fixture fixture(state, "regular", shape, rows, purpose);
  const size_t samples = fixture.input.SampleCount();
  std::string out;
  for (auto _ : state) {
    out.clear();
    fixture.encoder.Encode(
        {.timestamps = fixture.input.timestamps, .columns = fixture.input.pointers}, &out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * samples));
  state.counters["bytes_per_sample"] =
      static_cast<double>(fixture.bytes.size()) / static_cast<double>(samples);
}

void Decode(benchmark::State& state, const std::string& shape, EncodeFor purpose) {
  const size_t rows = FullRows(purpose);
  const Fixture fixture(state, "regular", shape, rows, purpose);
  const ChunkView chunk = fixture.View();
  std::vector<double> values(rows);
  for (auto _ : state) {
    for (size_t column = 0; column < kColumns; ++column) {
      chunk.DecodeColumn(column, 0, values.size(), values.data());
      benchmark::DoNotOptimize(values.data());
      benchmark::ClobberMemory();
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * fixture.input.SampleCount()));
}

void OneValue(benchmark::State& state, const std::string& shape, EncodeFor purpose) {
  const size_t rows = FullRows(purpose);
  const Fixture fixture(state, "regular", shape, rows, purpose);
  const ChunkView chunk = fixture.View();
  size_t row = 0;
  for (auto _ : state) {
    row = (row + 379) % rows;  // a prime stride: rows look random
    benchmark::DoNotOptimize(chunk.ValueAt(row % kColumns, row));
  }
}

void DecodeTimestamps(benchmark::State& state, const std::string& shape) {
  const Fixture fixture(state, shape, "constant", kFlushChunkRows);
  const ChunkView chunk = fixture.View();
  std::vector<model::Timestamp> timestamps(kFlushChunkRows);
  for (auto _ : state) {
    chunk.DecodeTimestamps(0, timestamps.size(), timestamps.data());
    benchmark::DoNotOptimize(timestamps.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFlushChunkRows));
}

void EncodeTimestamps(benchmark::State& state, const std::string& shape) {
  Fixture fixture(state, shape, "constant", kFlushChunkRows);
  std::string out;
  for (auto _ : state) {
    out.clear();
    fixture.encoder.Encode({.timestamps = fixture.input.timestamps, .columns = {}}, &out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFlushChunkRows));
  state.counters["bytes_per_row"] = static_cast<double>(out.size()) / kFlushChunkRows;
}

void LowerBound(benchmark::State& state, const std::string& shape) {
  const Fixture fixture(state, shape, "constant", kFlushChunkRows);
  const ChunkView chunk = fixture.View();
  const std::vector<model::Timestamp>& timestamps = fixture.input.timestamps;
  size_t row = 0;
  for (auto _ : state) {
    row = (row + 379) % kFlushChunkRows;
    const size_t found = chunk.LowerBound(timestamps[row]);
    if (found != row) {
      state.SkipWithError("LowerBound found another row");
    }
  }
}

void OpenChunk(benchmark::State& state) {
  const Fixture fixture(state, "regular", "integer_walk", kFlushChunkRows);
  for (auto _ : state) {
    benchmark::DoNotOptimize(ChunkView::Open(fixture.bytes));
  }
}

template <typename Function, typename... Args>
void Register(const std::string& name, Function function, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) { function(state, args...); });
}

void RegisterAll() {
  for (const std::string shape :
       {"constant", "booleans", "integer_walk", "counter", "counter_with_resets", "two_decimals",
        "two_decimal_walk", "decimals_with_exceptions", "reals"}) {
    for (const size_t rows : {size_t{16}, size_t{128}, kFlushChunkRows}) {
      Register("encode/" + shape + "/" + std::to_string(rows), Encode, shape, rows,
               EncodeFor::kFlush);
    }
    Register("decode/" + shape, Decode, shape, EncodeFor::kFlush);
    Register("one_value/" + shape, OneValue, shape, EncodeFor::kFlush);
    Register("compacted_encode/" + shape, Encode, shape, kMaxChunkRows, EncodeFor::kCompaction);
    Register("compacted_decode/" + shape, Decode, shape, EncodeFor::kCompaction);
    Register("compacted_one_value/" + shape, OneValue, shape, EncodeFor::kCompaction);
  }
  for (const std::string shape :
       {"regular", "with_gaps", "jittered_milliseconds", "jittered_nanoseconds"}) {
    Register("timestamps_encode/" + shape, EncodeTimestamps, shape);
    Register("timestamps_decode/" + shape, DecodeTimestamps, shape);
    Register("timestamps_lower_bound/" + shape, LowerBound, shape);
  }
  Register("open_chunk/10_columns", OpenChunk);
}

}  // namespace
}  // namespace tsdbd::storage

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  tsdbd::storage::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
}
