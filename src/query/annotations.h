#pragma once
// Annotations: what a query's answer says beside its result: warnings and infos, in Prometheus'
// wording. Thread-safe.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/mutex.h"
#include "model/sample.h"
#include "query/ast.h"

namespace tsdbd::query {

class Annotations {
 public:
  // Positions are told as line and column of `query`.
  explicit Annotations(std::string_view query) : query_(query) {}

  // Each text once, however often it is added: "PromQL warning: <text> (<line>:<column>)".
  void Warn(std::string_view text, const Expr& where) EXCLUDES(mutex_);
  void Inform(std::string_view text, const Expr& where) EXCLUDES(mutex_);

  // histogram_quantile() had to raise bucket counts. Those of one metric become one info.
  struct ForcedMonotonicity {
    double min_upper_bound = 0;
    double max_upper_bound = 0;
    double max_difference = 0;
    model::Timestamp first_time = 0;
    model::Timestamp last_time = 0;
    uint64_t samples = 1;
  };
  void InformForcedMonotonicity(std::string_view metric_name, const Expr& where,
                                const ForcedMonotonicity& forced) EXCLUDES(mutex_);

  // Sorted; at most kMaxShown of each kind, and how many more there were.
  void Take(std::vector<std::string>* warnings, std::vector<std::string>* infos) const
      EXCLUDES(mutex_);

 private:
  // Prometheus' own number: a client shows them to a person.
  static constexpr size_t kMaxShown = 10;

  std::string PositionOf(const Expr& where) const;

  const std::string query_;
  mutable Mutex mutex_;
  std::map<std::string, bool> texts_ GUARDED_BY(mutex_);                 // text → is a warning
  std::map<std::string, ForcedMonotonicity> forced_ GUARDED_BY(mutex_);  // by "name\0position"
};

// `, got <q>` for a quantile that is not between 0 and 1.
void WarnInvalidQuantile(double q, const Expr& where, Annotations* annotations);

// %g of C and Go, with Go's NaN, +Inf and -Inf.
std::string FormatShort(double value);

}  // namespace tsdbd::query
