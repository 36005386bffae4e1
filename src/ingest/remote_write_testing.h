#pragma once
// For tests: remote-write messages made by hand, and row batches as text.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/remote_write.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

struct RemoteSample {
  double value = 0;
  int64_t millis = 0;
};
using RemoteLabels = std::vector<std::pair<std::string, std::string>>;  // in this order

// Field `number` with the bytes `contents`: a string or a message.
std::string BytesOf(uint32_t number, std::string_view contents);
std::string VarintOf(uint32_t number, uint64_t value);
// A Sample message.
std::string SampleMessage(const RemoteSample& sample);

// 1.0: the labels as a key, a TimeSeries, and one as a field of a WriteRequest.
std::string LabelsV1(const RemoteLabels& labels);
std::string SeriesV1(const RemoteLabels& labels, const std::vector<RemoteSample>& samples);
std::string RequestV1(const std::vector<std::string>& series);

// 2.0: collects the symbols of the series of one request.
class RequestV2 {
 public:
  RequestV2() : symbols_({""}) {}
  uint32_t Symbol(std::string_view text);
  // `more` is added to the TimeSeries as it is.
  void AddSeries(const RemoteLabels& labels, const std::vector<RemoteSample>& samples,
                 std::string_view more = {});
  void AddRawSeries(std::string_view series) { series_.emplace_back(series); }
  std::string Message() const;

 private:
  std::vector<std::string> symbols_;
  std::vector<std::string> series_;
};

// One line per row or error, by series: "1: up{job=\"a\"} 5 @1000" (milliseconds), what the decoder
// says of the row's key if it refuses it, or "2! <reason>".
std::string DescribeRemoteWrite(const model::RowBatch& batch, const RemoteWriteReport& report);

}  // namespace tsdbd::ingest
