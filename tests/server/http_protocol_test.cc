// HTTP/1.1 as hostile and as slow clients speak it.
#include "server/running_server.h"

namespace varve::server {
namespace {

std::string Chunk(std::string_view data) {
  char size[17];
  std::snprintf(size, sizeof size, "%zx", data.size());
  return std::string(size) + "\r\n" + std::string(data) + "\r\n";
}

TEST(Protocol, WhatTwoParsersCouldReadInTwoWaysIsRefusedAndTheConnectionEnds) {
  RunningServer server;
  const std::string cases[] = {
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
      "0\r\n\r\n",
      "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
      "0\r\n\r\n",
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n[]",
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n[]",
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n[]",
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\n[]",
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
      "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST /e HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET /health HTTP/1.1\nHost: a\n\n",
      "GET /health HTTP/1.1\r\nHost: a\n\r\n",
      "GET /health HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
      "GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET /health HTTP/1.1\r\n Host: a\r\n\r\n",
      "GET /health HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
      "GET /health HTTP/1.1\r\n: a\r\n\r\n",
      std::string("GET /health HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 39),
      "GET /health HTTP/1.1\r\n\r\n",
      "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET http://b/health HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET health HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /health\r\n\r\n",
      "GET  HTTP/1.1\r\n\r\n",
      "\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
      "\x16\x03\x01\x02\r\n\r\n",
  };
  for (const std::string& raw : cases) {
    Client client(server.port);
    client.SendSome(raw + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string answer = client.ReceiveAll();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "))
        << raw << "\n→ " << answer;
    EXPECT_EQ(answer.find("}HTTP/1."), std::string::npos) << "a second answer to " << raw;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << raw;
  }
  EXPECT_EQ(server.Request("GET", "/health").status, 200);
}

TEST(Protocol, HeadsAndTargetsAreBounded) {
  RunningServer server;
  Client big(server.port);
  big.SendSome("GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(64 << 10, 'x') +
               "\r\n\r\n");
  EXPECT_EQ(big.Receive().status, 431);
  EXPECT_TRUE(big.Ended());
  std::string many = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 200; ++i) many += "X" + std::to_string(i) + ": 1\r\n";
  Client fields(server.port);
  fields.Send(many + "\r\n");
  EXPECT_EQ(fields.Receive().status, 431);
  EXPECT_EQ(server.Request("GET", "/" + std::string(9000, 'a')).status, 414);
  EXPECT_EQ(server.Request("GET", "/" + std::string(20000, 'a')).status, 414);
  Client version(server.port);
  version.Send("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(version.Receive().status, 505);
  EXPECT_EQ(server.Request("POST", "/e", kOneEvent, {"Expect: something"}).status, 417);
}

TEST(Protocol, PipelinedRequestsAreAnsweredInOrder) {
  RunningServer server;
  Client client(server.port);
  std::string all;
  for (int i = 1; i <= 50; ++i) {
    std::string body = "{\"events\":[";
    for (int n = 0; n < i; ++n) body += n == 0 ? "{\"type\":\"a\"}" : ",{\"type\":\"a\"}";
    all += BuildRequest("POST", "/ingest", body + "]}", {});
    if (i % 5 == 0) all += BuildRequest("GET", "/health", "", {});
  }
  client.Send(all);
  for (int i = 1; i <= 50; ++i) {
    const Reply reply = client.Receive();
    EXPECT_NE(reply.body.find("\"received\":" + std::to_string(i) + ","), std::string::npos)
        << i << ": " << reply.body;
    if (i % 5 == 0) {
      EXPECT_NE(client.Receive().body.find("\"status\":\"ok\""), std::string::npos);
    }
  }
}

TEST(Protocol, ChunkedUploadsAreReadAtAnyCutAndWhatFollowsIsTheNextRequest) {
  RunningServer server;
  const std::string body(kOneEvent);
  const std::string head =
      "POST /e HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string request = head + Chunk(body.substr(0, 3)) + Chunk(body.substr(3, 1)) +
                              Chunk(body.substr(4)) + "0\r\nTrailer: x\r\n\r\n";
  for (size_t cut = 1; cut < request.size(); cut += 7) {
    Client client(server.port);
    client.Send(request.substr(0, cut));
    client.Send(request.substr(cut) + BuildRequest("GET", "/health", "", {}));
    EXPECT_EQ(client.Receive().status, 200) << cut;
    EXPECT_EQ(client.Receive().status, 200) << cut;
  }
  for (const char* bad : {"-2\r\n", "zz\r\n", "5\nhello\r\n", "fffffffffffffffff\r\n", "\r\n",
                          "2\r\n[]x\r\n0\r\n\r\n", "2;a=b\n"}) {
    Client client(server.port);
    client.Send(head + bad);
    EXPECT_EQ(client.Receive().status, 400) << bad;
    EXPECT_TRUE(client.Ended());
  }
}

TEST(Protocol, AChunkedBodyIsBoundedWhileItComes) {
  RunningServer server;
  Client client(server.port);
  client.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = Chunk(std::string(64 << 10, ' '));
  for (int i = 0; i < 32; ++i) {
    if (!client.SendSome(chunk)) break;
  }
  const Reply reply = client.Receive();
  EXPECT_EQ(reply.status, 413);
  EXPECT_NE(reply.body.find("PAYLOAD_TOO_LARGE"), std::string::npos);
}

TEST(Protocol, KeepAliveHeadAndVersionsBehaveAsClientsExpect) {
  RunningServer server;
  Client client(server.port);
  const Reply get = client.Request("GET", "/health");
  const Reply head = client.Request("HEAD", "/health");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-type"), get.headers.at("content-type"));
  EXPECT_EQ(client.Request("GET", "/health", "", {"Connection: close"}).headers.at("connection"),
            "close");
  EXPECT_TRUE(client.Ended());
  Client old(server.port);
  old.Send("GET /health HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.Receive().status, 200);
  EXPECT_TRUE(old.Ended());
  Client kept(server.port);
  kept.Send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.Receive().headers.at("connection"), "keep-alive");
  EXPECT_EQ(kept.Request("GET", "/health").status, 200);
  EXPECT_EQ(server.Request("GET", "http://127.0.0.1/health").status, 200);
}

TEST(Protocol, ExpectContinueIsAnsweredBeforeTheBodyButNotWhenItIsRefused) {
  RunningServer server;
  Client client(server.port);
  const std::string body(kOneEvent);
  client.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 100);
  client.Send(body);
  EXPECT_EQ(client.Receive().status, 200);
  Client refused(server.port);
  refused.Send(
      "POST /e HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
      "Content-Length: 9000000\r\n\r\n");
  EXPECT_EQ(refused.Receive().status, 413);
}

TEST(Protocol, ATruncatedBodyIsToldAndNothingOfItIsStored) {
  RunningServer server;
  Client client(server.port);
  client.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{\"events\":[");
  client.HalfClose();
  EXPECT_EQ(client.Receive().status, 400);
  EXPECT_TRUE(client.Ended());
  Client gone(server.port);
  gone.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{\"events\":[");
  gone.Close();
  EXPECT_EQ(server.Request("GET", "/health").status, 200);
  EXPECT_TRUE(server.ingest.EventsByNamespace().empty());
}

TEST(Protocol, AHalfClosedClientStillGetsItsAnswer) {
  RunningServer server;
  server.ingest.Hold();
  Client client(server.port);
  client.Send(BuildRequest("POST", "/ingest", kOneEvent, {}));
  client.HalfClose();
  server.ingest.AwaitSubmitted(1);
  server.ingest.Release();
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_TRUE(client.Ended());
}

TEST(Protocol, SlowClientsAreCutOffWhereverTheyStall) {
  ServerOptions options;
  options.limits.head_ms_max = 60;
  options.limits.body_idle_ms_max = 60;
  options.limits.idle_ms_max = 60;
  RunningServer server(options);
  Client head(server.port);
  head.Send("GET /health HTT");
  EXPECT_EQ(head.Receive().status, 408);
  EXPECT_TRUE(head.Ended());
  Client body(server.port);
  body.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{");
  EXPECT_EQ(body.Receive().status, 408);
  EXPECT_TRUE(body.Ended());
  Client idle(server.port);
  EXPECT_EQ(idle.Request("GET", "/health").status, 200);
  EXPECT_TRUE(idle.Ended()) << "without a word";
}

TEST(Protocol, ABodyThatDripsIsCutOffByItsTotalTime) {
  ServerOptions options;
  options.limits.body_ms_max = 80;
  RunningServer server(options);
  Client client(server.port);
  client.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 413);
  Client drip(server.port);
  drip.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
  while (drip.SendSome(" ")) {  // as fast as it can, and yet far from a million in time
  }
  SUCCEED() << "the server has ended it";
}

TEST(Protocol, ConnectionsAreBoundedAndThePlaceOfAClosedOneIsFree) {
  ServerOptions options;
  options.limits.connections_max = 3;
  RunningServer server(options);
  Client a(server.port), b(server.port), c(server.port);
  for (Client* client : {&a, &b, &c}) EXPECT_EQ(client->Request("GET", "/health").status, 200);
  Client fourth(server.port);
  const Reply refused = fourth.Receive();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.complete);
  EXPECT_NE(refused.body.find("TOO_MANY_CONNECTIONS"), std::string::npos);
  EXPECT_EQ(a.Request("GET", "/health", "", {"Connection: close"}).status, 200);
  EXPECT_TRUE(a.Ended());
  while (Client(server.port).Request("GET", "/health").status != 200) {
  }
}

TEST(Protocol, TheBytesOfAllBodiesTogetherAreBounded) {
  ServerOptions options;
  options.limits.bodies_bytes_max = 1'000'000;
  RunningServer server(options);
  Client slow(server.port);
  slow.Send(
      "POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n"
      "Expect: 100-continue\r\n\r\n");
  ASSERT_EQ(slow.Line(), "HTTP/1.1 100 Continue\r") << "its bytes are held";
  ASSERT_EQ(slow.Line(), "\r");
  slow.Send("{");
  const Reply reply = server.Request("POST", "/e", std::string(600'000, ' '));
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.body.find("\"code\":\"BUSY\""), std::string::npos);
  EXPECT_EQ(server.Request("POST", "/e", kOneEvent).status, 200) << "small ones go on";
  slow.HalfClose();
  EXPECT_EQ(slow.Receive().status, 400);
  EXPECT_TRUE(slow.Ended());
  while (server.Request("POST", "/e", std::string(600'000, ' ')).status != 400) {
  }
}

TEST(Protocol, CorrelationIdsAreEchoedWhenTheyAreSafe) {
  RunningServer server;
  EXPECT_EQ(server.Request("GET", "/health", "", {"X-Correlation-Id: abc-123"})
                .headers.at("x-correlation-id"),
            "abc-123");
  const Reply odd = server.Request("GET", "/health", "", {"X-Correlation-Id: <script>"});
  EXPECT_NE(odd.headers.at("x-correlation-id"), "<script>");
  EXPECT_FALSE(server.Request("GET", "/nowhere").headers.at("x-correlation-id").empty());
}

TEST(Protocol, UnknownPathsAndMethodsAreToldApart) {
  RunningServer server;
  const Reply nowhere = server.Request("GET", "/nowhere");
  EXPECT_EQ(nowhere.status, 404);
  EXPECT_NE(nowhere.body.find("\"code\":\"NOT_FOUND\""), std::string::npos);
  const Reply method = server.Request("DELETE", "/ingest");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.headers.at("allow"), "POST, OPTIONS");
  EXPECT_EQ(server.Request("PATCH", "/health").headers.at("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(server.Request("GET", "/health", "a body").status, 413);
  EXPECT_EQ(server.Request("GET", "/health?a=%zz").status, 400);
}

TEST(Protocol, PreflightAndOrigins) {
  ServerOptions options;
  options.cors_origins = {"https://app.test"};
  RunningServer server(options);
  const Reply preflight =
      server.Request("OPTIONS", "/ingest", "", {"Origin: http://localhost:3000"});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.at("access-control-allow-origin"), "*");
  EXPECT_EQ(preflight.headers.at("access-control-allow-methods"), "GET, POST, OPTIONS");
  EXPECT_EQ(preflight.headers.at("access-control-max-age"), "86400");
  EXPECT_EQ(server.Request("OPTIONS", "/nowhere").status, 404);
  const Reply listed =
      server.Request("POST", "/sql", R"({"sql":"x"})", {"Origin: https://app.test"});
  EXPECT_EQ(listed.headers.at("access-control-allow-origin"), "https://app.test");
  const Reply local =
      server.Request("POST", "/sql", R"({"sql":"x"})", {"Origin: http://localhost"});
  EXPECT_EQ(local.status, 200);
  EXPECT_FALSE(local.headers.contains("access-control-allow-origin"));
}

}  // namespace
}  // namespace varve::server
