#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lake.h"

namespace varve::query::testing {
namespace {

struct Page {
  std::string code;
  std::string bytes;
  std::string next;
  uint64_t rows = 0;
};

Page NextPage(Engine& engine, const std::string& cursor, const NamespaceId& ns = {}) {
  Page page;
  auto summary = engine.Next(
      ns, cursor,
      [&](std::string_view bytes) {
        page.bytes += bytes;
        return true;
      },
      nullptr);
  page.code = summary.ok() ? "OK" : summary.error().code;
  if (summary.ok()) {
    page.next = summary->next_cursor;
    page.rows = summary->rows;
  }
  return page;
}

TEST(CursorPages, TogetherTheyAreTheWholeResult) {
  Lake lake;
  lake.AddEventFile("events/2026/02/02/12/a.parquet", 0, 6000);
  lake.AddHot(6000, 4001);
  auto engine = OpenEngine(lake);
  const std::string sql = "SELECT * FROM events ORDER BY ts, payload";
  const Answer whole = Ask(*engine, sql, ResultFormat::kNdjson);
  for (uint64_t rows_max : {999u, 2048u, 5000u, 10'001u, 20'000u}) {
    const Answer first = Ask(*engine, sql, ResultFormat::kNdjson, rows_max);
    std::string bytes = first.bytes;
    uint64_t rows = first.summary->rows;
    std::string cursor = first.summary->next_cursor;
    while (!cursor.empty()) {
      const Page page = NextPage(*engine, cursor);
      ASSERT_EQ(page.code, "OK");
      ASSERT_GT(page.rows, 0u);
      bytes += page.bytes;
      rows += page.rows;
      cursor = page.next;
    }
    EXPECT_EQ(rows, 10'001u);
    EXPECT_EQ(bytes, whole.bytes) << rows_max;
  }
}

TEST(CursorPages, APageIsADocumentOfItsOwn) {
  Lake lake;
  auto engine = OpenEngine(lake);
  const Answer first = Ask(*engine, "SELECT * FROM range(5) t(x)", ResultFormat::kJson, 3);
  EXPECT_EQ(first.data().size(), 3u);
  EXPECT_EQ(first.json()["nextCursor"], first.summary->next_cursor);
  const Page second = NextPage(*engine, first.summary->next_cursor);
  const Json json = Json::parse(second.bytes);
  EXPECT_EQ(json["data"].size(), 2u);
  EXPECT_EQ(json["meta"].size(), 1u);
  EXPECT_FALSE(json.contains("nextCursor"));
}

TEST(CursorPages, TheSnapshotStaysAsItWas) {
  Lake lake;
  lake.AddHot(0, 5000);
  auto engine = OpenEngine(lake);
  const Answer first = Ask(*engine, "SELECT * FROM events", ResultFormat::kNdjson, 10);
  lake.hot = std::make_shared<std::deque<HotBatch>>();  // flushed, and its memory given back
  uint64_t rows = first.summary->rows;
  for (std::string cursor = first.summary->next_cursor; !cursor.empty();) {
    const Page page = NextPage(*engine, cursor);
    ASSERT_EQ(page.code, "OK");
    rows += page.rows;
    cursor = page.next;
    if (rows > 100) break;
  }
  EXPECT_EQ(rows, 110u);
}

TEST(CursorPages, ACursorIsUsedOnceByItsOwnNamespace) {
  Lake lake;
  auto engine = OpenEngine(lake);
  const std::string cursor =
      Ask(*engine, "SELECT * FROM range(50) t(x)", ResultFormat::kNdjson, 10).summary->next_cursor;
  EXPECT_EQ(cursor.size(), 32u);
  EXPECT_EQ(NextPage(*engine, cursor, NamespaceId::Parse("other").value()).code, "CURSOR_EXPIRED");
  EXPECT_EQ(NextPage(*engine, "").code, "CURSOR_EXPIRED");
  EXPECT_EQ(NextPage(*engine, std::string(32, '0')).code, "CURSOR_EXPIRED");
  EXPECT_EQ(NextPage(*engine, cursor).code, "OK");
  EXPECT_EQ(NextPage(*engine, cursor).code, "CURSOR_EXPIRED");
}

TEST(CursorPages, AnIdleCursorExpires) {
  Lake lake;
  ManualClock clock(kNoon);
  EngineOptions options;
  options.cursor_idle_ms = 1000;
  auto engine = Engine::Open(options, &lake, clock).value();
  std::string cursor =
      Ask(*engine, "SELECT * FROM range(50) t(x)", ResultFormat::kNdjson, 10).summary->next_cursor;
  clock.AdvanceMs(999);
  const Page page = NextPage(*engine, cursor);
  EXPECT_EQ(page.code, "OK");
  clock.AdvanceMs(1001);
  EXPECT_EQ(NextPage(*engine, page.next).code, "CURSOR_EXPIRED");
}

TEST(CursorPages, TheirCountIsBounded) {
  Lake lake;
  EngineOptions options;
  options.cursors_max = 2;
  auto engine = OpenEngine(lake, options);
  std::vector<std::string> cursors;
  for (int i = 0; i < 3; ++i) {
    cursors.push_back(Ask(*engine, "SELECT * FROM range(50) t(x)", ResultFormat::kNdjson, 10)
                          .summary->next_cursor);
  }
  EXPECT_EQ(NextPage(*engine, cursors[0]).code, "CURSOR_EXPIRED");  // the oldest made room
  EXPECT_EQ(NextPage(*engine, cursors[2]).code, "OK");
  QueryRequest request;
  request.ns = NamespaceId::Parse("other").value();
  request.sql = "SELECT * FROM range(50) t(x)";
  request.rows_max = 10;
  const auto refused = engine->Run(
      request, [](std::string_view) { return true; }, nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "BUSY");  // another tenant's cursors are not dropped for it
}

}  // namespace
}  // namespace varve::query::testing
