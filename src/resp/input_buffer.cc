#include "resp/input_buffer.h"

namespace tsdbd::resp {

bool InputBuffer::Grow(size_t needed_bytes) {
  const size_t size = end_ - begin_;
  const size_t missing = needed_bytes > size ? needed_bytes - size : 0;
  if (capacity_ - end_ >= std::clamp<size_t>(missing, 1, kMinSpaceBytes)) {
    return true;
  }
  // By no more than is there already, since what is announced may never come; by no less than half
  // of that, so that each byte is copied about twice, however small the arguments that come.
  return Reallocate(size + std::max(kMinSpaceBytes, std::clamp(missing, size / 2, size)));
}

bool InputBuffer::Append(std::string_view bytes) {
  if (capacity_ - end_ < bytes.size() && !Reallocate(end_ - begin_ + bytes.size())) {
    return false;
  }
  bytes.copy(data_.get() + end_, bytes.size());
  end_ += bytes.size();
  return true;
}

void InputBuffer::Consume(size_t size) {
  begin_ += size;
  if (begin_ == end_) {
    Release();
  }
}

void InputBuffer::Release() {
  data_.reset();
  budget_->Return(capacity_);
  capacity_ = begin_ = end_ = 0;
}

bool InputBuffer::Reallocate(size_t capacity) {
  if (!budget_->TryTake(capacity)) {
    return false;
  }
  auto data = std::make_unique_for_overwrite<char[]>(capacity);
  const size_t size = contents().copy(data.get(), end_ - begin_);
  budget_->Return(capacity_);
  data_ = std::move(data);
  capacity_ = capacity;
  begin_ = 0;
  end_ = size;
  return true;
}

}  // namespace tsdbd::resp
