#include "server/text.h"

#include "query/json_writer.h"

namespace tsdbd::server {

std::string JsonText(std::string_view text) {
  std::string json;
  query::JsonStream stream([&json](std::string_view piece) {
    json += piece;
    return true;
  });
  stream.String(text);
  stream.Flush();
  return json;
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string joined;
  for (const std::string& part : parts) {
    joined.append(&part == &parts.front() ? "" : separator).append(part);
  }
  return joined;
}

}  // namespace tsdbd::server
