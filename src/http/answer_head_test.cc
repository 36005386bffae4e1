#include "http/answer_head.h"

#include <gtest/gtest.h>

#include "http/server.h"

namespace tsdbd::http {
namespace {

std::string Head(const Answer& answer, const AnswerHead& head) {
  std::string out;
  AppendAnswerHead(answer, head, &out);
  return out;
}

TEST(AnswerHeadTest, SaysWhatIsNeededAndNoMore) {
  EXPECT_EQ(Head({.status = 200, .content_type = "text/plain", .headers = {{"A", "b"}}},
                 {.length_bytes = 12, .date = "today"}),
            "HTTP/1.1 200 OK\r\nDate: today\r\nX-Content-Type-Options: nosniff\r\n"
            "Content-Type: text/plain\r\nA: b\r\nContent-Length: 12\r\n\r\n");
}

TEST(AnswerHeadTest, NoContentHasNoLength) {
  EXPECT_EQ(Head({.status = 204}, {.date = "today"}),
            "HTTP/1.1 204 No Content\r\nDate: today\r\nX-Content-Type-Options: nosniff\r\n\r\n");
}

TEST(AnswerHeadTest, TellsWhetherTheConnectionStays) {
  EXPECT_NE(Head({}, {.keep_alive = false}).find("Connection: close\r\n"), std::string::npos);
  EXPECT_NE(Head({}, {.is_http_1_0 = true}).find("Connection: keep-alive\r\n"), std::string::npos);
  EXPECT_EQ(Head({}, {}).find("Connection"), std::string::npos);
}

TEST(AnswerHeadTest, ValuesCannotAddLines) {
  const std::string head =
      Head({.content_type = "a\r\nX: 1", .headers = {{"B", "c\nX: 1\r\n"}}}, {});
  EXPECT_EQ(head.find("\r\nX:"), std::string::npos);
  EXPECT_EQ(head.find("\nX:"), std::string::npos);
}

TEST(AnswerHeadTest, RendersDates) {
  EXPECT_EQ(HttpDate(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(AnswerHeadTest, ErrorsAreJsonWhateverTheReason) {
  EXPECT_EQ(ServerOptions::JsonErrorAnswer(400, "a \"b\" \\ \n").body,
            "{\"error\":\"a \\\"b\\\" \\\\  \"}\n");
}

}  // namespace
}  // namespace tsdbd::http
