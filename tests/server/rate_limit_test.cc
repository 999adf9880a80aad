// The two-bucket sliding window, and its words over HTTP.
#include "server/rate_limit.h"

#include "server/running_server.h"

namespace varve::server {
namespace {

constexpr int64_t kMinute = 1'706'878'800'000;  // the start of one

TEST(RateLimit, CountsTheLastMinuteByHowMuchOfItTheWindowCovers) {
  ManualClock clock(kMinute);
  RateLimiter limiter(clock, 10);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.Admit("a", 10, 100).allowed) << i;
  EXPECT_FALSE(limiter.Admit("a", 10, 100).allowed);
  EXPECT_TRUE(limiter.Admit("b", 10, 100).allowed) << "another sender";
  clock.AdvanceMs(60'000);
  EXPECT_FALSE(limiter.Admit("a", 10, 100).allowed) << "all ten still count";
  clock.AdvanceMs(30'000);
  int admitted = 0;
  while (limiter.Admit("a", 10, 100).allowed) ++admitted;
  EXPECT_EQ(admitted, 5) << "half of them do";
  clock.AdvanceMs(120'000);
  EXPECT_EQ(limiter.Admit("a", 10, 100).requests_remaining, 9u);
}

TEST(RateLimit, EventsAreChargedAfterTheyWereCounted) {
  ManualClock clock(kMinute);
  RateLimiter limiter(clock, 10);
  EXPECT_EQ(limiter.Admit("a", 10, 100).events_remaining, 100u);
  limiter.ChargeEvents("a", 99);
  EXPECT_TRUE(limiter.Admit("a", 10, 100).allowed);
  limiter.ChargeEvents("a", 50);
  const RateState state = limiter.Admit("a", 10, 100);
  EXPECT_FALSE(state.allowed);
  EXPECT_EQ(state.events_remaining, 0u);
  EXPECT_EQ(state.requests_remaining, 8u);
}

TEST(RateLimit, TheTableForgetsWhoeverWasSilentTheLongest) {
  ManualClock clock(kMinute);
  RateLimiter limiter(clock, 2);
  for (const char* sender : {"a", "b", "a", "c"}) limiter.Admit(sender, 10, 100);
  EXPECT_EQ(limiter.Admit("a", 10, 100).requests_remaining, 7u);
  EXPECT_EQ(limiter.Admit("b", 10, 100).requests_remaining, 9u) << "forgotten";
}

TEST(RateLimit, OverHttpItSaysTheLimitsAndWhatIsLeft) {
  ManualClock clock(kMinute + 45'000);
  ServerOptions options;
  options.keys = {{.name = "in", .key = "key-for-ingest-only-0001", .scopes = kScopeIngest}};
  options.rate_limits.requests_per_minute = 2;
  options.rate_limits.webhooks_per_minute = 1;
  RunningServer server(options, clock);
  const std::string key = "Authorization: Bearer key-for-ingest-only-0001";
  const Reply first = server.Request("POST", "/e", kOneEvent, {key});
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.headers.at("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(first.headers.at("x-ratelimit-limit-events"), "100000");
  EXPECT_EQ(first.headers.at("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(first.headers.at("x-ratelimit-remaining-events"), "100000");
  EXPECT_EQ(first.headers.at("x-ratelimit-reset"), "1706878860");
  EXPECT_EQ(
      server.Request("POST", "/e", kOneEvent, {key}).headers.at("x-ratelimit-remaining-events"),
      "99999");
  const Reply over = server.Request("POST", "/e", kOneEvent, {key});
  EXPECT_EQ(over.status, 429);
  EXPECT_EQ(over.headers.at("retry-after"), "15");
  EXPECT_EQ(over.headers.at("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(over.body, R"({"error":"Too Many Requests","code":"RATE_LIMITED",)"
                       R"("message":"Request rate limit exceeded. Try again in 15 seconds.",)"
                       R"("limits":{"requestsPerMinute":2,"eventsPerMinute":100000},)"
                       R"("current":{"requestsRemaining":0,"eventsRemaining":99998},)"
                       R"("resetAt":"2024-02-02T13:01:00.000Z","retryAfterSeconds":15})");
  EXPECT_EQ(server.Request("POST", "/webhooks/nobody", "{}").status, 400);
  EXPECT_EQ(server.Request("POST", "/webhooks/nobody", "{}").status, 429);
  EXPECT_EQ(server.Request("GET", "/health", "", {key}).status, 200)
      << "open routes are not counted";
}

TEST(RateLimit, WithoutKeysNoneApplies) {
  ServerOptions options;
  options.rate_limits.requests_per_minute = 1;
  RunningServer server(options);
  for (int i = 0; i < 5; ++i) {
    const Reply reply = server.Request("POST", "/e", kOneEvent);
    EXPECT_EQ(reply.status, 200);
    EXPECT_FALSE(reply.headers.contains("x-ratelimit-reset"));
  }
}

}  // namespace
}  // namespace varve::server
