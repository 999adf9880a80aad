#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lake.h"

namespace varve::query::testing {
namespace {

TEST(Rows, FilesAndJournalAreSeenOnceEach) {
  Lake lake;
  lake.AddEventFile("events/2026/02/02/12/a.parquet", 0, 100);
  lake.AddEventFile("events/2026/02/02/12/b.parquet", 100, 50);
  lake.AddHot(150, 30);
  lake.AddHot(180, 5000);
  lake.event_lines.push_back(lake.WriteText("events/2026/02/02/13/c.jsonl",
                                            EventJson(5180, "rpc.call", kNoon + 5'180'000) + "\n" +
                                                EventJson(5181, "rpc.call", kNoon + 5'181'000)));
  auto engine = OpenEngine(lake);
  const Answer answer = Ask(*engine,
                            "SELECT count(*) AS n, count(DISTINCT payload) AS d, "
                            "count(DISTINCT ts) AS t, sum(duration_ms) AS s, "
                            "sum(json_extract(payload, '$.n')::BIGINT) AS p FROM events");
  ASSERT_EQ(answer.code(), "OK") << answer.summary.error().message;
  const Json row = answer.data()[0];
  EXPECT_EQ(row["n"], 5182);
  EXPECT_EQ(row["d"], 5182);
  EXPECT_EQ(row["t"], 5182);
  EXPECT_EQ(row["p"], 5181 * 5182 / 2);
  EXPECT_EQ(row["s"], 5181 * 5182 / 2 + 5182 * 0.5);
}

TEST(Rows, EveryColumnOfAJournalRowEqualsTheSameRowFromAFile) {
  Lake in_files, in_memory;
  in_files.AddEventFile("events/2026/02/02/12/a.parquet", 0, 3000);
  in_memory.AddHot(0, 3000);
  auto files = OpenEngine(in_files);
  auto memory = OpenEngine(in_memory);
  const std::string sql = "SELECT * FROM events ORDER BY ts";
  const Answer from_files = Ask(*files, sql, ResultFormat::kNdjson);
  const Answer from_memory = Ask(*memory, sql, ResultFormat::kNdjson);
  ASSERT_EQ(from_files.code(), "OK") << from_files.summary.error().message;
  EXPECT_EQ(from_files.bytes, from_memory.bytes);
  EXPECT_EQ(from_files.summary->rows, 3000u);
}

TEST(Rows, AnEmptyLakeHasTheTables) {
  Lake lake;
  auto engine = OpenEngine(lake);
  EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM events").data()[0]["n"], 0);
  EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM logs").data()[0]["n"], 0);
  EXPECT_EQ(Ask(*engine, "DESCRIBE events").data().size(), 13u);
  EXPECT_EQ(Ask(*engine, "DESCRIBE logs").data().size(), 16u);
  EXPECT_EQ(Ask(*engine, "DESCRIBE events").data()[0]["column_type"], "TIMESTAMP WITH TIME ZONE");
}

TEST(Rows, TheSnapshotIsTakenOnlyForQueriesThatReadATable) {
  Lake lake;
  auto engine = OpenEngine(lake);
  EXPECT_EQ(Ask(*engine, "SELECT 1 + 1 AS two").data()[0]["two"], 2);
  EXPECT_EQ(lake.taken, 0);
  Ask(*engine, "WITH x AS (SELECT * FROM Events) SELECT count(*) FROM x");
  EXPECT_EQ(lake.taken, 1);
}

TEST(Rows, BadLinesAreLeftOutAndNamed) {
  Lake lake;
  lake.event_lines.push_back(lake.WriteText(
      "events/2026/02/02/12/x.jsonl",
      EventJson(1, "a.b", kNoon) + "\n{\"type\":\n\n[1]\n" + EventJson(2, "a.b", kNoon) + "\r\n"));
  auto engine = OpenEngine(lake);
  const Answer answer = Ask(*engine, "SELECT status_code, type FROM events ORDER BY 1");
  ASSERT_EQ(answer.code(), "OK") << answer.summary.error().message;
  EXPECT_EQ(answer.data().size(), 2u);
  ASSERT_EQ(answer.summary->warnings.size(), 1u);
  EXPECT_THAT(answer.summary->warnings[0], ::testing::HasSubstr("x.jsonl: 2 lines"));
}

TEST(Rows, ACorruptFileAmongGoodOnesIsLeftOutAndNamed) {
  Lake lake;
  lake.AddEventFile("events/2026/02/02/12/a.parquet", 0, 10);
  lake.event_files.push_back(lake.WriteText("events/2026/02/02/12/bad.parquet", "PAR1nonsense"));
  lake.event_files.push_back(lake.WriteText("events/2026/02/02/12/empty.parquet", ""));
  lake.AddEventFile("events/2026/02/02/12/z.parquet", 10, 10);
  auto engine = OpenEngine(lake);
  for (int again = 0; again < 2; ++again) {
    const Answer answer = Ask(*engine, "SELECT count(*) AS n, count(payload) AS p FROM events");
    ASSERT_EQ(answer.code(), "OK") << answer.summary.error().message;
    EXPECT_EQ(answer.data()[0]["p"], 20);
    EXPECT_EQ(answer.summary->warnings.size(), 2u);
    EXPECT_THAT(answer.bytes, ::testing::HasSubstr("bad.parquet"));
    EXPECT_THAT(answer.bytes, ::testing::Not(::testing::HasSubstr(lake.dir.path())));
  }
}

TEST(Rows, ARangeLeavesOutFilesOfOtherHours) {
  Lake lake;
  lake.AddEventFile("events/2026/02/02/12/a.parquet", 0, 10);
  lake.event_files.push_back(lake.WriteText("events/2026/02/02/11/bad.parquet", "not Parquet"));
  lake.event_files.push_back(lake.WriteText("events/2026/02/01/_compact_b.parquet", "not Parquet"));
  lake.event_files.push_back(lake.WriteText("events/2026/01/_compact_b.parquet", "not Parquet"));
  auto engine = OpenEngine(lake);
  QueryRequest request;
  request.sql = "SELECT count(*) FROM events";
  request.range = {kNoon, kNoon + 1000};
  const auto summary = engine->Run(
      request, [](std::string_view) { return true; }, nullptr);
  ASSERT_TRUE(summary.ok());
  EXPECT_TRUE(summary->warnings.empty());
}

TEST(Rows, TwoScansInOneStatement) {
  Lake lake;
  lake.AddHot(0, 1000);
  auto engine = OpenEngine(lake);
  const Answer answer =
      Ask(*engine, "SELECT count(*) AS n FROM events a JOIN events b ON a.payload = b.payload");
  EXPECT_EQ(answer.data()[0]["n"], 1000);
}

}  // namespace
}  // namespace varve::query::testing
