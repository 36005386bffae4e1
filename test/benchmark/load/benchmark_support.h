#pragma once
// What the load benchmarks share: a scratch folder, figures of the process, and the head and foot
// of their reports.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/stages.h"
#include "tsdb/database.h"

namespace tsdbd::benchmark {

// A folder of its own under `parent`, removed at the end.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& parent);
  ~ScratchFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// "AMD EPYC, 2 cores"
std::string CpuLine();
// The same with "; wal.sync=always".
std::string MachineLine(wal::SyncMode sync);
std::string_view SyncModeName(wal::SyncMode sync);

// User and system time of this process, in seconds.
double ProcessCpuSeconds();
uint64_t ResidentBytes();

// The q-quantile (0 to 1); sorts *values. 0 if there are none.
double Quantile(std::vector<double>* values, double q);

// Ends the program with a message: a figure for a wrong answer is not printed.
void Require(bool correct, const std::string& what);

std::unique_ptr<tsdb::Database> OpenDatabase(const std::string& folder, wal::SyncMode sync);

}  // namespace tsdbd::benchmark
