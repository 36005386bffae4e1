#pragma once
// AlexHarness: an AlexStore on a FaultEnv with small segments, and ways to look at it. For tests of
// this folder.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "kv/alex_store.h"
#include "kv/log_format.h"

namespace tsdbd::kv {

class AlexHarness {
 public:
  using Contents = std::map<std::string, std::string>;

  AlexHarness() {
    options.store.directory = "kv";
    options.min_segment_bytes = 16 * kLogPageBytes;
    options.max_segment_bytes = 16 * kLogPageBytes;
    options.has_upkeep = false;
    options.make_salt = [salt = std::make_shared<std::atomic<uint64_t>>(1)] {
      return 0x5A17'0000'0000'0000 + (*salt)++;
    };
  }

  Status Open() {
    report = {};
    auto opened = OpenAlexStore(&env, options, &report);
    if (opened.ok()) {
      store = *std::move(opened);
    }
    return opened.status();
  }
  void MustOpen() {
    const Status status = Open();
    ASSERT_TRUE(status.ok()) << status;
  }
  void Close() {
    EXPECT_TRUE(store->Close().ok());
    store.reset();
  }
  void Reopen() {
    Close();
    MustOpen();
  }
  // Ends the process, as `mode` says; then nothing runs.
  void Crash(CrashMode mode, uint64_t seed = 0) {
    env.Crash(mode, seed);
    store.reset();
    env.Restart();
  }
  void CrashAndOpen(CrashMode mode, uint64_t seed = 0) {
    Crash(mode, seed);
    MustOpen();
  }

  void Put(std::string_view key, std::string_view value, int64_t expires_ns = kNeverExpires) {
    const Status status = store->Put(key, value, expires_ns);
    EXPECT_TRUE(status.ok()) << status;
  }
  void Delete(std::string_view key) { EXPECT_TRUE(store->Delete(key).ok()); }
  // The value; the code's name in brackets if there is none.
  std::string Get(std::string_view key) {
    return Get(store->Read(Consistency::kLatest).get(), key);
  }
  static std::string Get(ReadView* view, std::string_view key) {
    Entry entry;
    const Status status = view->Get(key, &entry);
    return status.ok() ? std::string(entry.value)
                       : "[" + std::string(absl::StatusCodeToString(status.code())) + "]";
  }

  // Everything, by scans of `limit` entries, each with a view of its own.
  Contents All(size_t limit = SIZE_MAX) {
    Contents contents;
    std::string cursor;
    do {
      const auto view = store->Read(Consistency::kLatest);
      AddScan(view.get(), {.cursor = cursor, .limit = limit}, &contents, &cursor);
    } while (!cursor.empty());
    return contents;
  }
  static Contents All(ReadView* view) {
    Contents contents;
    std::string cursor;
    AddScan(view, {}, &contents, &cursor);
    EXPECT_EQ(cursor, "");
    return contents;
  }
  static void AddScan(ReadView* view, const ScanRange& range, Contents* contents,
                      std::string* cursor) {
    const std::string begin(range.cursor);  // `cursor` may be what it looks at
    ScanRange copy = range;
    copy.cursor = begin;
    const Status status = view->Scan(
        copy,
        [&](const Entry& entry) {
          const bool is_new =
              contents->emplace(std::string(entry.key), std::string(entry.value)).second;
          EXPECT_TRUE(is_new) << "visited twice: " << entry.key;
          return true;
        },
        cursor);
    EXPECT_TRUE(status.ok()) << status;
  }

  std::vector<std::string> SegmentPaths() {
    std::vector<std::string> paths;
    const std::vector<std::string> names = env.List(options.store.directory).value();
    for (const std::string& name : names) {
      if (ParseLogSegmentName(name)) {
        paths.push_back(options.store.directory + "/" + name);
      }
    }
    return paths;
  }

  FaultEnv env;
  AlexStoreOptions options;
  RecoveryReport report;
  std::unique_ptr<Store> store;
};

}  // namespace tsdbd::kv
