// What a sender may rely on: what is taken, what is refused, what a repetition does.
#include <future>
#include <thread>

#include "ingest/lake.h"

namespace varve::ingest {
namespace {

TEST(Ingest, AnAcknowledgedBatchIsVisibleAtOnceAndOnce) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  auto reply = Send(*lake->ingest, BatchJson("a", 3));
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->received, 3u);
  EXPECT_FALSE(reply->deduplicated);
  EXPECT_EQ(Visible(*lake), (Rows{{"a-0", 1}, {"a-1", 1}, {"a-2", 1}}));
  EXPECT_TRUE(EventsInObjects(*lake).empty());
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(Visible(*lake), (Rows{{"a-0", 1}, {"a-1", 1}, {"a-2", 1}}));
  EXPECT_EQ(EventsInObjects(*lake).size(), 3u);
}

TEST(Ingest, AnEmptyBatchIsTaken) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  auto reply = Send(*lake->ingest, R"({"events":[],"batchId":"empty"})");
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->received, 0u);
  EXPECT_EQ(lake->journal->last_lsn(), 0u);
}

TEST(Ingest, BadInputIsRefusedWholeAndSpendsNoId) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  auto bad = Send(*lake->ingest, R"({"batchId":"b","events":[{"type":"t"},{"no":"type"}]})");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(lake->journal->last_lsn(), 0u);
  auto good = Send(*lake->ingest, BatchJson("b", 1));
  ASSERT_TRUE(good.ok());
  EXPECT_FALSE(good->deduplicated);
}

bool IsDuplicate(Lake& lake, const std::string& id, std::string_view ns = "default") {
  auto reply = Send(*lake.ingest, BatchJson(id, 2), ns);
  CHECK(reply.ok());
  EXPECT_EQ(reply->received, 2u);
  return reply->deduplicated;
}

TEST(Dedup, AnIdIsSpentInTheJournalAfterAFlushAndOverRestarts) {
  TempDir dir;
  TestClock clock;
  {
    auto lake = MustOpen(dir, clock);
    EXPECT_FALSE(IsDuplicate(*lake, "a"));
    EXPECT_TRUE(IsDuplicate(*lake, "a"));
    EXPECT_FALSE(IsDuplicate(*lake, "a", "acme"));  // a tenant's ids are its own
  }
  {
    auto lake = MustOpen(dir, clock);  // killed: the journal holds it
    EXPECT_TRUE(IsDuplicate(*lake, "a"));
    ASSERT_TRUE(lake->Stop().ok());
  }
  auto lake = MustOpen(dir, clock);  // flushed: the state holds it
  EXPECT_TRUE(IsDuplicate(*lake, "a"));
  EXPECT_TRUE(IsDuplicate(*lake, "a", "acme"));
  EXPECT_FALSE(IsDuplicate(*lake, "b"));
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a-0", 1}, {"a-1", 1}, {"b-0", 1}, {"b-1", 1}}));
  EXPECT_EQ(EventsInObjects(*lake, "acme"), (Rows{{"a-0", 1}, {"a-1", 1}}));
}

TEST(Dedup, TheWindowEndsInTheJournalInTheStateAndOverARestart) {
  constexpr int64_t kWindowMs = 86'400'000;
  TempDir dir;
  TestClock clock;
  {
    auto lake = MustOpen(dir, clock);
    EXPECT_FALSE(IsDuplicate(*lake, "a"));
    clock.AdvanceMs(kWindowMs - 1);
    EXPECT_TRUE(IsDuplicate(*lake, "a"));
    clock.AdvanceMs(1);
    EXPECT_FALSE(IsDuplicate(*lake, "a"));
    EXPECT_TRUE(IsDuplicate(*lake, "a"));
    ASSERT_TRUE(lake->Stop().ok());
  }
  clock.AdvanceMs(kWindowMs);
  auto lake = MustOpen(dir, clock);
  EXPECT_FALSE(IsDuplicate(*lake, "a"));
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a-0", 3}, {"a-1", 3}}));
}

TEST(Dedup, OfConcurrentRepetitionsOneIsStored) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> stored{0};
    std::vector<std::thread> senders;
    for (int t = 0; t < 4; ++t) {
      senders.emplace_back([&] {
        auto reply = Send(*lake->ingest, BatchJson("r" + std::to_string(round), 1));
        ASSERT_TRUE(reply.ok());
        if (!reply->deduplicated) ++stored;
      });
    }
    for (auto& sender : senders) sender.join();
    EXPECT_EQ(stored, 1);
  }
  for (const auto& [name, count] : Visible(*lake)) EXPECT_EQ(count, 1) << name;
}

TEST(Dedup, AFailedFirstLeavesTheIdUnspent) {
  TempDir dir;
  TestClock clock;
  {
    auto lake = MustOpen(dir, clock);
    lake->journal->Close();
    EXPECT_FALSE(Send(*lake->ingest, BatchJson("a", 1)).ok());
    EXPECT_FALSE(Send(*lake->ingest, BatchJson("a", 1)).ok());
  }
  auto lake = MustOpen(dir, clock);
  auto reply = Send(*lake->ingest, BatchJson("a", 1));
  ASSERT_TRUE(reply.ok());
  EXPECT_FALSE(reply->deduplicated);
}

Result<BatchReply> SendWebhook(Lake& lake, std::string event, std::string key) {
  Reply<BatchReply> reply;
  lake.ingest->SubmitWebhook({}, std::move(event), std::move(key), reply.done());
  return reply.Wait();
}

TEST(Ingest, AWebhookIsStoredOnceForItsDeliveryKey) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  const std::string event =
      R"({"type":"webhook.github.push","ts":1770000000000,"source":"github","webhook":)"
      R"({"provider":"github","eventType":"push","verified":true},"payload":{"n":"w-0"}})";
  auto first = SendWebhook(*lake, event, "github:1");
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(first->deduplicated);
  auto again = SendWebhook(*lake, event, "github:1");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->deduplicated);
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(EventsInObjects(*lake), (Rows{{"w-0", 1}}));
}

TEST(Ingest, AWebhookThatNoFileCouldHoldIsRefused) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  std::string deep = std::string(500, '[') + std::string(500, ']');
  auto reply =
      SendWebhook(*lake, R"({"type":"webhook.x.y","ts":1770000000000,"payload":)" + deep + "}", "");
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(lake->journal->last_lsn(), 0u);
}

TEST(Ingest, ObjectDurabilityAnswersOnceAnObjectHoldsTheRows) {
  TempDir dir;
  TestClock clock;
  LakeOptions options;
  options.ingest.durability = Durability::kObject;
  auto lake = MustOpen(dir, clock, options);
  for (int i = 0; i < 3; ++i) {
    std::string name = "o" + std::to_string(i);
    ASSERT_TRUE(Send(*lake->ingest, BatchJson(name, 2)).ok());
    EXPECT_EQ(EventsInObjects(*lake).count(name + "-1"), 1u);
    ASSERT_TRUE(SendTail(*lake->ingest, TailJson(name, 2)).ok());
    EXPECT_EQ(ItemsInObjects(*lake).count(name + "-1"), 1u);
  }
  EXPECT_TRUE(IsDuplicate(*lake, "o0"));
}

TEST(Ingest, OneBadTailItemDoesNotHoldBackItsNeighbours) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  std::string items = TailJson("t", 2);
  items.insert(1, R"({"outcome":7,"logs":[],"exceptions":[]},)");
  auto reply = SendTail(*lake->ingest, items);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->accepted, 2u);
  EXPECT_EQ(reply->invalid, 1u);
  EXPECT_NE(reply->invalid_json.find("\"index\":0"), std::string::npos) << reply->invalid_json;
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(ItemsInObjects(*lake), (Rows{{"t-0", 1}, {"t-1", 1}}));
}

TEST(IdFilter, ForgetsAnIdOnlyAfterAWholeWindow) {
  constexpr int64_t kWindowMs = 1'000;
  IdFilter filter(kWindowMs, 0);
  EXPECT_FALSE(filter.MayHold("ns", "a"));
  filter.Add("ns", "a", 999);
  EXPECT_TRUE(filter.MayHold("ns", "a"));
  EXPECT_FALSE(filter.MayHold("other", "a"));
  filter.Add("ns", "b", 1'998);  // the first generation has served
  EXPECT_TRUE(filter.MayHold("ns", "a"));
  filter.Add("ns", "c", 2'998);
  EXPECT_FALSE(filter.MayHold("ns", "a"));
  EXPECT_TRUE(filter.MayHold("ns", "b"));
}

}  // namespace
}  // namespace varve::ingest
