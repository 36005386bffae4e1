#include "tsdb/deletions.h"

#include <algorithm>
#include <cstring>

#include <spdlog/spdlog.h>

#include "common/hash.h"

namespace tsdbd::tsdb {
namespace {

constexpr std::string_view kMagic = "TSDBDTMB";
constexpr uint32_t kVersion = 1;

template <typename Integer>
void Append(Integer value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string_view text, std::string* out) {
  Append(static_cast<uint32_t>(text.size()), out);
  out->append(text);
}

// Reads from the front; what is not there reads as 0 and makes ok() false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename Integer>
  Integer Read() {
    Integer value = 0;
    const std::string_view bytes = Take(sizeof(value));
    if (ok_) {
      std::memcpy(&value, bytes.data(), sizeof(value));
    }
    return value;
  }
  std::string_view ReadString() { return Take(Read<uint32_t>()); }
  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view Take(size_t size) {
    ok_ = ok_ && size <= bytes_.size();
    const std::string_view taken = bytes_.substr(0, ok_ ? size : 0);
    bytes_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

bool AppliesTo(const Tombstone& tombstone, const storage::BlockMeta& meta) {
  return meta.generation_max <= tombstone.generation && meta.deletions_applied < tombstone.number &&
         tombstone.range.Overlaps({meta.min_time, meta.max_time});
}

}  // namespace

std::string EncodeTombstones(uint64_t newest_number, const std::vector<Tombstone>& tombstones) {
  std::string bytes(kMagic);
  Append(kVersion, &bytes);
  Append(static_cast<uint32_t>(tombstones.size()), &bytes);
  Append(newest_number, &bytes);
  for (const Tombstone& tombstone : tombstones) {
    Append(tombstone.number, &bytes);
    Append(tombstone.generation, &bytes);
    Append(tombstone.range.min, &bytes);
    Append(tombstone.range.max, &bytes);
    Append(static_cast<uint32_t>(tombstone.selectors.size()), &bytes);
    for (const Selector& selector : tombstone.selectors) {
      Append(static_cast<uint32_t>(selector.size()), &bytes);
      for (const model::Matcher& matcher : selector) {
        Append(static_cast<uint8_t>(matcher.type()), &bytes);
        AppendString(matcher.name(), &bytes);
        AppendString(matcher.value(), &bytes);
      }
    }
  }
  Append(Hash64(bytes), &bytes);
  return bytes;
}

StatusOr<std::vector<Tombstone>> DecodeTombstones(std::string_view bytes, uint64_t* newest_number) {
  uint64_t checksum = 0;
  if (bytes.size() < kMagic.size() + sizeof(checksum) || !bytes.starts_with(kMagic)) {
    return DataLoss("{} bytes do not begin as a file of tombstones does", bytes.size());
  }
  const std::string_view body = bytes.substr(0, bytes.size() - sizeof(checksum));
  std::memcpy(&checksum, bytes.data() + body.size(), sizeof(checksum));
  if (Hash64(body) != checksum) {
    return DataLoss("{} bytes fail their checksum", bytes.size());
  }
  Reader reader(body.substr(kMagic.size()));
  if (const auto version = reader.Read<uint32_t>(); version != kVersion) {
    return DataLoss("version {}, but {} is known here", version, kVersion);
  }
  const auto count = reader.Read<uint32_t>();
  *newest_number = reader.Read<uint64_t>();
  std::vector<Tombstone> tombstones;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    Tombstone& tombstone = tombstones.emplace_back();
    tombstone.number = reader.Read<uint64_t>();
    tombstone.generation = reader.Read<uint64_t>();
    tombstone.range.min = reader.Read<int64_t>();
    tombstone.range.max = reader.Read<int64_t>();
    const auto selector_count = reader.Read<uint32_t>();
    for (uint32_t j = 0; j < selector_count && reader.ok(); ++j) {
      Selector& selector = tombstone.selectors.emplace_back();
      const auto matcher_count = reader.Read<uint32_t>();
      for (uint32_t k = 0; k < matcher_count && reader.ok(); ++k) {
        const auto type = reader.Read<uint8_t>();
        const std::string name(reader.ReadString());
        const std::string value(reader.ReadString());
        if (type > static_cast<uint8_t>(model::MatchType::kNotRegex)) {
          return DataLoss("matcher of type {}", type);
        }
        StatusOr<model::Matcher> matcher =
            model::Matcher::Create(static_cast<model::MatchType>(type), name, value);
        if (!matcher.ok()) {
          return DataLoss("{}", Message(matcher.status()));
        }
        selector.push_back(*std::move(matcher));
      }
    }
  }
  if (!reader.ok() || !reader.at_end()) {
    return DataLoss("{} tombstones do not end where the file does", count);
  }
  return tombstones;
}

Deletions::Deletions(Env* env, const std::string& data_dir, std::vector<RetentionRule> rules)
    : env_(env),
      path_(data_dir + "/tombstones"),
      quarantine_dir_(data_dir + "/quarantine"),
      rules_(std::move(rules)) {}

StatusOr<std::unique_ptr<Deletions>> Deletions::Open(Env* env, const std::string& data_dir,
                                                     std::vector<RetentionRule> rules,
                                                     const storage::BlockList& live) {
  std::unique_ptr<Deletions> deletions(new Deletions(env, data_dir, std::move(rules)));
  RETURN_IF_ERROR(deletions->Load(live));
  return deletions;
}

Status Deletions::Load(const storage::BlockList& live) {
  is_empty_ = rules_.empty();
  {
    MutexLock lock(&mutex_);
    for (const auto& block : live) {
      newest_number_ = std::max(newest_number_, block->meta().deletions_applied);
    }
  }
  ASSIGN_OR_RETURN(const bool exists, env_->Exists(path_));
  if (!exists) {
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(env_, path_));
  uint64_t newest_number = 0;
  StatusOr<TombstoneList> tombstones = DecodeTombstones(bytes, &newest_number);
  if (!tombstones.ok()) {
    std::string target = quarantine_dir_ + "/tombstones";
    for (int copy = 1; env_->Exists(target).value_or(false); ++copy) {
      target = fmt::format("{}/tombstones.{}", quarantine_dir_, copy);
    }
    spdlog::error("tombstones go to {}: what they deleted is served again: {}: {}", target, path_,
                  Message(tombstones.status()));
    RETURN_IF_ERROR(env_->CreateDirectories(quarantine_dir_));
    RETURN_IF_ERROR(env_->Rename(path_, target));
    RETURN_IF_ERROR(env_->SyncDirectory(quarantine_dir_));
    return env_->SyncDirectory(ParentDirectory(path_));
  }
  MutexLock lock(&mutex_);
  newest_number_ = std::max(newest_number_, newest_number);
  is_empty_ = rules_.empty() && tombstones->empty();
  tombstones_ = std::make_shared<const TombstoneList>(*std::move(tombstones));
  return OkStatus();
}

std::shared_ptr<const Deletions::TombstoneList> Deletions::Snapshot() const {
  MutexLock lock(&mutex_);
  return tombstones_;
}

Status Deletions::Store(const TombstoneList& tombstones, uint64_t newest_number) {
  RETURN_IF_ERROR(WriteFileAtomically(env_, path_, EncodeTombstones(newest_number, tombstones)));
  MutexLock lock(&mutex_);
  newest_number_ = newest_number;
  tombstones_ = std::make_shared<const TombstoneList>(tombstones);
  is_empty_ = rules_.empty() && tombstones.empty();
  std::erase_if(cache_, [](const auto& entry) { return entry.second.block.expired(); });
  return OkStatus();
}

Status Deletions::Add(uint64_t generation, const model::TimeRange& range,
                      std::vector<Selector> selectors) {
  MutexLock lock(&change_mutex_);
  TombstoneList tombstones = *Snapshot();
  if (tombstones.size() >= kMaxTombstones) {
    return ResourceExhausted("there are {} tombstones, the most there may be: clean them first",
                             tombstones.size());
  }
  const uint64_t number = newest_number() + 1;
  tombstones.push_back({number, generation, range, std::move(selectors)});
  return Store(tombstones, number);
}

Status Deletions::Forget(const storage::BlockList& live) {
  MutexLock lock(&change_mutex_);
  TombstoneList tombstones = *Snapshot();
  const size_t erased = std::erase_if(tombstones, [&](const Tombstone& tombstone) {
    return std::ranges::none_of(
        live, [&](const auto& block) { return AppliesTo(tombstone, block->meta()); });
  });
  return erased == 0 ? OkStatus() : Store(tombstones, newest_number());
}

StatusOr<std::shared_ptr<const storage::BlockSelection>> Deletions::SeriesOf(
    const std::shared_ptr<const storage::Block>& block, uint64_t number, size_t index,
    const Selector& selector) const {
  {
    MutexLock lock(&mutex_);
    const auto cached = cache_.find(block.get());
    if (cached != cache_.end() && cached->second.block.lock() == block) {
      const auto found = cached->second.series.find({number, index});
      if (found != cached->second.series.end()) {
        return found->second;
      }
    }
  }
  ASSIGN_OR_RETURN(storage::BlockSelection selected, block->Select(selector));
  auto series = std::make_shared<const storage::BlockSelection>(std::move(selected));
  MutexLock lock(&mutex_);
  Cached& cached = cache_[block.get()];
  if (cached.block.lock() != block) {
    cached = {.block = block, .series = {}};
  }
  cached.series[{number, index}] = series;
  return series;
}

StatusOr<std::shared_ptr<const storage::BlockDeletions>> Deletions::Of(
    const std::shared_ptr<const storage::Block>& block, model::Timestamp now) const {
  if (is_empty_.load(std::memory_order_acquire)) {
    return std::shared_ptr<const storage::BlockDeletions>();
  }
  storage::BlockDeletions deletions;
  const auto add = [&](const model::TimeRange& range, uint64_t number, size_t index,
                       const Selector& selector) -> Status {
    ASSIGN_OR_RETURN(auto series, SeriesOf(block, number, index, selector));
    if (!series->groups.empty()) {
      deletions.push_back({range, std::move(series)});
    }
    return OkStatus();
  };
  const std::shared_ptr<const TombstoneList> tombstones = Snapshot();
  for (const Tombstone& tombstone : *tombstones) {
    for (size_t i = 0; AppliesTo(tombstone, block->meta()) && i < tombstone.selectors.size(); ++i) {
      RETURN_IF_ERROR(add(tombstone.range, tombstone.number, i, tombstone.selectors[i]));
    }
  }
  for (size_t i = 0; i < rules_.size(); ++i) {
    const model::Timestamp cutoff = now - rules_[i].age_ns;
    if (block->meta().min_time < cutoff) {
      RETURN_IF_ERROR(add({model::kMinTimestamp, cutoff - 1}, ~uint64_t{i}, 0, rules_[i].selector));
    }
  }
  if (deletions.empty()) {
    return std::shared_ptr<const storage::BlockDeletions>();
  }
  return std::make_shared<const storage::BlockDeletions>(std::move(deletions));
}

bool Deletions::HasTombstone(const storage::Block& block) const {
  const std::shared_ptr<const TombstoneList> tombstones = Snapshot();
  return std::ranges::any_of(
      *tombstones, [&](const Tombstone& tombstone) { return AppliesTo(tombstone, block.meta()); });
}

std::string Deletions::FileContents() const {
  MutexLock lock(&mutex_);
  return tombstones_->empty() ? "" : EncodeTombstones(newest_number_, *tombstones_);
}

uint64_t Deletions::newest_number() const {
  MutexLock lock(&mutex_);
  return newest_number_;
}

uint64_t Deletions::newest_generation() const {
  uint64_t newest = 0;
  const std::shared_ptr<const TombstoneList> tombstones = Snapshot();
  for (const Tombstone& tombstone : *tombstones) {
    newest = std::max(newest, tombstone.generation);
  }
  return newest;
}

size_t Deletions::tombstone_count() const {
  return Snapshot()->size();
}

}  // namespace tsdbd::tsdb
