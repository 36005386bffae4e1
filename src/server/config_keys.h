#pragma once
// ConfigKey: one key of the configuration, bound to a variable. The same key reads a TOML value, a
// flag's text and prints itself, so file, flags and reports cannot disagree. Which keys there are
// is said in config.cc.

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/status.h"

namespace tsdbd::server {

// A value as it stands in the file. Text from a flag is tried as whatever the key wants.
using ConfigValue = std::variant<bool, int64_t, double, std::string>;

struct ConfigKey {
  std::string name;  // "section.key", or "key" above the first section
  // kInvalidArgument, without the name, if the value is of the wrong kind or out of bounds.
  std::function<Status(const ConfigValue&)> set;
  // As it would stand in the file: 10, true, "64MiB".
  std::function<std::string()> show;
};

ConfigKey TextKey(std::string name, std::string* target);
ConfigKey BoolKey(std::string name, bool* target);
ConfigKey DurationKeyNanos(std::string name, std::pair<int64_t, int64_t> bounds_ns,
                           std::function<void(int64_t)> store, std::function<int64_t()> load);
ConfigKey SizeKeyBytes(std::string name, std::pair<uint64_t, uint64_t> bounds_bytes,
                       std::function<void(uint64_t)> store, std::function<uint64_t()> load);
ConfigKey CountKeyOf(std::string name, std::pair<uint64_t, uint64_t> bounds,
                     std::function<void(uint64_t)> store, std::function<uint64_t()> load);
ConfigKey ChoiceKeyOf(std::string name, std::vector<std::string> choices,
                      std::function<void(size_t)> store, std::function<size_t()> load);

// A duration kept in *target in units of `unit_ns` (kNanosPerMilli for a variable in ms).
template <std::integral T>
ConfigKey DurationKey(std::string name, T* target, int64_t unit_ns,
                      std::pair<int64_t, int64_t> bounds_ns) {
  return DurationKeyNanos(
      std::move(name), bounds_ns,
      [target, unit_ns](int64_t nanos) { *target = static_cast<T>(nanos / unit_ns); },
      [target, unit_ns] { return static_cast<int64_t>(*target) * unit_ns; });
}

template <std::integral T>
ConfigKey SizeKey(std::string name, T* target, std::pair<uint64_t, uint64_t> bounds_bytes) {
  return SizeKeyBytes(
      std::move(name), bounds_bytes, [target](uint64_t bytes) { *target = static_cast<T>(bytes); },
      [target] { return static_cast<uint64_t>(*target); });
}

template <std::integral T>
ConfigKey CountKey(std::string name, T* target, std::pair<uint64_t, uint64_t> bounds) {
  return CountKeyOf(
      std::move(name), bounds, [target](uint64_t count) { *target = static_cast<T>(count); },
      [target] { return static_cast<uint64_t>(*target); });
}

// One of a few words, each with what it stands for.
template <typename T>
ConfigKey ChoiceKey(std::string name, T* target, std::vector<std::pair<std::string, T>> choices) {
  std::vector<std::string> words;
  std::vector<T> values;
  for (auto& [word, value] : choices) {
    words.push_back(std::move(word));
    values.push_back(value);
  }
  return ChoiceKeyOf(
      std::move(name), std::move(words),
      [target, values](size_t index) { *target = values[index]; },
      [target, values] {
        size_t index = 0;
        while (index + 1 < values.size() && values[index] != *target) {
          ++index;
        }
        return index;
      });
}

}  // namespace tsdbd::server
