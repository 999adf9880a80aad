// POST /ingest, /e and webhooks: replies and error codes.
#include <zlib.h>
#include <zstd.h>

#include "core/bytes.h"
#include "server/running_server.h"

namespace varve::server {
namespace {

using testing::Test;

std::string Gzip(std::string_view in) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
  std::string out(compressBound(in.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = in.size();
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = out.size();
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view in) {
  std::string out(ZSTD_compressBound(in.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
  return out;
}

bool HasCode(const Reply& reply, std::string_view code) {
  return reply.body.find("\"code\":\"" + std::string(code) + "\"") != std::string::npos;
}

TEST(Ingest, AnswersAsTheContractSays) {
  RunningServer server;
  for (const char* path : {"/ingest", "/e"}) {
    const Reply reply = server.Request("POST", path, kOneEvent);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, R"({"ok":true,"received":1,"namespace":"default"})");
    EXPECT_EQ(reply.headers.at("content-type"), "application/json");
    EXPECT_EQ(reply.headers.at("x-content-type-options"), "nosniff");
    EXPECT_FALSE(reply.headers.at("x-correlation-id").empty());
    EXPECT_TRUE(reply.headers.at("date").ends_with(" GMT"));
  }
  const Reply again =
      server.Request("POST", "/ingest", R"({"batchId":"again","events":[{"type":"a"}]})");
  EXPECT_EQ(again.body, R"({"ok":true,"received":1,"deduplicated":true,"namespace":"default"})");
  EXPECT_EQ(server.Request("POST", "/ingest", R"({"events":[]})").status, 200);
}

TEST(Ingest, TakesNdjsonByContentTypeOrByParameter) {
  RunningServer server;
  const std::string two = "{\"type\":\"a\"}\n{\"type\":\"b\"}\n";
  EXPECT_EQ(server.Request("POST", "/ingest", two, {"Content-Type: application/x-ndjson"}).status,
            200);
  EXPECT_EQ(server.Request("POST", "/ingest?format=ndjson", two).status, 200);
  const std::string spread = "{\n\"type\":\"a\",\n\"ts\":1706878800000}";
  EXPECT_EQ(server.Request("POST", "/ingest", spread, {"Content-Type: application/json"}).status,
            200);
  EXPECT_EQ(server.ingest.EventsByNamespace().at("default"), 5u);
}

TEST(Ingest, DecompressesAndBoundsWhatComesOut) {
  ServerOptions options;
  options.limits.ingest_body_bytes_max = 1 << 20;
  RunningServer server(options);
  EXPECT_EQ(server.Request("POST", "/e", Gzip(kOneEvent), {"Content-Encoding: gzip"}).status, 200);
  EXPECT_EQ(server.Request("POST", "/e", Zstd(kOneEvent), {"Content-Encoding: zstd"}).status, 200);
  const std::string two_members = Gzip(R"({"events":[)") + Gzip(R"({"type":"a"}]})");
  EXPECT_EQ(server.Request("POST", "/e", two_members, {"Content-Encoding: gzip"}).status, 200);

  const std::string bomb(200 << 20, ' ');
  for (const auto& [coding, body] :
       {std::pair<std::string, std::string>{"gzip", Gzip(bomb)}, {"zstd", Zstd(bomb)}}) {
    const Reply reply = server.Request("POST", "/e", body, {"Content-Encoding: " + coding});
    EXPECT_EQ(reply.status, 413) << coding;
    EXPECT_TRUE(HasCode(reply, "PAYLOAD_TOO_LARGE")) << reply.body;
    EXPECT_NE(reply.body.find("\"maxSize\":1048576"), std::string::npos);
  }
  const std::string packed = Gzip(std::string(5000, 'x') + std::string(kOneEvent));
  const Reply cut =
      server.Request("POST", "/e", packed.substr(0, packed.size() / 2), {"Content-Encoding: gzip"});
  EXPECT_EQ(cut.status, 400);
  EXPECT_TRUE(HasCode(cut, "INVALID_ENCODING"));
  EXPECT_EQ(server.Request("POST", "/e", "plain", {"Content-Encoding: zstd"}).status, 400);
  const Reply unknown = server.Request("POST", "/e", kOneEvent, {"Content-Encoding: br"});
  EXPECT_EQ(unknown.status, 415);
  EXPECT_TRUE(HasCode(unknown, "UNSUPPORTED_ENCODING"));
  EXPECT_EQ(server.Request("POST", "/e", kOneEvent, {"Content-Encoding: gzip, gzip"}).status, 415);
}

TEST(Ingest, ABodyThatIsTooLargeIsRefusedBeforeItIsRead) {
  RunningServer server;
  Client client(server.port);
  client.Send("POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n");
  const Reply reply = client.Receive();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.body,
            R"({"error":"the request's body is larger than is taken","code":"PAYLOAD_TOO_LARGE",)"
            R"("details":{"maxSize":1048576,"contentLength":2000000}})");
  EXPECT_EQ(reply.headers.at("connection"), "close");
}

TEST(Ingest, InputErrorsCarryTheParsersCodeAndDetails) {
  RunningServer server;
  const Reply not_utf8 = server.Request("POST", "/e", "{\"events\":[{\"type\":\"\xff\"}]}");
  EXPECT_EQ(not_utf8.status, 400);
  EXPECT_TRUE(HasCode(not_utf8, "INVALID_JSON")) << not_utf8.body;
  const Reply empty = server.Request("POST", "/e", "");
  EXPECT_EQ(empty.status, 400);
  EXPECT_TRUE(HasCode(empty, "INVALID_JSON")) << empty.body;
  const Reply event = server.Request("POST", "/e", R"({"events":[{"type":"a"},{"x":1}]})");
  EXPECT_EQ(event.status, 400);
  EXPECT_TRUE(HasCode(event, "INVALID_EVENT")) << event.body;
  EXPECT_NE(event.body.find("\"details\":{"), std::string::npos) << event.body;
  EXPECT_TRUE(server.ingest.EventsByNamespace().empty());
}

TEST(Ingest, BackPressureIsToldApart) {
  RunningServer server;
  const struct {
    Error error;
    int status;
  } cases[] = {
      {MakeError(ErrorKind::kExhausted, "JOURNAL_FULL", "full"), 429},
      {MakeError(ErrorKind::kExhausted, "BUSY", "busy"), 429},
      {MakeError(ErrorKind::kExhausted, "DISK_FULL", "disk"), 507},
      {MakeError(ErrorKind::kRetryable, "STARTING", "starting"), 503},
      {MakeError(ErrorKind::kUnknown, "COMMIT_UNKNOWN", "unknown"), 503},
      {MakeError(ErrorKind::kConflict, "CONFLICT", "conflict"), 409},
  };
  for (const auto& [error, status] : cases) {
    server.ingest.Refuse(error);
    const Reply reply = server.Request("POST", "/ingest", kOneEvent);
    EXPECT_EQ(reply.status, status);
    EXPECT_TRUE(HasCode(reply, error.code)) << reply.body;
    EXPECT_EQ(reply.headers.contains("retry-after"), status != 409) << error.code;
  }
  server.ingest.Refuse(MakeError(ErrorKind::kInternal, "", "pwrite /secret/path: I/O error"));
  const Reply internal = server.Request("POST", "/ingest", kOneEvent);
  EXPECT_EQ(internal.status, 500);
  EXPECT_EQ(internal.body.find("secret"), std::string::npos) << "paths stay in the log";
}

TEST(Ingest, TheReplyWaitsForTheCommit) {
  RunningServer server;
  server.ingest.Hold();
  Client first(server.port), second(server.port);
  first.Send(BuildRequest("POST", "/ingest", kOneEvent, {}));
  second.Send(BuildRequest("POST", "/ingest", kOneEvent, {}));
  server.ingest.AwaitSubmitted(2);
  EXPECT_EQ(server.Request("GET", "/health").status, 200) << "others go on meanwhile";
  server.ingest.Release();
  EXPECT_EQ(first.Receive().status, 200);
  EXPECT_EQ(second.Receive().status, 200);
}

TEST(Ingest, NamespacesAreCheckedWhereTheyEnter) {
  RunningServer server;
  const Reply acme = server.Request("POST", "/e", kOneEvent, {"X-Namespace: acme"});
  EXPECT_EQ(acme.body, R"({"ok":true,"received":1,"namespace":"acme"})");
  EXPECT_EQ(server.Request("POST", "/e?namespace=acme", kOneEvent).status, 200);
  for (const char* name : {"../x", "a/b", "A", "a b", "x.y"}) {
    const Reply reply =
        server.Request("POST", "/e", kOneEvent, {"X-Namespace: " + std::string(name)});
    EXPECT_EQ(reply.status, 400) << name;
    EXPECT_TRUE(HasCode(reply, "INVALID_NAMESPACE")) << reply.body;
  }
  EXPECT_EQ(server.Request("POST", "/e?namespace=%2e%2e%2fx", kOneEvent).status, 400);
  EXPECT_EQ(server.Request("POST", "/e?namespace=a", kOneEvent, {"X-Namespace: b"}).status, 400);
}

TEST(Webhooks, AreTakenWithTheirSignatureOnly) {
  RunningServer server;
  const std::string body = R"({"action":"opened"})";
  const std::string right = "X-Hub-Signature-256: sha256=" + HexEncode(HmacSha256("s3cret", body));
  for (const char* path : {"/webhooks/github", "/webhooks?provider=github"}) {
    const Reply reply = server.Request("POST", path, body, {right, "X-GitHub-Event: push"});
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_NE(reply.body.find(R"("success":true,"accepted":true,"verified":true,"event":{)"),
              std::string::npos);
    EXPECT_NE(reply.body.find("webhook.github.push"), std::string::npos);
  }
  const Reply wrong = server.Request("POST", "/webhooks/github", body + " ", {right});
  EXPECT_EQ(wrong.status, 401);
  EXPECT_NE(wrong.body.find(R"("success":false)"), std::string::npos);
  EXPECT_NE(wrong.body.find(R"("errorCode":"INVALID_SIGNATURE")"), std::string::npos);
  const Reply unknown = server.Request("POST", "/webhooks/nobody", body);
  EXPECT_EQ(unknown.status, 400);
  EXPECT_NE(unknown.body.find(R"("supported":)"), std::string::npos) << unknown.body;
  const Reply unset = server.Request("POST", "/webhooks/stripe", body);
  EXPECT_EQ(unset.status, 500);
  EXPECT_NE(unset.body.find("SECRET_NOT_CONFIGURED"), std::string::npos);
  const Reply none = server.Request("POST", "/webhooks", body);
  EXPECT_EQ(none.status, 400);
  EXPECT_EQ(none.body, R"({"error":"provider query param required"})");
  EXPECT_EQ(server.ingest.Texts().size(), 2u);
}

}  // namespace
}  // namespace varve::server
