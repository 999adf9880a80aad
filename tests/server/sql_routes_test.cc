// POST /sql: formats, paging, streams that are cut off, clients that go.
#include "server/running_server.h"

namespace varve::server {
namespace {

TEST(Sql, TakesJsonOrPlainTextAndTheFormatFromWhereverItIsSaid) {
  RunningServer server;
  const Reply json = server.Request("POST", "/sql", R"({"sql":"SELECT 1"})");
  EXPECT_EQ(json.status, 200);
  EXPECT_EQ(json.body, "{\"data\":[]}");
  EXPECT_EQ(json.headers.at("content-type"), "application/json");
  EXPECT_EQ(json.headers.at("content-length"), "11");
  const struct {
    std::string target, body;
    std::vector<std::string> headers;
    const char* content_type;
    query::ResultFormat format;
  } cases[] = {
      {"/sql",
       R"({"sql":"x","format":"csv"})",
       {},
       "text/csv; charset=utf-8",
       query::ResultFormat::kCsv},
      {"/sql?format=parquet",
       R"({"sql":"x"})",
       {},
       "application/vnd.apache.parquet",
       query::ResultFormat::kParquet},
      {"/sql",
       "SELECT 2",
       {"Content-Type: text/plain", "Accept: application/x-ndjson"},
       "application/x-ndjson",
       query::ResultFormat::kNdjson},
      {"/sql",
       R"({"sql":"x"})",
       {"Accept: application/vnd.apache.arrow.stream"},
       "application/vnd.apache.arrow.stream",
       query::ResultFormat::kArrowStream},
      {"/sql", R"({"sql":"x"})", {"Accept: */*"}, "application/json", query::ResultFormat::kJson},
  };
  for (const auto& c : cases) {
    const Reply reply = server.Request("POST", c.target, c.body, c.headers);
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.headers.at("content-type"), c.content_type);
    EXPECT_EQ(server.engine.last().format, c.format);
  }
  EXPECT_EQ(server.Request("POST", "/sql", R"({"sql":"x","format":"xml"})").status, 400);
  EXPECT_EQ(server.Request("POST", "/sql", R"({"sql":5})").status, 400);
  EXPECT_EQ(server.Request("POST", "/sql", R"({"sql":"x","limit":-1})").status, 400);
  EXPECT_EQ(server.Request("POST", "/sql", R"(["x"])").status, 400);
  EXPECT_EQ(server.Request("POST", "/sql", "{").status, 400);
}

TEST(Sql, StreamsWhatIsLargeAndEndsItWithTrailers) {
  RunningServer server;
  const Reply reply = server.Request("POST", "/sql", R"({"sql":"rows 200000"})");
  EXPECT_EQ(reply.headers.at("transfer-encoding"), "chunked");
  EXPECT_TRUE(reply.complete);
  EXPECT_TRUE(reply.body.starts_with("row 0\nrow 1\n"));
  EXPECT_TRUE(reply.body.ends_with("row 199999\n"));
  EXPECT_EQ(reply.headers.at("x-row-count"), "200000");
  Client old(server.port);
  old.Send(
      "POST /sql HTTP/1.0\r\nHost: localhost\r\nContent-Length: 21\r\n\r\n"
      R"({"sql":"rows 200000"})");
  const Reply until_close = old.Receive();
  EXPECT_EQ(until_close.body, reply.body);
}

TEST(Sql, PagesByCursor) {
  RunningServer server;
  const Reply page = server.Request("POST", "/sql", R"({"sql":"rows 3","limit":3})");
  EXPECT_EQ(page.headers.at("x-next-cursor"), "cursor-1");
  EXPECT_EQ(server.engine.last().rows_max, 3u);
  EXPECT_EQ(server.Request("POST", "/sql", R"({"cursor":"cursor-1"})").body, "the rest");
  const Reply gone = server.Request("POST", "/sql", R"({"cursor":"cursor-2"})");
  EXPECT_EQ(gone.status, 404);
  EXPECT_NE(gone.body.find("CURSOR_EXPIRED"), std::string::npos);
}

TEST(Sql, ErrorsBecomeTheirStatus) {
  RunningServer server;
  const std::pair<const char*, int> cases[] = {{"SQL_ERROR", 400},     {"SQL_NOT_ALLOWED", 400},
                                               {"SQL_FORBIDDEN", 403}, {"QUERY_TIMEOUT", 504},
                                               {"QUERY_MEMORY", 422},  {"BUSY", 429},
                                               {"INTERNAL", 500}};
  for (const auto& [code, status] : cases) {
    const Reply reply =
        server.Request("POST", "/sql", "{\"sql\":\"fail " + std::string(code) + "\"}");
    EXPECT_EQ(reply.status, status) << code;
    EXPECT_NE(reply.body.find("\"code\":\"" + std::string(code)), std::string::npos) << reply.body;
  }
}

TEST(Sql, AnErrorInTheMiddleCutsTheAnswerOff) {
  RunningServer server;
  Client client(server.port);
  const Reply reply = client.Request("POST", "/sql", R"({"sql":"break"})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_FALSE(reply.complete) << "nobody takes it for the whole";
  EXPECT_TRUE(client.Ended());
}

TEST(Sql, IsCancelledWhenTheClientGoes) {
  RunningServer server;
  Client client(server.port);
  client.Send(BuildRequest("POST", "/sql", R"({"sql":"wait"})", {}));
  while (server.engine.running == 0) std::this_thread::yield();
  client.Close();
  server.engine.AwaitCancelled(1);
}

TEST(Sql, IsHeldBackByASlowReaderAndCancelledWhenItGoes) {
  ServerOptions options;
  options.limits.stream_buffer_bytes_max = 256 << 10;
  RunningServer server(options);
  Client client(server.port);
  client.Send(BuildRequest("POST", "/sql", R"({"sql":"flood"})", {}));
  EXPECT_EQ(client.Line(), "HTTP/1.1 200 OK\r");
  // Sockets hold some megabytes; a server that did not wait would write gigabytes by now.
  uint64_t last = 0;
  do {
    last = server.engine.bytes_given;
    std::this_thread::yield();
  } while (server.Request("GET", "/health").status == 200 && server.engine.bytes_given != last);
  EXPECT_LT(server.engine.bytes_given, 64u << 20);
  client.Close();
  server.engine.AwaitCancelled(1);
}

TEST(Sql, MoreThanTheWorkersCanTakeIsRefused) {
  ServerOptions options;
  options.limits.query_workers = 1;
  options.limits.query_backlog_max = 1;
  RunningServer server(options);
  Client running(server.port), waiting(server.port);
  running.Send(BuildRequest("POST", "/sql", R"({"sql":"wait"})", {}));
  while (server.engine.running == 0) std::this_thread::yield();
  waiting.Send(BuildRequest("POST", "/sql", R"({"sql":"wait"})", {}));
  Reply refused;
  do {
    Client third(server.port);
    third.Send(BuildRequest("POST", "/sql", R"({"sql":"fail SQL_ERROR"})", {}));
    if (server.Request("GET", "/metrics").body.find("http_worker_backlog{pool=\"query\"} 1") ==
        std::string::npos) {
      continue;
    }
    refused = server.Request("POST", "/sql", R"({"sql":"x"})");
  } while (refused.status == 0);
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  running.Close();
  waiting.Close();
  server.engine.AwaitCancelled(1);
}

}  // namespace
}  // namespace varve::server
