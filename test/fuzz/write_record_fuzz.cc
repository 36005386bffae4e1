// Any bytes as a write record: refused or decoded, never read past the end.
#include <cstdint>
#include <map>
#include <string_view>

#include "tsdb/write_record.h"

namespace {

class Visitor : public tsdbd::tsdb::WriteRecordVisitor {
 public:
  void OnDefinition(const tsdbd::tsdb::GroupDefinition& definition) override {
    columns_[definition.reference] = definition.column_values.size();
  }
  size_t ColumnCount(uint32_t reference) override {
    const auto found = columns_.find(reference);
    return found == columns_.end() ? 0 : found->second;
  }
  void OnRow(uint32_t reference, int64_t, const double* values) override {
    for (size_t i = 0; i < ColumnCount(reference); ++i) {
      sum_ = sum_ + values[i];
    }
  }

 private:
  std::map<uint32_t, size_t> columns_;
  volatile double sum_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Visitor visitor;
  static_cast<void>(tsdbd::tsdb::DecodeWriteRecord(
      std::string_view(reinterpret_cast<const char*>(data), size), &visitor));
  return 0;
}
