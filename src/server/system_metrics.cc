// What /proc and jemalloc know about this process (metrics.h).

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/metrics.h"

// Weak: the tests and the sanitizer builds run without jemalloc.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_size, void* new_value,
                       size_t new_size) __attribute__((weak));
extern "C" void malloc_stats_print(void (*write)(void* context, const char* text), void* context,
                                   const char* options) __attribute__((weak));

namespace tsdbd::server {
namespace {

struct FileCloser {
  void operator()(FILE* file) const { std::fclose(file); }
};

// Empty if it cannot be read. Our files of /proc are shorter than the buffer.
std::string ReadProcFile(const char* path) {
  const std::unique_ptr<FILE, FileCloser> file(std::fopen(path, "re"));
  if (file == nullptr) {
    return {};
  }
  char buffer[4096];
  return {buffer, std::fread(buffer, 1, sizeof buffer, file.get())};
}

// The fields of /proc/self/stat that we show; proc(5) numbers them from 1.
struct ProcessStat {
  double cpu_ticks = 0;       // 14 utime + 15 stime
  double threads = 0;         // 20
  double start_ticks = 0;     // 22, since boot
  double virtual_bytes = 0;   // 23
  double resident_pages = 0;  // 24
};

bool ReadProcessStat(ProcessStat* stat) {
  const std::string text = ReadProcFile("/proc/self/stat");
  // Field 2 is the program's name in parentheses and may hold anything.
  const size_t name_end = text.rfind(')');
  if (name_end == text.npos) {
    return false;
  }
  const char* next = text.c_str() + name_end + 3;  // past ") " and the letter of field 3
  for (int field = 4; field <= 24; ++field) {
    char* end = nullptr;
    const double value = std::strtod(next, &end);
    if (end == next) {
      return false;
    }
    next = end;
    switch (field) {
      case 14:
      case 15:
        stat->cpu_ticks += value;
        break;
      case 20:
        stat->threads = value;
        break;
      case 22:
        stat->start_ticks = value;
        break;
      case 23:
        stat->virtual_bytes = value;
        break;
      case 24:
        stat->resident_pages = value;
        break;
      default:
        break;
    }
  }
  return true;
}

// Seconds since the epoch at which the machine was started; 0 if unknown.
double BootTimeSeconds() {
  const std::unique_ptr<FILE, FileCloser> file(std::fopen("/proc/stat", "re"));
  char line[4096];
  while (file != nullptr && std::fgets(line, sizeof line, file.get()) != nullptr) {
    double seconds = 0;
    if (std::sscanf(line, "btime %lf", &seconds) == 1) {
      return seconds;
    }
  }
  return 0;
}

double CountOpenDescriptors() {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) {
    return 0;
  }
  double count = 0;
  while (const dirent* entry = readdir(folder)) {
    count += entry->d_name[0] == '.' ? 0 : 1;
  }
  closedir(folder);
  return count - 1;  // the folder's own
}

bool ReadMallocFigure(const char* name, double* value) {
  size_t figure = 0;
  size_t size = sizeof figure;
  if (mallctl(name, &figure, &size, nullptr, 0) != 0) {
    return false;
  }
  *value = static_cast<double>(figure);
  return true;
}

}  // namespace

void CollectProcess(MetricWriter* writer) {
  ProcessStat stat;
  if (!ReadProcessStat(&stat)) {
    return;
  }
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  static const double boot_time_seconds = BootTimeSeconds();
  writer->Counter("process_cpu_seconds_total", "User and system CPU time.",
                  stat.cpu_ticks / ticks_per_second);
  writer->Gauge("process_resident_memory_bytes", "Resident memory.",
                stat.resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
  writer->Gauge("process_virtual_memory_bytes", "Virtual memory.", stat.virtual_bytes);
  writer->Gauge("process_threads", "Threads.", stat.threads);
  writer->Gauge("process_open_fds", "Open file descriptors.", CountOpenDescriptors());
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  writer->Gauge("process_max_fds", "Bound of open file descriptors.",
                static_cast<double>(limit.rlim_cur));
  writer->Gauge("process_start_time_seconds", "Start, in seconds since the Unix epoch.",
                boot_time_seconds + stat.start_ticks / ticks_per_second);
}

void CollectMalloc(MetricWriter* writer) {
  if (mallctl == nullptr) {
    return;
  }
  // The figures are those of the last epoch.
  uint64_t epoch = 1;
  size_t size = sizeof epoch;
  mallctl("epoch", &epoch, &size, &epoch, size);
  struct Figure {
    const char* control;
    const char* name;
    const char* help;
  };
  for (const Figure& figure :
       {Figure{"stats.allocated", "jemalloc_allocated_bytes", "Memory in use by the program."},
        Figure{"stats.active", "jemalloc_active_bytes", "Memory in pages with something in use."},
        Figure{"stats.metadata", "jemalloc_metadata_bytes", "Memory of the allocator itself."},
        Figure{"stats.resident", "jemalloc_resident_bytes", "Memory that is backed by pages."},
        Figure{"stats.mapped", "jemalloc_mapped_bytes", "Memory in active extents."},
        Figure{"stats.retained", "jemalloc_retained_bytes",
               "Address space kept, without memory behind it."}}) {
    double value = 0;
    if (ReadMallocFigure(figure.control, &value)) {
      writer->Gauge(figure.name, figure.help, value);
    }
  }
}

std::string MallocReport() {
  if (malloc_stats_print == nullptr) {
    return "jemalloc is not linked.\n";
  }
  std::string report;
  // a: without a table for each arena.
  malloc_stats_print(
      [](void* context, const char* text) { *static_cast<std::string*>(context) += text; }, &report,
      "a");
  return report;
}

}  // namespace tsdbd::server
