#include "ingest/remote_key_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/remote_write_testing.h"

namespace tsdbd::ingest {
namespace {

using ::testing::HasSubstr;

// "up{a="1"}", or the error.
std::string Decoded(std::string_view key) {
  model::GroupLabels group;
  const Status status = RemoteKeyDecoder().Decode(key, {}, &group);
  if (!status.ok()) {
    return std::string(Message(status));
  }
  EXPECT_EQ(group.column_label, "__name__");
  EXPECT_EQ(group.column_values.size(), 1u);
  std::string text = group.column_values[0];
  for (const model::Label& label : group.labels) {
    text += fmt::format(" {}={}", label.name, label.value);
  }
  return text;
}

TEST(RemoteKeyDecoderTest, LabelsAreSortedAndTheNameIsTheColumn) {
  EXPECT_EQ(Decoded(LabelsV1({{"__name__", "up"}, {"job", "a"}})), "up job=a");
  EXPECT_EQ(Decoded(LabelsV1({{"job", "a"}, {"Zone", "b"}, {"__name__", "up"}})),
            "up Zone=b job=a");
  EXPECT_EQ(Decoded(LabelsV1({{"__name__", "up"}})), "up");
}

TEST(RemoteKeyDecoderTest, LabelsWithoutAValueAreLeftOut) {
  EXPECT_EQ(Decoded(LabelsV1({{"__name__", "up"}, {"a", ""}, {"b", "1"}})), "up b=1");
}

TEST(RemoteKeyDecoderTest, AnyUtf8MayBeInNamesAndValues) {
  EXPECT_EQ(Decoded(LabelsV1({{"__name__", "cpu usage.ns"}, {"größe", "a\nb\tc"}})),
            "cpu usage.ns größe=a\nb\tc");
}

TEST(RemoteKeyDecoderTest, UnknownFieldsOfALabelAreIgnored) {
  EXPECT_EQ(Decoded(BytesOf(
                1, VarintOf(9, 1) + BytesOf(2, "up") + BytesOf(7, "x") + BytesOf(1, "__name__"))),
            "up");
}

TEST(RemoteKeyDecoderTest, BadKeysAreRefusedWithTheReason) {
  const std::string name = LabelsV1({{"__name__", "up"}});
  const std::pair<std::string, const char*> cases[] = {
      {"", "no metric name"},
      {LabelsV1({{"job", "a"}}), "no metric name"},
      {LabelsV1({{"__name__", ""}, {"job", "a"}}), "no metric name"},
      {name + LabelsV1({{"", "v"}}), "empty label name with value \"v\""},
      {name + LabelsV1({{"", ""}}), "empty label name"},
      {name + LabelsV1({{"a", "1"}, {"b", "2"}, {"a", "1"}}), "duplicate label name \"a\""},
      {name + LabelsV1({{"a", ""}, {"a", "1"}}), "duplicate label name \"a\""},
      {name + name, "duplicate label name \"__name__\""},
      {LabelsV1({{"__name__", "up\xff"}}), "invalid UTF-8 in the value of label \"__name__\""},
      {name + LabelsV1({{"a", "\xed\xa0\x80"}}), "invalid UTF-8 in the value of label \"a\""},
      {name + LabelsV1({{"\xc0\x80", "a"}}), "invalid UTF-8 in label name \"\\xc0\\x80\""},
      {name + BytesOf(2, "x"), "malformed labels: field 2"},
      {name.substr(0, name.size() - 1), "malformed labels"},
      {BytesOf(1, "\x0a\x05up"), "malformed labels"},
      {BytesOf(1, "\x0b"), "malformed labels"},
      {BytesOf(1, std::string("\x00", 1)), "malformed labels"},
  };
  for (const auto& [key, reason] : cases) {
    EXPECT_THAT(Decoded(key), HasSubstr(reason));
  }
}

}  // namespace
}  // namespace tsdbd::ingest
