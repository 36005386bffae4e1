#include "server/metadata_store.h"

#include <array>

namespace tsdbd::server {
namespace {

// Cuts `text` to `max_bytes` or less, so that no UTF-8 character is split.
void CutText(size_t max_bytes, std::string* text) {
  if (text->size() <= max_bytes) {
    return;
  }
  size_t end = max_bytes;
  const auto continues = [&](size_t i) {
    return (static_cast<unsigned char>((*text)[i]) & 0xC0) == 0x80;
  };
  while (end > 0 && continues(end)) {
    --end;
  }
  text->resize(end);
  text->shrink_to_fit();
}

}  // namespace

std::string_view MetricTypeName(MetricType type) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"};
  const auto index = static_cast<size_t>(type);
  return index < kNames.size() ? kNames[index] : kNames[0];
}

Status MetadataStore::Set(std::string_view name, MetricMetadata metadata) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return InvalidArgument("a metric name of {} bytes; 1 to {} can be described", name.size(),
                           kMaxNameBytes);
  }
  CutText(kMaxHelpBytes, &metadata.help);
  CutText(kMaxUnitBytes, &metadata.unit);
  MutexLock lock(&mutex_);
  const auto found = metrics_.find(name);
  if (found != metrics_.end()) {
    found->second = std::move(metadata);
    return OkStatus();
  }
  if (metrics_.size() >= kMaxMetrics) {
    return ResourceExhausted("{} metrics are described, not more", kMaxMetrics);
  }
  metrics_.emplace(name, std::move(metadata));
  return OkStatus();
}

std::optional<MetricMetadata> MetadataStore::Find(std::string_view name) const {
  MutexLock lock(&mutex_);
  const auto found = metrics_.find(name);
  return found == metrics_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::pair<std::string, MetricMetadata>> MetadataStore::List(size_t limit) const {
  std::vector<std::pair<std::string, MetricMetadata>> list;
  MutexLock lock(&mutex_);
  for (const auto& [name, metadata] : metrics_) {
    if (list.size() >= limit) {
      break;
    }
    list.emplace_back(name, metadata);
  }
  return list;
}

}  // namespace tsdbd::server
