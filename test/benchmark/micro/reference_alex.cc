#include "reference_alex.h"

#include <alex.h>

namespace tsdbd::benchmark {

struct ReferenceAlex::Impl {
  uint64_t Find(uint64_t key) {
    const uint64_t* payload = alex.get_payload(key);
    return payload == nullptr ? 0 : *payload;
  }
  void Insert(uint64_t key, uint64_t payload) { alex.insert(key, payload); }
  uint64_t Scan(uint64_t from) {
    uint64_t sum = 0;
    auto at = alex.lower_bound(from);
    for (size_t i = 0; i < scan_length && !at.is_end(); ++i, ++at) {
      sum += at.payload();
    }
    return sum;
  }

  ::alex::Alex<uint64_t, uint64_t> alex;
  size_t scan_length = 0;
};

ReferenceAlex::ReferenceAlex() : impl_(std::make_unique<Impl>()) {}
ReferenceAlex::~ReferenceAlex() = default;

void ReferenceAlex::Load(const std::vector<std::pair<uint64_t, uint64_t>>& pairs) {
  impl_->alex.bulk_load(pairs.data(), static_cast<int>(pairs.size()));
}
void ReferenceAlex::Insert(uint64_t key, uint64_t payload) {
  impl_->Insert(key, payload);
}
uint64_t ReferenceAlex::CountWrongFinds(const std::vector<uint64_t>& keys, uint64_t mask,
                                        bool is_dependent) {
  return benchmark::CountWrongFinds(impl_.get(), keys, mask, is_dependent);
}
void ReferenceAlex::InsertAll(const std::vector<uint64_t>& keys) {
  benchmark::InsertAll(impl_.get(), keys);
}
uint64_t ReferenceAlex::SumOfScans(const std::vector<uint64_t>& starts, size_t length) {
  impl_->scan_length = length;
  return benchmark::SumOfScans(impl_.get(), starts);
}
size_t ReferenceAlex::bytes() const {
  return static_cast<size_t>(impl_->alex.data_size() + impl_->alex.model_size());
}

}  // namespace tsdbd::benchmark
