#include "http/router.h"

#include <memory>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "http/request_parser.h"

namespace tsdbd::http {
namespace {

std::unique_ptr<Request> MakeRequest(std::string_view method, std::string_view target) {
  const std::string bytes = fmt::format("{} {} HTTP/1.1\r\nHost: h\r\n\r\n", method, target);
  RequestParser parser(size_t{32} << 10, std::make_shared<BodyPool>(0));
  std::string_view input = bytes;
  EXPECT_EQ(parser.Parse(&input), RequestParser::Event::kHead) << target;
  return parser.TakeRequest();
}

class RouterTest : public testing::Test {
 protected:
  // Each route says who it is by the size of its body limit.
  void Add(Method method, std::string_view pattern, size_t id) {
    router_.Add(method, pattern, [](const std::shared_ptr<Exchange>&) {}, {.max_body_bytes = id});
  }

  // "route 3", or the status that the request is answered with.
  std::string Decide(std::string_view method, std::string_view target) {
    request_ = MakeRequest(method, target);
    decision_ = router_.Decide(request_.get());
    return decision_.handler != nullptr ? fmt::format("route {}", decision_.options->max_body_bytes)
                                        : fmt::format("{}", decision_.status);
  }

  std::string Allowed() const {
    return decision_.headers.empty() ? "" : decision_.headers.front().value;
  }

  Router router_;
  std::unique_ptr<Request> request_;
  HeadDecision decision_;
};

TEST_F(RouterTest, FindsExactPaths) {
  Add(Method::kGet, "/ping", 1);
  Add(Method::kPost, "/write", 2);
  EXPECT_EQ(Decide("GET", "/ping"), "route 1");
  EXPECT_EQ(Decide("POST", "/write?db=x"), "route 2");
  EXPECT_EQ(Decide("POST", "/wri%74e"), "route 2");
  EXPECT_EQ(Decide("GET", "/ping/"), "404");
  EXPECT_EQ(Decide("GET", "/pin"), "404");
  EXPECT_EQ(Decide("GET", "/"), "404");
}

TEST_F(RouterTest, HeadIsServedByGet) {
  Add(Method::kGet, "/ping", 1);
  EXPECT_EQ(Decide("HEAD", "/ping"), "route 1");
}

TEST_F(RouterTest, OtherMethodsLearnWhatIsAllowed) {
  Add(Method::kGet, "/query", 1);
  Add(Method::kPost, "/query", 2);
  EXPECT_EQ(Decide("POST", "/query"), "route 2");
  EXPECT_EQ(Decide("DELETE", "/query"), "405");
  EXPECT_EQ(Allowed(), "GET, HEAD, POST");
  EXPECT_EQ(Decide("OPTIONS", "/query"), "204");
  EXPECT_EQ(Allowed(), "GET, HEAD, POST");
  EXPECT_EQ(Decide("OPTIONS", "*"), "204");
}

TEST_F(RouterTest, CapturesSegmentsDecoded) {
  Add(Method::kGet, "/label/{name}/values", 1);
  EXPECT_EQ(Decide("GET", "/label/a%2Fb%20c/values"), "route 1");
  EXPECT_EQ(request_->PathParameter("name"), "a/b c");
  EXPECT_EQ(Decide("GET", "/label//values"), "404");
  EXPECT_EQ(Decide("GET", "/label/a/b/values"), "404");
  EXPECT_EQ(Decide("GET", "/label/a/values/"), "404");
  EXPECT_EQ(Decide("GET", "/label/a"), "404");
  EXPECT_EQ(request_->PathParameter("name"), "");
}

TEST_F(RouterTest, CapturesTheRest) {
  Add(Method::kGet, "/ui/{path...}", 1);
  EXPECT_EQ(Decide("GET", "/ui/a/b.js"), "route 1");
  EXPECT_EQ(request_->PathParameter("path"), "a/b.js");
  EXPECT_EQ(Decide("GET", "/ui/"), "route 1");
  EXPECT_EQ(request_->PathParameter("path"), "");
  EXPECT_EQ(Decide("GET", "/ui"), "route 1");
  EXPECT_EQ(Decide("GET", "/uia"), "404");
}

TEST_F(RouterTest, ExactPathsWinAndEarlierPatternsWin) {
  Add(Method::kGet, "/kv/{keyspace}/{key}", 1);
  Add(Method::kPut, "/kv/{keyspace}/{key}", 2);
  Add(Method::kGet, "/kv/{rest...}", 3);
  Add(Method::kGet, "/kv/all/keys", 4);
  EXPECT_EQ(Decide("GET", "/kv/all/keys"), "route 4");
  EXPECT_EQ(Decide("GET", "/kv/a/b"), "route 1");
  EXPECT_EQ(Decide("PUT", "/kv/a/b"), "route 2");
  EXPECT_EQ(request_->PathParameter("keyspace"), "a");
  EXPECT_EQ(request_->PathParameter("key"), "b");
  EXPECT_EQ(Decide("GET", "/kv/a/b/c"), "route 3");
}

}  // namespace
}  // namespace tsdbd::http
