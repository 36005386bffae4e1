#include "resp/replies.h"

#include "resp/reply_writer.h"

namespace tsdbd::resp {

void Replies::AddWaiting(std::string_view bytes, size_t reply_count,
                         std::shared_ptr<Completion> completion) {
  if (!completion->Await() && completion->error().empty()) {
    text_.append(bytes);
    return;
  }
  part_bytes_ += text_.size() + bytes.size();
  if (!text_.empty()) {
    parts_.push_back({.bytes = std::exchange(text_, {})});
  }
  parts_.push_back({.bytes = std::string(bytes),
                    .reply_count = reply_count,
                    .completion = std::move(completion)});
}

std::string Replies::BytesOf(Part part) {
  if (part.completion == nullptr || part.completion->error().empty()) {
    return std::move(part.bytes);
  }
  std::string bytes;
  ReplyWriter writer(&bytes, Protocol::kResp2);
  for (size_t i = 0; i < part.reply_count; ++i) {
    writer.Error(part.completion->error());
  }
  return bytes;
}

}  // namespace tsdbd::resp
