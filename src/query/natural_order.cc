#include "query/natural_order.h"

#include <algorithm>
#include <cstddef>

namespace tsdbd::query {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// The run of digits at the beginning of *text, without leading zeros; taken off *text.
std::string_view TakeNumber(std::string_view* text) {
  const size_t length = std::ranges::find_if_not(*text, IsDigit) - text->begin();
  std::string_view digits = text->substr(0, length);
  text->remove_prefix(length);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

}  // namespace

bool NaturallyLess(std::string_view a, std::string_view b) {
  const std::string_view whole_a = a;
  const std::string_view whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (IsDigit(a[0]) && IsDigit(b[0])) {
      const std::string_view x = TakeNumber(&a);
      const std::string_view y = TakeNumber(&b);
      if (x.size() != y.size()) {
        return x.size() < y.size();
      }
      if (x != y) {
        return x < y;
      }
      continue;
    }
    if (a[0] != b[0]) {
      return static_cast<unsigned char>(a[0]) < static_cast<unsigned char>(b[0]);
    }
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.empty() != b.empty() ? a.empty() : whole_a < whole_b;
}

}  // namespace tsdbd::query
