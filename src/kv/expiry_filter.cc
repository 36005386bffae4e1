#include "kv/expiry_filter.h"

#include "kv/rocks_record.h"
#include "kv/store.h"

namespace tsdbd::kv {
namespace {

class ExpiryFilter final : public rocksdb::CompactionFilter {
 public:
  explicit ExpiryFilter(int64_t cutoff_ns) : cutoff_ns_(cutoff_ns) {}

  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice& record, std::string*,
              bool*) const override {
    Entry entry;
    return ParseRocksRecord({record.data(), record.size()}, &entry) &&
           entry.expires_ns <= cutoff_ns_;
  }
  const char* Name() const override { return "tsdbd.ExpiryFilter"; }

 private:
  const int64_t cutoff_ns_;
};

}  // namespace

std::unique_ptr<rocksdb::CompactionFilter> ExpiryFilterFactory::CreateCompactionFilter(
    const rocksdb::CompactionFilter::Context&) {
  return std::make_unique<ExpiryFilter>(times_->Oldest());
}

}  // namespace tsdbd::kv
