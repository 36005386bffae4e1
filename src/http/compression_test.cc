#include "http/compression.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

namespace tsdbd::http {
namespace {

constexpr size_t kLimit = size_t{1} << 20;

std::string Gzip(std::string_view bytes) {
  GzipStream stream;
  std::string out;
  stream.Write(bytes, &out);
  stream.End(&out);
  return out;
}

std::string Zlib(std::string_view bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  compress(reinterpret_cast<Bytef*>(out.data()), &size,
           reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  out.resize(size);
  return out;
}

struct Inflated {
  int status;
  std::string bytes;
};

Inflated InflateAll(ContentCoding coding, std::string_view compressed, size_t limit = kLimit) {
  BodyBuffer buffer(std::make_shared<BodyPool>(size_t{1} << 30));
  const Refusal refusal = Inflate(coding, compressed, limit, &buffer);
  return {refusal.status, std::string(buffer.view())};
}

std::string SomeText(size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) {
    text += "cpu,host=h" + std::to_string(random() % 100) + " usage=" + std::to_string(random());
  }
  text.resize(size);
  return text;
}

TEST(CompressionTest, InflatesGzipAndDeflate) {
  for (const size_t size : {0, 1, 1'000, 500'000, 1 << 20}) {
    const std::string text = SomeText(size);
    const Inflated gzip = InflateAll(ContentCoding::kGzip, Gzip(text));
    EXPECT_EQ(gzip.status, 0);
    EXPECT_EQ(gzip.bytes, text);
    const Inflated zlib = InflateAll(ContentCoding::kDeflate, Zlib(text));
    EXPECT_EQ(zlib.status, 0);
    EXPECT_EQ(zlib.bytes, text);
  }
}

TEST(CompressionTest, InflatesSeveralGzipMembersAsOne) {
  const std::string text = SomeText(300'000);
  const Inflated inflated =
      InflateAll(ContentCoding::kGzip, Gzip("first ") + Gzip(text) + Gzip("") + Gzip(" last"));
  EXPECT_EQ(inflated.status, 0);
  EXPECT_EQ(inflated.bytes, "first " + text + " last");
}

TEST(CompressionTest, StopsABombAtTheLimit) {
  const std::string bomb = Gzip(std::string(32 * kLimit, 'a'));
  EXPECT_EQ(InflateAll(ContentCoding::kGzip, bomb).status, 413);
  EXPECT_EQ(InflateAll(ContentCoding::kDeflate, Zlib(std::string(32 * kLimit, 'a'))).status, 413);
}

TEST(CompressionTest, StopsABombThatLiesAboutItsSize) {
  std::string bomb = Gzip(std::string(32 * kLimit, 'a'));
  bomb.replace(bomb.size() - 4, 4, std::string("\x10\0\0\0", 4));
  const Inflated inflated = InflateAll(ContentCoding::kGzip, bomb);
  EXPECT_EQ(inflated.status, 413);
  EXPECT_EQ(inflated.bytes, "");
}

TEST(CompressionTest, StopsABombOfManyMembers) {
  std::string bomb;
  for (int i = 0; i < 40; ++i) {
    bomb += Gzip(std::string(kLimit / 32, 'a'));
  }
  EXPECT_EQ(InflateAll(ContentCoding::kGzip, bomb).status, 413);
  std::string empty_members;
  for (int i = 0; i < 5'000; ++i) {
    empty_members += Gzip("");
  }
  EXPECT_EQ(InflateAll(ContentCoding::kGzip, empty_members).status, 400);
}

TEST(CompressionTest, TheLimitItselfFits) {
  EXPECT_EQ(InflateAll(ContentCoding::kGzip, Gzip(std::string(kLimit, 'a'))).bytes.size(), kLimit);
  EXPECT_EQ(InflateAll(ContentCoding::kGzip, Gzip(std::string(kLimit + 1, 'a'))).status, 413);
}

TEST(CompressionTest, RefusesDamageAtEveryByte) {
  const std::string text = SomeText(200);
  const std::string whole = Gzip(text);
  for (size_t size = 1; size < whole.size(); ++size) {
    EXPECT_NE(InflateAll(ContentCoding::kGzip, whole.substr(0, size)).status, 0) << size;
  }
  // From the compressed data on; in gzip's header are bytes without meaning (time, system).
  for (size_t i = 10; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    const Inflated inflated = InflateAll(ContentCoding::kGzip, damaged);
    // A few bits pad the data to whole bytes: then it is the text.
    EXPECT_TRUE(inflated.status == 400 || inflated.bytes == text) << i;
  }
}

TEST(CompressionTest, RefusesWhatFollows) {
  EXPECT_EQ(InflateAll(ContentCoding::kGzip, Gzip("a") + "rest").status, 400);
  EXPECT_EQ(InflateAll(ContentCoding::kDeflate, Zlib("a") + Zlib("b")).status, 400);
}

TEST(CompressionTest, RefusesWithoutBudget) {
  BodyBuffer buffer(std::make_shared<BodyPool>(100));
  EXPECT_EQ(Inflate(ContentCoding::kGzip, Gzip(SomeText(1'000)), kLimit, &buffer).status, 503);
}

TEST(CompressionTest, GzipWholeCanBeInflatedAndIsSmaller) {
  const std::string text = SomeText(100'000);
  std::string compressed;
  ASSERT_TRUE(GzipWhole(text, &compressed));
  EXPECT_LT(compressed.size(), text.size() / 2);
  EXPECT_EQ(InflateAll(ContentCoding::kGzip, compressed).bytes, text);
}

TEST(CompressionTest, GzipWholeGivesUpOnNoise) {
  std::mt19937 random(3);
  std::string noise;
  for (int i = 0; i < 10'000; ++i) {
    noise.push_back(static_cast<char>(random()));
  }
  std::string compressed;
  EXPECT_FALSE(GzipWhole(noise, &compressed));
}

}  // namespace
}  // namespace tsdbd::http
