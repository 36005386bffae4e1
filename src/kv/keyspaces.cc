#include "kv/keyspaces.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/thread_pool.h"
#include "kv/alex_store.h"

namespace tsdbd::kv {
namespace {

constexpr std::string_view kStorePrefix = "store-";
// Keyspaces that were dropped and are still in use or being removed; each has threads and buffers.
constexpr size_t kMaxDropped = 1024;

std::string DefinitionPath(const std::string& folder) {
  return folder + "/definition";
}
std::string DroppedPath(const std::string& folder) {
  return folder + "/dropped";
}
std::string StorePath(const std::string& folder, uint64_t number) {
  return fmt::format("{}/{}{}", folder, kStorePrefix, number);
}

// A folder with all that is in it, or a file.
Status RemoveTree(Env* env, const std::string& path) {
  const auto names = env->List(path);
  Status status;
  for (size_t i = 0; names.ok() && i < names->size() && status.ok(); ++i) {
    status = RemoveTree(env, fmt::format("{}/{}", path, (*names)[i]));
  }
  return status.ok() ? env->Remove(path) : status;
}

// Takes away the name of the keyspace in `folder`; durable after the next sync of the folder. One
// without a definition gets a file that says the same.
Status MarkDropped(Env* env, const std::string& folder) {
  ASSIGN_OR_RETURN(const bool is_defined, env->Exists(DefinitionPath(folder)));
  return is_defined ? env->Rename(DefinitionPath(folder), DroppedPath(folder))
                    : WriteFileAtomically(env, DroppedPath(folder), "");
}

// Two rules keep a removal that a crash ends from looking like damage: nothing is removed before
// `dropped` is durable, and `dropped` goes last, when it is durable that the stores are gone.
Status RemoveDroppedStore(Env* env, const std::string& store_path) {
  RETURN_IF_ERROR(env->SyncDirectory(ParentDirectory(store_path)));
  return RemoveTree(env, store_path);
}

Status RemoveDroppedFolder(Env* env, const std::string& folder) {
  RETURN_IF_ERROR(env->SyncDirectory(folder));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env->List(folder));
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", folder, name);
    RETURN_IF_ERROR(path == DroppedPath(folder) ? OkStatus() : RemoveTree(env, path));
  }
  RETURN_IF_ERROR(env->SyncDirectory(folder));
  return RemoveTree(env, folder);
}

// They do no harm: the next start tries again.
void WarnIfFilesStay(const Status& status) {
  if (!status.ok()) {
    spdlog::warn("kv files of a dropped keyspace stay what=\"{}\"", Message(status));
  }
}

void LogRecovery(const std::string& directory, const RecoveryReport& report) {
  spdlog::info(
      "kv store opened directory={} checkpoint_keys={} records={} segments={} seconds={:.3f}",
      directory, report.checkpoint_keys, report.records, report.segments,
      static_cast<double>(report.elapsed_ns) / kNanosPerSecond);
  if (report.torn_tail) {
    spdlog::warn("kv log cut at its torn end file={} offset={}", report.torn_tail->path,
                 report.torn_tail->offset);
  }
  for (const Damage& damage : report.damages) {
    spdlog::error("kv damage file={} offset={} what=\"{}\"", damage.path, damage.offset,
                  damage.what);
  }
}

bool Exists(Env* env, const std::string& path) {
  const auto exists = env->Exists(path);
  return exists.ok() && *exists;
}

bool IsEmptyFolder(Env* env, const std::string& path) {
  const auto names = env->List(path);
  return names.ok() && names->empty();
}

}  // namespace

// Owns the keyspaces, so that it can remove those that were dropped, with their files, once nobody
// uses them. What users share is only the use: the last of them may be a callback on the store's
// own thread, which cannot close the store that waits for it.
class Keyspaces::Remover {
 public:
  explicit Remover(Env* env)
      : env_(env), thread_({.name = "kv-drop", .thread_count = 1, .queue_capacity = 1}) {}

  Keyspace* Own(std::unique_ptr<Keyspace> keyspace, std::string store_path) EXCLUDES(owned_mutex_) {
    MutexLock lock(&owned_mutex_);
    owned_.push_back({.keyspace = std::move(keyspace), .store_path = std::move(store_path)});
    return owned_.back().keyspace.get();
  }

  // The last user has let go. Waits for nothing.
  void Release(const Keyspace* keyspace) EXCLUDES(owned_mutex_) {
    {
      MutexLock lock(&owned_mutex_);
      std::find_if(owned_.begin(), owned_.end(), [&](const Owned& owned) {
        return owned.keyspace.get() == keyspace;
      })->is_in_use = false;
    }
    // If it is refused, another one waits, which will see this keyspace too, or Stop was called,
    // after which Keyspaces does it.
    (void)thread_.TrySubmit([this] { RemoveUnused(); });
  }

  // Destroys the keyspaces that nobody uses.
  void RemoveUnused() EXCLUDES(owned_mutex_, folder_mutex_) {
    while (std::optional<Owned> unused = TakeUnused()) {
      const bool is_dropped = unused->keyspace->is_dropped();
      unused->keyspace.reset();
      if (is_dropped) {
        RemoveStore(unused->store_path);
      }
    }
  }

  // Removes a store that nobody uses, and the folder around it, unless there is a keyspace in it
  // again, or stores that are still in use.
  void RemoveStore(const std::string& store_path) EXCLUDES(folder_mutex_) {
    WarnIfFilesStay(RemoveDroppedStore(env_, store_path));
    const std::string folder = ParentDirectory(store_path);
    MutexLock lock(&folder_mutex_);
    const auto names = env_->List(folder);
    if (names.ok() && *names == std::vector<std::string>{"dropped"}) {
      WarnIfFilesStay(RemoveDroppedFolder(env_, folder));
    }
  }

  // Ends the thread, and those of all stores: whoever lets go of one from here on, on whatever
  // thread, it can be destroyed. May be called again.
  void Stop() EXCLUDES(owned_mutex_, folder_mutex_) {
    thread_.Stop();
    for (const Keyspace* keyspace : All()) {
      keyspace->store().Close().IgnoreError();
    }
    RemoveUnused();
  }

  size_t count() const EXCLUDES(owned_mutex_) {
    MutexLock lock(&owned_mutex_);
    return owned_.size();
  }
  // Held by Create while the folder is neither dropped nor defined.
  Mutex* folder_mutex() { return &folder_mutex_; }

 private:
  struct Owned {
    std::unique_ptr<Keyspace> keyspace;
    std::string store_path;
    bool is_in_use = true;
  };

  std::optional<Owned> TakeUnused() EXCLUDES(owned_mutex_) {
    MutexLock lock(&owned_mutex_);
    const auto unused = std::find_if(owned_.begin(), owned_.end(),
                                     [](const Owned& owned) { return !owned.is_in_use; });
    if (unused == owned_.end()) {
      return std::nullopt;
    }
    std::optional<Owned> taken = std::move(*unused);
    owned_.erase(unused);
    return taken;
  }

  std::vector<const Keyspace*> All() const EXCLUDES(owned_mutex_) {
    MutexLock lock(&owned_mutex_);
    std::vector<const Keyspace*> all;
    for (const Owned& owned : owned_) {
      all.push_back(owned.keyspace.get());
    }
    return all;
  }

  Env* const env_;
  Mutex folder_mutex_;
  mutable Mutex owned_mutex_;  // the last in the lock order
  std::vector<Owned> owned_ GUARDED_BY(owned_mutex_);
  ThreadPool thread_;
};

int64_t Keyspace::ExpiryAt(int64_t now_ns, std::optional<int64_t> ttl_ns) const {
  if (!ttl_ns && definition_.default_ttl_ns == 0) {
    return kNeverExpires;
  }
  const int64_t lifetime_ns = ttl_ns.value_or(definition_.default_ttl_ns);
  return lifetime_ns > kNeverExpires - now_ns ? kNeverExpires : now_ns + lifetime_ns;
}

StatusOr<std::unique_ptr<Keyspaces>> Keyspaces::Open(Env* env, KeyspacesOptions options) {
  RETURN_IF_ERROR(env->CreateDirectories(options.directory));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env->List(options.directory));
  std::unique_ptr<Keyspaces> keyspaces(new Keyspaces(env, std::move(options)));
  MutexLock admin_lock(&keyspaces->admin_mutex_);
  for (const std::string& name : names) {
    if (!CheckKeyspaceName(name).ok()) {
      spdlog::warn("kv not a keyspace path={}", keyspaces->FolderOf(name));
      continue;
    }
    std::optional<KeyspaceInfo> info = keyspaces->OpenFolder(name);
    if (info) {
      WriterLock lock(&keyspaces->mutex_);
      keyspaces->keyspaces_.emplace(name, *std::move(info));
    }
  }
  return keyspaces;
}

Keyspaces::Keyspaces(Env* env, KeyspacesOptions options)
    : env_(env),
      options_(std::move(options)),
      rocks_cache_(MakeRocksCache(options_.rocks_cache_bytes)),
      remover_(std::make_shared<Remover>(env)) {}

Keyspaces::~Keyspaces() {
  Close().IgnoreError();
  {
    WriterLock lock(&mutex_);
    keyspaces_.clear();
  }
  remover_->RemoveUnused();
}

std::string Keyspaces::FolderOf(std::string_view name) const {
  return fmt::format("{}/{}", options_.directory, name);
}

std::optional<KeyspaceInfo> Keyspaces::OpenFolder(const std::string& name) {
  const std::string folder = FolderOf(name);
  KeyspaceInfo info{.name = name};
  if (Exists(env_, DefinitionPath(folder))) {
    info.status = OpenDefined(&info);
  } else {
    // A drop, or a Create that a crash has ended: it makes an empty folder for the store first.
    const auto names = env_->List(folder);
    const bool is_unfinished =
        names.ok() && std::all_of(names->begin(), names->end(), [&](const std::string& child) {
          return child.starts_with("definition") || IsEmptyFolder(env_, folder + "/" + child);
        });
    if (is_unfinished || Exists(env_, DroppedPath(folder))) {
      WarnIfFilesStay(RemoveDroppedFolder(env_, folder));
      return std::nullopt;
    }
    info.status = DataLoss("{}: there is no such file", DefinitionPath(folder));
  }
  if (!info.status.ok()) {
    spdlog::error("kv keyspace set aside name={} what=\"{}\"", name, Message(info.status));
  }
  return info;
}

Status Keyspaces::OpenDefined(KeyspaceInfo* info) {
  const std::string folder = FolderOf(info->name);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(env_, DefinitionPath(folder)));
  uint64_t number = 0;
  if (const Status status = DecodeDefinition(text, &info->definition, &number); !status.ok()) {
    return DataLoss("{}: {}", DefinitionPath(folder), Message(status));
  }
  const std::string path = StorePath(folder, number);
  if (!Exists(env_, path)) {
    return DataLoss("{}: there is no such folder", path);
  }
  RETURN_IF_ERROR(RemoveOtherStores(folder, path));
  ASSIGN_OR_RETURN(auto store, OpenStore(info->definition, path));
  info->keyspace = Share(info->name, info->definition, std::move(store), path);
  return OkStatus();
}

Status Keyspaces::RemoveOtherStores(const std::string& folder, const std::string& store_path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env_->List(folder));
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", folder, name);
    if ((name.starts_with(kStorePrefix) && path != store_path) || path == DroppedPath(folder)) {
      RETURN_IF_ERROR(RemoveTree(env_, path));
    }
  }
  return OkStatus();
}

StatusOr<std::unique_ptr<Store>> Keyspaces::OpenStore(const KeyspaceDefinition& definition,
                                                      const std::string& directory) {
  StoreOptions options;
  options.directory = directory;
  options.key_type = definition.key_type;
  options.sync_mode = options_.sync_mode;
  options.sync_interval_ms = options_.sync_interval_ms;
  options.max_value_bytes = options_.max_value_bytes;
  if (definition.backend == Backend::kAlex) {
    RecoveryReport report;
    AlexStoreOptions alex;
    alex.store = std::move(options);
    alex.max_segment_bytes = options_.max_segment_bytes;
    alex.now_ns = options_.now_ns;
    ASSIGN_OR_RETURN(auto store, OpenAlexStore(env_, alex, &report));
    LogRecovery(directory, report);
    return store;
  }
  return OpenRocksStore(
      std::move(options),
      {.cache = rocks_cache_, .hot_bytes = options_.hot_bytes, .now_ns = options_.now_ns});
}

std::shared_ptr<Keyspace> Keyspaces::Share(std::string name, const KeyspaceDefinition& definition,
                                           std::unique_ptr<Store> store, std::string store_path) {
  Keyspace* const keyspace =
      remover_->Own(std::make_unique<Keyspace>(std::move(name), definition, std::move(store)),
                    std::move(store_path));
  return {keyspace, [remover = remover_](const Keyspace* unused) { remover->Release(unused); }};
}

StatusOr<std::shared_ptr<Keyspace>> Keyspaces::Find(std::string_view name) const {
  ReaderLock lock(&mutex_);
  const auto found = keyspaces_.find(name);
  if (found == keyspaces_.end()) {
    return NotFound("there is no keyspace '{}'", name);
  }
  const KeyspaceInfo& info = found->second;
  if (info.keyspace == nullptr) {
    return Unavailable("keyspace '{}' is set aside: {}", name, Message(info.status));
  }
  return info.keyspace;
}

StatusOr<std::shared_ptr<Keyspace>> Keyspaces::Create(std::string_view name,
                                                      const KeyspaceDefinition& definition) {
  RETURN_IF_ERROR(CheckKeyspaceName(name));
  if (definition.default_ttl_ns < 0) {
    return InvalidArgument("a time to live of {} ns", definition.default_ttl_ns);
  }
  MutexLock admin_lock(&admin_mutex_);
  {
    ReaderLock lock(&mutex_);
    if (keyspaces_.contains(name)) {
      return MakeStatus(StatusCode::kAlreadyExists, "there is a keyspace '{}' already", name);
    }
    if (keyspaces_.size() >= options_.max_keyspaces) {
      return FailedPrecondition("there are {} keyspaces; kv.max_keyspaces allows no more",
                                keyspaces_.size());
    }
  }
  if (remover_->count() >= options_.max_keyspaces + kMaxDropped) {
    return Unavailable("too many dropped keyspaces are still in use or being removed");
  }
  const std::string folder = FolderOf(name);
  std::string path;
  {
    MutexLock folder_lock(remover_->folder_mutex());
    ASSIGN_OR_RETURN(const uint64_t number, NextStoreNumber(folder));
    path = StorePath(folder, number);
    RETURN_IF_ERROR(env_->CreateDirectories(path));
    RETURN_IF_ERROR(
        WriteFileAtomically(env_, DefinitionPath(folder), EncodeDefinition(definition, number)));
  }
  auto store = OpenStore(definition, path);
  if (!store.ok()) {
    // Nobody has been told that it is there.
    if (MarkDropped(env_, folder).ok()) {
      remover_->RemoveStore(path);
    }
    return store.status();
  }
  auto keyspace = Share(std::string(name), definition, *std::move(store), path);
  WriterLock lock(&mutex_);
  keyspaces_[std::string(name)] = {
      .name = std::string(name), .definition = definition, .keyspace = keyspace};
  return keyspace;
}

StatusOr<uint64_t> Keyspaces::NextStoreNumber(const std::string& folder) {
  uint64_t highest = 0;
  if (!Exists(env_, folder)) {
    return highest + 1;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env_->List(folder));
  for (const std::string& name : names) {
    uint64_t number = 0;
    if (name.starts_with(kStorePrefix)) {
      std::from_chars(name.data() + kStorePrefix.size(), name.data() + name.size(), number);
    }
    highest = std::max(highest, number);
  }
  return highest + 1;
}

Status Keyspaces::Drop(std::string_view name) {
  MutexLock admin_lock(&admin_mutex_);
  KeyspaceInfo dropped;
  {
    ReaderLock lock(&mutex_);
    const auto found = keyspaces_.find(name);
    if (found == keyspaces_.end()) {
      return NotFound("there is no keyspace '{}'", name);
    }
    dropped = found->second;
  }
  const std::string folder = FolderOf(name);
  RETURN_IF_ERROR(MarkDropped(env_, folder));
  // If this fails, it is gone nevertheless: the next start would remove it, and with it every write
  // that is acknowledged from here on. Renaming it back would not help, since that, too, would have
  // to be durable, on a disk that has just refused it. Only a power cut can bring it back, with all
  // its files: nothing is removed before such a sync has worked.
  const Status durable = env_->SyncDirectory(folder);
  {
    WriterLock lock(&mutex_);
    keyspaces_.erase(keyspaces_.find(name));
  }
  if (dropped.keyspace != nullptr) {
    // When the last user lets go, which may be now, the files are removed.
    dropped.keyspace->is_dropped_.store(true, std::memory_order_release);
  } else {
    WarnIfFilesStay(RemoveDroppedFolder(env_, folder));
  }
  if (!durable.ok()) {
    return MakeStatus(durable.code(),
                      "keyspace '{}' is gone, but a power cut may bring it back: {}", name,
                      Message(durable));
  }
  return OkStatus();
}

std::vector<KeyspaceInfo> Keyspaces::List() const {
  ReaderLock lock(&mutex_);
  std::vector<KeyspaceInfo> infos;
  infos.reserve(keyspaces_.size());
  for (const auto& [name, info] : keyspaces_) {
    infos.push_back(info);
  }
  return infos;
}

Status Keyspaces::Close() {
  MutexLock admin_lock(&admin_mutex_);
  Status first_error;
  for (const KeyspaceInfo& info : List()) {
    const Status status = info.keyspace != nullptr ? info.keyspace->store().Close() : OkStatus();
    if (!status.ok() && first_error.ok()) {
      first_error = status;
    }
  }
  remover_->Stop();
  return first_error;
}

}  // namespace tsdbd::kv
