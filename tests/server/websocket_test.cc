// /tail and /tail/live as sockets, and the plain ways beside them.
#include "server/running_server.h"

namespace varve::server {
namespace {

constexpr char kTwoItems[] =
    R"({"type":"tail_events","instanceId":"i","timestamp":1,"events":[{"outcome":"ok"},{"outcome":"ok"}]})";

TEST(Tail, AcknowledgesWhatIsDurableAndSaysWhatIsWrong) {
  RunningServer server;
  Client client(server.port);
  ASSERT_TRUE(client.Upgrade("/tail"));
  client.SendText(kTwoItems);
  EXPECT_TRUE(client.ReceiveText().starts_with(R"({"type":"ack","count":2,"timestamp":)"));
  EXPECT_EQ(server.ingest.Texts().at(0), R"([{"outcome":"ok"},{"outcome":"ok"}])");
  client.SendText(R"({"type":"greetings"})");
  EXPECT_TRUE(client.ReceiveText().starts_with(
      R"({"type":"error","message":"Unknown message type: greetings",)"));
  client.SendText("{broken");
  EXPECT_NE(client.ReceiveText().find("\"code\":\"INVALID_JSON\""), std::string::npos);
  client.SendText(R"({"type":"tail_events"})");
  EXPECT_NE(client.ReceiveText().find("no events"), std::string::npos);
  client.SendText(R"({"type":"tail_events","events":[ ]})");
  client.SendText(R"({"type":"after the empty one"})");
  EXPECT_NE(client.ReceiveText().find("after the empty one"), std::string::npos);
  server.ingest.Refuse(MakeError(ErrorKind::kExhausted, "JOURNAL_FULL", "the journal is full"));
  client.SendText(kTwoItems);
  EXPECT_NE(client.ReceiveText().find("\"code\":\"JOURNAL_FULL\""), std::string::npos);
}

TEST(Tail, AnswersComeInTheOrderOfTheMessagesAndOnlyAfterTheCommit) {
  RunningServer server;
  Client client(server.port);
  ASSERT_TRUE(client.Upgrade("/tail"));
  server.ingest.Hold();
  client.SendText(kTwoItems);
  client.SendText(R"({"type":"wrong"})");
  client.SendText(R"({"type":"tail_events","events":[{"outcome":"ok"}]})");
  server.ingest.AwaitSubmitted(2);
  server.ingest.Release();
  EXPECT_NE(client.ReceiveText().find("\"count\":2"), std::string::npos);
  EXPECT_NE(client.ReceiveText().find("Unknown message type: wrong"), std::string::npos);
  EXPECT_NE(client.ReceiveText().find("\"count\":1"), std::string::npos);
}

TEST(Tail, ASenderThatDoesNotWaitIsHeldBackAndLosesNothing) {
  ServerOptions options;
  options.limits.tail_in_flight_max = 4;
  RunningServer server(options);
  Client client(server.port);
  ASSERT_TRUE(client.Upgrade("/tail"));
  server.ingest.Hold();
  for (int i = 0; i < 100; ++i) client.SendText(kTwoItems);
  server.ingest.AwaitSubmitted(4);
  EXPECT_EQ(server.ingest.Texts().size(), 4u);
  server.ingest.Release();
  for (int i = 0; i < 100; ++i) {
    EXPECT_NE(client.ReceiveText().find("\"count\":2"), std::string::npos) << i;
  }
}

TEST(Tail, TheLastSocketsEndFlushesItsNamespace) {
  RunningServer server;
  {
    Client client(server.port);
    ASSERT_TRUE(client.Upgrade("/tail?namespace=acme"));
    client.SendText(kTwoItems);
    client.ReceiveText();
  }
  server.ingest.AwaitIdle("acme");
  EXPECT_EQ(server.ingest.EventsByNamespace().at("acme"), 2u);
}

TEST(Tail, AMessageBeyondTheBoundEndsTheSocket) {
  ServerOptions options;
  options.limits.tail_body_bytes_max = 1000;
  RunningServer server(options);
  Client client(server.port);
  ASSERT_TRUE(client.Upgrade("/tail"));
  client.SendText(std::string(70'000, 'x'));
  EXPECT_EQ(client.ReceiveText(), "");
  EXPECT_TRUE(client.close_code == 1009 || client.close_code == 0) << client.close_code;
  Client utf8(server.port);
  ASSERT_TRUE(utf8.Upgrade("/tail"));
  utf8.SendText("\xff\xfe");
  EXPECT_EQ(utf8.ReceiveText(), "");
}

TEST(Tail, WithoutAnUpgradeItIs426AndPostIsThePlainWay) {
  RunningServer server;
  const Reply get = server.Request("GET", "/tail");
  EXPECT_EQ(get.status, 426);
  EXPECT_EQ(get.headers.at("upgrade"), "websocket");
  EXPECT_TRUE(
      server.Request("POST", "/tail", kTwoItems).body.starts_with(R"({"type":"ack","count":2,)"));
  EXPECT_TRUE(server.Request("POST", "/tail", R"(  [{"outcome":"ok"}] )")
                  .body.starts_with(R"({"type":"ack","count":1,)"));
  EXPECT_TRUE(
      server.Request("POST", "/tail", "[]").body.starts_with(R"({"type":"ack","count":0,)"));
  const Reply wrong = server.Request("POST", "/tail", R"({"type":"x"})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_NE(wrong.body.find("Unknown message type: x"), std::string::npos);
  EXPECT_EQ(server.Request("POST", "/tail", "5").status, 400);
  EXPECT_EQ(server.Request("POST", "/tail", "").status, 400);
  EXPECT_EQ(server.Request("POST", "/tail", R"({"type":"tail_events","events":[]} x)").status, 400);
}

TEST(Tail, TheNumberOfSocketsIsBounded) {
  ServerOptions options;
  options.limits.websockets_max = 1;
  RunningServer server(options);
  Client first(server.port);
  ASSERT_TRUE(first.Upgrade("/tail"));
  first.SendText(R"({"type":"x"})");
  EXPECT_NE(first.ReceiveText(), "");
  EXPECT_FALSE(Client(server.port).Upgrade("/tail"));
}

TEST(Tail, AHandshakeWithoutAKeyIsRefused) {
  RunningServer server;
  Client client(server.port);
  client.Send(
      "GET /tail HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 400);
}

void Publish(LiveFeed& live, const std::string& ns, const std::string& event) {
  std::string body = event;
  body.reserve(body.size() + record::kJsonPaddingBytes);
  const record::EventRef ref{1, 0, static_cast<uint32_t>(body.size())};
  live.Publish(ns, record::RecordKind::kEvents, {&ref, 1}, body);
}

void AwaitSubscribers(const LiveFeed& live, uint32_t count) {
  while (live.subscribers() != count) std::this_thread::yield();
}

TEST(Live, GivesWhatWasPublishedByNamespaceTypeAndSource) {
  RunningServer server;
  Client client(server.port);
  client.Send(BuildRequest("GET", "/tail/live?type=page.*&source=web&namespace=acme", "",
                           {"Accept: application/x-ndjson"}));
  AwaitSubscribers(server.live, 1);
  Publish(server.live, "acme", R"({"type":"page.view","source":"app"})");
  Publish(server.live, "default", R"({"type":"page.view","source":"web"})");
  Publish(server.live, "acme", R"({"type":"click","source":"web"})");
  Publish(server.live, "acme", "{\"type\":\"page.view\",\n\"source\":\"web\"}");
  std::string line;
  while (line.find("page.view") == std::string::npos) line = client.Line();
  EXPECT_EQ(line, R"({"type":"page.view", "source":"web"})");
  client.Close();
  AwaitSubscribers(server.live, 0);
}

TEST(Live, SpeaksServerSentEventsAndWebSocket) {
  RunningServer server;
  Client sse(server.port), socket(server.port);
  sse.Send(BuildRequest("GET", "/tail/live", "", {"Accept: text/event-stream"}));
  ASSERT_TRUE(socket.Upgrade("/tail/live"));
  AwaitSubscribers(server.live, 2);
  Publish(server.live, "default", R"({"type":"a"})");
  Publish(server.live, "default", R"({"type":"b"})");
  std::string line;
  while (!line.starts_with("data:")) line = sse.Line();
  EXPECT_EQ(line, R"(data: {"type":"a"})");
  EXPECT_EQ(socket.ReceiveText(), R"({"type":"a"})");
  EXPECT_EQ(socket.ReceiveText(), R"({"type":"b"})");
}

TEST(Live, ASlowWatcherLosesEventsAndIsToldHowMany) {
  LiveFeed live;
  std::vector<std::string> seen;
  bool room = true;
  live.Subscribe({}, [&](std::string_view event) {
    if (room) seen.emplace_back(event);
    return room;
  });
  Publish(live, "default", R"({"type":"1"})");
  room = false;
  Publish(live, "default", R"({"type":"2"})");
  Publish(live, "default", R"({"type":"3"})");
  room = true;
  Publish(live, "default", R"({"type":"4"})");
  EXPECT_EQ(seen,
            (std::vector<std::string>{R"({"type":"1"})", R"({"type":"varve.dropped","count":2})",
                                      R"({"type":"4"})"}));
  EXPECT_EQ(live.dropped(), 2u);
}

TEST(Live, TheNumberOfWatchersIsBounded) {
  LiveFeed live(1);
  EXPECT_NE(live.Subscribe({}, [](std::string_view) { return true; }), 0u);
  EXPECT_EQ(live.Subscribe({}, [](std::string_view) { return true; }), 0u);
}

TEST(Live, Globs) {
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("page.*", "page.view"));
  EXPECT_FALSE(GlobMatches("page.*", "pageview"));
  EXPECT_TRUE(GlobMatches("*.v?ew", "a.b.view"));
  EXPECT_FALSE(GlobMatches("a*b*c", "abcd"));
  EXPECT_TRUE(GlobMatches("a*b*c", "abcbc"));
}

TEST(Stop, AnswersWhatIsInFlightAndClosesTheRest) {
  RunningServer server;
  Client idle(server.port), waiting(server.port), socket(server.port), live(server.port);
  EXPECT_EQ(idle.Request("GET", "/health").status, 200);
  ASSERT_TRUE(socket.Upgrade("/tail"));
  live.Send(BuildRequest("GET", "/tail/live", "", {}));
  AwaitSubscribers(server.live, 1);
  server.ingest.Hold();
  waiting.Send(BuildRequest("POST", "/ingest", kOneEvent, {}));
  socket.SendText(kTwoItems);
  server.ingest.AwaitSubmitted(2);
  std::thread stop([&] { server.server->Stop(); });
  EXPECT_TRUE(idle.Ended());
  server.ingest.Release();
  const Reply reply = waiting.Receive();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("connection"), "close");
  EXPECT_NE(socket.ReceiveText().find("\"count\":2"), std::string::npos);
  EXPECT_EQ(socket.ReceiveText(), "");
  EXPECT_EQ(socket.close_code, 1001);
  socket.Close();
  stop.join();
  EXPECT_EQ(server.live.subscribers(), 0u);
}

TEST(Stop, DoesNotWaitForeverForWhatDoesNotEnd) {
  ServerOptions options;
  options.limits.stop_ms_max = 50;
  RunningServer server(options);
  Client query(server.port), half(server.port);
  query.Send(BuildRequest("POST", "/sql", R"({"sql":"wait"})", {}));
  half.Send("POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{");
  while (server.engine.running == 0) std::this_thread::yield();
  server.server->Stop();
  EXPECT_TRUE(query.Ended());
  server.engine.AwaitCancelled(1);
}

}  // namespace
}  // namespace varve::server
