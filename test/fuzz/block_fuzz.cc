// Blocks: any bytes are refused or can be read wholly. Each input is tried twice: as it is, and
// with its checksums made right, so that damage gets past them to the code behind.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/block_model_testing.h"

namespace tsdbd::storage {
namespace {

void ReadEverything(std::string_view bytes) {
  const AlignedBytes aligned(bytes);
  const auto block = Block::OpenBytes(aligned.view(), "fuzz");
  if (!block.ok()) {
    return;
  }
  (*block)->Verify().IgnoreError();
  ReadModelGroups(**block).status().IgnoreError();
  using model::MatchType;
  static const std::vector<std::vector<model::Matcher>> kSelectors = {
      {},
      {model::Matcher::Create(MatchType::kEqual, "host", "a").value()},
      {model::Matcher::Create(MatchType::kNotRegex, "dc", "a|b").value(),
       model::Matcher::Create(MatchType::kRegex, "__name__", "cpu.*|up").value()},
  };
  for (const auto& selector : kSelectors) {
    (*block)->Select(selector).status().IgnoreError();
    (*block)->LabelNames(selector).status().IgnoreError();
    (*block)->LabelValues("host", selector).status().IgnoreError();
    (*block)->LabelValues("__name__", selector).status().IgnoreError();
  }
}

}  // namespace
}  // namespace tsdbd::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  tsdbd::storage::ReadEverything(bytes);
  tsdbd::storage::ReadEverything(tsdbd::storage::WithRightChecksums(bytes));
  return 0;
}
