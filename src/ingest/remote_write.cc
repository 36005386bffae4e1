#include "ingest/remote_write.h"

#include <algorithm>
#include <cstring>

#include "ingest/limits.h"
#include "ingest/line_protocol.h"
#include "ingest/remote_key_decoder.h"

namespace tsdbd::ingest {
namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;
// Beyond this, milliseconds are no time that a sample can have.
constexpr int64_t kMaxMillis = model::kMaxTimestamp / kNanosPerMilli;

namespace v1 {
// WriteRequest.
constexpr uint32_t kTimeSeries = BytesField(1);
constexpr uint32_t kMetadata = BytesField(3);
// TimeSeries.
constexpr uint32_t kLabels = BytesField(1);
constexpr uint32_t kSamples = BytesField(2);
constexpr uint32_t kExemplars = BytesField(3);
constexpr uint32_t kHistograms = BytesField(4);
// MetricMetadata.
constexpr uint32_t kType = VarintField(1);
constexpr uint32_t kFamily = BytesField(2);
constexpr uint32_t kHelp = BytesField(4);
constexpr uint32_t kUnit = BytesField(5);
}  // namespace v1

namespace v2 {
// Request.
constexpr uint32_t kSymbolsNumber = 4;
constexpr uint32_t kTimeSeriesNumber = 5;
// TimeSeries.
constexpr uint32_t kLabelReferences = BytesField(1);  // packed
constexpr uint32_t kLabelReference = VarintField(1);
constexpr uint32_t kSamples = BytesField(2);
constexpr uint32_t kHistograms = BytesField(3);
constexpr uint32_t kExemplars = BytesField(4);
constexpr uint32_t kMetadata = BytesField(5);
// Metadata.
constexpr uint32_t kType = VarintField(1);
constexpr uint32_t kHelpReference = VarintField(3);
constexpr uint32_t kUnitReference = VarintField(4);
}  // namespace v2

// Sample, the same in both.
constexpr uint32_t kSampleValue = DoubleField(1);
constexpr uint32_t kSampleTimestamp = VarintField(2);

// A common key of 10 labels has 300 bytes.
constexpr size_t kKeyPieceBytes = size_t{256} << 10;

// How a metric's name goes on from its family's, for types whose series have names of their own.
std::string_view FamilyOf(std::string_view metric_name, uint32_t type) {
  constexpr uint32_t kHistogram = 3;
  constexpr uint32_t kSummary = 5;
  if (type == kHistogram || type == kSummary) {
    for (const std::string_view suffix : {"_bucket", "_count", "_sum"}) {
      if (metric_name.ends_with(suffix) && metric_name.size() > suffix.size()) {
        return metric_name.substr(0, metric_name.size() - suffix.size());
      }
    }
  }
  return metric_name;
}

}  // namespace

void RemoteWriteReport::Clear() {
  *this = {};
}

char* RemoteWriteParser::KeyMemory::Allocate(size_t size) {
  if (pieces_.empty() || size > left_) {
    const size_t capacity = std::max(size, kKeyPieceBytes);
    pieces_.push_back({std::make_unique_for_overwrite<char[]>(capacity), capacity});
    left_ = capacity;
  }
  char* const place = pieces_.back().bytes.get() + (pieces_.back().capacity - left_);
  left_ -= size;
  used_bytes_ += size;
  return place;
}

void RemoteWriteParser::KeyMemory::Clear() {
  // One piece is enough for most messages, and little enough to keep.
  if (pieces_.size() > 1 || (!pieces_.empty() && pieces_[0].capacity > kKeyPieceBytes)) {
    pieces_.clear();
  }
  left_ = pieces_.empty() ? 0 : kKeyPieceBytes;
  used_bytes_ = 0;
}

Status RemoteWriteParser::Parse(RemoteWriteVersion version, std::string_view message,
                                const RemoteWriteOptions& options, model::RowBatch* batch,
                                RemoteWriteReport* report) {
  options_ = &options;
  batch_ = batch;
  report_ = report;
  batch->Clear();
  batch->decoder = options.decoder;
  // The one column of a group is its metric, whose name is part of the key.
  batch->field_lists.push_back({.names = {"value"}});
  batch->field_lists[0].hash = model::HashFieldNames(batch->field_lists[0].names);
  report->Clear();
  key_memory_.Clear();
  symbols_.clear();
  try {
    return version == RemoteWriteVersion::kV1 ? ReadRequestV1(message) : ReadRequestV2(message);
  } catch (const protozero::exception& error) {
    return InvalidArgument("malformed protobuf message: {}, in or after series {}", error.what(),
                           report->series_count);
  }
}

void RemoteWriteParser::Trim() {
  key_memory_.Clear();
  // As many as a message of 10,000 series has, with labels of their own.
  constexpr size_t kMaxKeptSymbols = size_t{1} << 16;
  if (symbols_.capacity() > kMaxKeptSymbols) {
    symbols_ = {};
  }
  if (pieces_.capacity() > kKeyPieceBytes) {
    pieces_ = {};
  }
}

Status RemoteWriteParser::ReadRequestV1(std::string_view message) {
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case v1::kTimeSeries:
        RETURN_IF_ERROR(ReadSeriesV1(reader.get_view()));
        break;
      case v1::kMetadata:
        ReadMetadataV1(reader.get_view());
        break;
      default:
        reader.skip();
    }
  }
  return OkStatus();
}

// Senders put all labels first, so the key is one piece of the message. Where they are elsewhere
// too, the key is put together.
Status RemoteWriteParser::ReadSeriesV1(std::string_view message) {
  BeginSeries();
  std::string_view key;
  bool in_pieces = false;
  protozero::pbf_reader reader(message);
  while (true) {
    const char* const field = reader.data().data();
    if (!reader.next()) {
      break;
    }
    switch (reader.tag_and_type()) {
      case v1::kLabels: {
        reader.skip();
        const char* const end = reader.data().data();
        if (key.empty()) {
          key = {field, end};
        } else if (!in_pieces && key.data() + key.size() == field) {
          key = {key.data(), end};
        } else {
          if (!in_pieces) {
            pieces_ = key;
            in_pieces = true;
          }
          pieces_.append(field, end);
        }
        break;
      }
      case v1::kSamples:
        RETURN_IF_ERROR(ReadSample(reader.get_view()));
        break;
      case v1::kExemplars:
        ++report_->exemplar_count;
        reader.skip();
        break;
      case v1::kHistograms:
        ++report_->histogram_count;
        reader.skip();
        break;
      default:
        reader.skip();
    }
  }
  if (in_pieces) {
    ASSIGN_OR_RETURN(char* const copy, AllocateKey(pieces_.size()));
    std::memcpy(copy, pieces_.data(), pieces_.size());
    key = {copy, pieces_.size()};
  }
  EndSeries(key);
  return OkStatus();
}

void RemoteWriteParser::ReadMetadataV1(std::string_view message) {
  FamilyDescription description;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case v1::kType:
        description.type = reader.get_uint32();
        break;
      case v1::kFamily:
        description.family = reader.get_view();
        break;
      case v1::kHelp:
        description.help = reader.get_view();
        break;
      case v1::kUnit:
        description.unit = reader.get_view();
        break;
      default:
        reader.skip();
    }
  }
  Describe(description);
}

// Series may stand before the symbols that they name.
Status RemoteWriteParser::ReadRequestV2(std::string_view message) {
  RETURN_IF_ERROR(ReadSymbols(message));
  protozero::pbf_reader reader(message);
  while (reader.next(v2::kTimeSeriesNumber, protozero::pbf_wire_type::length_delimited)) {
    RETURN_IF_ERROR(ReadSeriesV2(reader.get_view()));
  }
  return OkStatus();
}

Status RemoteWriteParser::ReadSymbols(std::string_view message) {
  protozero::pbf_reader reader(message);
  while (reader.next(v2::kSymbolsNumber, protozero::pbf_wire_type::length_delimited)) {
    if (symbols_.size() == kMaxRemoteSymbols) {
      return ResourceExhausted("more than {} symbols in a message", kMaxRemoteSymbols);
    }
    symbols_.push_back(reader.get_view());
  }
  return OkStatus();
}

Status RemoteWriteParser::ReadSeriesV2(std::string_view message) {
  BeginSeries();
  label_references_.clear();
  std::string_view metadata;
  bool has_values = false;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case v2::kLabelReferences:
      case v2::kLabelReference:
        ReadLabelReferences(&reader);
        break;
      case v2::kSamples:
        has_values = true;
        RETURN_IF_ERROR(ReadSample(reader.get_view()));
        break;
      case v2::kHistograms:
        has_values = true;
        ++report_->histogram_count;
        reader.skip();
        break;
      case v2::kExemplars:
        ++report_->exemplar_count;
        reader.skip();
        break;
      case v2::kMetadata:
        metadata = reader.get_view();
        break;
      default:
        reader.skip();
    }
  }
  if (!has_values) {
    RefuseSeries("TimeSeries must contain at least one sample or histogram");
    return OkStatus();
  }
  Status usable = CheckLabelsV2();
  if (usable.ok()) {
    usable = DescribeV2(metadata);
  }
  if (!usable.ok()) {
    RefuseSeries(Message(usable));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string_view key, MakeKeyV2());
  EndSeries(key);
  return OkStatus();
}

void RemoteWriteParser::ReadLabelReferences(protozero::pbf_reader* reader) {
  if (reader->has_wire_type(protozero::pbf_wire_type::varint)) {
    label_references_.push_back(reader->get_uint32());
    return;
  }
  for (const uint32_t reference : reader->get_packed_uint32()) {
    // So many make a key that is refused.
    if (label_references_.size() <= kMaxKeyBytes) {
      label_references_.push_back(reference);
    }
  }
}

Status RemoteWriteParser::ReadSample(std::string_view message) {
  double value = 0;
  int64_t millis = 0;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case kSampleValue:
        value = reader.get_double();
        break;
      case kSampleTimestamp:
        millis = reader.get_int64();
        break;
      default:
        reader.skip();
    }
  }
  if (++report_->sample_count > kMaxRemoteSamples) {
    return ResourceExhausted("more than {} samples in a message", kMaxRemoteSamples);
  }
  const model::TimeRange& range = options_->time_range;
  const bool is_time = -kMaxMillis <= millis && millis <= kMaxMillis;
  if (!is_time || !range.Contains(millis * kNanosPerMilli)) {
    ++report_->refused_sample_count;
    AddError(fmt::format("timestamp {} ms is out of range, must be {} to {} ms", millis,
                         (range.min + kNanosPerMilli - 1) / kNanosPerMilli,
                         range.max / kNanosPerMilli));
    return OkStatus();
  }
  model::Row& row = batch_->rows.emplace_back();
  row.timestamp = millis * kNanosPerMilli;
  row.first_value = static_cast<uint32_t>(batch_->values.size());
  row.line = static_cast<uint32_t>(report_->series_count);
  batch_->values.push_back(value);
  return OkStatus();
}

Status RemoteWriteParser::CheckReference(uint32_t reference) const {
  return reference < symbols_.size() ? OkStatus()
                                     : InvalidArgument("there is no symbol {}: the message has {}",
                                                       reference, symbols_.size());
}

// Of label_references_; finds key_bytes_ and metric_name_.
Status RemoteWriteParser::CheckLabelsV2() {
  if (label_references_.size() % 2 != 0) {
    return InvalidArgument("an odd number of label references: {}", label_references_.size());
  }
  key_bytes_ = 0;
  metric_name_ = {};
  for (size_t i = 0; i < label_references_.size(); i += 2) {
    RETURN_IF_ERROR(CheckReference(label_references_[i]));
    RETURN_IF_ERROR(CheckReference(label_references_[i + 1]));
    const std::string_view name = symbols_[label_references_[i]];
    const std::string_view value = symbols_[label_references_[i + 1]];
    key_bytes_ += KeyLabelBytes(name, value);
    if (name == model::kMetricName) {
      metric_name_ = value;
    }
  }
  return key_bytes_ <= kMaxKeyBytes ? OkStatus()
                                    : InvalidArgument("labels of more than {} bytes", kMaxKeyBytes);
}

// The key that 1.0 has for the same labels.
StatusOr<std::string_view> RemoteWriteParser::MakeKeyV2() {
  ASSIGN_OR_RETURN(char* const key, AllocateKey(key_bytes_));
  char* end = key;
  for (size_t i = 0; i < label_references_.size(); i += 2) {
    end = PutKeyLabel(symbols_[label_references_[i]], symbols_[label_references_[i + 1]], end);
  }
  return std::string_view(key, key_bytes_);
}

// Of metric_name_.
Status RemoteWriteParser::DescribeV2(std::string_view metadata) {
  FamilyDescription description;
  protozero::pbf_reader reader(metadata);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case v2::kType:
        description.type = reader.get_uint32();
        break;
      case v2::kHelpReference: {
        const uint32_t reference = reader.get_uint32();
        RETURN_IF_ERROR(CheckReference(reference));
        description.help = symbols_[reference];
        break;
      }
      case v2::kUnitReference: {
        const uint32_t reference = reader.get_uint32();
        RETURN_IF_ERROR(CheckReference(reference));
        description.unit = symbols_[reference];
        break;
      }
      default:
        reader.skip();
    }
  }
  if (description != FamilyDescription()) {
    description.family = FamilyOf(metric_name_, description.type);
    Describe(description);
  }
  return OkStatus();
}

void RemoteWriteParser::BeginSeries() {
  ++report_->series_count;
  first_row_ = batch_->rows.size();
}

void RemoteWriteParser::EndSeries(std::string_view key) {
  if (key.size() > kMaxKeyBytes) {
    RefuseSeries(fmt::format("labels of more than {} bytes", kMaxKeyBytes));
    return;
  }
  if (first_row_ == batch_->rows.size()) {
    return;
  }
  const Hash128 hash = HashTo128(key);
  for (size_t i = first_row_; i < batch_->rows.size(); ++i) {
    batch_->rows[i].key = key;
    batch_->rows[i].key_hash = hash;
  }
}

// With those of its samples that were fine; the others are refused already.
void RemoteWriteParser::RefuseSeries(std::string_view reason) {
  ++report_->refused_series_count;
  report_->refused_sample_count += batch_->rows.size() - first_row_;
  AddError(reason);
  batch_->rows.resize(first_row_);
  batch_->values.resize(first_row_);
}

void RemoteWriteParser::AddError(std::string_view reason) {
  if (report_->errors.size() < kMaxReportedErrors) {
    report_->errors.push_back(
        {.line = static_cast<uint32_t>(report_->series_count), .reason = std::string(reason)});
  }
}

// 2.0 repeats it for every series of a family, one after the other.
void RemoteWriteParser::Describe(const FamilyDescription& description) {
  std::vector<FamilyDescription>& all = report_->descriptions;
  if (all.size() < kMaxRemoteDescriptions && (all.empty() || all.back() != description)) {
    all.push_back(description);
  }
}

StatusOr<char*> RemoteWriteParser::AllocateKey(size_t size) {
  if (key_memory_.used_bytes() + size > options_->max_keys_bytes) {
    return ResourceExhausted("the labels of all series take more than {} bytes",
                             options_->max_keys_bytes);
  }
  return key_memory_.Allocate(size);
}

}  // namespace tsdbd::ingest
