#include "server/exposition.h"

#include <array>
#include <charconv>
#include <cmath>

#include "common/clock.h"
#include "query/text.h"

namespace tsdbd::server {
namespace {

constexpr std::string_view kInstance = "instance";

bool MayStand(uint32_t code, bool first) {
  const bool letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
  return letter || code == '_' || code == ':' || (code >= '0' && code <= '9' && !first);
}

bool IsPlainName(std::string_view name) {
  bool plain = !name.empty();
  for (size_t i = 0; i < name.size(); ++i) {
    plain = plain && MayStand(static_cast<unsigned char>(name[i]), i == 0);
  }
  return plain;
}

void AppendEscaped(std::string_view text, std::string* out) {
  *out += '"';
  for (const char c : text) {
    if (c == '\n') {
      *out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') {
      *out += '\\';
    }
    *out += c;
  }
  *out += '"';
}

// A name, in quotes if it needs some.
void AppendName(std::string_view name, NameEscaping escaping, std::string* out) {
  const std::string escaped = EscapedName(name, escaping);
  if (IsPlainName(escaped)) {
    *out += escaped;
  } else {
    AppendEscaped(escaped, out);
  }
}

}  // namespace

std::string EscapedName(std::string_view name, NameEscaping escaping) {
  if (escaping == NameEscaping::kAllowUtf8 || IsPlainName(name)) {
    return std::string(name);
  }
  std::string escaped;
  while (!name.empty()) {
    const query::Rune rune = query::DecodeRune(name);
    escaped += MayStand(rune.code, escaped.empty()) ? name[0] : '_';
    name.remove_prefix(rune.width);
  }
  return escaped;
}

std::string ExpositionValue(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value > 0 ? "+Inf" : "-Inf";
  }
  std::array<char, 64> buffer;  // far more than a decimal below 1e21 has
  const double magnitude = std::abs(value);
  const bool extreme = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e21);
  const auto format = extreme ? std::chars_format::scientific : std::chars_format::fixed;
  return {buffer.data(), std::to_chars(buffer.begin(), buffer.end(), value, format).ptr};
}

std::string TypeLine(std::string_view name, std::string_view type, NameEscaping escaping) {
  std::string line = "# TYPE ";
  AppendName(name, escaping, &line);
  line += ' ';
  line += type;
  line += '\n';
  return line;
}

std::string SampleLine(std::string_view name, const model::LabelViews& labels, double value,
                       model::Timestamp time, NameEscaping escaping) {
  std::string line;
  const bool plain = IsPlainName(EscapedName(name, escaping));
  if (plain) {
    AppendName(name, escaping, &line);
    line += '{';
  } else {
    line += '{';
    AppendName(name, escaping, &line);
    line += ',';
  }
  bool has_instance = false;
  for (const auto& [label, text] : labels) {
    has_instance = has_instance || label == kInstance;
    if (label != model::kMetricName) {
      AppendName(label, escaping, &line);
      line += '=';
      AppendEscaped(text, &line);
      line += ',';
    }
  }
  if (!has_instance) {
    line += "instance=\"\",";
  }
  line.back() = '}';
  line += fmt::format(" {} {}\n", ExpositionValue(value), time / kNanosPerMilli);
  return line;
}

}  // namespace tsdbd::server
