#include "ingest/line_key_decoder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tsdbd::ingest {
namespace {

using ::testing::HasSubstr;

using Names = std::vector<std::string>;

// "a=1 b=2 | __name__=cpu_usage,cpu_idle", or "! reason" without "unable to parse '<key>': ".
std::string Decoded(const LineKeyDecoder& decoder, std::string_view key, const Names& fields) {
  model::GroupLabels group;
  const Status status = decoder.Decode(key, {.names = fields}, &group);
  if (!status.ok()) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    const std::string message(Message(status));
    EXPECT_EQ(message.find("unable to parse '"), 0u) << message;
    return "! " + message.substr(message.rfind("': ") + 3);
  }
  std::string text;
  for (const model::Label& label : group.labels) {
    text += fmt::format("{}={} ", label.name, label.value);
  }
  text += "| " + group.column_label;
  char separator = '=';
  for (const std::string& value : group.column_values) {
    text += separator + value;
    separator = ',';
  }
  return text;
}

std::string Decoded(std::string_view key, const Names& fields = {"f"},
                    LineKeyDecoderOptions options = {}) {
  return Decoded(LineKeyDecoder(std::move(options)), key, fields);
}

TEST(LineKeyDecoderTest, NamesMetricsByMeasurementAndField) {
  EXPECT_EQ(Decoded("cpu", {"usage"}), "| __name__=cpu_usage");
  EXPECT_EQ(Decoded("cpu,host=a", {"usage", "idle"}), "host=a | __name__=cpu_usage,cpu_idle");
  EXPECT_EQ(Decoded("cpu", {"value"}), "| __name__=cpu_value");
}

TEST(LineKeyDecoderTest, LeavesTheMeasurementPrometheusAway) {
  EXPECT_EQ(Decoded("prometheus,job=x", {"go_goroutines", "up"}),
            "job=x | __name__=go_goroutines,up");
  EXPECT_EQ(Decoded("prometheus", {"5xx"}), "| __name__=_5xx");
}

TEST(LineKeyDecoderTest, TakesFieldValueAsTheMeasurementIfToldTo) {
  const LineKeyDecoderOptions options = {.naming = NamingConvention::kValueAsMeasurement};
  EXPECT_EQ(Decoded("cpu", {"value", "usage"}, options), "| __name__=cpu,cpu_usage");
  EXPECT_EQ(Decoded("prometheus", {"up"}, options), "| __name__=up");
  EXPECT_EQ(Decoded("prometheus", {"value", "prometheus"}, options),
            "! duplicate fields: more than one becomes metric 'prometheus'");
}

TEST(LineKeyDecoderTest, MakesALabelOfTheFieldIfToldTo) {
  const LineKeyDecoderOptions options = {.naming = NamingConvention::kFieldLabel};
  EXPECT_EQ(Decoded("cpu,a=1,host=a", {"usage", "id-le"}, options),
            "__name__=cpu a=1 host=a | __field__=usage,id-le");
  EXPECT_EQ(Decoded("prometheus", {"up"}, options), "__name__=prometheus | __field__=up");
  EXPECT_EQ(Decoded("cpu,__field__=a", {"f"}, options),
            "! reserved tag: '__field__' is a label of our own");
  EXPECT_EQ(Decoded("cpu,__field__=a", {"f"}), "__field__=a | __name__=cpu_f");
}

TEST(LineKeyDecoderTest, SortsTags) {
  EXPECT_EQ(Decoded("m,c=3,a=1,b=2"), "a=1 b=2 c=3 | __name__=m_f");
  // '-' sorts before letters, the '_' that it becomes after upper-case ones.
  EXPECT_EQ(Decoded("m,a-x=1,aZ=2"), "aZ=2 a_x=1 | __name__=m_f");
}

TEST(LineKeyDecoderTest, Unescapes) {
  EXPECT_EQ(Decoded(R"(m\ n\,o\=p,t\ a\=g=a\,b\=c\ d)", {"f g"}),
            "t_a_g=a,b=c d | __name__=m_n_o_p_f_g");
  EXPECT_EQ(Decoded(R"(m,path=C:\dir)"), R"(path=C:\dir | __name__=m_f)");
  EXPECT_EQ(Decoded(R"(m,path=C:\,b=1)"),
            "! invalid tag format: unescaped '=' in the value of tag 'path'");
  EXPECT_EQ(Decoded(R"(m,a=\=)"), "a== | __name__=m_f");
}

TEST(LineKeyDecoderTest, AddsTheDatabase) {
  EXPECT_EQ(Decoded("m", {"f"}, {.database = "x"}), "db=x | __name__=m_f");
  EXPECT_EQ(Decoded("m,a=1,e=2", {"f"}, {.database = "x"}), "a=1 db=x e=2 | __name__=m_f");
  EXPECT_EQ(Decoded("m", {"f"}, {.database_label = "bucket", .database = "x"}),
            "bucket=x | __name__=m_f");
  EXPECT_EQ(Decoded("m", {"f"}, {.database_label = "", .database = "x"}), "| __name__=m_f");
  EXPECT_EQ(Decoded("m", {"f"}, {.database = R"(a\,b)"}), R"(db=a\,b | __name__=m_f)");
}

TEST(LineKeyDecoderTest, PrefersATagToTheDatabase) {
  EXPECT_EQ(Decoded("m,db=mine", {"f"}, {.database = "x"}), "db=mine | __name__=m_f");
}

TEST(LineKeyDecoderTest, RefusesDatabaseNamesThatAreNoText) {
  EXPECT_EQ(Decoded("m", {"f"}, {.database = "\xFF"}),
            "! invalid UTF-8 in the name of the database");
  EXPECT_EQ(Decoded("m", {"f"}, {.database = "a\n"}),
            "! control character in the name of the database");
}

TEST(LineKeyDecoderTest, ReplacesCharactersThatPrometheusHasNot) {
  EXPECT_EQ(Decoded("my-app.cpu,host-name=my-host", {"usage%"}),
            "host_name=my-host | __name__=my_app_cpu_usage_");
  EXPECT_EQ(Decoded("größe,温度=1", {"ä"}), "__=1 | __name__=gr__e__");
  EXPECT_EQ(Decoded("a:b,c:d=e:f", {"g:h"}), "c_d=e:f | __name__=a:b_g:h");
  EXPECT_EQ(Decoded("1m,2t=3", {"4f"}), "_2t=3 | __name__=_1m_4f");
}

TEST(LineKeyDecoderTest, KeepsUtf8NamesIfToldTo) {
  const LineKeyDecoderOptions options = {.keep_utf8 = true};
  EXPECT_EQ(Decoded(R"(my-app\ 1,温度=1)", {"größe", "gr-ße"}, options),
            "温度=1 | __name__=my-app 1_größe,my-app 1_gr-ße");
  EXPECT_EQ(Decoded("1m,2t=3", {"4f"}, options), "2t=3 | __name__=1m_4f");
}

TEST(LineKeyDecoderTest, RefusesNamesThatBecomeTheSame) {
  EXPECT_EQ(Decoded("m,a-b=1,a.b=2"), "! duplicate tags: more than one becomes label 'a_b'");
  EXPECT_EQ(Decoded("m", {"a-b", "c", "a.b"}),
            "! duplicate fields: more than one becomes metric 'm_a_b'");
  EXPECT_EQ(Decoded("m", {"a_b", "a.b"}),
            "! duplicate fields: more than one becomes metric 'm_a_b'");
  EXPECT_EQ(Decoded("m,a-b=1,a.b=2", {"a-b", "a.b"}, {.keep_utf8 = true}),
            "a-b=1 a.b=2 | __name__=m_a-b,m_a.b");
}

TEST(LineKeyDecoderTest, RefusesBadTags) {
  EXPECT_EQ(Decoded("m,a=1,b=2,a=3"), "! duplicate tags: tag 'a'");
  EXPECT_EQ(Decoded("m,a=1,a=1"), "! duplicate tags: tag 'a'");
  EXPECT_EQ(Decoded("m,a="), "! missing tag value: tag 'a'");
  EXPECT_EQ(Decoded("m,a=,b=1"), "! missing tag value: tag 'a'");
  EXPECT_EQ(Decoded("m,a"), "! missing tag value: tag 'a'");
  EXPECT_EQ(Decoded("m,a,b=1"), "! missing tag value: tag 'a'");
  EXPECT_EQ(Decoded("m,=1"), "! missing tag key");
  EXPECT_EQ(Decoded("m,"), "! missing tag key");
  EXPECT_EQ(Decoded("m,a=1,"), "! missing tag key");
  EXPECT_EQ(Decoded("m,,a=1"), "! missing tag key");
  EXPECT_EQ(Decoded("m,a=1=2"), "! invalid tag format: unescaped '=' in the value of tag 'a'");
  EXPECT_EQ(Decoded("m,a==1"), "! invalid tag format: unescaped '=' in the value of tag 'a'");
  EXPECT_EQ(Decoded("m,__name__=x"), "! reserved tag: '__name__' is a label of our own");
}

TEST(LineKeyDecoderTest, RefusesAnEmptyMeasurement) {
  EXPECT_EQ(Decoded(""), "! missing measurement");
  EXPECT_EQ(Decoded(",a=1"), "! missing measurement");
}

TEST(LineKeyDecoderTest, RefusesWhatIsNoText) {
  EXPECT_EQ(Decoded("m,a=\x01"), "! control character in measurement or tags");
  EXPECT_EQ(Decoded("m\t,a=1"), "! control character in measurement or tags");
  EXPECT_EQ(Decoded("m,a=\xFF"), "! invalid UTF-8 in measurement or tags");
}

TEST(LineKeyDecoderTest, BoundsTheKey) {
  const std::string key = "m,a=" + std::string(65'531, 'x');
  EXPECT_THAT(Decoded(key), HasSubstr("xxx | __name__=m_f"));
  EXPECT_EQ(Decoded(key + "x"), "! max key length exceeded: 65536 > 65535");
}

TEST(LineKeyDecoderTest, ReusesTheGroup) {
  const LineKeyDecoder decoder({.database = "x"});
  model::GroupLabels group;
  ASSERT_TRUE(decoder.Decode("m,a=1,b=2,c=3", {.names = {"f", "g"}}, &group).ok());
  ASSERT_FALSE(decoder.Decode("m,a=1,b=2,", {.names = {"f"}}, &group).ok());
  ASSERT_TRUE(decoder.Decode("n,z=9", {.names = {"h"}}, &group).ok());
  EXPECT_EQ(group.labels, (model::Labels{{"db", "x"}, {"z", "9"}}));
  EXPECT_EQ(group.column_values, Names{"n_h"});
}

TEST(LineKeyDecoderTest, ContextsDifferExactlyIfLabelsMay) {
  std::vector<std::string> contexts;
  for (const NamingConvention naming :
       {NamingConvention::kMeasurementField, NamingConvention::kValueAsMeasurement,
        NamingConvention::kFieldLabel}) {
    for (const bool keep_utf8 : {false, true}) {
      for (const auto& [label, database] : {std::pair("db", "x"), std::pair("db", "y"),
                                            std::pair("d", "bx"), std::pair("db", "")}) {
        contexts.emplace_back(LineKeyDecoder({.naming = naming,
                                              .database_label = label,
                                              .database = database,
                                              .keep_utf8 = keep_utf8})
                                  .context());
      }
    }
  }
  std::sort(contexts.begin(), contexts.end());
  EXPECT_EQ(std::unique(contexts.begin(), contexts.end()), contexts.end());
  EXPECT_EQ(LineKeyDecoder({.database_label = "", .database = "x"}).context(),
            LineKeyDecoder({.database_label = "db", .database = ""}).context());
}

TEST(LineKeyDecoderTest, KnowsTheConventionsByName) {
  EXPECT_EQ(*ParseNamingConvention("measurement_field"), NamingConvention::kMeasurementField);
  EXPECT_EQ(*ParseNamingConvention("value_as_measurement"), NamingConvention::kValueAsMeasurement);
  EXPECT_EQ(*ParseNamingConvention("field_label"), NamingConvention::kFieldLabel);
  EXPECT_FALSE(ParseNamingConvention("").ok());
}

}  // namespace
}  // namespace tsdbd::ingest
