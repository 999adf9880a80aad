// Every bound: time, memory, bytes, queries at once, waiting results; and that ends are prompt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "lake.h"

namespace varve::query::testing {
namespace {

template <typename Set>
EngineOptions Options(Set set) {
  EngineOptions options;
  set(options);
  return options;
}

int64_t NowMs() { return SystemClock().MonotonicNs() / 1'000'000; }

// About a day's work that no memory limit ends.
constexpr const char* kEndless =
    "SELECT count(*) FROM range(10000000) a(x), range(10000000) b(y) WHERE (x * y) % 7 = 3";

TEST(Limits, TimeEndsAQuery) {
  Lake lake;
  auto engine = OpenEngine(lake, Options([&](EngineOptions& o) { o.query_ms_max = 200; }));
  for (const std::string& sql :
       std::vector<std::string>{kEndless,
                                "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r) "
                                "SELECT count(*) FROM r",
                                "SELECT sum(sin(x)) FROM range(100000000000) t(x)"}) {
    const int64_t start = NowMs();
    const Answer answer = Ask(*engine, sql);
    EXPECT_EQ(answer.code(), "QUERY_TIMEOUT") << sql;
    EXPECT_LT(NowMs() - start, 5000) << sql;
  }
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "OK");
}

TEST(Limits, TimeEndsAScanOfJournalRows) {
  Lake lake;
  lake.AddHot(0, 20'000);
  auto engine = OpenEngine(lake, Options([&](EngineOptions& o) { o.query_ms_max = 300; }));
  const Answer answer =
      Ask(*engine, "SELECT count(*) FROM events a, events b WHERE a.payload < b.payload || 'x'");
  EXPECT_EQ(answer.code(), "QUERY_TIMEOUT");
}

TEST(Limits, ACancelledQueryEndsAtOnce) {
  Lake lake;
  auto engine = OpenEngine(lake);
  std::atomic<bool> cancelled{false};
  QueryRequest request;
  request.sql = kEndless;
  auto running = std::async(std::launch::async, [&] {
    return engine->Run(
        request, [](std::string_view) { return true; }, &cancelled);
  });
  EXPECT_EQ(running.wait_for(std::chrono::milliseconds(150)), std::future_status::timeout);
  const int64_t start = NowMs();
  cancelled = true;
  const auto summary = running.get();
  EXPECT_LT(NowMs() - start, 2000);
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(summary.error().code, "QUERY_CANCELLED");
}

TEST(Limits, ASinkThatRefusesEndsTheQuery) {
  Lake lake;
  auto engine = OpenEngine(lake);
  QueryRequest request;
  request.sql = "SELECT * FROM range(1000000000) t(x)";
  request.format = ResultFormat::kNdjson;
  int calls = 0;
  const auto summary = engine->Run(
      request, [&](std::string_view) { return ++calls < 3; }, nullptr);
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, "QUERY_CANCELLED");
  EXPECT_EQ(calls, 3);
}

TEST(Limits, ResultBytesAreBounded) {
  Lake lake;
  auto engine = OpenEngine(lake, Options([&](EngineOptions& o) { o.result_bytes_max = 1 << 20; }));
  for (ResultFormat format :
       {ResultFormat::kJson, ResultFormat::kNdjson, ResultFormat::kCsv, ResultFormat::kArrowStream,
        ResultFormat::kParquet, ResultFormat::kTable}) {
    const Answer answer =
        Ask(*engine, "SELECT md5(x::VARCHAR) AS h FROM range(1000000) t(x)", format);
    EXPECT_EQ(answer.code(), "RESULT_TOO_LARGE");
    EXPECT_LE(answer.bytes.size(), 1u << 20);
  }
}

TEST(Limits, MemoryEndsAQueryAndNotTheProcess) {
  Lake lake;
  auto engine = OpenEngine(lake, Options([&](EngineOptions& o) {
                             o.memory_bytes_max = 64 << 20;
                             o.query_ms_max = 30'000;
                           }));
  for (const std::string& sql :
       std::vector<std::string>{"SELECT count(DISTINCT md5(x::VARCHAR)) FROM range(20000000) t(x)",
                                "SELECT list(x) FROM range(100000000) t(x)",
                                "SELECT x FROM range(50000000) t(x) ORDER BY md5(x::VARCHAR)",
                                "SELECT length(repeat('x', 1000000000))",
                                "SELECT lpad('x', 2000000000, 'y')", "SELECT range(1000000000)"}) {
    const Answer answer = Ask(*engine, sql, ResultFormat::kNdjson);
    EXPECT_EQ(answer.code(), "QUERY_MEMORY") << sql << " " << answer.bytes.substr(0, 100);
    if (!answer.summary.ok()) {
      EXPECT_THAT(answer.summary.error().message, ::testing::HasSubstr("memory")) << sql;
    }
  }
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "OK");
}

TEST(Limits, ASpillGoesToADirectoryThatIsRemoved) {
  Lake lake;
  const std::string temp = lake.dir.path("temp");
  {
    auto engine = OpenEngine(lake, Options([&](EngineOptions& o) {
                               o.memory_bytes_max = 48 << 20;
                               o.temp_directory = temp;
                             }));
    const Answer answer = Ask(
        *engine,
        "SELECT count(*) AS n FROM (SELECT x FROM range(2000000) t(x) ORDER BY md5(x::VARCHAR))");
    EXPECT_EQ(answer.code(), "OK");
  }
  EXPECT_TRUE(std::filesystem::is_empty(temp));
}

TEST(Limits, MoreQueriesThanFitWaitThenGetBusy) {
  Lake lake;
  auto engine = OpenEngine(lake, Options([&](EngineOptions& o) {
                             o.queries_max = 1;
                             o.queue_wait_ms = 50;
                           }));
  std::atomic<bool> cancelled{false};
  QueryRequest request;
  request.sql = kEndless;
  std::promise<void> begun;
  auto running = std::async(std::launch::async, [&] {
    begun.set_value();
    const auto sink = [](std::string_view) { return true; };
    auto ran = engine->Run(request, sink, &cancelled);
    while (!ran.ok() && ran.error().code == "BUSY") ran = engine->Run(request, sink, &cancelled);
    return ran;
  });
  begun.get_future().wait();
  Answer second = Ask(*engine, "SELECT 1");
  while (second.code() == "OK") second = Ask(*engine, "SELECT 1");  // the first has not entered yet
  EXPECT_EQ(second.code(), "BUSY");
  EXPECT_EQ(second.summary.error().kind, ErrorKind::kExhausted);
  cancelled = true;
  EXPECT_FALSE(running.get().ok());
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "OK");
}

TEST(Limits, ManyThreadsGetTheirAnswers) {
  Lake lake;
  lake.AddEventFile("events/2026/02/02/12/a.parquet", 0, 1000);
  lake.AddHot(1000, 1000);
  auto engine = OpenEngine(lake, Options([&](EngineOptions& o) {
                             o.queries_max = 3;
                             o.queue_wait_ms = 60'000;
                           }));
  std::vector<std::future<int>> answers;
  for (int i = 0; i < 12; ++i) {
    answers.push_back(std::async(std::launch::async, [&] {
      return Ask(*engine, "SELECT count(*) AS n FROM events").data()[0]["n"].get<int>();
    }));
  }
  for (auto& answer : answers) EXPECT_EQ(answer.get(), 2000);
}

}  // namespace
}  // namespace varve::query::testing
