// What no one raw file and no outage may do to the others: more files than a plan can name, a
// message about several objects of which one is missing, a store that goes away and comes back.
#include <gtest/gtest.h>

#include <thread>

#include "lake.h"
#include "store/faulty_store.h"
#include "store/memory_store.h"

namespace varve::compact {
namespace {

using Counts = std::map<std::string, int>;

size_t CountOf(store::ObjectStore& store, std::string_view prefix) {
  return store::ListAll(store, prefix)->size();
}

std::vector<std::string> ItemsOfHours(int hours, const std::string& name) {
  std::vector<std::string> items;
  for (int i = 0; i < hours; ++i) items.push_back(Item(kNoon + i * kHour, name));
  return items;
}

struct RawLimitsTest : ::testing::Test {
  void Open(RawConsumerOptions options) {
    lake = std::make_unique<Lake>(store, ":memory:", clock, *random, options);
    store.SetListener(lake->notifier.get());
  }
  ~RawLimitsTest() override { store.SetListener(nullptr); }

  ManualClock clock{kNoon + kHour};
  std::unique_ptr<Random> random = SeededRandom(5);
  store::MemoryStore store{clock};
  std::unique_ptr<Lake> lake;
};

TEST_F(RawLimitsTest, PlansAreCutWhereTheyHaveEnoughFiles) {
  RawConsumerOptions options;
  options.files_max = 300;
  Open(options);
  for (int i = 0; i < 5; ++i) {
    const std::string name = std::to_string(i);
    lake->PutRaw("raw-events/" + name + ".ndjson", ItemsOfHours(200, name));
  }
  ASSERT_TRUE(lake->consumer->RunOnce().ok());
  const RawStats stats = lake->consumer->stats();
  // The hours are the same ones: the raw files of a plan share its files.
  EXPECT_EQ(stats.committed.plans, 1u);
  EXPECT_EQ(CountOf(store, "logs/"), 200u);

  for (int i = 0; i < 4; ++i) {  // hours of their own: 250, then 500 and the plan is full
    const std::string name = "own" + std::to_string(i);
    std::vector<std::string> items;
    for (int hour = 0; hour < 250; ++hour) {
      items.push_back(Item(kNoon - (1 + i * 250 + hour) * kHour, name));
    }
    lake->PutRaw("raw-events/" + name + ".ndjson", items);
  }
  ASSERT_TRUE(lake->consumer->RunOnce().ok());
  EXPECT_EQ(lake->consumer->stats().committed.plans, 3u);
  EXPECT_EQ(CountOf(store, "logs/"), 1'200u);
  EXPECT_EQ(GlobbedMessages(store), (Counts{{"0", 200},
                                            {"1", 200},
                                            {"2", 200},
                                            {"3", 200},
                                            {"4", 200},
                                            {"own0", 250},
                                            {"own1", 250},
                                            {"own2", 250},
                                            {"own3", 250}}));
}

TEST_F(RawLimitsTest, ARawFileOfTensOfThousandsOfHoursIsADeadLetterAndStillReadByQueries) {
  Open({});
  lake->PutRaw("raw-events/1-wide-0.ndjson", ItemsOfHours(20'000, "wide"));
  lake->PutRaw("raw-events/2-good-0.ndjson", {Item(kNoon, "good")});
  ASSERT_TRUE(lake->consumer->RunOnce().ok());
  EXPECT_EQ(GlobbedMessages(store), (Counts{{"good", 1}}));
  const auto dead = lake->queue->Peek(kDeadLetters, 10).value();
  ASSERT_EQ(dead.size(), 1u);  // at once: it cannot become smaller
  EXPECT_NE(dead[0].dead_letter_reason.find("raw-events/1-wide-0.ndjson"), std::string::npos);
  EXPECT_NE(dead[0].dead_letter_reason.find("10,000 hours"), std::string::npos);
  EXPECT_EQ(lake->queue->Stats(kQueueName)->backlog, 0u);
  EXPECT_TRUE(lake->ledger->Unfinished(10)->empty());
  EXPECT_EQ(VisibleMessages(store, *lake->ledger), (Counts{{"good", 1}, {"wide", 20'000}}));
}

TEST_F(RawLimitsTest, OfAMessageAboutSeveralObjectsTheGoodOneIsStoredAndTheMissingOneBlamed) {
  Open({});
  store.SetListener(nullptr);
  lake->PutRaw("raw-events/good.ndjson", {Item(kNoon, "good")});
  const auto record = [](const std::string& name) {
    return R"({"eventName":"ObjectCreated:Put","s3":{"object":{"key":"raw-events/)" + name +
           R"(.ndjson"}}})";
  };
  lake->queue
      ->Send(kQueueName, "{\"Records\":[" + record("missing") + "," + record("good") + "]}", {})
      .value();
  ASSERT_TRUE(lake->consumer->RunOnce().ok());
  EXPECT_EQ(GlobbedMessages(store), (Counts{{"good", 1}}));
  const queue::QueueStats after_first = lake->queue->Stats(kQueueName).value();
  EXPECT_EQ(after_first.acked, 0u);
  EXPECT_EQ(after_first.retried, 1u);
  EXPECT_EQ(after_first.backlog, 1u);

  ASSERT_TRUE(lake->Drain(clock));
  EXPECT_EQ(GlobbedMessages(store), (Counts{{"good", 1}}));  // no retry has stored it again
  EXPECT_EQ(lake->queue->Stats(kQueueName)->delivered, 4u);
  const auto dead = lake->queue->Peek(kDeadLetters, 10).value();
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_NE(dead[0].dead_letter_reason.find("raw-events/missing.ndjson"), std::string::npos);

  lake->PutRaw("raw-events/missing.ndjson", {Item(kNoon, "late")});
  EXPECT_EQ(lake->queue->Replay(kDeadLetters, 10).value(), 1u);
  ASSERT_TRUE(lake->Drain(clock));
  EXPECT_EQ(GlobbedMessages(store), (Counts{{"good", 1}, {"late", 1}}));
}

// Over running threads: the consumer notices, pauses, and goes on when the store is back.
TEST(RawOutage, AStoreThatGoesAwayCostsNoMessageItsRetries) {
  store::MemoryStore store(SystemClock());
  store::FaultyStore faulty(store, SystemRandom());
  RawConsumerOptions options;
  options.max_batch_timeout_ms = 10;
  options.pause_min_ms = 1;
  options.pause_max_ms = 8;
  Lake lake(faulty, ":memory:", SystemClock(), SystemRandom(), options);
  const auto outage = [&](uint32_t per_mille) {
    for (store::StoreCall call :
         {store::StoreCall::kPut, store::StoreCall::kGet, store::StoreCall::kHead}) {
      faulty.SetChance(call, store::FaultKind::kFailBefore, per_mille);
    }
  };
  Counts expected;
  for (int i = 0; i < 5; ++i) {
    const std::string name = std::to_string(i);
    lake.PutRaw("raw-events/" + name + ".ndjson", {Item(kNoon, name)});
    lake.Announce("raw-events/" + name + ".ndjson");
    expected[name] = 1;
  }
  // First in the middle of a commit: what is planned must be done again from its plan.
  faulty.Script({store::FaultKind::kFailBefore, store::StoreCall::kPut, "logs/", 0, 3});
  ASSERT_TRUE(lake.consumer->Start().ok());
  while (faulty.fired(store::FaultKind::kFailBefore) < 3) std::this_thread::yield();
  outage(1'000);  // then everything
  const uint64_t before = lake.consumer->stats().failures;
  while (lake.consumer->stats().failures < before + 8) {
    lake.Announce("raw-events/0.ndjson");
    std::this_thread::yield();
  }
  EXPECT_EQ(lake.queue->Stats(kQueueName)->retried, 0u);
  for (const queue::Message& message : lake.queue->Peek(kQueueName, 100).value()) {
    EXPECT_EQ(message.attempts, 0u);
  }
  outage(0);
  while (lake.queue->Stats(kQueueName)->backlog > 0) std::this_thread::yield();
  lake.consumer->Stop();
  EXPECT_EQ(GlobbedMessages(store), expected);
  EXPECT_EQ(lake.queue->Stats(kQueueName)->dead_lettered, 0u);
  EXPECT_TRUE(lake.ledger->Unfinished(10)->empty());
}

}  // namespace
}  // namespace varve::compact
