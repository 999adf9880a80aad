// The builder's SQL is run, as printed, by a DuckDB of its own that knows nothing of varve.
#include "query/query_builder.h"

#include <duckdb.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lake.h"

namespace varve::query::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PlainDuckDb {
 public:
  PlainDuckDb() {
    CHECK(duckdb_open(nullptr, &database_) == DuckDBSuccess);
    CHECK(duckdb_connect(database_, &connection_) == DuckDBSuccess);
    Rows("SET TimeZone = 'America/New_York'");
  }
  ~PlainDuckDb() {
    duckdb_disconnect(&connection_);
    duckdb_close(&database_);
  }
  // Rows as text, columns joined by '|'; one row with the error's words if it fails.
  std::vector<std::string> Rows(const std::string& sql) {
    duckdb_result result;
    std::vector<std::string> rows;
    if (duckdb_query(connection_, sql.c_str(), &result) != DuckDBSuccess) {
      rows.push_back(std::string("ERROR ") + duckdb_result_error(&result));
    }
    for (idx_t row = 0; row < duckdb_row_count(&result); ++row) {
      std::string line;
      for (idx_t column = 0; column < duckdb_column_count(&result); ++column) {
        char* text = duckdb_value_varchar(&result, column, row);
        line += (column > 0 ? "|" : "") + std::string(text != nullptr ? text : "NULL");
        duckdb_free(text);
      }
      rows.push_back(line);
    }
    columns_ = duckdb_column_count(&result);
    duckdb_destroy_result(&result);
    return rows;
  }
  idx_t columns() const { return columns_; }

 private:
  duckdb_database database_;
  duckdb_connection connection_;
  idx_t columns_ = 0;
};

class Builder : public ::testing::Test {
 protected:
  Builder() {
    context_.store_root = lake_.dir.path();
    context_.exists = LocalGlobs(lake_.dir.path());
  }
  BuiltQuery Build(const Json& body) {
    auto built = BuildQuery(body.dump(), context_);
    EXPECT_TRUE(built.ok()) << built.error().message;
    return built.ok() ? std::move(built).value() : BuiltQuery();
  }
  std::vector<std::string> Rows(const Json& body) { return duck_.Rows(Build(body).sql); }
  // Each row's payload member n, sorted.
  std::vector<int> Numbers(const Json& body) {
    std::vector<int> numbers;
    for (const std::string& row : Rows(body)) {
      const Json payload = Json::parse(row.substr(row.find('{')), nullptr, false);
      numbers.push_back(payload.is_object() ? payload.value("n", -1) : -2);
    }
    std::ranges::sort(numbers);
    return numbers;
  }
  std::string Code(const std::string& body) {
    const auto built = BuildQuery(body, context_);
    return built.ok() ? "OK" : built.error().code;
  }

  Lake lake_;
  QueryBuilderContext context_;
  PlainDuckDb duck_;
};

std::string DoEvent(int n, const std::string& cls, const std::string& id) {
  return Json{{"type", "rpc.call"},
              {"ts", kNoon + n * 1000},
              {"n", n},
              {"collection", n % 2 == 0 ? "users" : "it's"},
              {"do", {{"id", id}, {"class", cls}, {"colo", "AMS"}}}}
      .dump();
}

TEST_F(Builder, ParquetAndJsonlAreUnitedAndBothFiltered) {
  lake_.AddEventFile("events/2026/02/02/12/a.parquet", 0, 10);
  std::string lines;
  for (int n = 10; n < 20; ++n) {
    lines += EventJson(n, Lake::TypeOf(n), kNoon + n * 1000) + "\n";
  }
  lake_.WriteText("events/2026/02/02/13/b.jsonl", lines);
  const Json range = {{"start", "2026-02-02T12:00:00Z"}, {"end", "2026-02-02T12:00:18Z"}};
  EXPECT_EQ(Numbers({{"dateRange", range}}).size(), 18u);
  EXPECT_THAT(Numbers({{"dateRange", range}, {"eventTypes", {"rpc.call", "x"}}}),
              ::testing::ElementsAre(0, 3, 6, 9, 12, 15));
  EXPECT_EQ(Numbers(Json::object()).size(), 20u);
  EXPECT_EQ(Rows({{"limit", 3}}).size(), 3u);
  EXPECT_THAT(Rows({{"limit", 1}})[0], HasSubstr("\"n\":19"));
  EXPECT_THAT(Rows({{"limit", 1}, {"orderBy", "ts ASC"}})[0], HasSubstr("\"n\":0"));
}

TEST_F(Builder, ALineOfJsonlGivesTheRowThatVarveGives) {
  const std::string lines =
      "{\"type\":\"a\",\"ts\":\"2026-02-02T12:00:00.123Z\",\"method\":\"GET\",\"status\":200}\n"
      "{\"type\":\"b\",\"ts\":\"2026-02-02T14:00:00+02:00\",\"statusCode\":201,\"status\":\"ok\"}\n"
      "{\"type\":\"c\",\"ts\":1770033603,\"source\":\"me\",\"durationMs\":1.5,\"verified\":true}\n"
      "{\"type\":\"d\",\"ts\":1770033604005, \"url\": "
      "\"https://h/?a=\\u0041\",\"outcome\":\"ok\"}\n"
      "{\"type\":\"e\",\"ts\":\"2026-02-02 12:00:05\",\"eventType\":\"x\",\"provider\":\"p\"}\n"
      "broken\n{\"ts\":1}\n"
      "{\"type\":\"f\",\"timestamp\":1770033606000,\"scriptName\":\"s\",\"verified\":\"no\"}\n";
  lake_.event_lines.push_back(lake_.WriteText("events/2026/02/02/12/x.jsonl", lines));
  auto engine = OpenEngine(lake_);
  std::vector<std::string> mine;
  const std::string columns = "epoch_ms(ts), * EXCLUDE (ts)";
  const Answer answer =
      Ask(*engine, "SELECT " + columns + " FROM events ORDER BY ts", ResultFormat::kCsv);
  Lake twin;
  const auto plain = duck_.Rows("COPY (SELECT " + columns + " FROM (" +
                                Build({{"orderBy", "ts ASC"}}).sql + ") ORDER BY ts) TO '" +
                                lake_.dir.path("plain.csv") + "' (HEADER, FORCE_QUOTE (payload))");
  std::ifstream file(lake_.dir.path("plain.csv"));
  std::string text(std::istreambuf_iterator<char>(file), {});
  std::string expected = answer.bytes;
  std::erase(expected, '\r');
  text.erase(0, text.find('\n'));
  expected.erase(0, expected.find('\n'));
  EXPECT_EQ(text, expected) << answer.code() << plain[0];
}

TEST_F(Builder, PayloadFieldsFilter) {
  std::string lines;
  for (int n = 0; n < 6; ++n) {
    lines += DoEvent(n, n < 3 ? "ChatRoom" : "O'Hare", "id-" + std::to_string(n)) + "\n";
  }
  lake_.WriteText("events/2026/02/02/12/x.jsonl", lines + "{\"type\":\"x\",\"ts\":1}\n");
  EXPECT_THAT(Numbers({{"doClass", "ChatRoom"}}), ::testing::ElementsAre(0, 1, 2));
  EXPECT_THAT(Numbers({{"doClass", "O'Hare"}, {"doId", "id-4"}}), ::testing::ElementsAre(4));
  EXPECT_THAT(Numbers({{"collection", "it's"}, {"colo", "AMS"}}), ::testing::ElementsAre(1, 3, 5));
  EXPECT_THAT(Numbers({{"doId", "' OR true --"}}), ::testing::IsEmpty());
  EXPECT_EQ(Numbers({{"orderBy", "do_id ASC"}, {"doClass", "ChatRoom"}}).size(), 3u);
}

TEST_F(Builder, TheGlobFollowsTheRange) {
  for (const char* key :
       {"events/2026/02/02/12/a.parquet", "events/2026/02/02/12/_compact_h.parquet",
        "events/2026/02/02/_compact_d.parquet", "events/2026/02/_compact_m.parquet",
        "events/2025/12/31/23/z.parquet"}) {
    lake_.AddEventFile(key, 0, 1);
  }
  const auto sql = [&](const char* start, const char* end) {
    return Build({{"dateRange", {{"start", start}, {"end", end}}}}).sql;
  };
  const std::string root = lake_.dir.path();
  const std::string day = sql("2026-02-02", "2026-02-02T23:59:59Z");
  EXPECT_THAT(day, HasSubstr("'" + root + "/events/2026/02/02/*/*.parquet'"));
  EXPECT_THAT(day, HasSubstr("'" + root + "/events/2026/02/02/_compact_*.parquet'"));
  EXPECT_THAT(day, HasSubstr("'" + root + "/events/2026/02/_compact_*.parquet'"));
  EXPECT_THAT(sql("2026-02-01", "2026-02-02"), HasSubstr("/events/2026/02/*/*/*.parquet'"));
  EXPECT_THAT(sql("2026-02-01", "2026-03-02"), HasSubstr("/events/2026/*/*/*/*.parquet'"));
  EXPECT_THAT(sql("2025-12-31", "2026-01-01"), HasSubstr("/events/*/*/*/*/*.parquet'"));
  EXPECT_THAT(sql("2025-12-31", "2026-01-01"), HasSubstr("/events/*/*/_compact_*.parquet'"));
  // All four rows at noon, whichever level they were compacted to.
  EXPECT_EQ(Rows({{"dateRange", {{"start", "2026-02-02"}, {"end", "2026-02-03"}}}}).size(), 4u);
}

TEST_F(Builder, NothingThereIsNoRowsAndThirteenColumns) {
  EXPECT_TRUE(Rows(Json::object()).empty());
  EXPECT_EQ(duck_.columns(), 13u);
  lake_.AddEventFile("events/2026/02/02/12/a.parquet", 0, 3);
  EXPECT_TRUE(Rows({{"dateRange", {{"start", "2024-02-02"}, {"end", "2024-02-03"}}}}).empty());
  EXPECT_EQ(duck_.columns(), 13u);
  EXPECT_EQ(Rows(Json::object()).size(), 3u);
}

TEST_F(Builder, ATenantGetsItsOwnFiles) {
  lake_.AddEventFile("ns/acme/events/2026/02/02/12/a.parquet", 0, 3);
  context_.caller = NamespaceId::Parse("acme").value();
  const BuiltQuery built = Build(Json::object());
  EXPECT_THAT(built.sql, HasSubstr("/ns/acme/events/"));
  EXPECT_TRUE(built.isolated);
  EXPECT_EQ(Json::parse(built.ToJson())["namespace"], "acme");
  EXPECT_EQ(Json::parse(built.ToJson())["isolated"], true);
  EXPECT_EQ(duck_.Rows(built.sql).size(), 3u);
  EXPECT_EQ(Code(R"({"namespace":"other"})"), "NAMESPACE_FORBIDDEN");
  EXPECT_EQ(Code(R"({"namespace":"default"})"), "NAMESPACE_FORBIDDEN");
  EXPECT_EQ(Code(R"({"namespace":"acme"})"), "OK");
  context_.any_namespace = true;
  EXPECT_EQ(Code(R"({"namespace":"other"})"), "OK");
  EXPECT_EQ(Code(R"({"namespace":"../x"})"), "INVALID_QUERY");
}

TEST_F(Builder, BadInputIsNamed) {
  for (const char* body : {"",
                           "[]",
                           "{",
                           "7",
                           R"({"limit":0})",
                           R"({"limit":10001})",
                           R"({"limit":"5"})",
                           R"({"limit":1.5})",
                           R"({"orderBy":"payload"})",
                           R"({"orderBy":"ts; DROP"})",
                           R"({"orderBy":"ts DESC, type"})",
                           R"({"eventTypes":"a"})",
                           R"({"eventTypes":[1]})",
                           R"({"eventTypes":[""]})",
                           R"({"doId":5})",
                           R"({"doId":"a\u0000b"})",
                           R"({"nope":1})",
                           R"({"dateRange":{"start":"2026-02-02"}})",
                           R"({"dateRange":"today"})",
                           R"({"dateRange":{"start":"x","end":"y"}})",
                           R"({"dateRange":{"start":"2026-02-03","end":"2026-02-02"}})"}) {
    EXPECT_EQ(Code(body), "INVALID_QUERY") << body;
  }
  EXPECT_EQ(Code(Json{{"doId", std::string(257, 'x')}}.dump()), "INVALID_QUERY");
  EXPECT_EQ(Code(Json{{"doId", std::string(256, 'x')}}.dump()), "OK");
  EXPECT_EQ(Code(Json{{"eventTypes", std::vector<std::string>(101, "a")}}.dump()), "INVALID_QUERY");
  EXPECT_EQ(Code(std::string(70'000, ' ')), "INVALID_QUERY");
}

}  // namespace
}  // namespace varve::query::testing
