#include "kv/alex_view.h"

#include <algorithm>

#include "common/stages.h"

namespace tsdbd::kv {
namespace {

// Two readings of the clock cost a fifth of a read, so single ones are timed one in so many.
constexpr uint64_t kTimedReadInterval = 64;

// Cache misses that overlap: more than a core keeps in flight gains nothing.
constexpr size_t kReadsInFlight = 32;

// A record of this size costs more to check than to remember: a request may repeat its key.
constexpr size_t kLargeValueBytes = 4096;

// Records that a scan asks for before it gets to them. More than a core keeps in flight would only
// push each other out.
constexpr size_t kScanAhead = 12;

// Pairs of the index that a scan takes at a time.
constexpr size_t kPagePairs = 256;

// The first lines of a record: header and a value of some 200 bytes. They come together then, not
// each after the one before was looked at.
inline void PrefetchRecord(const char* record) {
  __builtin_prefetch(record);
  __builtin_prefetch(record + 64);
  __builtin_prefetch(record + 128);
  __builtin_prefetch(record + 192);
}

Entry EntryOf(const Record& record) {
  return {record.key, record.value, record.version, record.expires_ns};
}

}  // namespace

std::unique_ptr<ReadView> AlexStore::Read(Consistency consistency) {
  return std::make_unique<AlexView>(this, consistency);
}

Status AlexStore::DamagedRecord(Position position) const {
  damaged_count_.fetch_add(1, std::memory_order_relaxed);
  return DataLoss("{}: the record at {} is damaged", log_.Find(position)->path(),
                  OffsetOf(position));
}

AlexView::AlexView(AlexStore* store, Consistency consistency)
    : store_(store), pin_(&store->gate_), is_snapshot_(consistency == Consistency::kSnapshot) {
  if (is_snapshot_) {
    MutexLock lock(&store_->write_mutex_);
    version_ = store_->version_;
    now_ns_ = store_->options_.now_ns();
    store_->history_.Begin(version_);
  }
}

AlexView::~AlexView() {
  if (is_snapshot_) {
    store_->history_.End(version_);
  }
}

void AlexView::PrefetchAt(Position position) const {
  PrefetchRecord(store_->log_.Find(position)->bytes().data() + OffsetOf(position));
}

// ---- Single keys

bool AlexView::IsVisible(const Record& record) const {
  if (!record.has_expiry()) {
    return true;
  }
  return record.expires_ns > (is_snapshot_ ? now_ns_ : store_->options_.now_ns());
}

AlexView::Match AlexView::MatchAt(Position position, std::string_view key, Part part,
                                  Entry* entry) const {
  Record record;
  const bool is_intact = part == Part::kKey
                             ? ReadKeyAt(position, &record)
                             : store_->ReadRecordAt(position, &record) == RecordState::kIntact;
  if (!is_intact) [[unlikely]] {
    return Match::kDamaged;
  }
  if (record.key != key || record.version > version_) {
    return Match::kNo;
  }
  if (!IsVisible(record)) {
    return Match::kExpired;
  }
  *entry = EntryOf(record);
  return Match::kYes;
}

// What nearly every read is, in as few instructions as possible: the fewer there are between two
// cache misses, the more of them the processor has under way at once.
inline bool AlexView::IsAt(Position position, uint64_t index_key, std::string_view key,
                           Entry* entry) const {
  const LogSegment* const segment = store_->log_.Find(position);
  const uint64_t offset = OffsetOf(position);
  PrefetchRecord(segment->bytes().data() + offset);
  Record record;
  if (ReadRecord(segment->bytes(), segment->salt(), offset, &record) != RecordState::kIntact ||
      record.index_key != index_key || !(store_->is_integer_ || record.key == key) ||
      record.version > version_ || !IsVisible(record)) [[unlikely]] {
    return false;
  }
  *entry = EntryOf(record);
  return true;
}

Status AlexView::Find(uint64_t index_key, std::string_view key, Position first, Part part,
                      Entry* entry) const {
  Position damaged = 0;
  // Says whether the search is over.
  const auto try_at = [&](Position position, Status* status) {
    switch (MatchAt(position, key, part, entry)) {
      case Match::kYes:
        *status = OkStatus();
        return true;
      case Match::kExpired:
        *status = Status(StatusCode::kNotFound, "");
        return true;
      case Match::kDamaged:
        damaged = position;
        return false;
      case Match::kNo:
        return false;
    }
    return false;
  };
  Status status;
  if (first != 0 && try_at(first, &status)) [[likely]] {
    return status;
  }
  std::vector<KeyIndex::Pair> others;
  if (first != 0 && !store_->is_integer_) {
    uint64_t moves;
    do {  // a key may move from the others to the first while we look at the first
      moves = store_->index_.move_count();
      others.clear();
      if (const Position again = store_->index_.FindFirst(index_key); again != 0) {
        others.push_back({index_key, again});
      }
      store_->index_.CollectOthers(index_key, index_key, &others);
    } while (store_->index_.move_count() != moves);
  }
  if (is_snapshot_) {
    store_->history_.Collect(index_key, index_key, version_, &others);
  }
  for (const KeyIndex::Pair& other : others) {
    if (try_at(other.payload, &status)) {
      return status;
    }
  }
  return damaged != 0 ? store_->DamagedRecord(damaged) : Status(StatusCode::kNotFound, "");
}

Status AlexView::Get(std::string_view key, Entry* entry) {
  if (!store_->IsKey(key)) [[unlikely]] {
    return store_->CheckKey(key);
  }
  const bool is_timed = read_count_++ % kTimedReadInterval == 0;
  const int64_t start_ns = is_timed ? MonotonicNanos() : 0;
  const uint64_t index_key = store_->IndexKeyOf(key);
  const Position first = store_->index_.FindFirst(index_key);
  Status status;
  if (first == 0 || !IsAt(first, index_key, key, entry)) [[unlikely]] {
    status = Find(index_key, key, first, Part::kAll, entry);
  }
  if (is_timed) {
    RecordStage(Stage::kKvRead, MonotonicNanos() - start_ns);
  }
  return status;
}

void AlexView::GetMany(std::span<const std::string_view> keys, std::span<Entry> entries,
                       std::span<Status> statuses) {
  ReadMany(keys, Part::kAll, entries, statuses);
}

void AlexView::FindMany(std::span<const std::string_view> keys, std::span<Entry> entries,
                        std::span<Status> statuses) {
  ReadMany(keys, Part::kKey, entries, statuses);
  for (Entry& entry : entries) {
    entry.value = {};  // of a record that was read as a whole after all
  }
}

void AlexView::ReadMany(std::span<const std::string_view> keys, Part part, std::span<Entry> entries,
                        std::span<Status> statuses) {
  StageTimer timer(Stage::kKvRead);
  timer.set_items(keys.size());
  large_.clear();
  for (size_t begin = 0; begin < keys.size(); begin += kReadsInFlight) {
    const size_t count = std::min(kReadsInFlight, keys.size() - begin);
    uint64_t index_keys[kReadsInFlight];
    Position positions[kReadsInFlight];
    bool found[kReadsInFlight];
    for (size_t i = 0; i < count; ++i) {
      const std::string_view key = keys[begin + i];
      index_keys[i] = store_->IsKey(key) ? store_->IndexKeyOf(key) : 0;
    }
    store_->index_.map().FindMany({index_keys, count}, {positions, count}, {found, count});
    for (size_t i = 0; i < count; ++i) {
      if (found[i]) {
        PrefetchAt(positions[i]);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      const std::string_view key = keys[begin + i];
      const Position first = found[i] ? positions[i] : 0;
      if (!large_.empty()) {
        if (const auto known = large_.find(first);
            known != large_.end() && entries[known->second].key == key) {
          entries[begin + i] = entries[known->second];
          statuses[begin + i] = OkStatus();
          continue;
        }
      }
      statuses[begin + i] = store_->IsKey(key)
                                ? Find(index_keys[i], key, first, part, &entries[begin + i])
                                : store_->CheckKey(key);
      if (statuses[begin + i].ok() && entries[begin + i].value.size() >= kLargeValueBytes) {
        large_.emplace(first, begin + i);
      }
    }
  }
}

// ---- Scans

StatusOr<AlexView::Interval> AlexView::IntervalOf(const ScanRange& range) const {
  if (!store_->is_integer_ && (!range.from.empty() || !range.to.empty() || range.is_descending)) {
    return InvalidArgument("the keys of this keyspace have no order: no bounds, no direction");
  }
  for (const std::string_view bound : {range.from, range.to, range.cursor}) {
    if (!bound.empty() && bound.size() != 8) {
      return InvalidArgument("a bound or cursor of {} bytes, which must have 8", bound.size());
    }
  }
  Interval interval{.is_descending = range.is_descending};
  if (!range.from.empty()) {
    interval.first = IntegerOfKey(range.from);
  }
  if (!range.to.empty()) {
    const uint64_t to = IntegerOfKey(range.to);
    interval.is_empty = to == 0;
    interval.last = to - 1;
  }
  if (!range.cursor.empty()) {
    const uint64_t cursor = IntegerOfKey(range.cursor);
    if (range.is_descending) {
      interval.last = std::min(interval.last, cursor);
    } else {
      interval.first = std::max(interval.first, cursor);
    }
  }
  interval.is_empty = interval.is_empty || interval.first > interval.last;
  return interval;
}

void AlexView::AddBeside(uint64_t first, uint64_t last) {
  const size_t count = page_.size();
  if (store_->index_.has_collisions()) {
    store_->index_.CollectOthers(first, last, &page_);
  }
  if (is_snapshot_) {
    store_->history_.Collect(first, last, version_, &page_);
  }
  if (page_.size() == count) {
    return;
  }
  // A record that was replaced between the two looks is there twice.
  const auto order = [](const KeyIndex::Pair& pair) { return std::pair(pair.key, pair.payload); };
  std::sort(page_.begin(), page_.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  page_.erase(std::unique(page_.begin(), page_.end(),
                          [&](const auto& a, const auto& b) { return order(a) == order(b); }),
              page_.end());
}

bool AlexView::CollectPage(Interval* rest, size_t size) {
  const KeyIndex& index = store_->index_;
  uint64_t end = 0;
  bool has_more = false;
  uint64_t moves;
  do {
    moves = index.move_count();
    page_.resize(size);
    const size_t count = rest->is_descending ? index.map().ScanBackward(rest->last, page_)
                                             : index.map().ScanForward(rest->first, page_);
    has_more = count == size;
    end = has_more ? page_.back().key : (rest->is_descending ? rest->first : rest->last);
    page_.resize(count);
    const bool is_past = rest->is_descending ? end <= rest->first : end >= rest->last;
    if (is_past) {
      has_more = false;
      end = rest->is_descending ? rest->first : rest->last;
      std::erase_if(page_, [&](const KeyIndex::Pair& pair) {
        return pair.key < rest->first || pair.key > rest->last;
      });
    }
    if (rest->is_descending) {
      std::reverse(page_.begin(), page_.end());
      AddBeside(end, rest->last);
      std::reverse(page_.begin(), page_.end());
    } else {
      AddBeside(rest->first, end);
    }
  } while (index.move_count() != moves);
  (rest->is_descending ? rest->last : rest->first) = rest->is_descending ? end - 1 : end + 1;
  return has_more;
}

bool AlexView::ReadKeyAt(Position position, Record* record) const {
  const LogSegment* const segment = store_->log_.Find(position);
  const uint64_t offset = OffsetOf(position);
  const auto header = ReadRecordHeader(segment->bytes(), segment->salt(), offset);
  if (!header || header->has_expiry() || header->key_is_index_key()) {
    return store_->ReadRecordAt(position, record) == RecordState::kIntact;
  }
  // The hash of a key is in the header, which was checked.
  record->version = header->version;
  record->key = segment->bytes().substr(offset + sizeof(RecordHeader), header->key_bytes());
  return store_->IndexKeyOf(record->key) == IntegerOfKey({header->index_key, 8});
}

void AlexView::VisitGroup(std::span<const KeyIndex::Pair> group, ScanState* state) {
  group_.clear();
  for (const KeyIndex::Pair& pair : group) {
    Record record;
    const bool is_intact =
        state->keys_only ? ReadKeyAt(pair.payload, &record)
                         : store_->ReadRecordAt(pair.payload, &record) == RecordState::kIntact;
    if (!is_intact) {
      store_->damaged_count_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (record.version > version_ || !IsVisible(record)) {
      continue;
    }
    const bool is_repeated = std::any_of(
        group_.begin(), group_.end(), [&](const Entry& entry) { return entry.key == record.key; });
    if (!is_repeated) {
      group_.push_back(EntryOf(record));
      group_.back().value = state->keys_only ? std::string_view() : record.value;
    }
  }
  if (group_.empty()) {
    return;
  }
  if (state->left == 0) {
    state->is_over = true;
    state->next = group.front().key;
    return;
  }
  for (size_t i = 0; i < group_.size(); ++i) {
    const bool goes_on = (*state->visitor)(group_[i]);
    ++state->visited;
    state->left -= state->left > 0 ? 1 : 0;
    if (!goes_on) {
      state->left = 0;
      if (i + 1 < group_.size()) {  // rather some twice than one never
        state->is_over = true;
        state->next = group.front().key;
      }
      return;
    }
  }
}

void AlexView::VisitPage(ScanState* state) {
  size_t asked = 0;
  for (size_t begin = 0; begin < page_.size() && !state->is_over;) {
    size_t end = begin + 1;
    while (end < page_.size() && page_[end].key == page_[begin].key) {
      ++end;
    }
    for (; asked < std::min(page_.size(), end + kScanAhead); ++asked) {
      PrefetchAt(page_[asked].payload);
    }
    VisitGroup(std::span(page_).subspan(begin, end - begin), state);
    begin = end;
  }
}

Status AlexView::Scan(const ScanRange& range, const EntryVisitor& visitor, std::string* cursor) {
  StageTimer timer(Stage::kKvRead);
  ASSIGN_OR_RETURN(Interval rest, IntervalOf(range));
  ScanState state{.visitor = &visitor, .keys_only = range.keys_only, .left = range.limit};
  bool has_more = !rest.is_empty;
  while (has_more && !state.is_over) {
    // One more than is wanted tells whether there is more.
    has_more = CollectPage(&rest, std::min(state.left, kPagePairs - 1) + 1);
    VisitPage(&state);
  }
  timer.set_items(state.visited);
  if (cursor != nullptr) {
    cursor->clear();
    if (state.is_over) {
      const std::array<char, 8> next = IntegerKey(state.next);
      cursor->assign(next.data(), next.size());
    }
  }
  return OkStatus();
}

}  // namespace tsdbd::kv
