// `varve ingest`'s own work, against a real server.
#include "app/ingest_run.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/real_server.h"

namespace varve::app {
namespace {

using ::testing::HasSubstr;

std::string Lines(int count) {
  std::string out;
  for (int i = 0; i < count; ++i)
    out += fmt::format("{{\"type\":\"n\",\"ts\":{},\"i\":{}}}\n", 1'700'000'000'000 + i, i);
  return out;
}

struct Ran {
  Status done;
  IngestTotals totals;
};

Ran Ingest(RealServer& server, const std::string& text, SenderOptions options = {},
           BatchLimits limits = {.events_max = 100}) {
  options.url = server.url() + "/ingest";
  options.identity = "test";
  std::FILE* file = std::tmpfile();
  std::fwrite(text.data(), 1, text.size(), file);
  std::rewind(file);
  BatchReader reader(file, "in", "test", InputFormat::kAuto, limits, 0, 1);
  Ran ran;
  {
    IngestRun run(options, 4, 0, 1);
    ran.done = run.Run(reader, [](const IngestTotals&) {});
    ran.totals = run.totals();
  }
  std::fclose(file);
  return ran;
}

std::string Count(RealServer& server) {
  HttpClient client;
  std::string sql =
      R"({"sql":"SELECT count(*) AS n, count(DISTINCT payload->>'i') AS d FROM events",)"
      R"("format":"ndjson"})";
  Result<HttpResponse> answer = client.Send({.method = "POST",
                                             .url = server.url() + "/sql",
                                             .headers = {"Content-Type: application/json"},
                                             .body = sql});
  EXPECT_TRUE(answer.ok());
  return answer.ok() ? answer->body : "";
}

TEST(IngestRun, EveryEventIsStoredOnceOverSeveralConnectionsAndAgainNotAtAll) {
  RealServer server;
  Ran first = Ingest(server, Lines(2345));
  ASSERT_TRUE(first.done.ok()) << first.done.error().message;
  EXPECT_EQ(first.totals.stored, 2345u);
  EXPECT_EQ(first.totals.safe_offset, Lines(2345).size());
  EXPECT_EQ(first.totals.safe_line, 2346u);
  Ran again = Ingest(server, Lines(2345));
  EXPECT_EQ(again.totals.stored, 0u);
  EXPECT_EQ(again.totals.deduplicated, 2345u);
  EXPECT_EQ(Count(server), "{\"n\":2345,\"d\":2345}\n");
}

TEST(IngestRun, ARefusedLineIsToldWithItsNumberAndItsNeighboursAreStored) {
  RealServer server;
  std::string text = Lines(3) + "not json\n\n{\"no\":\"type\"}\n" + Lines(2);
  Ran ran = Ingest(server, text);
  ASSERT_TRUE(ran.done.ok()) << ran.done.error().message;
  EXPECT_EQ(ran.totals.stored, 5u);
  EXPECT_EQ(ran.totals.bad, 2u);
  ASSERT_EQ(ran.totals.first_bad.size(), 2u);
  EXPECT_EQ(ran.totals.first_bad[0].line, 4u);
  EXPECT_EQ(ran.totals.first_bad[1].line, 6u);
  EXPECT_THAT(ran.totals.first_bad[1].reason, HasSubstr("type"));
  // What was refused does not keep the good ones from being known the next time.
  EXPECT_EQ(Ingest(server, text).totals.deduplicated, 5u);
}

TEST(IngestRun, StopAtABadLineStoresNothingOfItsBatch) {
  RealServer server;
  SenderOptions options;
  options.stop_on_bad = true;
  Ran ran = Ingest(server, Lines(3) + "{\"type\":1}\n", options);
  ASSERT_FALSE(ran.done.ok());
  EXPECT_EQ(ran.done.error().code, "BAD_EVENT");
  EXPECT_THAT(ran.done.error().message, HasSubstr("line 4"));
  EXPECT_EQ(Count(server), "{\"n\":0,\"d\":0}\n");
}

TEST(IngestRun, AServerWithSmallerLimitsGetsSmallerBatches) {
  Config config;
  config.server.limits.ingest_body_bytes_max = 2000;
  config.ingest.limits.event_bytes_max = 200;
  RealServer server(config);
  Ran ran =
      Ingest(server, Lines(500) + "{\"type\":\"big\",\"x\":\"" + std::string(300, 'x') + "\"}\n");
  ASSERT_TRUE(ran.done.ok()) << ran.done.error().message;
  EXPECT_EQ(ran.totals.stored, 500u);
  ASSERT_EQ(ran.totals.first_bad.size(), 1u);
  EXPECT_EQ(ran.totals.first_bad[0].line, 501u);
  EXPECT_EQ(Count(server), "{\"n\":500,\"d\":500}\n");
}

TEST(IngestRun, NobodyThereIsToldAfterThePatienceIsOver) {
  std::string url;
  {
    RealServer server;
    url = server.url();
  }
  BatchSender sender({.url = url + "/ingest", .identity = "t", .patience_ms = 300});
  InputBatch batch;
  batch.bytes = "{}";
  batch.events = {{0, 2, 1}};
  Result<SendOutcome> outcome = sender.Send(batch);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, "UNREACHABLE");
}

TEST(HttpClient, AnErrorIsSaidInTheServersWords) {
  RealServer server;
  HttpClient client;
  Result<HttpResponse> answer =
      client.Send({.method = "POST",
                   .url = server.url() + "/sql",
                   .headers = {"Content-Type: application/json"},
                   .body = R"json({"sql":"SELECT * FROM read_csv('/etc/passwd')"})json"});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status, 403);
  EXPECT_EQ(answer->ToError("query").code, "SQL_FORBIDDEN");
}

TEST(HttpClient, AConnectionIsUsedAgainAndTrailersAreRead) {
  RealServer server;
  HttpClient client;
  HttpRequest request{.method = "POST",
                      .url = server.url() + "/sql",
                      .headers = {"Content-Type: application/json", "TE: trailers"},
                      .body = R"json({"sql":"SELECT range AS n FROM range(3)"})json"};
  for (int i = 0; i < 3; ++i) {
    Result<HttpResponse> answer = client.Send(request);
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->Header("x-row-count"), "3");
  }
}

}  // namespace
}  // namespace varve::app
