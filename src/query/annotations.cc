#include "query/annotations.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "common/clock.h"
#include "common/status.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

std::string Rfc3339(model::Timestamp time) {
  const auto seconds = static_cast<std::time_t>(time / kNanosPerSecond);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

void Cut(std::vector<std::string>* texts, size_t max_shown, std::string_view kind) {
  if (texts->size() > max_shown) {
    const size_t omitted = texts->size() - max_shown;
    texts->resize(max_shown);
    texts->push_back(fmt::format("{} more {} annotations omitted", omitted, kind));
  }
}

}  // namespace

std::string FormatShort(double value) {
  return std::isfinite(value) ? fmt::format("{:g}", value) : FormatDecimal(value);
}

void WarnInvalidQuantile(double q, const Expr& where, Annotations* annotations) {
  if (std::isnan(q) || q < 0 || q > 1) {
    annotations->Warn(
        fmt::format("quantile value should be between 0 and 1, got {}", FormatShort(q)), where);
  }
}

std::string Annotations::PositionOf(const Expr& where) const {
  const std::string_view before = std::string_view(query_).substr(0, where.span.start);
  const auto line = 1 + std::ranges::count(before, '\n');
  const size_t last_break = before.rfind('\n');
  const size_t column = last_break == before.npos ? before.size() + 1 : before.size() - last_break;
  return fmt::format("({}:{})", line, column);
}

void Annotations::Warn(std::string_view text, const Expr& where) {
  std::string whole = fmt::format("PromQL warning: {} {}", text, PositionOf(where));
  const MutexLock lock(&mutex_);
  texts_.emplace(std::move(whole), true);
}

void Annotations::Inform(std::string_view text, const Expr& where) {
  std::string whole = fmt::format("PromQL info: {} {}", text, PositionOf(where));
  const MutexLock lock(&mutex_);
  texts_.emplace(std::move(whole), false);
}

void Annotations::InformForcedMonotonicity(std::string_view metric_name, const Expr& where,
                                           const ForcedMonotonicity& forced) {
  std::string key = fmt::format("{}{}{}", metric_name, '\0', PositionOf(where));
  const MutexLock lock(&mutex_);
  const auto [entry, is_new] = forced_.emplace(std::move(key), forced);
  if (is_new) {
    return;
  }
  ForcedMonotonicity& all = entry->second;
  all.min_upper_bound = std::min(all.min_upper_bound, forced.min_upper_bound);
  all.max_upper_bound = std::max(all.max_upper_bound, forced.max_upper_bound);
  all.max_difference = std::max(all.max_difference, forced.max_difference);
  all.first_time = std::min(all.first_time, forced.first_time);
  all.last_time = std::max(all.last_time, forced.last_time);
  all.samples += forced.samples;
}

void Annotations::Take(std::vector<std::string>* warnings, std::vector<std::string>* infos) const {
  const MutexLock lock(&mutex_);
  for (const auto& [text, is_warning] : texts_) {
    (is_warning ? warnings : infos)->push_back(text);
  }
  for (const auto& [key, forced] : forced_) {
    const size_t end_of_name = key.find('\0');
    const std::string_view name = std::string_view(key).substr(0, end_of_name);
    infos->push_back(fmt::format(
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}, "
        "from buckets {} to {}, with a max diff of {:.2g}, over {} samples from {} to {} {}",
        name.empty() ? "" : " for metric name " + Quote(name), FormatShort(forced.min_upper_bound),
        FormatShort(forced.max_upper_bound), forced.max_difference, forced.samples,
        Rfc3339(forced.first_time), Rfc3339(forced.last_time), key.substr(end_of_name + 1)));
  }
  Cut(warnings, kMaxShown, "warning");
  Cut(infos, kMaxShown, "info");
}

}  // namespace tsdbd::query
