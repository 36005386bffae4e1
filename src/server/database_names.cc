#include "server/database_names.h"

namespace tsdbd::server {

Status DatabaseNames::Add(const std::string& name) {
  if (name.size() > kMaxNameBytes) {
    return InvalidArgument("the database name has {} bytes; at most {} are allowed", name.size(),
                           kMaxNameBytes);
  }
  MutexLock lock(&mutex_);
  if (names_.size() >= kMaxNames && names_.count(name) == 0) {
    return ResourceExhausted("{} databases without samples are remembered, not more", kMaxNames);
  }
  names_.insert(name);
  return OkStatus();
}

std::vector<std::string> DatabaseNames::MergedWith(const std::vector<std::string>& others) const {
  MutexLock lock(&mutex_);
  std::set<std::string> merged = names_;
  merged.insert(others.begin(), others.end());
  return {merged.begin(), merged.end()};
}

}  // namespace tsdbd::server
