// The compaction's windows over HTTP: seed shapes, whose windows are seen, settings, and wishes.
#include <nlohmann/json.hpp>

#include "server/running_server.h"

namespace varve::server {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kTen = 1'795'255'200'000;  // 2026-11-21T10:00:00Z

class SharedClock final : public Clock {
 public:
  explicit SharedClock(int64_t now_ms) : now_ms_(now_ms) {}
  int64_t NowMs() const override { return now_ms_; }
  int64_t MonotonicNs() const override { return SystemClock().MonotonicNs(); }
  void AdvanceMs(int64_t ms) { now_ms_ += ms; }

 private:
  std::atomic<int64_t> now_ms_;
};

class CompactionRoutes : public testing::Test {
 protected:
  void Note(const std::string& key, uint64_t size = 1'000) {
    compact::Arrival arrival;
    arrival.key = key;
    arrival.name = compact::ParseSourceName(key, "data/").value();
    arrival.etag = "e";
    arrival.size = size;
    ASSERT_TRUE(server_.windows->Note(std::span(&arrival, 1)).ok());
  }
  void NoteUsers() {
    Note("data/users/1795255200001-writer1-0.parquet");
    Note("data/users/1795255200002-writer2-0.parquet");
    Note("data/orders/1795255200001-writer1-0.parquet");
    Note("ns/acme/data/users/1795255200001-secret-0.parquet", 77);
  }
  nlohmann::json Get(const std::string& path, int status = 200,
                     const std::vector<std::string>& headers = {}) {
    const Reply reply = server_.Request("GET", path, "", headers);
    EXPECT_EQ(reply.status, status) << path << reply.body;
    return nlohmann::json::parse(reply.body, nullptr, false);
  }
  Reply Send(const char* method, const std::string& path, const std::string& body) {
    return server_.Request(method, path, body, {"Content-Type: application/json"});
  }

  SharedClock clock_{kTen + kHourMs / 2};
  RunningServer server_{{}, clock_};
};

TEST_F(CompactionRoutes, StatusOfEverythingHasTheDocumentedFields) {
  NoteUsers();
  const auto json = Get("/compaction/status");
  EXPECT_EQ(json["activeWindows"], 3);
  EXPECT_EQ(json["knownWriters"], (std::vector<std::string>{"secret", "writer1", "writer2"}));
  EXPECT_EQ(json["activeWriters"].size(), 3u);
  ASSERT_EQ(json["windows"].size(), 3u);
  const auto& window = json["windows"][2];
  EXPECT_EQ(json["windows"][0]["tenant"], "acme");
  EXPECT_EQ(window["key"], "users:1795255200000");
  EXPECT_EQ(window["windowStart"], "2026-11-21T10:00:00.000Z");
  EXPECT_EQ(window["windowEnd"], "2026-11-21T11:00:00.000Z");
  EXPECT_EQ(window["writers"], (std::vector<std::string>{"writer1", "writer2"}));
  EXPECT_EQ(window["fileCount"], 2);
  EXPECT_EQ(window["totalSize"], 2'000);
  EXPECT_EQ(window["processingStatus"]["state"], "pending");
  EXPECT_EQ(window["waitingFor"], std::vector<std::string>{"time"});
  EXPECT_EQ(window["readyAt"], "2026-11-21T11:05:00.000Z");
  EXPECT_EQ(json["summary"]["totalNamespaces"], 3);
  EXPECT_EQ(json["debt"]["files"], 4);
  EXPECT_TRUE(json["debt"]["seconds"].is_null());
  EXPECT_EQ(json["backpressure"], "none");
}

TEST_F(CompactionRoutes, StatusOfOneNamespaceAndOfSome) {
  NoteUsers();
  const auto users = Get("/compaction/status?namespace=users");
  EXPECT_EQ(users["namespace"], "users");
  EXPECT_EQ(users["effectiveMaxWaitTimeMs"], 300'000);
  EXPECT_EQ(users["queueMetrics"]["pendingWindows"], 1);
  EXPECT_EQ(users["health"]["status"], "healthy");
  EXPECT_EQ(users["totalPendingFiles"], 2);
  EXPECT_EQ(users["windowsStuckInProcessing"], 0);
  EXPECT_EQ(users["oldestWindowAge"], kHourMs / 2);
  EXPECT_EQ(users["settings"]["targetFormat"], "iceberg");
  const auto both = Get("/compaction/status?namespaces=orders,nothing%2Fyet");
  ASSERT_EQ(both["namespaces"].size(), 2u);
  EXPECT_EQ(both["namespaces"][0]["namespace"], "orders");
  EXPECT_EQ(both["namespaces"][1]["activeWindows"], 0);
  EXPECT_EQ(both["namespaces"][1]["health"]["issues"].size(), 1u);
  EXPECT_EQ(both["summary"]["totalActiveWindows"], 1);
}

TEST_F(CompactionRoutes, ATenantIsNamedByTheHeaderAndSeesItsOwnAlone) {
  NoteUsers();
  const auto acme = Get("/compaction/status?namespace=users", 200, {"X-Namespace: acme"});
  EXPECT_EQ(acme["tenant"], "acme");
  EXPECT_EQ(acme["totalPendingBytes"], 77);
  const auto all = Get("/compaction/status", 200, {"X-Namespace: acme"});
  EXPECT_EQ(all["activeWindows"], 1);
  EXPECT_EQ(all["knownWriters"], std::vector<std::string>{"secret"});
  EXPECT_EQ(all["consumer"]["skipped"], 0);
  const auto other = Get("/compaction/metrics/json", 200, {"X-Namespace: nobody"});
  EXPECT_TRUE(other["namespaces"].empty());
}

TEST_F(CompactionRoutes, WhoHoldsAWindowBackIsNamed) {
  Note("data/users/1795251600001-writer2-0.parquet");  // the hour before
  Note("data/users/1795255200001-writer1-0.parquet");
  Note("data/users/1795255200001-writer1-1.parquet");
  clock_.AdvanceMs(kHourMs);
  Note("data/users/1795258800001-writer2-1.parquet");
  Note("data/users/1795255200001-writer1-2.parquet");
  const auto users = Get("/compaction/status?namespace=users");
  const auto& window = users["windows"][1];
  EXPECT_EQ(window["waitingFor"], std::vector<std::string>{"writers"});
  EXPECT_EQ(window["missingWriters"], std::vector<std::string>{"writer2"});
  EXPECT_EQ(window["since"], "2026-11-21T11:05:00.000Z");
  EXPECT_EQ(users["windows"][0]["waitingFor"], (std::vector<std::string>{"minFiles"}));
}

TEST_F(CompactionRoutes, RunDispatchesWhatMayRunAndNamesTheRest) {
  NoteUsers();
  const Reply run =
      Send("POST", "/compaction/run", R"({"namespace":"users","window":"2026-11-21T10:20:00Z"})");
  ASSERT_EQ(run.status, 200) << run.body;
  const auto json = nlohmann::json::parse(run.body);
  ASSERT_EQ(json["dispatched"].size(), 1u);
  EXPECT_EQ(json["dispatched"][0]["workflowId"], "w1");
  EXPECT_EQ(json["dispatched"][0]["fileCount"], 2);
  const auto full =
      nlohmann::json::parse(Send("POST", "/compaction/run", R"({"namespace":"orders"})").body);
  EXPECT_TRUE(full["dispatched"].empty());
  EXPECT_EQ(full["held"].size(), 1u);
  EXPECT_EQ(full["runningWorkflows"], 1);
  for (const char* bad : {"", "[]", "{}", R"({"namespace":"a b"})", R"({"namespace":7})",
                          R"({"namespace":"../x"})", R"({"namespace":"users","window":"soon"})"}) {
    EXPECT_EQ(Send("POST", "/compaction/run", bad).status, 400) << bad;
  }
}

TEST_F(CompactionRoutes, HealthIs503OnlyWhereAnOperatorIsNeeded) {
  NoteUsers();
  EXPECT_EQ(Get("/compaction/health")["status"], "healthy");
  clock_.AdvanceMs(5 * kHourMs);
  const auto late = Get("/compaction/health?namespaces=users&maxPendingWindows=0");
  EXPECT_EQ(late["status"], "degraded");
  EXPECT_EQ(late["alerts"].size(), 2u) << late.dump();
  EXPECT_EQ(Get("/compaction/health?maxWindowAgeHours=100")["status"], "healthy");
  EXPECT_EQ(server_.Request("GET", "/compaction/health?maxPendingWindows=x").status, 400);
  EXPECT_EQ(server_.Request("GET", "/compaction/health?maxWindowAgeHours=-1").status, 400);
  Send("POST", "/compaction/run", R"({"namespace":"users"})");
  ASSERT_TRUE(server_.windows->SetHalted("w1", true).ok());
  EXPECT_EQ(Get("/compaction/health", 503)["status"], "unhealthy");
}

TEST_F(CompactionRoutes, SettingsAreCheckedAndKept) {
  EXPECT_EQ(Send("POST", "/compaction/config?namespace=users", R"({"priority":1})").body,
            R"({"namespace":"users","config":{"priority":1}})");
  EXPECT_EQ(Send("PUT", "/compaction/config",
                 R"({"namespace":"users","targetFormat":"delta","sortBy":"ts"})")
                .status,
            200);
  EXPECT_EQ(Get("/compaction/config?namespace=users")["config"],
            (nlohmann::json{{"priority", 1}, {"targetFormat", "delta"}, {"sortBy", "ts"}}));
  EXPECT_EQ(Get("/compaction/status?namespace=users")["effectiveMaxWaitTimeMs"], 300'000);
  for (const char* bad : {R"({"priority":4})", R"({"priority":-1})", R"({"priority":"1"})", "[]",
                          R"({"level":"none"})", R"({"targetFormat":"x"})", "{"}) {
    EXPECT_EQ(Send("POST", "/compaction/config?namespace=users", bad).status, 400) << bad;
  }
  EXPECT_EQ(Send("POST", "/compaction/config", R"({"priority":1})").status, 400);
  EXPECT_EQ(server_.Request("GET", "/compaction/config").status, 400);
}

TEST_F(CompactionRoutes, MetricsAndTheirHistory) {
  NoteUsers();
  const Reply metrics = server_.Request("GET", "/compaction/metrics");
  for (const char* line :
       {"varve_compaction_windows_pending{namespace=\"users\"} 1\n",
        "varve_compaction_files_pending{namespace=\"users\"} 2\n",
        "varve_compaction_bytes_pending{namespace=\"acme:users\"} 77\n",
        "# TYPE varve_compaction_windows_stuck gauge\n", "varve_compaction_debt_files 4\n",
        "varve_compaction_oldest_window_age_seconds{namespace=\"orders\"} 1800\n"}) {
    EXPECT_NE(metrics.body.find(line), std::string::npos) << line << metrics.body;
  }
  ASSERT_TRUE(server_.window_consumer->Maintain().ok());
  clock_.AdvanceMs(60'000);
  ASSERT_TRUE(server_.window_consumer->Maintain().ok());
  const auto json = Get("/compaction/metrics/json?namespaces=users&limit=1");
  const auto& users = json["namespaces"]["users"];
  EXPECT_EQ(users["latest"]["files_pending"], 2);
  const auto& series = users["timeSeries"]["files_pending"];
  EXPECT_EQ(series["metric"], "files_pending");
  ASSERT_EQ(series["data"].size(), 1u);
  EXPECT_EQ(series["data"][0]["timestamp"], clock_.NowMs());
  EXPECT_EQ(
      Get("/compaction/metrics/json?since=99999999999999")["namespaces"]["users"]["timeSeries"]
                                                          ["files_pending"]["data"]
                                                              .size(),
      0u);
}

TEST_F(CompactionRoutes, TheDashboardIsOnePageThatEscapesNames) {
  Note("data/users/1795255200001-<b>&x-0.parquet");
  const Reply page = server_.Request("GET", "/compaction/dashboard");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(page.body.find("&lt;b&gt;&amp;x"), std::string::npos);
  EXPECT_EQ(page.body.find("<b>"), std::string::npos);
  EXPECT_NE(page.body.find("http-equiv=\"refresh\""), std::string::npos);
  for (const char* outside : {"http://", "https://", "<script", "src=", "@import"}) {
    EXPECT_EQ(page.body.find(outside), std::string::npos) << outside;
  }
}

}  // namespace
}  // namespace varve::server
