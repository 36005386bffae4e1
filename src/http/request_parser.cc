#include "http/request_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/clock.h"
#include "http/text.h"

namespace tsdbd::http {

namespace {

// No client sends that many; each costs a look at every look-up.
constexpr size_t kMaxHeaders = 128;
// Memory taken for a body of known length before any of it has come. Covers common bodies, so that
// they are never copied; not touched until filled.
constexpr size_t kInitialBodyBytes = size_t{4} << 20;
// Below this, reading through the shared buffer with what follows is cheaper than a read of its
// own.
constexpr size_t kMinDirectBytes = size_t{16} << 10;

constexpr int kBadRequest = 400;
constexpr int kContentTooLarge = 413;
constexpr int kUriTooLong = 414;
constexpr int kUnsupportedMediaType = 415;
constexpr int kExpectationFailed = 417;
constexpr int kHeaderFieldsTooLarge = 431;
constexpr int kNotImplemented = 501;
constexpr int kVersionNotSupported = 505;

// The method of a route, or false.
bool ConvertMethod(uint8_t llhttp_method, Method* method) {
  switch (llhttp_method) {
    case HTTP_GET:
      *method = Method::kGet;
      return true;
    case HTTP_HEAD:
      *method = Method::kHead;
      return true;
    case HTTP_POST:
      *method = Method::kPost;
      return true;
    case HTTP_PUT:
      *method = Method::kPut;
      return true;
    case HTTP_DELETE:
      *method = Method::kDelete;
      return true;
    case HTTP_PATCH:
      *method = Method::kPatch;
      return true;
    case HTTP_OPTIONS:
      *method = Method::kOptions;
      return true;
    default:
      return false;
  }
}

// method SP target SP HTTP/d.d, with one blank each: llhttp skips several. What the parts are is
// for llhttp to say.
bool IsRequestLine(std::string_view line) {
  const size_t method_size = std::min(line.find(' '), line.size());
  const size_t version_begin = line.rfind(' ') + 1;  // 0 if there is none
  if (method_size == 0 || version_begin <= method_size + 2) {
    return false;
  }
  const std::string_view target = line.substr(method_size + 1, version_begin - method_size - 2);
  const std::string_view version = line.substr(version_begin);
  constexpr std::string_view kDigits = "0123456789";
  return std::all_of(line.begin(), line.begin() + static_cast<ptrdiff_t>(method_size),
                     IsTokenCharacter) &&
         target.find(' ') == std::string_view::npos && version.size() == 8 &&
         version.starts_with("HTTP/") && kDigits.find(version[5]) != std::string_view::npos &&
         version[6] == '.' && kDigits.find(version[7]) != std::string_view::npos;
}

Refusal RefusalOf(llhttp_errno_t error) {
  switch (error) {
    case HPE_INVALID_METHOD:
      return {kNotImplemented, "unknown method"};
    case HPE_INVALID_VERSION:
      return {kVersionNotSupported, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    case HPE_INVALID_URL:
      return {kBadRequest, "malformed request target"};
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return {kBadRequest, "malformed or repeated Content-Length"};
    case HPE_INVALID_TRANSFER_ENCODING:
      return {kBadRequest, "malformed Transfer-Encoding"};
    default:
      return {kBadRequest, "malformed request"};
  }
}

}  // namespace

// llhttp gets the head in one piece, so every span comes whole and can be kept as a view.
struct RequestParser::Callbacks {
  static RequestParser* Parser(llhttp_t* parser) {
    return static_cast<RequestParser*>(parser->data);
  }
  static int OnUrl(llhttp_t* parser, const char* at, size_t size) {
    Parser(parser)->target_ = {at, size};
    return 0;
  }
  static int OnHeaderField(llhttp_t* parser, const char* at, size_t size) {
    Parser(parser)->request_->headers_.push_back({{at, size}, {}});
    return 0;
  }
  static int OnHeaderValue(llhttp_t* parser, const char* at, size_t size) {
    Parser(parser)->request_->headers_.back().value = TrimWhitespace({at, size});
    return 0;
  }
  // Stops llhttp: bodies are not its business.
  static int OnHeadersComplete(llhttp_t*) { return HPE_PAUSED; }

  static const llhttp_settings_t* Settings() {
    static const llhttp_settings_t settings = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_url = OnUrl;
      s.on_header_field = OnHeaderField;
      s.on_header_value = OnHeaderValue;
      s.on_headers_complete = OnHeadersComplete;
      return s;
    }();
    return &settings;
  }
};

RequestParser::Event RequestParser::Parse(std::string_view* input) {
  switch (phase_) {
    case Phase::kHead:
      return ParseHead(input);
    case Phase::kHeadDone:
      return Event::kHead;
    case Phase::kBody:
      return ParseBody(input);
    case Phase::kMessageDone:
      return Event::kMessage;
    case Phase::kRefused:
      break;
  }
  return Event::kRefused;
}

RequestParser::Event RequestParser::ParseHead(std::string_view* input) {
  if (input->empty()) {
    return Event::kNeedMore;
  }
  if (partial_head_.empty()) {
    arrived_nanos_ = MonotonicNanos();
  }
  const size_t had = partial_head_.size();
  std::string_view bytes = *input;
  if (had > 0) {
    // One byte more than allowed is enough to know that it is too long.
    partial_head_.append(input->substr(0, max_head_bytes_ + 1 - had));
    bytes = partial_head_;
  }
  const HeadScanner::Result result = scanner_.Scan(bytes.substr(0, max_head_bytes_ + 1));
  if (result == HeadScanner::Result::kMalformed) {
    return Refuse({kBadRequest, scanner_.error()});
  }
  const bool is_complete = result == HeadScanner::Result::kComplete;
  if (is_complete ? scanner_.head_end() > max_head_bytes_ : bytes.size() > max_head_bytes_) {
    return Refuse(scanner_.is_in_request_line()
                      ? Refusal{kUriTooLong, "request target is too long"}
                      : Refusal{kHeaderFieldsTooLarge, "headers are too long"});
  }
  if (!is_complete) {
    if (had == 0) {
      partial_head_.assign(bytes);
    }
    *input = {};
    return Event::kNeedMore;
  }
  input->remove_prefix(scanner_.head_end() - had);
  return FinishHead(
      bytes.substr(scanner_.head_begin(), scanner_.head_end() - scanner_.head_begin()));
}

RequestParser::Event RequestParser::FinishHead(std::string_view bytes) {
  if (scanner_.line_count() > kMaxHeaders + 1) {
    return Refuse({kHeaderFieldsTooLarge, "too many headers"});
  }
  request_ = std::make_unique<Request>();
  request_->arrived_nanos_ = arrived_nanos_;
  request_->head_.assign(bytes);
  request_->headers_.reserve(scanner_.line_count() - 1);
  scanner_ = HeadScanner();
  // Given back whole: an idle connection holds no buffer.
  std::string().swap(partial_head_);

  for (const auto check :
       {&RequestParser::RunLlhttp, &RequestParser::CheckFields, &RequestParser::CheckTarget}) {
    if (const Refusal refusal = (this->*check)()) {
      return Refuse(refusal);
    }
  }
  phase_ = Phase::kHeadDone;
  return Event::kHead;
}

Refusal RequestParser::RunLlhttp() {
  const std::string_view head = request_->head_;
  const std::string_view request_line = head.substr(0, head.find('\r'));
  if (!IsRequestLine(request_line)) {
    return {kBadRequest, "malformed request line"};
  }
  if (!request_line.substr(request_line.size() - 3).starts_with("1.")) {
    return RefusalOf(HPE_INVALID_VERSION);
  }
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, Callbacks::Settings());
  parser.data = this;
  target_ = {};
  const llhttp_errno_t error = llhttp_execute(&parser, head.data(), head.size());
  if (error != HPE_PAUSED) {
    return error == HPE_OK ? Refusal{kBadRequest, "malformed request"} : RefusalOf(error);
  }
  if (!ConvertMethod(parser.method, &request_->method_)) {
    return RefusalOf(HPE_INVALID_METHOD);
  }
  request_->is_http_1_0_ = parser.http_minor == 0;
  request_->keep_alive_ = llhttp_should_keep_alive(&parser) != 0;
  return {};
}

Refusal RequestParser::CheckFields() {
  size_t host_count = 0;
  bool has_valid_host = true;
  expects_continue_ = false;
  for (const auto& [name, value] : request_->headers_) {
    if (EqualsIgnoringCase(name, "host")) {
      ++host_count;
      has_valid_host = IsValidHost(value);
    } else if (EqualsIgnoringCase(name, "expect")) {
      if (!EqualsIgnoringCase(value, "100-continue")) {
        return {kExpectationFailed, "unknown expectation"};
      }
      // A client of HTTP/1.0 does not know what 100 is.
      expects_continue_ = !request_->is_http_1_0_;
    }
  }
  if (host_count > 1 || !has_valid_host || (host_count == 0 && !request_->is_http_1_0_)) {
    return {kBadRequest, "exactly one valid Host header is needed"};
  }
  return CheckFraming();
}

Refusal RequestParser::CheckFraming() {
  size_t length_count = 0;
  size_t transfer_coding_count = 0;
  content_length_ = 0;
  is_chunked_ = false;
  for (const auto& [name, value] : request_->headers_) {
    if (EqualsIgnoringCase(name, "content-length")) {
      ++length_count;
      const char* end = value.data() + value.size();
      const auto [parsed_end, error] = std::from_chars(value.data(), end, content_length_);
      // Unsigned from_chars takes digits only: no sign, no blank, no list; and it sees overflow.
      if (length_count > 1 || error != std::errc() || parsed_end != end) {
        return {kBadRequest, "malformed or repeated Content-Length"};
      }
    } else if (EqualsIgnoringCase(name, "transfer-encoding")) {
      ++transfer_coding_count;
      is_chunked_ = EqualsIgnoringCase(value, "chunked");
      if (!is_chunked_) {
        return {kBadRequest, "the only transfer coding known here is chunked"};
      }
    }
  }
  if (transfer_coding_count > 1 || (is_chunked_ && length_count > 0)) {
    return {kBadRequest, "the length of the body is ambiguous"};
  }
  if (is_chunked_ && request_->is_http_1_0_) {
    return {kBadRequest, "HTTP/1.0 has no Transfer-Encoding"};
  }
  return {};
}

Refusal RequestParser::CheckTarget() {
  const std::optional<Target> target = SplitTarget(target_);
  if (!target || (target->path == "*" && request_->method_ != Method::kOptions)) {
    return {kBadRequest, "malformed request target"};
  }
  request_->raw_path_ = target->path;
  if (!AppendUnescaped(target->path, /*is_form=*/false, &request_->path_) ||
      !request_->query_.AddEncoded(target->query)) {
    return {kBadRequest, "malformed escape or too many parameters in the request target"};
  }
  return {};
}

Refusal RequestParser::AcceptHead(const BodyRules& rules) {
  coding_ = ContentCoding::kIdentity;
  max_body_bytes_ = rules.max_body_bytes;
  if (!has_body()) {
    Complete();
    return {};
  }
  const std::string_view encoding = request_->Header("content-encoding");
  if (!rules.raw_content_encoding.empty()) {
    if (!encoding.empty() && !EqualsIgnoringCase(encoding, rules.raw_content_encoding)) {
      return {kUnsupportedMediaType, "this path does not take bodies of this Content-Encoding"};
    }
  } else {
    const std::optional<ContentCoding> coding = ParseContentCoding(encoding);
    if (!coding) {
      return {kUnsupportedMediaType, "unknown Content-Encoding"};
    }
    coding_ = *coding;
  }
  if (content_length_ > max_body_bytes_) {
    return {kContentTooLarge, "body is too large"};
  }
  request_->body_ = BodyBuffer(body_pool_);
  remaining_bytes_ = content_length_;
  chunks_ = ChunkedDecoder();
  phase_ = Phase::kBody;
  return {};
}

RequestParser::Event RequestParser::ParseBody(std::string_view* input) {
  return is_chunked_ ? ParseChunked(input) : ParseSized(input);
}

RequestParser::Event RequestParser::ParseSized(std::string_view* input) {
  const std::string_view bytes = input->substr(0, remaining_bytes_);
  if (bytes.empty()) {
    return Event::kNeedMore;
  }
  ReserveSized();
  if (!request_->body_.Append(bytes)) {
    return Refuse(kOutOfBodyMemory);
  }
  input->remove_prefix(bytes.size());
  remaining_bytes_ -= bytes.size();
  return remaining_bytes_ == 0 ? Complete() : Event::kNeedMore;
}

void RequestParser::ReserveSized() {
  if (request_->body_.Space().empty()) {
    request_->body_.Reserve(std::min<uint64_t>(remaining_bytes_, kInitialBodyBytes));
  }
}

RequestParser::Event RequestParser::ParseChunked(std::string_view* input) {
  while (true) {
    std::string_view data;
    switch (chunks_.Next(input, &data)) {
      case ChunkedDecoder::Event::kNeedMore:
        return Event::kNeedMore;
      case ChunkedDecoder::Event::kData:
        if (data.size() > max_body_bytes_ - request_->body_.size()) {
          return Refuse({kContentTooLarge, "body is too large"});
        }
        if (!request_->body_.Append(data)) {
          return Refuse(kOutOfBodyMemory);
        }
        break;
      case ChunkedDecoder::Event::kDone:
        return Complete();
      case ChunkedDecoder::Event::kMalformed:
        return Refuse({kBadRequest, chunks_.error()});
    }
  }
}

std::span<char> RequestParser::DirectSpace() {
  if (phase_ != Phase::kBody || is_chunked_ || remaining_bytes_ < kMinDirectBytes) {
    return {};
  }
  ReserveSized();
  const std::span<char> space = request_->body_.Space();
  return space.first(std::min<uint64_t>(space.size(), remaining_bytes_));
}

RequestParser::Event RequestParser::CommitDirect(size_t bytes) {
  if (!request_->body_.Commit(bytes)) {
    return Refuse(kOutOfBodyMemory);
  }
  remaining_bytes_ -= bytes;
  return remaining_bytes_ == 0 ? Complete() : Event::kNeedMore;
}

RequestParser::Event RequestParser::Complete() {
  request_->complete_nanos_ = MonotonicNanos();
  phase_ = Phase::kMessageDone;
  return Event::kMessage;
}

std::unique_ptr<Request> RequestParser::TakeRequest() {
  phase_ = Phase::kHead;
  return std::move(request_);
}

Refusal RequestParser::InflateBody(ContentCoding coding, size_t max_body_bytes, Request* request) {
  if (coding == ContentCoding::kIdentity || request->body_.size() == 0) {
    return {};
  }
  BodyBuffer inflated = request->body_.Sibling();
  const Refusal refusal = Inflate(coding, request->body_.view(), max_body_bytes, &inflated);
  request->body_ = std::move(inflated);
  return refusal;
}

RequestParser::Event RequestParser::Refuse(Refusal refusal) {
  refusal_ = refusal;
  phase_ = Phase::kRefused;
  request_.reset();
  std::string().swap(partial_head_);
  return Event::kRefused;
}

}  // namespace tsdbd::http
