#include "server/influx_ql.h"

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tsdbd::server {
namespace {

using Kind = InfluxStatement::Kind;

InfluxStatement One(std::string_view text) {
  const auto statements = ParseInfluxStatements(text);
  EXPECT_TRUE(statements.ok()) << Message(statements.status());
  EXPECT_EQ(statements.ok() ? statements->size() : 0, 1U) << text;
  return statements.ok() && !statements->empty() ? statements->front() : InfluxStatement();
}

std::string ErrorOf(std::string_view text) {
  return std::string(Message(ParseInfluxStatements(text).status()));
}

TEST(InfluxQlTest, CreateDatabaseInAllTheWaysClientsWriteIt) {
  for (const char* text : {"CREATE DATABASE x", "create database x;", "CREATE DATABASE \"x\"",
                           "  CREATE\tDATABASE x\n", ";CREATE DATABASE x;;"}) {
    EXPECT_EQ(One(text).kind, Kind::kCreateDatabase) << text;
    EXPECT_EQ(One(text).database, "x") << text;
    EXPECT_FALSE(One(text).has_policy) << text;
  }
}

TEST(InfluxQlTest, QuotedNamesMayHoldAnything) {
  EXPECT_EQ(One(R"(CREATE DATABASE "a b;\"c\"\\")").database, R"(a b;"c"\)");
  EXPECT_EQ(One("CREATE DATABASE \"WITH\"").database, "WITH");
}

TEST(InfluxQlTest, ADatabaseMayComeWithARetentionPolicy) {
  const InfluxStatement statement =
      One("CREATE DATABASE x WITH DURATION 3d REPLICATION 1 SHARD DURATION 1h NAME \"a;b\"");
  EXPECT_EQ(statement.database, "x");
  EXPECT_TRUE(statement.has_policy);
}

TEST(InfluxQlTest, ShowStatements) {
  EXPECT_EQ(One("SHOW DATABASES").kind, Kind::kShowDatabases);
  EXPECT_EQ(One("show retention policies").kind, Kind::kShowRetentionPolicies);
  EXPECT_EQ(One("SHOW RETENTION POLICIES ON \"db 1\"").database, "db 1");
}

TEST(InfluxQlTest, EverythingElseIsOther) {
  for (const char* text :
       {"SELECT * FROM cpu WHERE host = 'a;b'", "DROP DATABASE x", "SHOW MEASUREMENTS",
        "CREATE RETENTION POLICY \"a\" ON \"b\"", "\"CREATE\" DATABASE x", "!"}) {
    EXPECT_EQ(One(text).kind, Kind::kOther) << text;
  }
}

TEST(InfluxQlTest, StatementsAreSeparatedBySemicolons) {
  const auto statements =
      ParseInfluxStatements("CREATE DATABASE a; SHOW DATABASES; SELECT \"x;\" FROM y");
  ASSERT_TRUE(statements.ok());
  ASSERT_EQ(statements->size(), 3U);
  EXPECT_EQ((*statements)[1].kind, Kind::kShowDatabases);
}

TEST(InfluxQlTest, ErrorsSayWhatWasFoundAndWhere) {
  EXPECT_EQ(ErrorOf(""), "error parsing query: found EOF, expected a statement at line 1, char 1");
  EXPECT_EQ(ErrorOf("CREATE DATABASE"),
            "error parsing query: found EOF, expected identifier at line 1, char 16");
  EXPECT_EQ(ErrorOf("CREATE DATABASE ;"),
            "error parsing query: found ;, expected identifier at line 1, char 17");
  EXPECT_EQ(ErrorOf("CREATE DATABASE a b"),
            "error parsing query: found b, expected ; or EOF at line 1, char 19");
  EXPECT_EQ(ErrorOf("SHOW RETENTION"),
            "error parsing query: found EOF, expected POLICIES at line 1, char 15");
  EXPECT_EQ(ErrorOf("CREATE DATABASE \"x"),
            "error parsing query: the quote at line 1, char 17 is not closed");
}

TEST(InfluxQlTest, DurationsLookAsInfluxDbPrintsThem) {
  EXPECT_EQ(InfluxDuration(0), "0s");
  EXPECT_EQ(InfluxDuration(7 * kNanosPerDay), "168h0m0s");
  EXPECT_EQ(InfluxDuration(5'415 * kNanosPerSecond), "1h30m15s");
}

TEST(InfluxQlTest, AnswersHaveInfluxDbsShape) {
  EXPECT_EQ(InfluxAnswer({InfluxResult()}), "{\"results\":[{\"statement_id\":0}]}\n");
  InfluxResult databases;
  databases.series_name = "databases";
  databases.columns = {"name"};
  EXPECT_EQ(InfluxAnswer({databases}),
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\",\"columns\":"
            "[\"name\"]}]}]}\n");
  databases.rows = {{"\"a\""}, {"\"b\""}};
  InfluxResult failed;
  failed.error = "no \"x\"";
  failed.warning = "careful";
  EXPECT_EQ(InfluxAnswer({databases, failed}),
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\",\"columns\":"
            "[\"name\"],\"values\":[[\"a\"],[\"b\"]]}]},{\"statement_id\":1,\"messages\":[{"
            "\"level\":\"warning\",\"text\":\"careful\"}],\"error\":\"no \\\"x\\\"\"}]}\n");
}

}  // namespace
}  // namespace tsdbd::server
