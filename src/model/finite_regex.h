#pragma once
// Regexes that match a few texts only, such as "host_(1|2|17)": what dashboards make of a choice of
// values. Those texts can be looked up instead of matching the regex against every value.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tsdbd::model {

// More than any menu offers at once; beyond, a regex is as good.
inline constexpr size_t kMaxFiniteTexts = 256;

// The texts that `regex`, anchored at both ends, matches: sorted, unique. Nullopt if they are more
// than kMaxFiniteTexts or the regex has anything but literals, (groups), (?:groups) and |.
std::optional<std::vector<std::string>> TextsOfFiniteRegex(std::string_view regex);

}  // namespace tsdbd::model
