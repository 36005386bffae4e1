#pragma once
// Label matchers: = != =~ !~. Regexes are RE2's, anchored at both ends, as Prometheus has them.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace re2 {
class RE2;
}

namespace tsdbd::model {

enum class MatchType { kEqual, kNotEqual, kRegex, kNotRegex };

// A matcher of one label. A label that is not there has the value "". Copies share the compiled
// regex; safe to use from many threads at once.
class Matcher {
 public:
  // kInvalidArgument if `value` is not a regex that RE2 accepts, for the two regex types.
  static StatusOr<Matcher> Create(MatchType type, std::string name, std::string value);

  bool Matches(std::string_view label_value) const;
  bool MatchesEmpty() const { return matches_empty_; }

  // The values that a kRegex matches, if they are few (finite_regex.h): sorted. Else null.
  const std::vector<std::string>* FiniteValues() const { return finite_values_.get(); }

  // Instructions of the compiled regex, which took about a microsecond each to compile; 0 for the
  // other types.
  size_t RegexSize() const;

  MatchType type() const { return type_; }
  const std::string& name() const { return name_; }
  const std::string& value() const { return value_; }
  // name="value", as it stands in a selector.
  std::string ToString() const;

 private:
  Matcher() = default;

  MatchType type_ = MatchType::kEqual;
  bool matches_empty_ = false;
  std::string name_;
  std::string value_;
  std::shared_ptr<const re2::RE2> regex_;
  std::shared_ptr<const std::vector<std::string>> finite_values_;  // of kRegex; may be null
};

}  // namespace tsdbd::model
