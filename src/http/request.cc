#include "http/request.h"

#include <algorithm>

#include "http/text.h"

namespace tsdbd::http {

std::string_view MethodName(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kDelete:
      return "DELETE";
    case Method::kPatch:
      return "PATCH";
    case Method::kOptions:
      return "OPTIONS";
  }
  return "";
}

bool Parameters::AddEncoded(std::string_view encoded) {
  const size_t old_count = entries_.size();
  while (!encoded.empty()) {
    const size_t size = std::min(encoded.find('&'), encoded.size());
    const std::string_view pair = encoded.substr(0, size);
    encoded.remove_prefix(std::min(size + 1, encoded.size()));
    if (pair.empty()) {
      continue;
    }
    const size_t name_size = std::min(pair.find('='), pair.size());
    Entry entry;
    if (entries_.size() == kMaxEntries ||
        !AppendUnescaped(pair.substr(0, name_size), /*is_form=*/true, &entry.first) ||
        !AppendUnescaped(pair.substr(std::min(name_size + 1, pair.size())), /*is_form=*/true,
                         &entry.second)) {
      entries_.resize(old_count);
      return false;
    }
    entries_.push_back(std::move(entry));
  }
  return true;
}

std::optional<std::string_view> Parameters::Find(std::string_view name) const {
  for (const auto& [entry_name, value] : entries_) {
    if (entry_name == name) {
      return value;
    }
  }
  return std::nullopt;
}

std::vector<std::string_view> Parameters::FindAll(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [entry_name, value] : entries_) {
    if (entry_name == name) {
      values.push_back(value);
    }
  }
  return values;
}

bool Request::MergedParameters(Parameters* merged) const {
  *merged = query_;
  const std::string_view type = Header("content-type");
  const std::string_view media_type = TrimWhitespace(type.substr(0, type.find(';')));
  if (!EqualsIgnoringCase(media_type, "application/x-www-form-urlencoded")) {
    return true;
  }
  return merged->AddEncoded(body());
}

std::optional<std::string_view> Request::FindHeader(std::string_view name) const {
  for (const HeaderView& header : headers_) {
    if (EqualsIgnoringCase(header.name, name)) {
      return header.value;
    }
  }
  return std::nullopt;
}

}  // namespace tsdbd::http
