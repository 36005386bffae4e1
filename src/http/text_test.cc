#include "http/text.h"

#include <gtest/gtest.h>

namespace tsdbd::http {
namespace {

std::string Unescaped(std::string_view escaped, bool is_form) {
  std::string out;
  return AppendUnescaped(escaped, is_form, &out) ? out : "(refused)";
}

TEST(TextTest, UnescapesHexInEitherCase) {
  EXPECT_EQ(Unescaped("a%2Fb%2fc%00d", false), std::string("a/b/c\0d", 7));
}

TEST(TextTest, PlusIsABlankOnlyInForms) {
  EXPECT_EQ(Unescaped("a+b", true), "a b");
  EXPECT_EQ(Unescaped("a+b", false), "a+b");
}

TEST(TextTest, RefusesWhatIsNoEscape) {
  for (const char* text : {"%", "a%", "a%2", "%G0", "%0G", "%%41", "% 41"}) {
    EXPECT_EQ(Unescaped(text, true), "(refused)") << text;
  }
}

TEST(TextTest, TrimsBlanksAndTabsOnly) {
  EXPECT_EQ(TrimWhitespace(" \t a b\t "), "a b");
  EXPECT_EQ(TrimWhitespace(" \t "), "");
  EXPECT_EQ(TrimWhitespace(""), "");
}

TEST(TextTest, SplitsTargetsOfEveryForm) {
  struct Case {
    const char* target;
    const char* path;
    const char* query;
  };
  for (const Case& c :
       {Case{"/", "/", ""}, Case{"/a/b?c=d?e", "/a/b", "c=d?e"}, Case{"/?", "/", ""},
        Case{"http://host:8086/a?b", "/a", "b"}, Case{"HTTPS://host", "/", ""},
        Case{"http://host?b", "/", "b"}, Case{"*", "*", ""}}) {
    const std::optional<Target> target = SplitTarget(c.target);
    ASSERT_TRUE(target.has_value()) << c.target;
    EXPECT_EQ(target->path, c.path) << c.target;
    EXPECT_EQ(target->query, c.query) << c.target;
  }
}

TEST(TextTest, RefusesOtherTargets) {
  for (const char* target :
       {"", "a", "host:80", "ftp://host/", "http://", "http:///a", "/a#b", "http://a@b/", "?a"}) {
    EXPECT_FALSE(SplitTarget(target).has_value()) << target;
  }
}

TEST(TextTest, KnowsValidHosts) {
  for (const char* host : {"", "localhost", "10.0.0.1:8086", "[::1]:80", "a-b.example"}) {
    EXPECT_TRUE(IsValidHost(host)) << host;
  }
  for (const char* host : {"a b", "a,b", "a/b", "a@b", "a\\b", "a\xC3\xA4", "a?b", "a\"b"}) {
    EXPECT_FALSE(IsValidHost(host)) << host;
  }
}

TEST(TextTest, AcceptsGzipAsTheClientSays) {
  for (const char* header :
       {"gzip", "deflate, gzip", "GZIP;q=0.5", "x-gzip", "*", "br, *;q=0.1", "gzip ; q=0.001"}) {
    EXPECT_TRUE(AcceptsGzip(header)) << header;
  }
  for (const char* header :
       {"", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzipped", "identity"}) {
    EXPECT_FALSE(AcceptsGzip(header)) << header;
  }
}

TEST(TextTest, KnowsWhatShrinks) {
  EXPECT_TRUE(IsCompressibleType("text/plain; version=0.0.4"));
  EXPECT_TRUE(IsCompressibleType("application/json"));
  EXPECT_TRUE(IsCompressibleType("application/x-ndjson"));
  EXPECT_TRUE(IsCompressibleType("image/svg+xml"));
  EXPECT_FALSE(IsCompressibleType("font/woff2"));
  EXPECT_FALSE(IsCompressibleType(""));
}

}  // namespace
}  // namespace tsdbd::http
