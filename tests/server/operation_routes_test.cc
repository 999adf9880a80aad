// Health, readiness, metrics; queues and objects over HTTP.
#include "server/running_server.h"

namespace varve::server {
namespace {

TEST(Operations, HealthReadyStatsAndService) {
  RunningServer server;
  const Reply health = server.Request("GET", "/health");
  EXPECT_TRUE(health.body.starts_with(R"({"status":"ok","service":"varve","ts":")"));
  EXPECT_EQ(server.Request("GET", "/ready").status, 200);
  server.ready = false;
  const Reply not_ready = server.Request("GET", "/ready");
  EXPECT_EQ(not_ready.status, 503);
  EXPECT_NE(not_ready.body.find("\"code\":\"REPLAYING\""), std::string::npos);
  EXPECT_EQ(server.Request("GET", "/health").status, 200) << "alive all the same";
  EXPECT_EQ(server.Request("GET", "/stats").body, "{\"hot\":1}");
  EXPECT_NE(server.Request("GET", "/").body.find("\"service\":\"varve\""), std::string::npos);
}

TEST(Operations, MetricsAreValidExposition) {
  RunningServer server;
  server.Request("POST", "/ingest", kOneEvent);
  server.Request("GET", "/nowhere");
  const Reply reply = server.Request("GET", "/metrics");
  EXPECT_EQ(reply.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  for (const char* line :
       {"events_ingested_total{source=\"ingest\"} 1\n", "ingest_latency_seconds_count 1\n",
        "http_requests_total{method=\"POST\",route=\"/ingest\",status=\"2xx\"} 1\n",
        "http_request_duration_seconds_bucket{method=\"POST\",route=\"/ingest\",le=\"+Inf\"} 1\n",
        "# TYPE varve_journal_bytes gauge\nvarve_journal_bytes 42\n"}) {
    EXPECT_NE(reply.body.find(line), std::string::npos) << line << reply.body;
  }
  std::map<std::string, int> types;
  for (size_t at = 0; (at = reply.body.find("# TYPE ", at)) != std::string::npos; ++at) {
    ++types[reply.body.substr(at + 7, reply.body.find(' ', at + 7) - at - 7)];
  }
  for (const auto& [name, count] : types) EXPECT_EQ(count, 1) << name;
}

TEST(Queues, ThePullApiIsServedUnderBothPaths) {
  RunningServer server;
  const Reply push =
      server.Request("POST", "/queues/jobs/messages", R"({"body":"hello","content_type":"text"})");
  EXPECT_EQ(push.status, 200) << push.body;
  EXPECT_NE(push.body.find("\"success\":true"), std::string::npos);
  const Reply pull = server.Request("POST", "/client/v4/accounts/a/queues/jobs/messages/pull",
                                    R"({"batch_size":5})");
  EXPECT_NE(pull.body.find("hello"), std::string::npos) << pull.body;
  const size_t at = pull.body.find("\"lease_id\":\"") + 12;
  const std::string lease = pull.body.substr(at, pull.body.find('"', at) - at);
  const Reply ack = server.Request("POST", "/queues/jobs/messages/ack",
                                   "{\"acks\":[{\"lease_id\":\"" + lease + "\"}]}");
  EXPECT_NE(ack.body.find("\"ackCount\":1"), std::string::npos) << ack.body;
  const Reply none = server.Request("POST", "/queues/nobody/messages/pull", "{}");
  EXPECT_EQ(none.status, 404);
  EXPECT_NE(none.body.find("\"success\":false"), std::string::npos);
  EXPECT_EQ(server.Request("POST", "/queues/jobs/messages/pull", R"({"batch_size":"x"})").status,
            400);
  const Reply list = server.Request("GET", "/queues");
  EXPECT_NE(list.body.find("\"name\":\"jobs\""), std::string::npos);
  EXPECT_NE(server.Request("GET", "/queues/jobs").body.find("\"acked\":1"), std::string::npos);
  EXPECT_EQ(server.Request("GET", "/queues/nobody/stats").status, 404);
}

TEST(Queues, DeadLettersAreReplayed) {
  RunningServer server;
  ASSERT_TRUE(server.queue->Send("jobs", "\"x\"", {}).ok());
  auto received = server.queue->Receive("jobs", 1, 60'000);
  ASSERT_TRUE(received.ok());
  queue::RetryRequest give_up{.lease_id = received->at(0).lease_id, .reason = "never"};
  give_up.dead_letter_now = true;
  ASSERT_TRUE(server.queue->Settle("jobs", {}, {give_up}).ok());
  EXPECT_EQ(server.Request("POST", "/queues/dead/replay", R"({"limit":0})").status, 400);
  EXPECT_EQ(server.Request("POST", "/queues/dead/replay", R"({"limit":10})").body,
            "{\"replayed\":1}");
  EXPECT_EQ(server.Request("POST", "/queues/dead/replay").body, "{\"replayed\":0}");
}

TEST(Objects, AreListedAndReadInFullAndInRanges) {
  RunningServer server;
  std::string bytes(3 << 20, 'x');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 8);
  ASSERT_TRUE(server.store.Put("events/a b.parquet", bytes, {}).ok());
  store::PutOptions page;
  page.content_type = "text/html";
  ASSERT_TRUE(server.store.Put("events/page", "<script>", page).ok());
  const Reply list = server.Request("GET", "/store?prefix=events/&limit=1");
  EXPECT_NE(list.body.find("\"key\":\"events/a b.parquet\""), std::string::npos) << list.body;
  EXPECT_NE(list.body.find("nextStartAfter"), std::string::npos);
  EXPECT_EQ(server.Request("GET", "/store?limit=0").status, 400);
  const Reply whole = server.Request("GET", "/store/events/a%20b.parquet");
  EXPECT_EQ(whole.status, 200);
  EXPECT_TRUE(whole.body == bytes);
  const auto range = [&](const std::string& text) {
    return server.Request("GET", "/store/events/a%20b.parquet", "", {"Range: bytes=" + text});
  };
  EXPECT_EQ(range("0-3").body, bytes.substr(0, 4));
  EXPECT_EQ(range("0-3").status, 206);
  EXPECT_EQ(range("100-199").headers.at("content-range"), "bytes 100-199/3145728");
  EXPECT_TRUE(range("-8").body == bytes.substr(bytes.size() - 8));
  EXPECT_TRUE(range("3145720-").body == bytes.substr(3145720));
  EXPECT_EQ(range("3145728-").status, 416);
  EXPECT_EQ(range("5-2").status, 416);
  EXPECT_EQ(range("x-y").status, 200);
  EXPECT_EQ(server.Request("GET", "/store/events/page").headers.at("content-type"),
            "application/octet-stream");
  EXPECT_EQ(server.Request("GET", "/store/events/none").status, 404);
  EXPECT_EQ(server.Request("HEAD", "/store/events/page").status, 200);
}

TEST(Objects, KeysThatClimbAreRefused) {
  RunningServer server;
  for (const char* key : {"../state.db", "%2e%2e/state.db", "events/../../x", ".varve/state.db",
                          "a%00b", "%2fetc/passwd", "a%5cb", "a//b", "a%0ab"}) {
    const int status = server.Request("GET", "/store/" + std::string(key)).status;
    EXPECT_EQ(status, 400) << key;
  }
}

}  // namespace
}  // namespace varve::server
