#pragma once
// Dump: what is in a block file or in a WAL folder, as text, one thing a line.

#include <functional>
#include <string>
#include <string_view>

#include "common/env.h"
#include "common/status.h"

namespace tsdbd::tsdbctl {

// Gets text that ends with a newline.
using Output = std::function<void(std::string_view text)>;

enum class DumpDetail {
  kIndex,    // of a block: groups and chunks; of a log: records
  kSamples,  // and every row
};

// Meta, groups, chunks. kDataLoss at the first damage, after what was intact before it.
Status DumpBlock(Env* env, const std::string& path, DumpDetail detail, const Output& output);

// Records in log order; damage is in the text.
Status DumpWal(Env* env, const std::string& folder, DumpDetail detail, const Output& output);

}  // namespace tsdbd::tsdbctl
