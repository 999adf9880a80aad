#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lake.h"
#include "record/log_row.h"

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

std::string TraceItem(int n) {
  return Json{
      {"scriptName", "worker"},
      {"outcome", n % 2 == 0 ? "ok" : "exception"},
      {"eventTimestamp", kNoon + n},
      {"event", nullptr},
      {"logs", Json::array({{{"timestamp", kNoon + n}, {"level", "info"}, {"message", "m"}}})},
      {"exceptions", Json::array()},
      {"diagnosticsChannelEvents", Json::array()}}
      .dump();
}

TEST(Rows, LogsComeFromFilesRawFilesAndTheJournal) {
  Lake lake;
  std::vector<std::string> items;
  for (int n = 0; n < 30; ++n) items.push_back(TraceItem(n));
  const std::vector<std::string_view> first(items.begin(), items.begin() + 10);
  const std::string raw = record::WriteRawFile({"do-1", kNoon, 1}, first) + "\nbroken";
  lake.raw_files.push_back(lake.WriteText("raw-events/1-do-1-1.ndjson", raw));
  lake.raw_files.push_back(lake.WriteText("raw-events/2-do-1-2.ndjson", "no header"));
  lake.hot_tail->emplace_back(std::vector(items.begin() + 10, items.begin() + 20),
                              std::vector<int64_t>(10, kNoon), record::RecordKind::kTail);
  std::vector<record::LogRow> rows;
  for (int n = 20; n < 30; ++n) {
    auto made = record::LogRowsOf(items[n], "raw-events/0-do-1-0.ndjson#" + std::to_string(n));
    ASSERT_TRUE(made.ok()) << made.error().message;
    rows.insert(rows.end(), made->begin(), made->end());
  }
  lake.log_files.push_back(
      lake.WriteText("logs/workers/year=2026/month=02/day=02/hour=12/logs-1-A.parquet",
                     record::WriteLogFile(rows, record::LogCodec::kLz4).value()));
  auto engine = OpenEngine(lake);
  const Answer answer = Ask(*engine,
                            "SELECT count(*) AS n, count(DISTINCT id) AS ids, count(DISTINCT "
                            "timestamp) AS t, count(*) FILTER (outcome = 'ok') AS ok, "
                            "any_value(scriptName) AS s FROM logs");
  ASSERT_EQ(answer.code(), "OK") << answer.summary.error().message;
  EXPECT_EQ(answer.data()[0].dump(), R"({"ids":30,"n":30,"ok":15,"s":"worker","t":30})");
  EXPECT_EQ(answer.summary->warnings.size(), 2u) << answer.bytes;
  EXPECT_EQ(Ask(*engine, "DESCRIBE logs").data().size(), 16u);  // no year=, month=, …
  // The ids of a raw file's rows are those that its compaction writes.
  const std::string id = record::LogRowsOf(items[3], "raw-events/1-do-1-1.ndjson#3").value()[0].id;
  EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM logs WHERE id = '" + id + "'").data()[0]["n"],
            1);
}

TEST(Rows, FilesWithOtherColumnsAreReadAsFarAsTheyGo) {
  Lake other;
  other.AddEventFile("a.parquet", 0, 4);
  auto writer = OpenEngine(other);
  const auto file = [&](Lake& lake, const std::string& key, const std::string& select) {
    const Answer answer = Ask(*writer, select, ResultFormat::kParquet);
    ASSERT_EQ(answer.code(), "OK") << select;
    lake.event_files.push_back(lake.WriteText(key, answer.bytes));
  };
  Lake lake;
  lake.AddEventFile("events/2026/02/02/12/good.parquet", 10, 2);
  file(lake, "events/2026/02/02/12/few.parquet", "SELECT payload, type FROM events LIMIT 1");
  file(lake, "events/2026/02/02/12/text.parquet",
       "SELECT ts::VARCHAR AS ts, 'x' AS type, '404' AS status_code, 'no' AS duration_ms, "
       "{'a': 1} AS payload, [1] AS verified, 5 AS extra FROM events LIMIT 1");
  file(lake, "events/2026/02/02/12/number.parquet",
       "SELECT epoch_ms(ts) AS ts, 'n' AS type, 7::BIGINT AS status_code FROM events LIMIT 1");
  file(lake, "events/2026/02/02/12/local.parquet",
       "SELECT ts::TIMESTAMP AS ts, 'l' AS type FROM events LIMIT 1");
  auto engine = OpenEngine(lake);
  const Answer answer = Ask(*engine,
                            "SELECT ts, type, status_code, duration_ms, verified FROM events "
                            "WHERE type IN ('x', 'n', 'l') ORDER BY type",
                            ResultFormat::kNdjson);
  ASSERT_EQ(answer.code(), "OK") << answer.summary.error().message;
  EXPECT_EQ(answer.bytes,
            "{\"ts\":\"2026-02-02T12:00:00.000Z\",\"type\":\"l\",\"status_code\":null,"
            "\"duration_ms\":null,\"verified\":null}\n"
            "{\"ts\":\"2026-02-02T12:00:00.000Z\",\"type\":\"n\",\"status_code\":7,"
            "\"duration_ms\":null,\"verified\":null}\n"
            "{\"ts\":\"2026-02-02T12:00:00.000Z\",\"type\":\"x\",\"status_code\":404,"
            "\"duration_ms\":null,\"verified\":null}\n");
  EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM events").data()[0]["n"], 6);
}

TEST(Rows, AnInstanceIsUsedAgainAndSeesNewFiles) {
  Lake lake;
  auto engine = OpenEngine(lake);
  for (int n = 1; n <= 5; ++n) {
    lake.AddEventFile("events/2026/02/02/12/f" + std::to_string(n) + ".parquet", n * 10, 10);
    for (int again = 0; again < 3; ++again) {
      lake.AddHot(1000 + n * 10 + again, 1);
      EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM events").data()[0]["n"],
                n * 10 + lake.hot->size());
    }
  }
  lake.event_files.pop_back();
  lake.hot->clear();
  EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM events").data()[0]["n"], 40);
}

}  // namespace
}  // namespace varve::query::testing
