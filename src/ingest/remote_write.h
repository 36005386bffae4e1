#pragma once
// Prometheus remote write, 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2.Request):
// an uncompressed protobuf message becomes rows, one for each sample; a series is a group of one
// column. Nothing here knows a database: labels stay the raw bytes of a key
// (remote_key_decoder.h), and what is wrong with them shows when the key is met the first time.
//
// Exemplars and native histograms are counted and left out.
//
// A message of a few bytes can stand for much, so what is made of one has bounds of its own.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "ingest/protobuf.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

enum class RemoteWriteVersion { kV1, kV2 };

struct RemoteWriteOptions {
  // A RemoteKeyDecoder. Goes into the batch, which it must outlive.
  const model::KeyDecoder* decoder = nullptr;
  // Samples outside are refused.
  model::TimeRange time_range = {};
  // What all keys together may take where they are not bytes of the message: as much as those of
  // the largest message.
  size_t max_keys_bytes = size_t{64} << 20;
};

// Samples of one message: 256 MB of rows. Prometheus sends 2,000.
inline constexpr size_t kMaxRemoteSamples = size_t{4} << 20;
// Strings of one 2.0 message: 16 MB of views.
inline constexpr size_t kMaxRemoteSymbols = size_t{1} << 20;
// Descriptions of one message that are kept; more are ignored.
inline constexpr size_t kMaxRemoteDescriptions = size_t{16} << 10;

// What a metric family is; views into the message.
struct FamilyDescription {
  uint32_t type = 0;  // as both versions number them: unknown, counter, gauge, histogram, ...
  std::string_view family;
  std::string_view help;
  std::string_view unit;
  friend bool operator==(const FamilyDescription&, const FamilyDescription&) = default;
};

struct RemoteWriteReport {
  uint64_t series_count = 0;
  uint64_t sample_count = 0;          // good and bad
  uint64_t refused_series_count = 0;  // with all their samples
  uint64_t refused_sample_count = 0;  // of those series and of others
  uint64_t exemplar_count = 0;
  uint64_t histogram_count = 0;
  std::vector<FamilyDescription> descriptions;
  // The first kMaxReportedErrors; `line` is the 1-based place of the series in the message.
  std::vector<model::LineError> errors;

  void Clear();
};

// Reusable: keeps its memory. Not thread-safe.
class RemoteWriteParser {
 public:
  // Replaces *batch by the rows of `message` and *report. Both, and this parser, keep what the rows
  // point to until the next call. kInvalidArgument if the message is malformed, kResourceExhausted
  // if it goes beyond a bound; *batch is then of no use. The insides of labels are not looked into.
  Status Parse(RemoteWriteVersion version, std::string_view message,
               const RemoteWriteOptions& options, model::RowBatch* batch,
               RemoteWriteReport* report);

  // Gives back the memory that an unusually large message took; the batch and the report of the
  // last call must not be used any more.
  void Trim();

 private:
  // Memory for keys that are no bytes of the message; it stays where it is when there is more.
  class KeyMemory {
   public:
    char* Allocate(size_t size);
    size_t used_bytes() const { return used_bytes_; }
    void Clear();

   private:
    struct Piece {
      std::unique_ptr<char[]> bytes;
      size_t capacity = 0;
    };
    std::vector<Piece> pieces_;
    size_t left_ = 0;  // in the last piece
    size_t used_bytes_ = 0;
  };

  // Each throws protozero's exceptions; Parse catches them. Failures concern the whole message.
  Status ReadRequestV1(std::string_view message);
  Status ReadSeriesV1(std::string_view message);
  void ReadMetadataV1(std::string_view message);
  Status ReadRequestV2(std::string_view message);
  Status ReadSymbols(std::string_view message);
  Status ReadSeriesV2(std::string_view message);
  void ReadLabelReferences(protozero::pbf_reader* reader);
  Status ReadSample(std::string_view message);

  // Failures concern one series.
  Status CheckReference(uint32_t reference) const;
  Status CheckLabelsV2();
  Status DescribeV2(std::string_view metadata);

  StatusOr<std::string_view> MakeKeyV2();

  void BeginSeries();
  // Gives the series' rows their key.
  void EndSeries(std::string_view key);
  void RefuseSeries(std::string_view reason);
  void AddError(std::string_view reason);
  void Describe(const FamilyDescription& description);
  StatusOr<char*> AllocateKey(size_t size);

  // Of the call to Parse that is under way.
  const RemoteWriteOptions* options_ = nullptr;
  model::RowBatch* batch_ = nullptr;
  RemoteWriteReport* report_ = nullptr;
  std::vector<std::string_view> symbols_;
  // Of the series that is being read.
  size_t first_row_ = 0;
  std::vector<uint32_t> label_references_;
  size_t key_bytes_ = 0;  // of label_references_
  std::string_view metric_name_;
  std::string pieces_;  // of a 1.0 key that is not in one piece in the message

  KeyMemory key_memory_;
};

}  // namespace tsdbd::ingest
