#pragma once
// The order that people expect of texts with numbers in them: "a2" before "a10".

#include <string_view>

namespace tsdbd::query {

// Runs of digits compare as numbers, everything else byte by byte. Texts that differ only in
// leading zeros compare as bytes.
bool NaturallyLess(std::string_view a, std::string_view b);

}  // namespace tsdbd::query
