#include "ingest/remote_key_decoder.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "common/varint.h"
#include "ingest/protobuf.h"
#include "ingest/text.h"

namespace tsdbd::ingest {
namespace {

constexpr uint32_t kLabels = BytesField(1);  // of TimeSeries
constexpr uint32_t kName = BytesField(1);    // of Label
constexpr uint32_t kValue = BytesField(2);

// As much of a name or value as an error tells.
constexpr size_t kExcerptBytes = 100;

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

// Throws protozero's exceptions.
Status ReadLabel(protozero::pbf_reader message, model::Label* label) {
  label->name.clear();
  label->value.clear();
  while (message.next()) {
    switch (message.tag_and_type()) {
      case kName:
        label->name = message.get_view();
        break;
      case kValue:
        label->value = message.get_view();
        break;
      default:
        message.skip();
    }
  }
  if (label->name.empty()) {
    return InvalidArgument("empty label name with value \"{}\"",
                           Excerpt(label->value, kExcerptBytes));
  }
  if (!IsUtf8(label->name)) {
    return InvalidArgument("invalid UTF-8 in label name \"{}\"",
                           Excerpt(label->name, kExcerptBytes));
  }
  if (!IsUtf8(label->value)) {
    return InvalidArgument("invalid UTF-8 in the value of label \"{}\": \"{}\"",
                           Excerpt(label->name, kExcerptBytes),
                           Excerpt(label->value, kExcerptBytes));
  }
  return OkStatus();
}

Status ReadLabels(std::string_view key, model::Labels* labels) {
  size_t count = 0;
  try {
    protozero::pbf_reader reader(key);
    while (reader.next()) {
      if (reader.tag_and_type() != kLabels) {
        return InvalidArgument("malformed labels: field {} among them", reader.tag());
      }
      if (count == labels->size()) {
        labels->emplace_back();
      }
      RETURN_IF_ERROR(ReadLabel(reader.get_message(), &(*labels)[count]));
      ++count;
    }
  } catch (const protozero::exception& error) {
    return InvalidArgument("malformed labels: {}", error.what());
  }
  labels->resize(count);
  return OkStatus();
}

size_t VarintBytes(size_t value) {
  return static_cast<size_t>(protozero::length_of_varint(value));
}

size_t FieldBytes(std::string_view text) {
  return text.empty() ? 0 : 1 + VarintBytes(text.size()) + text.size();
}

char* PutField(uint32_t field, std::string_view text, char* out) {
  if (text.empty()) {
    return out;
  }
  *out++ = static_cast<char>(field);
  out = PutVarint(out, text.size());
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

bool NameIsLess(const model::Label& a, const model::Label& b) {
  return a.name < b.name;
}
bool NameIsEqual(const model::Label& a, const model::Label& b) {
  return a.name == b.name;
}

}  // namespace

Status RemoteKeyDecoder::Decode(std::string_view key, const model::FieldList&,
                                model::GroupLabels* group) const {
  model::Labels& labels = group->labels;
  RETURN_IF_ERROR(ReadLabels(key, &labels));
  if (!std::is_sorted(labels.begin(), labels.end(), NameIsLess)) {
    std::sort(labels.begin(), labels.end(), NameIsLess);
  }
  const auto same = std::adjacent_find(labels.begin(), labels.end(), NameIsEqual);
  if (same != labels.end()) {
    return InvalidArgument("duplicate label name \"{}\"", Excerpt(same->name, kExcerptBytes));
  }
  std::erase_if(labels, [](const model::Label& label) { return label.value.empty(); });
  const auto metric = std::find_if(labels.begin(), labels.end(), [](const model::Label& label) {
    return label.name == model::kMetricName;
  });
  if (metric == labels.end()) {
    return InvalidArgument("no metric name: label {} is missing or empty", model::kMetricName);
  }
  group->column_label = model::kMetricName;
  group->column_values.resize(1);
  group->column_values[0] = std::move(metric->value);
  labels.erase(metric);
  return OkStatus();
}

size_t KeyLabelBytes(std::string_view name, std::string_view value) {
  const size_t size = FieldBytes(name) + FieldBytes(value);
  return 1 + VarintBytes(size) + size;
}

char* PutKeyLabel(std::string_view name, std::string_view value, char* out) {
  *out++ = static_cast<char>(kLabels);
  out = PutVarint(out, FieldBytes(name) + FieldBytes(value));
  return PutField(kValue, value, PutField(kName, name, out));
}

}  // namespace tsdbd::ingest
