// HTTP requests: any bytes are refused or make requests, the same ones whatever pieces they come
// in, and no request that is accepted has two lengths. Bodies are inflated, form bodies decoded.
//
// The first byte of an input is the size of the pieces.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/check.h"
#include "http/request_parser.h"
#include "http/router.h"
#include "http/text.h"

namespace tsdbd::http {
namespace {

constexpr size_t kMaxHeadBytes = size_t{4} << 10;
constexpr size_t kMaxBodyBytes = size_t{64} << 10;

// Takes what bytes it is given and writes down what came of them.
class Story {
 public:
  // Also through DirectSpace, as the server reads large bodies.
  void Feed(std::string_view bytes) {
    while (!bytes.empty() && !is_over_) {
      if (const auto space = parser_.DirectSpace(); !space.empty()) {
        const size_t size = bytes.copy(space.data(), space.size());
        bytes.remove_prefix(size);
        Handle(parser_.CommitDirect(size));
      } else {
        while (Handle(parser_.Parse(&bytes))) {
        }
      }
    }
  }

  const std::string& text() const { return text_; }

 private:
  // False if the parser needs more or is done.
  bool Handle(RequestParser::Event event) {
    switch (event) {
      case RequestParser::Event::kNeedMore:
        return false;
      case RequestParser::Event::kHead:
        CheckFraming(*parser_.request());
        Refuse(parser_.AcceptHead({kMaxBodyBytes, "snappy"}));
        return !is_over_;
      case RequestParser::Event::kMessage:
        Tell(parser_.TakeRequest());
        return !is_over_;
      case RequestParser::Event::kRefused:
        Refuse(parser_.refusal());
        return false;
    }
    return false;
  }

  static void CheckFraming(const Request& request) {
    const auto count = [&](std::string_view name) {
      return std::count_if(
          request.headers().begin(), request.headers().end(),
          [&](const HeaderView& header) { return EqualsIgnoringCase(header.name, name); });
    };
    CHECK(count("content-length") + count("transfer-encoding") <= 1);
    CHECK(count("host") == 1 || request.is_http_1_0());
  }

  void Tell(std::unique_ptr<Request> request) {
    Refuse(RequestParser::InflateBody(parser_.coding(), kMaxBodyBytes, request.get()));
    CHECK(request->body().size() <= kMaxBodyBytes);
    Parameters parameters;
    const bool is_form = request->MergedParameters(&parameters);
    text_.append(MethodName(request->method())).append(" ").append(request->path());
    text_.append(is_form ? " " : " no form ").append(request->body()).append("\n");
  }

  void Refuse(const Refusal& refusal) {
    if (refusal) {
      is_over_ = true;
      text_.append(refusal.reason);
    }
  }

  RequestParser parser_{kMaxHeadBytes, std::make_shared<BodyPool>(4 * kMaxBodyBytes)};
  bool is_over_ = false;
  std::string text_;
};

void TryAllPieces(size_t piece_size, std::string_view bytes) {
  Story whole;
  whole.Feed(bytes);
  Story pieces;
  for (size_t offset = 0; offset < bytes.size(); offset += piece_size) {
    pieces.Feed(bytes.substr(offset, piece_size));
  }
  CHECK(whole.text() == pieces.text());
}

}  // namespace
}  // namespace tsdbd::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1) {
    tsdbd::http::TryAllPieces(std::max<size_t>(data[0], 1),
                              {reinterpret_cast<const char*>(data) + 1, size - 1});
  }
  return 0;
}
