#include "kv/store_suite_testing.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/check.h"
#include "kv/alex_store.h"
#include "kv/rocks_store.h"

namespace tsdbd::kv {
namespace {

std::string NewFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "tsdbd-kv-XXXXXX").string();
  CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

StatusOr<std::unique_ptr<Store>> OpenRocks(const StoreOptions& options, NowFunction now_ns) {
  return OpenRocksStore(options, {.now_ns = std::move(now_ns)});
}

StatusOr<std::unique_ptr<Store>> OpenAlex(const StoreOptions& options, NowFunction now_ns) {
  // Small, so that a test of some steps sees segments end and go, and checkpoints.
  return OpenAlexStore(Env::Default(),
                       {.store = options,
                        .min_segment_bytes = 64 << 10,
                        .max_segment_bytes = 256 << 10,
                        .checkpoint_interval_bytes = 512 << 10,
                        .upkeep_interval_ms = 5,
                        .now_ns = std::move(now_ns)},
                       nullptr);
}

}  // namespace

std::vector<StoreKind> AllStoreKinds() {
  std::vector<StoreKind> kinds;
  for (const StoreBackend& backend : {StoreBackend{.name = "Alex", .open = OpenAlex},
                                      StoreBackend{.name = "Rocks", .open = OpenRocks}}) {
    kinds.push_back({.backend = backend, .key_type = KeyType::kBytes});
    kinds.push_back({.backend = backend, .key_type = KeyType::kInteger});
  }
  return kinds;
}

std::string NameOf(const StoreKind& kind) {
  return kind.backend.name + (kind.key_type == KeyType::kBytes ? "Bytes" : "Integer");
}

StoreUnderTest::StoreUnderTest(StoreKind kind, SyncMode sync_mode) : kind_(std::move(kind)) {
  options_.directory = NewFolder() + "/store";
  options_.key_type = kind_.key_type;
  options_.sync_mode = sync_mode;
  options_.max_value_bytes = size_t{1} << 20;
  Reopen();
}

StoreUnderTest::~StoreUnderTest() {
  store_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path(options_.directory).parent_path(), ignored);
}

void StoreUnderTest::Close() {
  const Status closed = store_->Close();
  if (!closed.ok()) {
    std::fprintf(stderr, "%s\n", ToString(closed).c_str());
  }
  CHECK(closed.ok());
  store_.reset();
}

void StoreUnderTest::Reopen() {
  if (store_ != nullptr) {
    Close();
  }
  auto opened = kind_.backend.open(options_, [this] { return now_ns(); });
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", ToString(opened.status()).c_str());
  }
  CHECK(opened.ok());
  store_ = *std::move(opened);
}

std::string StoreUnderTest::Key(uint64_t number) const {
  if (kind_.key_type == KeyType::kInteger) {
    // Far apart and close together, small and beyond the range of signed numbers.
    const auto key = IntegerKey((number / 8) * 0x0123'4567'89AB + number % 8);
    return {key.data(), key.size()};
  }
  // One length for many numbers, so that their order holds; bytes of all kinds, zero among them.
  std::string key = fmt::format("{:04}", number);
  key += std::string("\0\xFF/", 3);
  key.append(number % 7 * 5, static_cast<char>(number));
  return key;
}

void PrintTo(const StoredValue& stored, std::ostream* out) {
  *out << fmt::format("version {} expires {}: {} bytes {:.20}", stored.version, stored.expires_ns,
                      stored.value.size(), stored.value);
}

StoredValues LiveAt(const StoredValues& values, int64_t now_ns) {
  StoredValues live;
  for (const auto& [key, stored] : values) {
    if (stored.expires_ns > now_ns) {
      live.emplace(key, stored);
    }
  }
  return live;
}

StatusOr<StoredValues> ScanAll(ReadView* view, ScanRange range, size_t page,
                               std::vector<std::string>* keys) {
  StoredValues found;
  std::string cursor(range.cursor);
  do {
    range.cursor = cursor;
    range.limit = page;
    std::string next;
    Status twice;
    RETURN_IF_ERROR(view->Scan(
        range,
        [&](const Entry& entry) {
          const bool added = found
                                 .emplace(entry.key, StoredValue{.value = std::string(entry.value),
                                                                 .version = entry.version,
                                                                 .expires_ns = entry.expires_ns})
                                 .second;
          if (!added) {
            twice = DataLoss("key visited twice");
          }
          if (keys != nullptr) {
            keys->emplace_back(entry.key);
          }
          return true;
        },
        &next));
    RETURN_IF_ERROR(twice);
    cursor = std::move(next);
  } while (!cursor.empty());
  return found;
}

StatusOr<std::optional<StoredValue>> GetFrom(ReadView* view, std::string_view key) {
  Entry entry;
  const Status status = view->Get(key, &entry);
  if (absl::IsNotFound(status)) {
    return std::optional<StoredValue>();
  }
  RETURN_IF_ERROR(status);
  if (entry.key != key) {
    return DataLoss("the entry of another key");
  }
  return std::optional(StoredValue{
      .value = std::string(entry.value), .version = entry.version, .expires_ns = entry.expires_ns});
}

}  // namespace tsdbd::kv
