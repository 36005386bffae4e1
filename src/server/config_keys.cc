#include "server/config_keys.h"

#include <charconv>
#include <optional>

#include "server/text.h"
#include "server/units.h"

namespace tsdbd::server {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
    }
    quoted += c;
  }
  return quoted + '"';
}

// "10", "true", "'abc'": a value in an error message.
std::string Shown(const ConfigValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    return fmt::format("'{}'", *text);
  }
  return std::visit(
      [](const auto& plain) {
        if constexpr (std::is_same_v<std::decay_t<decltype(plain)>, std::string>) {
          return plain;
        } else {
          return fmt::format("{}", plain);
        }
      },
      value);
}

// A whole number, as the file has it or as a flag's text.
std::optional<int64_t> WholeNumber(const ConfigValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    return *number;
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    int64_t number = 0;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, number);
    if (error == std::errc() && stop == end) {
      return number;
    }
  }
  return std::nullopt;
}

std::optional<bool> TruthValue(const ConfigValue& value) {
  if (const auto* truth = std::get_if<bool>(&value)) {
    return *truth;
  }
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && (*text == "true" || *text == "false")) {
    return *text == "true";
  }
  return std::nullopt;
}

}  // namespace

ConfigKey TextKey(std::string name, std::string* target) {
  const auto set = [target](const ConfigValue& value) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
      return InvalidArgument("{} is not a text in quotes", Shown(value));
    }
    *target = *text;
    return OkStatus();
  };
  return {std::move(name), set, [target] { return Quoted(*target); }};
}

ConfigKey BoolKey(std::string name, bool* target) {
  const auto set = [target](const ConfigValue& value) {
    const auto truth = TruthValue(value);
    if (!truth) {
      return InvalidArgument("{} is neither true nor false", Shown(value));
    }
    *target = *truth;
    return OkStatus();
  };
  return {std::move(name), set, [target] { return *target ? "true" : "false"; }};
}

ConfigKey DurationKeyNanos(std::string name, std::pair<int64_t, int64_t> bounds_ns,
                           std::function<void(int64_t)> store, std::function<int64_t()> load) {
  const auto set = [bounds_ns, store = std::move(store)](const ConfigValue& value) -> Status {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
      return InvalidArgument("{} is not a duration in quotes (like \"10s\")", Shown(value));
    }
    ASSIGN_OR_RETURN(const int64_t nanos, ParseDuration(*text));
    const auto [min, max] = bounds_ns;
    if (nanos < min || nanos > max) {
      return InvalidArgument("{} is not between {} and {}", *text, FormatDuration(min),
                             FormatDuration(max));
    }
    store(nanos);
    return OkStatus();
  };
  return {std::move(name), set,
          [load = std::move(load)] { return Quoted(FormatDuration(load())); }};
}

ConfigKey SizeKeyBytes(std::string name, std::pair<uint64_t, uint64_t> bounds_bytes,
                       std::function<void(uint64_t)> store, std::function<uint64_t()> load) {
  const auto set = [bounds_bytes, store = std::move(store)](const ConfigValue& value) -> Status {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
      return InvalidArgument("{} is not a size in quotes (like \"64MiB\")", Shown(value));
    }
    ASSIGN_OR_RETURN(const uint64_t bytes, ParseSize(*text));
    const auto [min, max] = bounds_bytes;
    if (bytes < min || bytes > max) {
      return InvalidArgument("{} is not between {} and {}", *text, FormatSize(min),
                             FormatSize(max));
    }
    store(bytes);
    return OkStatus();
  };
  return {std::move(name), set, [load = std::move(load)] { return Quoted(FormatSize(load())); }};
}

ConfigKey CountKeyOf(std::string name, std::pair<uint64_t, uint64_t> bounds,
                     std::function<void(uint64_t)> store, std::function<uint64_t()> load) {
  const auto set = [bounds, store = std::move(store)](const ConfigValue& value) -> Status {
    const auto number = WholeNumber(value);
    if (!number) {
      return InvalidArgument("{} is not a whole number", Shown(value));
    }
    const auto [min, max] = bounds;
    if (*number < 0 || static_cast<uint64_t>(*number) < min ||
        static_cast<uint64_t>(*number) > max) {
      return InvalidArgument("{} is not between {} and {}", *number, min, max);
    }
    store(static_cast<uint64_t>(*number));
    return OkStatus();
  };
  return {std::move(name), set, [load = std::move(load)] { return fmt::format("{}", load()); }};
}

ConfigKey ChoiceKeyOf(std::string name, std::vector<std::string> choices,
                      std::function<void(size_t)> store, std::function<size_t()> load) {
  const auto set = [choices, store = std::move(store)](const ConfigValue& value) -> Status {
    const auto* text = std::get_if<std::string>(&value);
    for (size_t i = 0; text != nullptr && i < choices.size(); ++i) {
      if (choices[i] == *text) {
        store(i);
        return OkStatus();
      }
    }
    return InvalidArgument("{} is none of: {}", Shown(value), Join(choices, ", "));
  };
  const auto show = [choices = std::move(choices), load = std::move(load)] {
    return Quoted(choices[load()]);
  };
  return {std::move(name), set, show};
}

}  // namespace tsdbd::server
