#pragma once
// DatabaseNames: what CREATE DATABASE has named since the start. A database is only a label here
// and needs no making, but InfluxDB's clients look for its name before they write. Names with
// samples are known by their label; the ones without are forgotten at a restart.
//
// Threads: all methods may be called from any thread.

#include <set>
#include <string>
#include <vector>

#include "common/mutex.h"
#include "common/status.h"

namespace tsdbd::server {

class DatabaseNames {
 public:
  // kResourceExhausted beyond kMaxNames, kInvalidArgument for a name longer than kMaxNameBytes.
  Status Add(const std::string& name) EXCLUDES(mutex_);
  // Sorted, with those of `others`.
  std::vector<std::string> MergedWith(const std::vector<std::string>& others) const
      EXCLUDES(mutex_);

  // Far more than anybody makes by hand; a bound on what requests can make us keep.
  static constexpr size_t kMaxNames = 10'000;
  static constexpr size_t kMaxNameBytes = 1'024;

 private:
  mutable Mutex mutex_;
  std::set<std::string> names_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::server
