#pragma once
// For the tests that keep the hex dumps in docs/formats true.

#include <string>
#include <string_view>

namespace tsdbd {

// As `hexdump -C` prints it, without the double gap: 16 bytes a line, repeated lines as one "*",
// the size at the end.
std::string HexDump(std::string_view bytes);

// What stands between ```hex and ``` in a page of docs/formats; a message if it has none.
std::string HexDumpInDocument(std::string_view page);

}  // namespace tsdbd
