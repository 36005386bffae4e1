#pragma once
// Small pieces of text for answers and messages. Large answers are streamed by query/json_writer.h.

#include <string>
#include <string_view>
#include <vector>

namespace tsdbd::server {

// `text` in quotes, escaped; bytes that are not UTF-8 become U+FFFD.
std::string JsonText(std::string_view text);

// "a, b, c" for separator ", ".
std::string Join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace tsdbd::server
