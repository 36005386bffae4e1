#include "kv/store.h"

#include "common/mutex.h"

namespace tsdbd::kv {

void ReadView::FindMany(std::span<const std::string_view> keys, std::span<Entry> entries,
                        std::span<Status> statuses) {
  GetMany(keys, entries, statuses);
  for (Entry& entry : entries) {
    entry.value = {};
  }
}

Status Store::WriteAndWait(const WriteBatch& batch) {
  Mutex mutex;
  CondVar finished;
  bool is_done = false;
  Status result;
  const Status accepted = Write(
      batch,
      [&](const Status& status) {
        MutexLock lock(&mutex);
        result = status;
        is_done = true;
        finished.NotifyOne();
      },
      nullptr);
  if (!accepted.ok()) {
    return accepted;
  }
  MutexLock lock(&mutex);
  while (!is_done) {
    finished.Wait(&mutex);
  }
  return result;
}

Status Store::Put(std::string_view key, std::string_view value, int64_t expires_ns) {
  WriteBatch batch;
  batch.Put(key, value, expires_ns);
  return WriteAndWait(batch);
}

Status Store::Delete(std::string_view key) {
  WriteBatch batch;
  batch.Delete(key);
  return WriteAndWait(batch);
}

StatusOr<std::string> Store::Get(std::string_view key) {
  Entry entry;
  const std::unique_ptr<ReadView> view = Read(Consistency::kLatest);
  if (const Status status = view->Get(key, &entry); !status.ok()) {
    return status;
  }
  return std::string(entry.value);
}

}  // namespace tsdbd::kv
