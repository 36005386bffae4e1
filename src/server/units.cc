#include "server/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/clock.h"

namespace tsdbd::server {
namespace {

template <typename T>
struct Unit {
  std::string_view name;
  T factor;
};

// Largest first, as FormatDuration writes them. Years are read but never written.
constexpr std::array<Unit<int64_t>, 9> kDurationUnits = {{{"y", 365 * kNanosPerDay},
                                                          {"w", 7 * kNanosPerDay},
                                                          {"d", kNanosPerDay},
                                                          {"h", 3'600 * kNanosPerSecond},
                                                          {"m", 60 * kNanosPerSecond},
                                                          {"s", kNanosPerSecond},
                                                          {"ms", kNanosPerMilli},
                                                          {"us", kNanosPerMicro},
                                                          {"ns", 1}}};

// Binary units first and largest first, as FormatSize writes them.
constexpr std::array<Unit<uint64_t>, 9> kSizeUnits = {{{"TiB", 1ULL << 40},
                                                       {"GiB", 1ULL << 30},
                                                       {"MiB", 1ULL << 20},
                                                       {"KiB", 1ULL << 10},
                                                       {"B", 1},
                                                       {"TB", 1'000'000'000'000},
                                                       {"GB", 1'000'000'000},
                                                       {"MB", 1'000'000},
                                                       {"kB", 1'000}}};

template <typename T, size_t kCount>
const Unit<T>* FindUnit(const std::array<Unit<T>, kCount>& units, std::string_view name) {
  for (const Unit<T>& unit : units) {
    if (unit.name == name) {
      return &unit;
    }
  }
  return nullptr;
}

bool IsUnitByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Takes "12.5" and "ms" off the front of *text. False if there is no plain decimal number.
bool TakeAmount(std::string_view* text, double* number, std::string_view* unit) {
  const auto [end, error] =
      std::from_chars(text->data(), text->data() + text->size(), *number, std::chars_format::fixed);
  if (error != std::errc() || *number < 0 || !std::isfinite(*number) || text->front() == '-') {
    return false;
  }
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  while (!text->empty() && text->front() == ' ') {
    text->remove_prefix(1);
  }
  size_t unit_size = 0;
  while (unit_size < text->size() && IsUnitByte((*text)[unit_size])) {
    ++unit_size;
  }
  *unit = text->substr(0, unit_size);
  text->remove_prefix(unit_size);
  return true;
}

}  // namespace

StatusOr<int64_t> ParseDuration(std::string_view text) {
  if (text == "0") {
    return 0;
  }
  double total = 0;
  std::string_view rest = text;
  do {
    double number = 0;
    std::string_view name;
    const bool taken = TakeAmount(&rest, &number, &name);
    const Unit<int64_t>* unit = taken ? FindUnit(kDurationUnits, name) : nullptr;
    if (unit == nullptr) {
      return InvalidArgument("'{}' is not a duration (like 500ms, 10s, 1h30m, 7d)", text);
    }
    total += number * static_cast<double>(unit->factor);
  } while (!rest.empty());
  if (total >= static_cast<double>(std::numeric_limits<int64_t>::max())) {
    return InvalidArgument("the duration '{}' is longer than 292 years", text);
  }
  return static_cast<int64_t>(std::llround(total));
}

StatusOr<uint64_t> ParseSize(std::string_view text) {
  double number = 0;
  std::string_view name;
  std::string_view rest = text;
  const bool taken = TakeAmount(&rest, &number, &name);
  const Unit<uint64_t>* unit = taken ? FindUnit(kSizeUnits, name.empty() ? "B" : name) : nullptr;
  if (unit == nullptr || !rest.empty()) {
    return InvalidArgument("'{}' is not a size (like 4096, 64KiB, 1.5GiB)", text);
  }
  const double total = number * static_cast<double>(unit->factor);
  // 2^63: larger would not fit where sizes are signed.
  if (total >= 0x1p63) {
    return InvalidArgument("the size '{}' is over 8 EiB", text);
  }
  return static_cast<uint64_t>(std::llround(total));
}

std::string FormatDuration(int64_t nanos) {
  if (nanos == 0) {
    return "0";
  }
  std::string text;
  for (const Unit<int64_t>& unit : kDurationUnits) {
    // Nobody writes 1y or 2w for what the documents call 365d or 14d.
    if (unit.factor <= kNanosPerDay && nanos >= unit.factor) {
      text += fmt::format("{}{}", nanos / unit.factor, unit.name);
      nanos %= unit.factor;
    }
  }
  return text;
}

std::string FormatSize(uint64_t bytes) {
  for (const Unit<uint64_t>& unit : kSizeUnits) {
    if (bytes >= unit.factor && bytes % unit.factor == 0) {
      return fmt::format("{}{}", bytes / unit.factor, unit.name);
    }
  }
  return "0";
}

}  // namespace tsdbd::server
