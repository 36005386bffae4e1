#include "common/hex_dump_testing.h"

#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace tsdbd {

std::string HexDump(std::string_view bytes) {
  constexpr size_t kBytesPerLine = 16;
  std::string dump;
  std::string_view last_line;
  bool in_run = false;
  for (size_t at = 0; at < bytes.size(); at += kBytesPerLine) {
    const std::string_view line = bytes.substr(at, kBytesPerLine);
    if (at > 0 && line == last_line) {
      dump += in_run ? "" : "*\n";
      in_run = true;
      continue;
    }
    in_run = false;
    last_line = line;
    dump += fmt::format("{:08x} ", at);
    std::string text;
    for (const char c : line) {
      const auto byte = static_cast<unsigned char>(c);
      dump += fmt::format(" {:02x}", byte);
      text += byte >= 0x20 && byte < 0x7F ? c : '.';
    }
    dump += "  |" + text + "|\n";
  }
  return dump + fmt::format("{:08x}\n", bytes.size());
}

std::string HexDumpInDocument(std::string_view page) {
  std::ifstream file(fmt::format("{}/docs/formats/{}", TSDBD_SOURCE_DIR, page));
  std::stringstream contents;
  contents << file.rdbuf();
  const std::string text = contents.str();
  const std::string fence = "```hex\n";
  const size_t begin = text.find(fence);
  if (begin == std::string::npos) {
    return fmt::format("no hex dump in docs/formats/{}", page);
  }
  const size_t end = text.find("```", begin + fence.size());
  return text.substr(begin + fence.size(), end - begin - fence.size());
}

}  // namespace tsdbd
