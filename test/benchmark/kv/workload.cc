#include "workload.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>

#include "benchmark_support.h"
#include "common/hash.h"

namespace tsdbd::benchmark {
namespace {

constexpr double kZipfExponent = 0.99;

uint64_t Word(std::string_view bytes, size_t offset) {
  uint64_t word = 0;
  std::memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

}  // namespace

uint64_t KeyAt(KeyOrder order, uint64_t index) {
  if (order == KeyOrder::kSequential) {
    return index;
  }
  // SplitMix64 (Steele et al., OOPSLA 2014): no two indexes share a result before the shift.
  uint64_t mixed = index * 0x9E3779B97F4A7C15;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
  return (mixed ^ (mixed >> 31)) >> 1;
}

void EndWithWrongValue(uint64_t key) {
  Require(false, fmt::format("what is stored under key {}", key));
  std::abort();
}

Values::Values(size_t min_bytes, size_t max_bytes) : min_bytes_(min_bytes), max_bytes_(max_bytes) {
  std::mt19937_64 random(1);
  buffer_.resize(max_bytes + sizeof(uint64_t));
  for (char& byte : buffer_) {
    byte = static_cast<char>(random());
  }
}

size_t Values::SizeOf(uint64_t key) const {
  return min_bytes_ + MixHash(key, 0x517e) % (max_bytes_ - min_bytes_ + 1);
}

std::string_view Values::Make(uint64_t key, uint32_t version) {
  const size_t size = SizeOf(key);
  const uint64_t words[2] = {version, MixHash(key, version)};
  std::memcpy(buffer_.data(), words, sizeof(words));
  std::memcpy(buffer_.data() + size - sizeof(uint64_t), &words[1], sizeof(uint64_t));
  return {buffer_.data(), size};
}

bool Values::IsRight(uint64_t key, std::string_view value) const {
  if (value.size() != SizeOf(key)) {
    return false;
  }
  const uint64_t mark = MixHash(key, Word(value, 0));
  return Word(value, 8) == mark && Word(value, value.size() - 8) == mark;
}

uint32_t Values::VersionOf(std::string_view value) const {
  return static_cast<uint32_t>(Word(value, 0));
}

double Values::mean_bytes() const {
  return static_cast<double>(min_bytes_ + max_bytes_) / 2;
}

Zipf::Zipf(uint64_t count) : count_(count) {
  for (uint64_t i = 1; i <= count; ++i) {
    zeta_ += 1 / std::pow(static_cast<double>(i), kZipfExponent);
  }
  half_power_ = std::pow(0.5, kZipfExponent);
  const double zeta_of_two = 1 + half_power_;
  eta_ = (1 - std::pow(2.0 / static_cast<double>(count), 1 - kZipfExponent)) /
         (1 - zeta_of_two / zeta_);
}

uint64_t Zipf::Next(std::mt19937_64* random) const {
  const double u = static_cast<double>((*random)() >> 11) * 0x1p-53;
  uint64_t rank = 0;
  if (u * zeta_ >= 1) {
    rank = u * zeta_ < 1 + half_power_
               ? 1
               : static_cast<uint64_t>(static_cast<double>(count_) *
                                       std::pow(eta_ * u - eta_ + 1, 1 / (1 - kZipfExponent)));
  }
  return MixHash(std::min(rank, count_ - 1), 0x21bf) % count_;
}

std::vector<uint32_t> UniformIndexes(uint64_t count, size_t draws, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint32_t> indexes(draws);
  for (uint32_t& index : indexes) {
    index = static_cast<uint32_t>(random() % count);
  }
  return indexes;
}

std::vector<uint32_t> ZipfIndexes(uint64_t count, size_t draws, uint64_t seed) {
  std::mt19937_64 random(seed);
  const Zipf zipf(count);
  std::vector<uint32_t> indexes(draws);
  for (uint32_t& index : indexes) {
    index = static_cast<uint32_t>(zipf.Next(&random));
  }
  return indexes;
}

double Load(Engine* engine, KeyOrder order, uint64_t count, Values* values) {
  const int64_t start_ns = MonotonicNanos();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t key = KeyAt(order, i);
    engine->Put(key, values->Make(key, 0));
  }
  const auto elapsed_ns = static_cast<double>(MonotonicNanos() - start_ns);
  engine->Finish();
  return elapsed_ns / static_cast<double>(count);
}

uint64_t DiskBytes(const std::string& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    struct stat status {};
    if (entry.is_regular_file() && stat(entry.path().c_str(), &status) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

}  // namespace tsdbd::benchmark
