#include "model/row_batch.h"

namespace tsdbd::model {

uint64_t HashFieldNames(const std::vector<std::string>& names) {
  uint64_t hash = names.size();
  for (const std::string& name : names) {
    hash = MixHash(hash, Hash64(name));
  }
  return hash;
}

}  // namespace tsdbd::model
