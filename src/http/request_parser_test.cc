#include "http/request_parser.h"

#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tsdbd::http {
namespace {

constexpr size_t kMaxHeadBytes = size_t{32} << 10;
constexpr size_t kMaxBodyBytes = size_t{1} << 20;

// One line for each thing a parser made of its input: "GET /path [body]", "refused 400", "more".
class Driver {
 public:
  std::string Feed(std::string_view input, size_t piece_size) {
    std::string story;
    for (size_t offset = 0; offset < input.size(); offset += piece_size) {
      std::string_view piece = input.substr(offset, piece_size);
      if (!FeedPiece(piece, &story)) {
        return story;
      }
    }
    return story + (parser_.is_idle() ? "" : "more\n");
  }

 private:
  bool FeedPiece(std::string_view piece, std::string* story) {
    while (true) {
      switch (parser_.Parse(&piece)) {
        case RequestParser::Event::kNeedMore:
          EXPECT_TRUE(piece.empty());
          return true;
        case RequestParser::Event::kHead:
          if (const Refusal refusal = parser_.AcceptHead({kMaxBodyBytes, "snappy"})) {
            *story += fmt::format("refused {}\n", refusal.status);
            return false;
          }
          break;
        case RequestParser::Event::kMessage: {
          const auto request = parser_.TakeRequest();
          *story += fmt::format("{} {} [{}]\n", MethodName(request->method()), request->path(),
                                request->body());
          break;
        }
        case RequestParser::Event::kRefused:
          *story += fmt::format("refused {}\n", parser_.refusal().status);
          return false;
      }
    }
  }

  RequestParser parser_{kMaxHeadBytes, std::make_shared<BodyPool>(size_t{64} << 20)};
};

// The same whatever pieces it comes in.
std::string Story(std::string_view input) {
  const std::string whole = Driver().Feed(input, input.size());
  EXPECT_EQ(Driver().Feed(input, 1), whole) << "byte by byte: " << input.substr(0, 200);
  return whole;
}

std::string Get(std::string_view headers) {
  return fmt::format("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", headers);
}

std::string Post(std::string_view headers, std::string_view body) {
  return fmt::format("POST /w HTTP/1.1\r\nHost: h\r\n{}\r\n{}", headers, body);
}

std::unique_ptr<Request> ParseOne(std::string_view input) {
  RequestParser parser(kMaxHeadBytes, std::make_shared<BodyPool>(size_t{64} << 20));
  EXPECT_EQ(parser.Parse(&input), RequestParser::Event::kHead);
  EXPECT_FALSE(parser.AcceptHead({kMaxBodyBytes, ""}));
  EXPECT_EQ(parser.Parse(&input), RequestParser::Event::kMessage);
  return parser.TakeRequest();
}

TEST(RequestParserTest, ParsesAHeadIntoItsParts) {
  const auto request = ParseOne(
      "GET /api%2Fv1/query?query=up%7Ba%3D%22b%22%7D&time=1+2&match[]=a&match[]=b HTTP/1.1\r\n"
      "Host: localhost:8086\r\nuser-agent:  some thing \t\r\nEmpty:\r\nX-Twice: 1\r\nX-Twice: "
      "2\r\n\r\n");
  EXPECT_EQ(request->method(), Method::kGet);
  EXPECT_EQ(request->raw_path(), "/api%2Fv1/query");
  EXPECT_EQ(request->path(), "/api/v1/query");
  EXPECT_EQ(request->query().Get("query"), "up{a=\"b\"}");
  EXPECT_EQ(request->query().Get("time"), "1 2");
  EXPECT_EQ(request->query().FindAll("match[]"), (std::vector<std::string_view>{"a", "b"}));
  EXPECT_FALSE(request->query().Find("none").has_value());
  EXPECT_EQ(request->Header("USER-AGENT"), "some thing");
  EXPECT_EQ(request->Header("Empty"), "");
  EXPECT_TRUE(request->FindHeader("empty").has_value());
  EXPECT_FALSE(request->FindHeader("absent").has_value());
  EXPECT_EQ(request->Header("x-twice"), "1");
  EXPECT_EQ(request->headers().size(), 5u);
}

TEST(RequestParserTest, MergesFormParametersBehindThoseOfTheQuery) {
  const auto request = ParseOne(
      "POST /q?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n"
      "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\r\na=2&b=x%26y+");
  Parameters merged;
  ASSERT_TRUE(request->MergedParameters(&merged));
  EXPECT_EQ(merged.FindAll("a"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_EQ(merged.Get("b"), "x&y ");
}

TEST(RequestParserTest, BoundsTheNumberOfParameters) {
  Parameters parameters;
  std::string encoded;
  for (size_t i = 0; i < Parameters::kMaxEntries; ++i) {
    encoded += "&a";
  }
  EXPECT_TRUE(parameters.AddEncoded(encoded));
  EXPECT_FALSE(parameters.AddEncoded("a"));
  EXPECT_EQ(parameters.entries().size(), Parameters::kMaxEntries);
}

TEST(RequestParserTest, OtherBodiesAreNoForms) {
  const auto request = ParseOne("POST /q?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na=2");
  Parameters merged;
  ASSERT_TRUE(request->MergedParameters(&merged));
  EXPECT_EQ(merged.entries().size(), 1u);
}

TEST(RequestParserTest, ParsesBodiesOfEitherFraming) {
  EXPECT_EQ(Story(Post("Content-Length: 5\r\n", "hello")), "POST /w [hello]\n");
  EXPECT_EQ(Story(Post("Content-Length: 0\r\n", "")), "POST /w []\n");
  EXPECT_EQ(Story(Post("Content-Length: 0005\r\n", "hello")), "POST /w [hello]\n");
  EXPECT_EQ(Story(Post("", "")), "POST /w []\n");
  EXPECT_EQ(Story(Post("Transfer-Encoding: Chunked\r\n", "2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n")),
            "POST /w [hello]\n");
}

TEST(RequestParserTest, ParsesPipelinedRequestsAtEverySplit) {
  const std::string input = Get("") + Post("Content-Length: 5\r\n", "hello") +
                            Post("Transfer-Encoding: chunked\r\n", "5\r\nworld\r\n0\r\n\r\n") +
                            "\r\n" + Get("Accept: */*\r\n");
  for (size_t piece_size = 1; piece_size <= input.size(); ++piece_size) {
    EXPECT_EQ(Driver().Feed(input, piece_size),
              "GET / []\nPOST /w [hello]\nPOST /w [world]\nGET / []\n");
  }
}

TEST(RequestParserTest, EveryPrefixOfARequestWaitsForMore) {
  const std::string input = Post("Content-Length: 5\r\n", "hello");
  for (size_t size = 1; size < input.size(); ++size) {
    EXPECT_EQ(Story(input.substr(0, size)), "more\n") << size;
  }
}

TEST(RequestParserTest, SpeaksHttp10) {
  EXPECT_EQ(Story("GET / HTTP/1.0\r\n\r\n"), "GET / []\n");
  EXPECT_EQ(Story("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx"), "POST / [x]\n");
}

TEST(RequestParserTest, AcceptsTargetsInAbsoluteForm) {
  EXPECT_EQ(Story("GET http://other/ping?a HTTP/1.1\r\nHost: h\r\n\r\n"), "GET /ping []\n");
  EXPECT_EQ(Story("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), "OPTIONS * []\n");
}

TEST(RequestParserTest, IgnoresUpgrades) {
  EXPECT_EQ(Story(Get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n") + Get("")),
            "GET / []\nGET / []\n");
}

struct Hostile {
  const char* what;
  std::string bytes;
  int status;
};

std::vector<Hostile> HostileRequests() {
  const std::string chunks = "5\r\nhello\r\n0\r\n\r\n";
  return {
      {"both framings", Post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunks), 400},
      {"both, other order", Post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunks),
       400},
      {"length twice", Post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
      {"two lengths", Post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400},
      {"listed length", Post("Content-Length: 5, 5\r\n", "hello"), 400},
      {"signed length", Post("Content-Length: +5\r\n", "hello"), 400},
      {"negative length", Post("Content-Length: -5\r\n", "hello"), 400},
      {"hexadecimal length", Post("Content-Length: 0x5\r\n", "hello"), 400},
      {"length with a blank inside", Post("Content-Length: 1 1\r\n", "hello"), 400},
      {"empty length", Post("Content-Length:\r\n", "hello"), 400},
      {"length of 2^64", Post("Content-Length: 18446744073709551616\r\n", "hello"), 400},
      {"length of many digits", Post("Content-Length: " + std::string(100, '9') + "\r\n", ""), 400},
      {"length over the limit", Post("Content-Length: 1048577\r\n", ""), 413},
      {"largest length", Post("Content-Length: 18446744073709551615\r\n", ""), 413},
      {"unknown transfer coding", Post("Transfer-Encoding: gzip\r\n", chunks), 400},
      {"coding before chunked", Post("Transfer-Encoding: gzip, chunked\r\n", chunks), 400},
      {"coding after chunked", Post("Transfer-Encoding: chunked, identity\r\n", chunks), 400},
      {"chunked twice", Post("Transfer-Encoding: chunked, chunked\r\n", chunks), 400},
      {"chunked on two lines",
       Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks), 400},
      {"identity", Post("Transfer-Encoding: identity\r\n", chunks), 400},
      {"xchunked", Post("Transfer-Encoding: xchunked\r\n", chunks), 400},
      {"chunked in quotes", Post("Transfer-Encoding: \"chunked\"\r\n", chunks), 400},
      {"chunked with a vertical tab", Post("Transfer-Encoding: \vchunked\r\n", chunks), 400},
      {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
       400},
      {"folded line", Get("A: b\r\n c\r\n"), 400},
      {"folded first header", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
      {"folded with a tab", Get("A: b\r\n\tc\r\n"), 400},
      {"blank before the colon", Post("Content-Length : 5\r\n", "hello"), 400},
      {"tab before the colon", Post("Content-Length\t: 5\r\n", "hello"), 400},
      {"blank in a name", Get("A b: c\r\n"), 400},
      {"no colon", Get("Nothing\r\n"), 400},
      {"no name", Get(": value\r\n"), 400},
      {"LF only", "GET / HTTP/1.1\nHost: h\n\n", 400},
      {"LF after one header", Get("A: b\nC: d\r\n"), 400},
      {"LF LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
      {"CR only", "GET / HTTP/1.1\rHost: h\r\r", 400},
      {"CR in a value", Get("A: b\rc\r\n"), 400},
      {"CR CR LF", Get("A: b\r\r\n"), 400},
      {"NUL in a value", Get(std::string("A: b\0c\r\n", 8)), 400},
      {"NUL in a name", Get(std::string("A\0: c\r\n", 7)), 400},
      {"control character in a value", Get("A: b\x01\r\n"), 400},
      {"DEL in a value", Get("A: b\x7F\r\n"), 400},
      {"NUL in the target", std::string("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 28), 400},
      {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"blank after the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
      {"blank before the method", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"target not ASCII", "GET /\xC3\xA4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"Host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"target without a slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"asterisk with GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"other scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"user in the authority", "GET http://a@h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"bad escape in the path", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"bad escape in the query", "GET /?a=%2 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"TLS hello", std::string("\x16\x03\x01\x02\0\x01\0", 7), 400},
      {"unknown method", "BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"TRACE", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"lower case method", "get / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"HTTP/0.9", "GET /\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
      {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400},
      {"other protocol", "GET / ICE/1.0\r\nHost: h\r\n\r\n", 400},
      {"unknown expectation", Post("Expect: miracles\r\nContent-Length: 1\r\n", "x"), 417},
      {"unknown content coding", Post("Content-Encoding: br\r\nContent-Length: 1\r\n", "x"), 415},
      {"two content codings", Post("Content-Encoding: gzip, gzip\r\nContent-Length: 1\r\n", "x"),
       415},
      {"bad chunk size", Post("Transfer-Encoding: chunked\r\n", "x\r\n"), 400},
      {"chunk of 2^64 - 1",
       Post("Transfer-Encoding: chunked\r\n",
            "FFFFFFFFFFFFFFFF\r\n" + std::string(kMaxBodyBytes + 1, 'x')),
       413},
      {"long target", "GET /" + std::string(kMaxHeadBytes, 'a'), 414},
      {"long header", Get("A: " + std::string(kMaxHeadBytes, 'a') + "\r\n"), 431},
      {"header without end", "GET / HTTP/1.1\r\nHost: " + std::string(kMaxHeadBytes, 'a'), 431},
      {"many headers", Get([] {
         std::string headers;
         for (int i = 0; i < 200; ++i) {
           headers += "A: b\r\n";
         }
         return headers;
       }()),
       431},
  };
}

TEST(RequestParserTest, RefusesEverythingDoubtful) {
  for (const Hostile& hostile : HostileRequests()) {
    // A second request behind it must never be seen.
    const std::string smuggled = hostile.bytes + Get("X-Smuggled: yes\r\n");
    EXPECT_EQ(Story(smuggled), fmt::format("refused {}\n", hostile.status)) << hostile.what;
  }
}

TEST(RequestParserTest, AHeadOfTheLargestSizeFits) {
  const size_t others = Get("A: \r\n").size();
  EXPECT_EQ(Story(Get("A: " + std::string(kMaxHeadBytes - others, 'a') + "\r\n")), "GET / []\n");
  EXPECT_EQ(Story(Get("A: " + std::string(kMaxHeadBytes - others + 1, 'a') + "\r\n")),
            "refused 431\n");
}

TEST(RequestParserTest, ABodyOfTheLargestSizeFits) {
  const std::string body(kMaxBodyBytes, 'b');
  EXPECT_EQ(Driver().Feed(Post("Transfer-Encoding: chunked\r\n",
                               fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", body.size(), body)),
                          1'000),
            "POST /w [" + body + "]\n");
  EXPECT_EQ(Driver().Feed(Post("Transfer-Encoding: chunked\r\n",
                               fmt::format("{:x}\r\n{}b\r\n0\r\n\r\n", body.size() + 1, body)),
                          1'000),
            "refused 413\n");
}

TEST(RequestParserTest, ReceivesLargeBodiesInPlace) {
  RequestParser parser(kMaxHeadBytes, std::make_shared<BodyPool>(size_t{64} << 20));
  const std::string body(500'000, 'b');
  std::string input = Post("Content-Length: 500000\r\n", body.substr(0, 1'000));
  std::string_view view = input;
  EXPECT_TRUE(parser.DirectSpace().empty());
  ASSERT_EQ(parser.Parse(&view), RequestParser::Event::kHead);
  ASSERT_FALSE(parser.AcceptHead({kMaxBodyBytes, ""}));
  ASSERT_EQ(parser.Parse(&view), RequestParser::Event::kNeedMore);
  size_t received = 1'000;
  RequestParser::Event event = RequestParser::Event::kNeedMore;
  while (!parser.DirectSpace().empty()) {
    const std::span<char> space = parser.DirectSpace();
    ASSERT_LE(space.size(), body.size() - received);
    const size_t size = std::min<size_t>(space.size(), 70'000);
    body.copy(space.data(), size, received);
    received += size;
    event = parser.CommitDirect(size);
  }
  std::string_view rest = std::string_view(body).substr(received);
  if (event != RequestParser::Event::kMessage) {
    event = parser.Parse(&rest);
  }
  ASSERT_EQ(event, RequestParser::Event::kMessage);
  EXPECT_EQ(parser.TakeRequest()->body(), body);
}

TEST(RequestParserTest, RefusesBodiesBeyondTheBudgetOfAll) {
  const auto pool = std::make_shared<BodyPool>(1'000);
  RequestParser first(kMaxHeadBytes, pool);
  RequestParser second(kMaxHeadBytes, pool);
  const std::string input = Post("Content-Length: 600\r\n", std::string(600, 'x'));
  std::string_view view = input;
  ASSERT_EQ(first.Parse(&view), RequestParser::Event::kHead);
  ASSERT_FALSE(first.AcceptHead({kMaxBodyBytes, ""}));
  ASSERT_EQ(first.Parse(&view), RequestParser::Event::kMessage);
  view = input;
  ASSERT_EQ(second.Parse(&view), RequestParser::Event::kHead);
  ASSERT_FALSE(second.AcceptHead({kMaxBodyBytes, ""}));
  ASSERT_EQ(second.Parse(&view), RequestParser::Event::kRefused);
  EXPECT_EQ(second.refusal().status, 503);
  first.TakeRequest();
  EXPECT_EQ(pool->used_bytes(), 0u);
}

TEST(RequestParserTest, AMutatedRequestGivesTheSameStoryInAnyPieces) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const std::string base = Get("A: b\r\n") + Post("Content-Length: 5\r\n", "hello") +
                           Post("Transfer-Encoding: chunked\r\n", "5\r\nworld\r\n0\r\n\r\n");
  constexpr std::string_view kInteresting("\r\n \t:;,\0\x7F%0/", 12);
  for (int round = 0; round < 3'000; ++round) {
    std::string input = base;
    for (uint32_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % input.size();
      const char c = kInteresting[random() % kInteresting.size()];
      switch (random() % 3) {
        case 0:
          input[at] = c;
          break;
        case 1:
          input.insert(at, 1, c);
          break;
        default:
          input.erase(at, 1);
      }
    }
    const std::string whole = Driver().Feed(input, input.size());
    const size_t piece_size = 1 + random() % 7;
    ASSERT_EQ(Driver().Feed(input, piece_size), whole) << input;
  }
}

}  // namespace
}  // namespace tsdbd::http
