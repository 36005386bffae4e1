#include "query/time_parse.h"

#include <array>
#include <chrono>
#include <cmath>
#include <optional>

#include "common/clock.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

using model::Timestamp;

// The first and last second that Prometheus can write down, far outside what we can, and how its
// clients write them for "everything".
constexpr double kPrometheusMaxSeconds = 9223309901257974.0;
constexpr double kPrometheusMaxMillis = 9223372036854775807.0;
constexpr std::string_view kPrometheusMinTime = "-292273086-05-16T16:47:06Z";
constexpr std::string_view kPrometheusMaxTime = "+292277025-08-18T07:12:54.999999999Z";

// seconds * 10^9 + nanos, if that fits.
std::optional<Timestamp> Combine(int64_t seconds, int64_t nanos) {
  Timestamp time = 0;
  if (__builtin_mul_overflow(seconds, kNanosPerSecond, &time) ||
      __builtin_add_overflow(time, nanos, &time)) {
    return std::nullopt;
  }
  return time;
}

std::optional<Timestamp> FromSeconds(double seconds) {
  if (std::abs(seconds) >= kPrometheusMaxSeconds &&
      std::abs(seconds) <= kPrometheusMaxMillis / 1e3) {
    return seconds < 0 ? model::kMinTimestamp : model::kMaxTimestamp;
  }
  double whole = 0;
  const double fraction = std::modf(seconds, &whole);
  constexpr double kMaxSeconds = static_cast<double>(model::kMaxTimestamp) / kNanosPerSecond;
  if (!(std::abs(whole) <= kMaxSeconds)) {
    return std::nullopt;
  }
  return Combine(static_cast<int64_t>(whole), std::llround(fraction * 1e3) * kNanosPerMilli);
}

// Reads an RFC 3339 time piece by piece; once a piece is missing, ok() stays false.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : rest_(text) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return rest_.empty(); }

  void Refuse() { ok_ = false; }

  int Digits(size_t count) {
    int value = 0;
    for (size_t i = 0; i < count; ++i) {
      value = value * 10 + Digit();
    }
    return value;
  }

  void Literal(char c) {
    if (!TryLiteral(c)) {
      ok_ = false;
    }
  }

  bool TryLiteral(char c) {
    if (!rest_.starts_with(c)) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }

  // What follows the decimal point; digits beyond the ninth do not count.
  int64_t NanosOfFraction() {
    int64_t nanos = 0;
    int64_t unit = kNanosPerSecond;
    do {
      unit /= 10;
      nanos += Digit() * unit;
    } while (ok_ && !rest_.empty() && IsDigit(rest_.front()));
    return nanos;
  }

 private:
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }

  int Digit() {
    if (rest_.empty() || !IsDigit(rest_.front())) {
      ok_ = false;
      return 0;
    }
    const int digit = rest_.front() - '0';
    rest_.remove_prefix(1);
    return digit;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// Seconds east of UTC: Z, +02:00.
int64_t ReadZone(TimeReader* reader) {
  if (reader->TryLiteral('Z')) {
    return 0;
  }
  const bool west = reader->TryLiteral('-');
  if (!west) {
    reader->Literal('+');
  }
  const int64_t hours = reader->Digits(2);
  reader->Literal(':');
  const int64_t minutes = reader->Digits(2);
  if (hours > 23 || minutes > 59) {
    reader->Refuse();
  }
  const int64_t seconds = hours * 3600 + minutes * 60;
  return west ? -seconds : seconds;
}

// 2015-07-01T20:10:51.781Z
std::optional<Timestamp> FromRfc3339(std::string_view text) {
  TimeReader reader(text);
  const int year = reader.Digits(4);
  reader.Literal('-');
  const int month = reader.Digits(2);
  reader.Literal('-');
  const int day = reader.Digits(2);
  reader.Literal('T');
  const int64_t hour = reader.Digits(2);
  reader.Literal(':');
  const int64_t minute = reader.Digits(2);
  reader.Literal(':');
  const int second = reader.Digits(2);
  const int64_t nanos =
      reader.TryLiteral('.') || reader.TryLiteral(',') ? reader.NanosOfFraction() : 0;
  const int64_t zone = ReadZone(&reader);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!reader.ok() || !reader.AtEnd() || !date.ok() || hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return Combine(days * 86'400 + hour * 3600 + minute * 60 + second - zone, nanos);
}

}  // namespace

StatusOr<Timestamp> ParseTime(std::string_view text) {
  double seconds = 0;
  std::optional<Timestamp> time;
  if (text == kPrometheusMinTime) {
    time = model::kMinTimestamp;
  } else if (text == kPrometheusMaxTime) {
    time = model::kMaxTimestamp;
  } else if (ParseFloat(text, &seconds) == NumberError::kNone) {
    time = FromSeconds(seconds);
  } else {
    time = FromRfc3339(text);
  }
  if (!time.has_value()) {
    return InvalidArgument("cannot parse {} to a valid timestamp", Quote(text));
  }
  return *time;
}

StatusOr<int64_t> ParseDurationParameter(std::string_view text) {
  double seconds = 0;
  if (ParseFloat(text, &seconds) == NumberError::kNone && !std::isnan(seconds)) {
    const double nanos = seconds * kNanosPerSecond;
    constexpr double kMaxNanos = 9223372036854774784.0;  // the largest double below 2^63
    if (std::abs(nanos) > kMaxNanos) {
      return InvalidArgument("cannot parse {} to a valid duration. It overflows int64",
                             Quote(text));
    }
    return static_cast<int64_t>(nanos);
  }
  StatusOr<int64_t> nanos = ParseDuration(text);
  if (!nanos.ok()) {
    return InvalidArgument("cannot parse {} to a valid duration", Quote(text));
  }
  return nanos;
}

}  // namespace tsdbd::query
