// What SQL may not do, one row a case. Every case is tried in a process that could do it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "lake.h"

namespace varve::query::testing {
namespace {

using Texts = std::vector<std::string>;

struct Case {
  std::string sql;
  std::vector<std::string> codes;  // any of these
};

class Sandbox : public ::testing::Test {
 protected:
  Sandbox() {
    lake_.AddEventFile("events/2026/02/02/12/mine.parquet", 0, 5);
    Lake other;
    other_.AddEventFile("ns/other/events/2026/02/02/12/theirs.parquet", 7'000, 3);
    secret_ = other_.WriteText("secret.txt", "the-secret-text").path;
    theirs_ = other_.event_files[0].path;
    EngineOptions options;
    options.temp_directory = lake_.dir.path("temp");
    options.memory_bytes_max = 200 << 20;
    engine_ = OpenEngine(lake_, options);
  }

  void Expect(const Case& c) {
    const Answer answer = Ask(*engine_, c.sql, ResultFormat::kNdjson);
    EXPECT_THAT(c.codes, ::testing::Contains(answer.code()))
        << c.sql << "\n"
        << (answer.summary.ok() ? answer.bytes : answer.summary.error().message);
    EXPECT_THAT(answer.bytes, ::testing::Not(::testing::HasSubstr("the-secret-text")));
    EXPECT_THAT(answer.bytes, ::testing::Not(::testing::HasSubstr("root:")));
    EXPECT_THAT(answer.bytes, ::testing::Not(::testing::HasSubstr("7000")));
  }

  Lake lake_, other_;
  std::string secret_, theirs_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(Sandbox, NoFunctionReadsAFile) {
  const std::vector<std::string> functions = {"read_csv",
                                              "read_csv_auto",
                                              "sniff_csv",
                                              "read_text",
                                              "read_blob",
                                              "read_json",
                                              "read_json_auto",
                                              "read_json_objects",
                                              "read_ndjson",
                                              "read_ndjson_auto",
                                              "read_ndjson_objects",
                                              "read_json_objects_auto",
                                              "read_parquet",
                                              "parquet_scan",
                                              "parquet_metadata",
                                              "parquet_schema",
                                              "parquet_kv_metadata",
                                              "parquet_file_metadata",
                                              "parquet_full_metadata",
                                              "glob",
                                              "read_duckdb",
                                              "which_secret"};
  for (const std::string& function : functions) {
    for (const std::string& path :
         Texts{"/etc/passwd", secret_, theirs_, "/proc/self/environ",
               "http://169.254.169.254/latest/meta-data", "s3://b/k.parquet", "events/2026/**",
               lake_.dir.path("*"), lake_.event_files[0].path}) {
      Expect({"SELECT * FROM " + function + "('" + path + "')", {"SQL_FORBIDDEN"}});
      Expect({"SELECT * FROM system.main." + function + "('" + path + "')", {"SQL_FORBIDDEN"}});
    }
  }
}

TEST_F(Sandbox, NoNameIsReadAsAFile) {
  for (const std::string& name :
       Texts{"/etc/passwd", secret_, theirs_, "x.parquet", "x.csv", "../x.json", "https://h/x.csv",
             "*.parquet", "file:///etc/passwd", lake_.event_files[0].path}) {
    Expect({"SELECT * FROM '" + name + "'", {"SQL_FORBIDDEN"}});
    Expect({"SELECT * FROM \"" + name + "\"", {"SQL_FORBIDDEN"}});
    Expect({"FROM '" + name + "'", {"SQL_FORBIDDEN"}});
    Expect({"SUMMARIZE FROM '" + name + "'", {"SQL_FORBIDDEN"}});
    Expect({"DESCRIBE FROM '" + name + "'", {"SQL_FORBIDDEN"}});
  }
}

TEST_F(Sandbox, NestingHidesNothing) {
  for (const std::string& sql : Texts{
           "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
           "SELECT (SELECT content FROM read_text('/etc/passwd'))",
           "SELECT * FROM events WHERE url IN (SELECT content FROM read_text('/etc/passwd'))",
           "SELECT * FROM events, LATERAL (SELECT * FROM read_text('/etc/passwd'))",
           "SELECT * FROM events UNION ALL BY NAME SELECT * FROM read_text('/etc/passwd')",
           "SELECT list_transform([1], x -> (SELECT content FROM read_text('/etc/passwd')))",
           "SELECT [x FOR x IN (SELECT list(content) FROM read_text('/etc/passwd'))]",
           "SELECT EXISTS (SELECT * FROM read_text('/etc/passwd'))",
           "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
           "SELECT * FROM query_table('/etc/passwd')",
           "SELECT * FROM query_table(['/etc/passwd'])",
           "SELECT * FROM json_execute_serialized_sql(json_serialize_sql("
           "'SELECT * FROM read_text(''/etc/passwd'')'))",
           "SELECT/**/*/**/FROM/**/read_text/**/('/etc/passwd')",
           "SELECT * FROM \"read_text\"('/etc/passwd')",
           "SELECT * FROM READ_TEXT($$/etc/passwd$$)",
           "SELECT * FROM read_text($tag$/etc/passwd$tag$)",
           "SELECT * FROM read_text(E'\\x2fetc\\x2fpasswd')",
           "SELECT * FROM read_text(U&'\\002fetc/passwd')",
           "SELECT * FROM read_text('/etc' || '/passwd')",
           "SELECT * FROM read_text([concat('/etc', '/passwd')])",
           "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r, read_text('/etc/passwd')"
           " WHERE n < 3) SELECT * FROM r",
           "EXPLAIN SELECT * FROM read_text('/etc/passwd')",
           "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')",
           "EXPLAIN (FORMAT json) SELECT * FROM read_text('/etc/passwd')",
           "VALUES ((SELECT content FROM read_text('/etc/passwd')))",
           "SELECT * FROM (PIVOT read_text('/etc/passwd') ON size IN (1))",
           "SELECT * FROM events ORDER BY (SELECT content FROM read_text('/etc/passwd'))",
           "SELECT * FROM events LIMIT (SELECT size FROM read_text('/etc/passwd'))",
           "SELECT sum(status_code) FILTER (WHERE url = (SELECT content FROM "
           "read_text('/etc/passwd'))) FROM events",
       }) {
    Expect({sql, {"SQL_FORBIDDEN", "SQL_ERROR"}});
  }
}

TEST_F(Sandbox, OnlySelectRuns) {
  const std::string out = lake_.dir.path("out");
  for (const std::string& sql : Texts{
           "ATTACH ':memory:' AS x",
           "ATTACH '" + secret_ + "' AS x",
           "COPY events TO '" + out + "'",
           "COPY (SELECT 1) TO '" + out + "' (FORMAT parquet)",
           "EXPLAIN ANALYZE COPY (SELECT 1) TO '" + out + "'",
           "EXPLAIN ANALYZE COPY (SELECT 1) TO '" + lake_.event_files[0].path + "'",
           "EXPLAIN COPY (SELECT 1) TO '" + out + "'",
           "EXPLAIN (ANALYZE) CREATE TABLE t (a INT)",
           "INSTALL httpfs",
           "LOAD httpfs",
           "LOAD '" + secret_ + "'",
           "FORCE INSTALL httpfs FROM community",
           "SET enable_external_access = true",
           "SET threads = 8",
           "SET GLOBAL memory_limit = '100GB'",
           "RESET ALL",
           "RESET lock_configuration",
           "PRAGMA database_list",
           "PRAGMA enable_profiling",
           "PRAGMA show_tables",
           "CALL pragma_version()",
           "CHECKPOINT",
           "EXPORT DATABASE '" + out + "'",
           "IMPORT DATABASE '" + out + "'",
           "CREATE TABLE t (a INT)",
           "CREATE VIEW v AS SELECT 1",
           "CREATE MACRO m() AS TABLE SELECT * FROM read_text('/etc/passwd')",
           "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
           "DROP VIEW events",
           "DELETE FROM events",
           "INSERT INTO events SELECT * FROM events",
           "UPDATE events SET url = ''",
           "TRUNCATE events",
           "BEGIN",
           "COMMIT",
           "VACUUM",
           "PREPARE p AS SELECT 1",
           "EXECUTE p",
           "USE system",
           "DETACH memory",
           "SET VARIABLE x = 1",
           "",
           "  ",
           ";",
           "-- a comment",
           "SELECT 1; SELECT 2",
           "SELECT 1; DROP VIEW events",
           "SELECT 1;;; COPY (SELECT 1) TO '/tmp/x'",
           "SELECT 1 /* ; */ ; SELECT 2",
           "PIVOT events ON type",
           "COMMENT ON VIEW events IS 'x'",
           "ALTER VIEW events RENAME TO e",
           "ANALYZE",
       }) {
    Expect({sql, {"SQL_NOT_ALLOWED"}});
  }
  struct stat unused;
  EXPECT_NE(stat(out.c_str(), &unused), 0);
  EXPECT_EQ(Ask(*engine_, "SELECT count(*) AS n FROM events").data()[0]["n"], 5);
}

TEST_F(Sandbox, FunctionsThatChangeSettingsOrTakePointersAreNotThere) {
  const std::string out = lake_.dir.path("log");
  for (const std::string& sql : Texts{
           "SELECT * FROM enable_logging()",
           "SELECT * FROM enable_logging(storage = 'file', storage_path = '" + out + "')",
           "SELECT * FROM disable_logging()",
           "SELECT * FROM system.main.enable_profiling()",
           "SELECT * FROM enable_profiling(save_location = '" + out + "')",
           "SELECT * FROM truncate_duckdb_logs()",
           "SELECT * FROM arrow_scan(NULL, NULL, NULL)",
           "SELECT * FROM arrow_scan_dumb(NULL, NULL, NULL)",
           "SELECT * FROM seq_scan()",
           "SELECT * FROM duckdb_secrets()",
           "SELECT * FROM force_checkpoint()",
           "SELECT * FROM duckdb_temporary_files()",
           "SELECT * FROM varve_event_rows()",
           "SELECT write_log('x')",
           "SELECT getenv('HOME')",
       }) {
    Expect({sql, {"SQL_FORBIDDEN", "SQL_ERROR"}});
  }
  struct stat unused;
  EXPECT_NE(stat(out.c_str(), &unused), 0);
}

TEST_F(Sandbox, TextThatBreaksIsAnErrorOfItsSender) {
  for (const std::string& sql :
       Texts{"SELEC 1", "SELECT", "SELECT 'x", "SELECT \"x", "SELECT $$x", "SELECT /* x",
             "SELECT \xff\xfe", std::string("SELECT 1\0; DROP VIEW events", 27), "SELECT ‘x’",
             "SELECT nothing FROM events", "SELECT * FROM nothing", "SELECT ?", "SELECT $1",
             "SELECT " + std::string(20'000, '(') + "1" + std::string(20'000, ')'),
             std::string(70'000, 'x')}) {
    Expect({sql, {"SQL_ERROR", "SQL_NOT_ALLOWED"}});
  }
}

TEST_F(Sandbox, CommentsAndSemicolonsAroundOneSelectAreFine) {
  for (const std::string& sql :
       Texts{"SELECT 1;", " /* a /* b */ c */ SELECT 1 -- end", "SELECT ';' AS x; -- ; \n ;",
             "(SELECT 1)", "SELECT 'it''s -- no comment'", "SHOW TABLES", "EXPLAIN SELECT 1",
             "EXPLAIN (FORMAT json) SELECT 1", "EXPLAIN ANALYZE SELECT count(*) FROM events",
             "FROM events", "EXPLAIN (SELECT 1)", "SUMMARIZE events", "TABLE events", "VALUES (1)",
             "SELECT 1 AS \"a;b\"", "SELECT\u00a01"}) {
    Expect({sql, {"OK"}});
  }
}

TEST_F(Sandbox, TheSettingsHoldAndNoSecretIsInThem) {
  const Answer answer =
      Ask(*engine_, "SELECT name, value FROM duckdb_settings() WHERE value ILIKE '%secret%text%'");
  EXPECT_EQ(answer.data().size(), 0u);
  const Json row = Ask(*engine_,
                       "SELECT current_setting('enable_external_access') AS e, "
                       "current_setting('lock_configuration') AS l, "
                       "current_setting('autoload_known_extensions') AS a, "
                       "current_setting('TimeZone') AS z")
                       .data()[0];
  EXPECT_EQ(row["e"], false);
  EXPECT_EQ(row["l"], true);
  EXPECT_EQ(row["a"], false);
  EXPECT_EQ(row["z"], "UTC");
}

TEST_F(Sandbox, AnotherTenantSeesNothingOfThis) {
  QueryRequest request;
  request.ns = NamespaceId::Parse("tenant").value();
  request.sql = "SELECT count(*) AS n FROM events";
  std::string bytes;
  ASSERT_TRUE(engine_
                  ->Run(
                      request,
                      [&](std::string_view b) {
                        bytes += b;
                        return true;
                      },
                      nullptr)
                  .ok());
  EXPECT_EQ(Json::parse(bytes)["data"][0]["n"], 0);
}

}  // namespace
}  // namespace varve::query::testing
