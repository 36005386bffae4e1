#pragma once
// Numbered writes: what tests of failing disks send to a database, and how they tell from what is
// left which of them survived. For tests only.
//
// All values of write n are n. Its rows lie in three partitions of 100 s: one in a series of its
// own, some that carry on series of all writes, and one that takes the place of a row of the write
// before, with another list of fields.

#include <cstdint>
#include <set>
#include <string>

#include "tsdb/batch_testing.h"
#include "tsdb/database.h"

namespace tsdbd::tsdb {

using WriteNumbers = std::set<uint64_t>;

// Where numbered writes go: "/db", partitions of 100 s, small log segments.
DatabaseOptions SmallDatabase();

WriteNumbers FirstWrites(uint64_t count);
// What the writes leave when they are sent in rising order and each takes effect as a whole.
Contents ContentsOf(const WriteNumbers& writes);
// Empty if they are equal; otherwise what is missing and what is too much.
std::string Difference(const Contents& found, const Contents& expected);
// The writes that have any row in `contents`.
WriteNumbers WritesIn(const Contents& contents);

// Sends writes 1, 2, 3… and keeps account of them.
class NumberedWrites {
 public:
  Status Next(Database* db);
  // Fails the test unless each of them goes through.
  void MustSend(Database* db, uint64_t count);
  // Sends until one goes through; false if none does in `limit_ms`.
  bool Resume(Database* db, int64_t limit_ms);

  // Fails the test unless the database holds all acknowledged writes and of each other one
  // everything or nothing.
  void Check(const Database& db) const;

  uint64_t sent() const { return sent_; }
  const WriteNumbers& acknowledged() const { return acknowledged_; }

 private:
  uint64_t sent_ = 0;
  WriteNumbers acknowledged_;
};

}  // namespace tsdbd::tsdb
