#include "server/kv_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/clock.h"
#include "server/kv_text.h"

namespace tsdbd::server {
namespace {

using testing::HasSubstr;
using Kind = KvOperation::Kind;

KvBatch Parsed(std::string_view body, kv::KeyType key_type = kv::KeyType::kBytes) {
  auto batch = ParseJsonBatch(body, key_type);
  EXPECT_TRUE(batch.ok()) << ToString(batch.status());
  return batch.ok() ? *std::move(batch) : KvBatch();
}

std::string ErrorOf(std::string_view body) {
  const Status status = ParseJsonBatch(body, kv::KeyType::kBytes).status();
  EXPECT_EQ(status.ok() || absl::IsInvalidArgument(status), true);
  return std::string(Message(status));
}

TEST(JsonBatchTest, HasItsOperationsInOrder) {
  const KvBatch batch = Parsed(R"([{"op":"put","key":"a","value":"1","ttl":"2s"},
      {"key":"b","op":"delete"}, {"op":"get","key":{"base64":"/w=="}},
      {"op":"put","key":"c","value":{"base64":"AAE="}}])");
  ASSERT_EQ(batch.operations.size(), 4);
  EXPECT_EQ(batch.operations[0].kind, Kind::kPut);
  EXPECT_EQ(batch.operations[0].key, "a");
  EXPECT_EQ(batch.operations[0].value, "1");
  EXPECT_EQ(batch.operations[0].ttl_ns, 2 * kNanosPerSecond);
  EXPECT_EQ(batch.operations[1].kind, Kind::kDelete);
  EXPECT_EQ(batch.operations[2].kind, Kind::kGet);
  EXPECT_EQ(batch.operations[2].key, "\xFF");
  EXPECT_EQ(batch.operations[3].value, std::string_view("\0\1", 2));
  EXPECT_EQ(batch.operations[3].ttl_ns, std::nullopt);
  EXPECT_TRUE(Parsed("[]").operations.empty());
}

TEST(JsonBatchTest, AKeyOfIntegersIsANumberOrItsText) {
  const KvBatch batch = Parsed(
      R"([{"op":"get","key":18446744073709551615},{"op":"get","key":"7"}])", kv::KeyType::kInteger);
  ASSERT_EQ(batch.operations.size(), 2);
  EXPECT_EQ(kv::IntegerOfKey(batch.operations[0].key), UINT64_MAX);
  EXPECT_EQ(kv::IntegerOfKey(batch.operations[1].key), 7);
  for (const char* bad : {R"([{"op":"get","key":-1}])", R"([{"op":"get","key":1.5}])",
                          R"([{"op":"get","key":"x"}])", R"([{"op":"get","key":1e3}])"}) {
    EXPECT_FALSE(ParseJsonBatch(bad, kv::KeyType::kInteger).ok()) << bad;
  }
}

TEST(JsonBatchTest, NamesTheOperationThatBreaksARule) {
  EXPECT_THAT(ErrorOf(R"([{"op":"get","key":"a"},{"op":"get","key":5}])"),
              HasSubstr("operation 2: \"key\""));
  EXPECT_THAT(ErrorOf(R"([{"op":"get","key":""}])"), HasSubstr("empty"));
  EXPECT_THAT(ErrorOf(R"([{"op":"put","key":"a","value":{"base64":"*"}}])"), HasSubstr("base64"));
}

TEST(JsonBatchTest, DeepNestingAndHugeArraysAreRefusedWithoutATree) {
  EXPECT_NE(ErrorOf(std::string(1'000'000, '[')), "");
  EXPECT_NE(ErrorOf("[" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "]"), "");
  std::string many = "[0";
  for (int i = 0; i < 500'000; ++i) {
    many += ",0";
  }
  EXPECT_THAT(ErrorOf(many + "]"), HasSubstr("operation 1: it is not an object"));
}

TEST(JsonBatchTest, HasABoundForItsOperations) {
  std::string body = "[";
  for (size_t i = 0; i < kMaxBatchOperations; ++i) {
    body += R"({"op":"get","key":"a"},)";
  }
  EXPECT_EQ(Parsed(body.substr(0, body.size() - 1) + "]").operations.size(), kMaxBatchOperations);
  EXPECT_THAT(ErrorOf(body + R"({"op":"get","key":"a"}])"), HasSubstr("more than 100000"));
}

TEST(BinaryBatchTest, EveryCutOfABatchIsAShorterOneOrAnError) {
  using namespace std::literals;
  const std::string body =
      "\x01\x05\0\0\0\0\0\0\0\x01\0\0\0k\x02\0\0\0vw\x02\x01\0\0\0k\x03\x02\0\0\0ab"s;
  const auto batch = ParseBinaryBatch(body);
  ASSERT_TRUE(batch.ok());
  ASSERT_EQ(batch->operations.size(), 3);
  EXPECT_EQ(batch->operations[0].key, "k");
  EXPECT_EQ(batch->operations[0].value, "vw");
  EXPECT_EQ(batch->operations[0].ttl_ns, 5 * kNanosPerMilli);
  EXPECT_EQ(batch->operations[1].kind, Kind::kDelete);
  EXPECT_EQ(batch->operations[2].key, "ab");
  size_t good = 0;
  for (size_t size = 0; size < body.size(); ++size) {
    good += ParseBinaryBatch(std::string_view(body).substr(0, size)).ok() ? 1 : 0;
  }
  EXPECT_EQ(good, 3);
  EXPECT_FALSE(ParseBinaryBatch("\x04\0\0\0\0"s).ok());
  EXPECT_FALSE(ParseBinaryBatch("\0"s).ok());
  EXPECT_FALSE(ParseBinaryBatch("\x03\xFF\xFF\xFF\xFFk"s).ok());
}

TEST(BinaryBatchTest, AllOnesIsForEver) {
  using namespace std::literals;
  const auto batch = ParseBinaryBatch("\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\0\0\0k\0\0\0\0"s);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->operations[0].ttl_ns, kv::kNeverExpires);
}

TEST(KvTextTest, ConditionsHoldForTheVersionsThatTheyName) {
  const auto holds = [](const char* if_match, const char* if_none_match,
                        std::optional<uint64_t> version) {
    using Header = std::optional<std::string_view>;
    const auto condition =
        ParseKvCondition(if_match == nullptr ? Header() : Header(if_match),
                         if_none_match == nullptr ? Header() : Header(if_none_match));
    EXPECT_TRUE(condition.ok());
    return condition.ok() && condition->HoldsFor(version);
  };
  EXPECT_TRUE(holds(nullptr, nullptr, std::nullopt));
  EXPECT_TRUE(holds("*", nullptr, 5));
  EXPECT_FALSE(holds("*", nullptr, std::nullopt));
  EXPECT_TRUE(holds(nullptr, "*", std::nullopt));
  EXPECT_FALSE(holds(nullptr, "*", 5));
  EXPECT_TRUE(holds("\"5\"", nullptr, 5));
  EXPECT_FALSE(holds("\"5\"", nullptr, 6));
  EXPECT_FALSE(holds("\"5\"", nullptr, std::nullopt));
  EXPECT_TRUE(holds(nullptr, "\"5\"", 6));
  EXPECT_TRUE(holds(nullptr, "\"5\"", std::nullopt));
  EXPECT_FALSE(holds(nullptr, "\"5\"", 5));
  for (const char* bad : {"", "5", "\"\"", "\"x\"", "W/\"5\"", "\"5\", \"6\"", "\"-1\""}) {
    EXPECT_FALSE(ParseKvCondition(bad, std::nullopt).ok()) << bad;
  }
}

TEST(KvTextTest, BytesThatAreNoTextAreBase64) {
  EXPECT_EQ(KvBytesJson("a\"ä"), "\"a\\\"ä\"");
  EXPECT_EQ(KvBytesJson("\xFF"), "{\"base64\":\"/w==\"}");
  EXPECT_EQ(FromUrlBase64(ToUrlBase64("\xFF\xFE?")), "\xFF\xFE?");
  EXPECT_EQ(FromUrlBase64("!"), std::nullopt);
}

TEST(KvTextTest, ALifetimeOfZeroIsForEver) {
  EXPECT_EQ(ParseTtl("10s").value(), 10 * kNanosPerSecond);
  EXPECT_EQ(ParseTtl("0").value(), kv::kNeverExpires);
  for (const char* bad : {"", "10", "-1s", "s", "1x"}) {
    EXPECT_FALSE(ParseTtl(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace tsdbd::server
