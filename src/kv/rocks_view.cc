#include "kv/rocks_view.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "common/stages.h"
#include "kv/rocks_record.h"

namespace tsdbd::kv {
namespace {

// Pieces for copies of scanned entries.
constexpr size_t kPieceBytes = 64 << 10;

// A cursor is one of these and the key to visit next.
constexpr char kAscendingMark = '>';
constexpr char kDescendingMark = '<';

Status Damaged(RocksState* state, std::string_view key, size_t size_bytes) {
  state->counters.damaged_records.fetch_add(1, std::memory_order_relaxed);
  return DataLoss(
      "read {}: a record of {} bytes is shorter than its header of {} (key of {} bytes)",
      state->options.directory, size_bytes, kRocksHeaderBytes, key.size());
}

// What came of a look-up in the database.
Status Interpret(RocksState* state, const rocksdb::Status& status, const rocksdb::Slice& record,
                 std::string_view key, int64_t now_ns, Entry* entry) {
  if (status.IsNotFound()) {
    return Status(StatusCode::kNotFound, "");
  }
  if (!status.ok()) {
    if (status.IsCorruption()) {
      state->counters.damaged_records.fetch_add(1, std::memory_order_relaxed);
    }
    return state->Fail(status, "read");
  }
  if (!ParseRocksRecord(ToView(record), entry)) {
    return Damaged(state, key, record.size());
  }
  entry->key = key;
  return entry->expires_ns > now_ns ? OkStatus() : Status(StatusCode::kNotFound, "");
}

Status FromHot(const HotValue& hot, int64_t now_ns, Entry* entry) {
  *entry = {
      .key = hot.key, .value = hot.value, .version = hot.version, .expires_ns = hot.expires_ns};
  return hot.expires_ns > now_ns ? OkStatus() : Status(StatusCode::kNotFound, "");
}

void FillHot(RocksState* state, HotValues::Ticket ticket, const Entry& entry) {
  if (state->hot.Takes(entry.key.size() + entry.value.size())) {
    state->hot.Fill(ticket,
                    std::make_shared<const HotValue>(HotValue{.key = std::string(entry.key),
                                                              .value = std::string(entry.value),
                                                              .version = entry.version,
                                                              .expires_ns = entry.expires_ns}));
  }
}

// The indexes of `keys` in the order of the keys.
std::vector<size_t> KeyOrder(std::span<const std::string_view> keys) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  return order;
}

// Whether the key at `place` of their order is also the one before it.
bool IsRepeat(std::span<const std::string_view> keys, std::span<const size_t> order, size_t place) {
  return place > 0 && keys[order[place]] == keys[order[place - 1]];
}

}  // namespace

Status ReadLatest(RocksState* state, std::string_view key, PinnedRecord* pinned, Entry* entry) {
  const int64_t now_ns = state->now_ns();
  pinned->hot = state->hot.Find(key);
  if (pinned->hot != nullptr) {
    return FromHot(*pinned->hot, now_ns, entry);
  }
  pinned->key = key;
  const HotValues::Ticket ticket = state->hot.BeginFill(key);
  const rocksdb::Status status =
      state->db->Get(rocksdb::ReadOptions(), state->entries, ToSlice(pinned->key), &pinned->record);
  RETURN_IF_ERROR(Interpret(state, status, pinned->record, pinned->key, now_ns, entry));
  FillHot(state, ticket, *entry);
  return OkStatus();
}

RocksView::RocksView(RocksState* state, Consistency consistency) : state_(state) {
  if (consistency == Consistency::kSnapshot) {
    // In this order: what the snapshot sees must not be removed as expired from here on.
    taken_ns_ = state_->snapshot_times->Open();
    snapshot_ = state_->db->GetSnapshot();
  }
}

RocksView::~RocksView() {
  if (snapshot_ != nullptr) {
    state_->db->ReleaseSnapshot(snapshot_);
    state_->snapshot_times->Close(taken_ns_);
  }
}

rocksdb::ReadOptions RocksView::ReadOptions() const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  return options;
}

Status RocksView::Get(std::string_view key, Entry* entry) {
  StageTimer timer(Stage::kKvRead);
  PinnedRecord& pinned = pinned_.emplace_front();
  if (snapshot_ == nullptr) {
    return ReadLatest(state_, key, &pinned, entry);
  }
  pinned.key = key;
  const rocksdb::Status status =
      state_->db->Get(ReadOptions(), state_->entries, ToSlice(key), &pinned.record);
  return Interpret(state_, status, pinned.record, pinned.key, taken_ns_, entry);
}

void RocksView::GetMany(std::span<const std::string_view> keys, std::span<Entry> entries,
                        std::span<Status> statuses) {
  StageTimer timer(Stage::kKvRead);
  timer.set_items(keys.size());
  const int64_t now_ns = NowNanos();
  std::vector<size_t> missing;
  std::vector<HotValues::Ticket> tickets;
  std::vector<rocksdb::Slice> slices;
  const std::vector<size_t> order = KeyOrder(keys);
  for (size_t o = 0; o < order.size(); ++o) {
    const size_t i = order[o];
    if (IsRepeat(keys, order, o)) {
      continue;
    }
    const HotValues::Pointer hot = snapshot_ == nullptr ? state_->hot.Find(keys[i]) : nullptr;
    if (hot != nullptr) {
      statuses[i] = FromHot(*hot, now_ns, &entries[i]);
      pinned_.emplace_front().hot = hot;
      continue;
    }
    missing.push_back(i);
    tickets.push_back(state_->hot.BeginFill(keys[i]));
    slices.push_back(ToSlice(Keep(keys[i])));
  }
  const auto& records =
      pinned_many_.emplace_back(std::make_unique<rocksdb::PinnableSlice[]>(missing.size()));
  std::vector<rocksdb::Status> found(missing.size());
  state_->db->MultiGet(ReadOptions(), state_->entries, missing.size(), slices.data(), records.get(),
                       found.data(), /*sorted_input=*/true);
  for (size_t m = 0; m < missing.size(); ++m) {
    const size_t i = missing[m];
    statuses[i] = Interpret(state_, found[m], records[m], ToView(slices[m]), now_ns, &entries[i]);
    if (statuses[i].ok() && snapshot_ == nullptr) {
      FillHot(state_, tickets[m], entries[i]);
    }
  }
  for (size_t o = 0; o < order.size(); ++o) {
    if (IsRepeat(keys, order, o)) {
      statuses[order[o]] = statuses[order[o - 1]];
      entries[order[o]] = entries[order[o - 1]];
    }
  }
}

Status RocksView::CheckRange(const ScanRange& range) const {
  const bool is_integer = state_->options.key_type == KeyType::kInteger;
  for (const std::string_view bound : {range.from, range.to}) {
    if (is_integer && !bound.empty() && bound.size() != sizeof(uint64_t)) {
      return InvalidArgument("a bound of {} bytes in a keyspace of 8-byte integers", bound.size());
    }
  }
  if (range.cursor.empty()) {
    return OkStatus();
  }
  const char mark = range.is_descending ? kDescendingMark : kAscendingMark;
  const size_t key_bytes = range.cursor.size() - 1;
  if (range.cursor[0] != mark || key_bytes > kMaxKeyBytes ||
      (is_integer && key_bytes != sizeof(uint64_t))) {
    return InvalidArgument("not a cursor of this scan");
  }
  return OkStatus();
}

Status RocksView::Scan(const ScanRange& range, const EntryVisitor& visitor, std::string* cursor) {
  StageTimer timer(Stage::kKvRead);
  cursor->clear();
  RETURN_IF_ERROR(CheckRange(range));
  rocksdb::ReadOptions options = ReadOptions();
  const rocksdb::Slice from = ToSlice(range.from);
  const rocksdb::Slice to = ToSlice(range.to);
  options.iterate_lower_bound = range.from.empty() ? nullptr : &from;
  options.iterate_upper_bound = range.to.empty() ? nullptr : &to;
  const int64_t now_ns = NowNanos();
  const std::unique_ptr<rocksdb::Iterator> iterator(
      state_->db->NewIterator(options, state_->entries));
  if (!range.cursor.empty()) {
    const rocksdb::Slice next = ToSlice(range.cursor.substr(1));
    range.is_descending ? iterator->SeekForPrev(next) : iterator->Seek(next);
  } else {
    range.is_descending ? iterator->SeekToLast() : iterator->SeekToFirst();
  }
  size_t visited = 0;
  bool go_on = true;
  for (; iterator->Valid(); range.is_descending ? iterator->Prev() : iterator->Next()) {
    Entry entry;
    if (!ParseRocksRecord(ToView(iterator->value()), &entry)) {
      Damaged(state_, ToView(iterator->key()), iterator->value().size()).IgnoreError();
      continue;
    }
    if (entry.expires_ns <= now_ns) {
      continue;
    }
    if (!go_on || visited == range.limit) {
      *cursor = range.is_descending ? kDescendingMark : kAscendingMark;
      cursor->append(ToView(iterator->key()));
      break;
    }
    entry.key = Keep(ToView(iterator->key()));
    entry.value = range.keys_only ? std::string_view() : Keep(entry.value);
    go_on = visitor(entry);
    ++visited;
  }
  timer.set_items(visited);
  if (iterator->status().IsCorruption()) {
    state_->counters.damaged_records.fetch_add(1, std::memory_order_relaxed);
  }
  return state_->Fail(iterator->status(), "scan");
}

std::string_view RocksView::Keep(std::string_view bytes) {
  if (bytes.size() > kept_room_bytes_) {
    const size_t piece_bytes = std::max(kPieceBytes, bytes.size());
    kept_end_ = kept_.emplace_back(std::make_unique_for_overwrite<char[]>(piece_bytes)).get();
    kept_room_bytes_ = piece_bytes;
  }
  char* const copy = kept_end_;
  if (!bytes.empty()) {
    std::memcpy(copy, bytes.data(), bytes.size());
  }
  kept_end_ += bytes.size();
  kept_room_bytes_ -= bytes.size();
  return {copy, bytes.size()};
}

}  // namespace tsdbd::kv
