#include "query/parse_error.h"

#include <algorithm>

namespace tsdbd::query {

Status ParseError(std::string_view query, size_t position, std::string_view message) {
  if (query.empty()) {
    return InvalidArgument("unknown position: parse error: {}", message);
  }
  const std::string_view before = query.substr(0, position);
  const size_t line = 1 + std::ranges::count(before, '\n');
  const size_t last_break = before.rfind('\n');
  const size_t column = last_break == before.npos ? position + 1 : position - last_break;
  return InvalidArgument("{}:{}: parse error: {}", line, column, message);
}

}  // namespace tsdbd::query
