// RESP requests: any bytes are refused or make commands, the same ones whatever pieces they come
// in and however many are taken at a time.
//
// The first byte of an input is the size of the pieces, its second half that of the batches.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/check.h"
#include "resp/request_parser.h"

namespace tsdbd::resp {
namespace {

constexpr RequestLimits kLimits = {
    .max_arguments = 1'000, .max_argument_bytes = 1'000, .max_request_bytes = 4'000};

std::string Story(std::string_view input, size_t piece_size, size_t batch_size) {
  RequestParser parser;
  parser.set_limits(kLimits, /*is_trusted=*/true);
  std::string story;
  std::string pending;
  while (!input.empty() && !parser.has_failed()) {
    pending.append(input.substr(0, piece_size));
    input.remove_prefix(std::min(piece_size, input.size()));
    size_t taken = 1;
    while (taken > 0 && !parser.has_failed()) {
      CommandBatch batch;
      taken = parser.Parse(pending, batch_size, &batch);
      CHECK(batch.size() <= batch_size && batch.input_bytes(batch.size()) <= taken);
      for (size_t i = 0; i < batch.size(); ++i) {
        CHECK(!batch[i].empty());
        for (const std::string_view word : batch[i]) {
          story.append(word).push_back('\n');
        }
        story.push_back('\n');
      }
      pending.erase(0, taken);
    }
  }
  return story + parser.error();
}

}  // namespace
}  // namespace tsdbd::resp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) {
    return 0;
  }
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece_size = std::max(1, data[0] % 16);
  const size_t batch_size = std::max(1, data[0] / 16);
  CHECK(tsdbd::resp::Story(input, input.size(), 1'000'000) ==
        tsdbd::resp::Story(input, piece_size, batch_size));
  return 0;
}
