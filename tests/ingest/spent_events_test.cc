// What a sender may rely on who gives events ids of their own.
#include <thread>

#include "ingest/lake.h"

namespace varve::ingest {
namespace {

constexpr int64_t kWindowMs = 86'400'000;

std::string EventJson(const std::string& name, const std::string& id) {
  std::string json = R"({"type":"t","ts":1769990400000,"n":")" + name + "\"";
  if (!id.empty()) json += ",\"id\":" + id;
  return json + "}";
}

// Events that are named as their ids are.
std::string WithIds(const std::vector<std::string>& names, const std::string& batch_id = "") {
  std::string json = "{\"events\":[";
  for (const std::string& name : names) {
    json += (json.back() == '[' ? "" : ",") + EventJson(name, "\"" + name + "\"");
  }
  return json + (batch_id.empty() ? "]}" : "],\"batchId\":\"" + batch_id + "\"}");
}

struct Answer {
  uint64_t received = 0, duplicates = 0;
  bool operator==(const Answer&) const = default;
};

Answer MustSend(Lake& lake, const std::string& body, std::string_view ns = "default") {
  auto reply = Send(*lake.ingest, body, ns);
  CHECK(reply.ok());
  EXPECT_FALSE(reply->deduplicated);
  return {reply->received, reply->duplicates};
}

TEST(EventIds, AnEventIsStoredOnceInABatchAndOverBatches) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  EXPECT_EQ(MustSend(*lake, WithIds({"a", "b", "a"})), (Answer{3, 1}));
  EXPECT_EQ(MustSend(*lake, WithIds({"c", "b"})), (Answer{2, 1}));
  EXPECT_EQ(MustSend(*lake, WithIds({"a", "b", "c"})), (Answer{3, 3}));
  EXPECT_EQ(lake->journal->last_lsn(), 2u);
  EXPECT_EQ(Visible(*lake), (Rows{{"a", 1}, {"b", 1}, {"c", 1}}));
  EXPECT_EQ(MustSend(*lake, WithIds({"a"}), "acme"), (Answer{1, 0}));  // a tenant's are its own
  EXPECT_EQ(lake->ingest->stats().duplicate_events, 5u);
  EXPECT_EQ(lake->ingest->stats().events, 4u);
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a", 1}, {"b", 1}, {"c", 1}}));
}

TEST(EventIds, ATextAnIntegerAndNothingAreTold) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  const std::string body = "[" + EventJson("text", "\"17\"") + "," + EventJson("number", "17") +
                           "," + EventJson("none", "") + "," + EventJson("none", "") + "," +
                           EventJson("null", "null") + "," + EventJson("null", "null") + "," +
                           EventJson("same text", R"("\u00317")") + "]";
  EXPECT_EQ(MustSend(*lake, body), (Answer{7, 1}));
  EXPECT_EQ(Visible(*lake), (Rows{{"text", 1}, {"number", 1}, {"none", 2}, {"null", 2}}));
}

TEST(EventIds, AreSpentInTheJournalAfterAFlushAndOverRestarts) {
  TempDir dir;
  TestClock clock;
  {
    auto lake = MustOpen(dir, clock);
    EXPECT_EQ(MustSend(*lake, WithIds({"a", "b"})), (Answer{2, 0}));
  }
  {
    auto lake = MustOpen(dir, clock);  // killed: the journal holds them
    EXPECT_EQ(MustSend(*lake, WithIds({"a", "c"})), (Answer{2, 1}));
    ASSERT_TRUE(lake->Stop().ok());
  }
  {
    auto lake = MustOpen(dir, clock);  // flushed: the id log holds them
    EXPECT_EQ(MustSend(*lake, WithIds({"a", "b", "c"})), (Answer{3, 3}));
    EXPECT_EQ(MustSend(*lake, WithIds({"d"})), (Answer{1, 0}));
    ASSERT_TRUE(lake->Stop().ok());
  }
  auto lake = MustOpen(dir, clock);
  EXPECT_EQ(MustSend(*lake, WithIds({"d", "a"})), (Answer{2, 2}));
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}}));
}

TEST(EventIds, TheWindowEndsInMemoryAndOverARestart) {
  TempDir dir;
  TestClock clock;
  {
    auto lake = MustOpen(dir, clock);
    EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 0}));
    clock.AdvanceMs(kWindowMs - 1);
    EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 1}));
    clock.AdvanceMs(kWindowMs / 24 + 1);
    EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 0}));
    EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 1}));
    ASSERT_TRUE(lake->Stop().ok());
  }
  clock.AdvanceMs(kWindowMs - 1);
  EXPECT_EQ(MustSend(*MustOpen(dir, clock), WithIds({"a"})), (Answer{1, 1}));
  clock.AdvanceMs(kWindowMs / 24 + 1);
  auto lake = MustOpen(dir, clock);
  EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 0}));
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a", 3}}));
}

TEST(EventIds, BeyondTheBoundTheOldestAreForgottenAndCounted) {
  TempDir dir;
  TestClock clock;
  LakeOptions options;
  options.ingest.event_ids_max = 3;
  {
    auto lake = MustOpen(dir, clock, options);
    EXPECT_EQ(MustSend(*lake, WithIds({"a", "b", "c", "d"})), (Answer{4, 0}));
    EXPECT_EQ(lake->ingest->stats().event_ids.forgotten, 1u);
    EXPECT_EQ(lake->ingest->stats().event_ids.remembered, 3u);
    EXPECT_EQ(MustSend(*lake, WithIds({"b", "c", "d"})), (Answer{3, 3}));
    EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 0}));
    ASSERT_TRUE(lake->Stop().ok());
  }
  auto lake = MustOpen(dir, clock, options);
  EXPECT_EQ(MustSend(*lake, WithIds({"c", "d", "a"})), (Answer{3, 3}));
  EXPECT_EQ(lake->ingest->stats().event_ids.forgotten, 0u);
}

TEST(EventIds, MeanNothingWhereTheBoundOrTheWindowIsZero) {
  for (bool bound : {true, false}) {
    TempDir dir;
    TestClock clock;
    LakeOptions options;
    (bound ? options.ingest.event_ids_max : options.ingest.dedup_window_ms) = 0;
    auto lake = MustOpen(dir, clock, options);
    EXPECT_EQ(MustSend(*lake, WithIds({"a", "a"})), (Answer{2, 0}));
    ASSERT_TRUE(lake->Stop().ok());
    EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a", 2}}));
    EXPECT_FALSE(std::filesystem::exists(dir.path() + "/event-ids"));
  }
}

TEST(EventIds, ARefusedBatchSpendsNone) {
  TempDir dir;
  TestClock clock;
  {
    auto lake = MustOpen(dir, clock);
    EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 0}));
    lake->journal->Close();
    for (int i = 0; i < 2; ++i) {
      EXPECT_FALSE(Send(*lake->ingest, WithIds({"a", "b"})).ok());
    }
    EXPECT_EQ(lake->ingest->stats().event_ids.remembered, 1u);
  }
  auto lake = MustOpen(dir, clock);
  EXPECT_FALSE(Send(*lake->ingest, R"([{"type":"t","id":"b"},{"no":"type"}])").ok());
  EXPECT_EQ(MustSend(*lake, WithIds({"a", "b"})), (Answer{2, 1}));
}

TEST(EventIds, AFullJournalReleasesTheIdsOfWhatItRefuses) {
  TempDir dir;
  TestClock clock;
  LakeOptions options;
  options.journal.segment_bytes = 64 << 10;
  options.journal.bytes_max = 128 << 10;
  options.journal.ready_segments = 1;
  options.ingest.limits.event_bytes_max = 20'000;
  auto lake = MustOpen(dir, clock, options);
  const std::string padding(15'000, 'x');
  std::vector<std::string> refused;
  for (int i = 0; refused.empty() && i < 1'000; ++i) {
    const std::string name = "n" + std::to_string(i);
    const std::string event = R"({"type":"t","ts":1769990400000,"n":")" + name + R"(","id":")" +
                              name + R"(","pad":")" + padding + "\"}";
    auto reply = Send(*lake->ingest, event);
    if (reply.ok()) continue;
    EXPECT_EQ(reply.error().kind, ErrorKind::kExhausted);
    refused.push_back(event);
  }
  ASSERT_EQ(refused.size(), 1u);
  const uint64_t remembered = lake->ingest->stats().event_ids.remembered;
  EXPECT_EQ(remembered, lake->journal->last_lsn());
  lake.reset();
  options.journal.bytes_max = 16 << 20;
  lake = MustOpen(dir, clock, options);
  EXPECT_EQ(MustSend(*lake, refused[0]), (Answer{1, 0}));
  EXPECT_EQ(MustSend(*lake, refused[0]), (Answer{1, 1}));
}

TEST(EventIds, ABatchOfDuplicatesKeepsItsBatchId) {
  TempDir dir;
  TestClock clock;
  {
    auto lake = MustOpen(dir, clock);
    EXPECT_EQ(MustSend(*lake, WithIds({"a", "b"}, "first")), (Answer{2, 0}));
    EXPECT_EQ(MustSend(*lake, WithIds({"a", "b"}, "second")), (Answer{2, 2}));
    for (const char* batch : {"first", "second"}) {
      auto again = Send(*lake->ingest, WithIds({"a", "b"}, batch));
      ASSERT_TRUE(again.ok());
      EXPECT_TRUE(again->deduplicated);
    }
    ASSERT_TRUE(lake->Stop().ok());
    EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a", 1}, {"b", 1}}));
  }
  auto lake = MustOpen(dir, clock);
  auto again = Send(*lake->ingest, WithIds({"x"}, "second"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->deduplicated);
}

TEST(EventIds, OfConcurrentRepetitionsOneIsStoredAndNoReplyIsBeforeItIsDurable) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  for (int round = 0; round < 50; ++round) {
    const std::string name = "r" + std::to_string(round);
    std::atomic<uint64_t> duplicates{0};
    std::vector<std::thread> senders;
    for (int t = 0; t < 4; ++t) {
      senders.emplace_back([&] {
        const Answer answer = MustSend(*lake, WithIds({name}));
        duplicates += answer.duplicates;
        EXPECT_EQ(Visible(*lake)[name], 1);  // also for the one that was told "duplicate"
      });
    }
    for (auto& sender : senders) sender.join();
    EXPECT_EQ(duplicates, 3u);
  }
}

TEST(EventIds, ObjectDurabilityAnswersADuplicateOnceAnObjectHoldsTheFirst) {
  TempDir dir;
  TestClock clock;
  LakeOptions options;
  {
    auto lake = MustOpen(dir, clock, options);
    EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 0}));
    EXPECT_TRUE(EventsInObjects(*lake).empty());
  }
  options.ingest.durability = Durability::kObject;
  auto lake = MustOpen(dir, clock, options);
  EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 1}));
  EXPECT_EQ(EventsInObjects(*lake), (Rows{{"a", 1}}));
  EXPECT_EQ(MustSend(*lake, WithIds({"a"})), (Answer{1, 1}));
}

}  // namespace
}  // namespace varve::ingest
