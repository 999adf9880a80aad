// What comes out of the raw-events consumer, for every sort of message and raw file.
#include "compact/raw_consumer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lake.h"
#include "store/faulty_store.h"
#include "store/memory_store.h"

namespace varve::compact {
namespace {

using Counts = std::map<std::string, int>;

class RawConsumerTest : public ::testing::Test {
 protected:
  void SetUp() override { Open({}); }
  void Open(RawConsumerOptions options) {
    store_.SetListener(nullptr);
    lake_.reset();
    lake_ = std::make_unique<Lake>(store_, ":memory:", clock_, *random_, options);
    store_.SetListener(lake_->notifier.get());
  }

  std::vector<std::string> Keys(std::string_view prefix) {
    std::vector<std::string> keys;
    for (const auto& object : store::ListAll(store_, prefix).value()) keys.push_back(object.key);
    return keys;
  }
  queue::QueueStats Stats() { return lake_->queue->Stats(kQueueName).value(); }
  std::string DeadLetterReason() {
    const auto dead = lake_->queue->Peek(kDeadLetters, 10).value();
    return dead.size() == 1 ? dead[0].dead_letter_reason
                            : std::to_string(dead.size()) + " dead letters";
  }

  ManualClock clock_{kNoon + kHour};
  std::unique_ptr<Random> random_ = SeededRandom(11);
  store::MemoryStore store_{clock_};
  std::unique_ptr<Lake> lake_;
};

TEST_F(RawConsumerTest, RowsGoToTheHourOfTheirEventAndToTheirNamespace) {
  lake_->PutRaw("raw-events/1-do-0.ndjson", {Item(kNoon, "a"), Item(kNoon + kHour, "b")});
  lake_->PutRaw("raw-events/2-do-1.ndjson", {Item(kNoon + 1, "c")});
  lake_->PutRaw("ns/acme/raw-events/1-do-0.ndjson", {Item(kNoon, "d")});
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());

  const auto noon = Keys("logs/workers/year=2026/month=01/day=01/hour=12/logs-");
  const auto one = Keys("logs/workers/year=2026/month=01/day=01/hour=13/logs-");
  const auto acme = Keys("ns/acme/logs/workers/year=2026/month=01/day=01/hour=12/logs-");
  ASSERT_EQ(noon.size(), 1u);  // one file an hour, not one a message
  ASSERT_EQ(one.size(), 1u);
  ASSERT_EQ(acme.size(), 1u);
  EXPECT_EQ(MessagesOf(store_.Get(noon[0], {}).value()), (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(MessagesOf(store_.Get(one[0], {}).value()), std::vector<std::string>{"b"});
  EXPECT_EQ(MessagesOf(store_.Get(acme[0], {}).value()), std::vector<std::string>{"d"});
  EXPECT_EQ(Stats().acked, 3u);
  EXPECT_EQ(Keys("raw-events/").size(), 2u);  // kept, for replay

  const RawStats stats = lake_->consumer->stats();
  EXPECT_EQ(stats.committed.rows, 4u);
  EXPECT_EQ(stats.committed.files, 3u);
  EXPECT_EQ(stats.records_ingested, 4u);
  EXPECT_EQ(stats.flushes, 1u);
  EXPECT_EQ(stats.committed.counts.by_level.at("info"), 4u);
  EXPECT_EQ(stats.committed.counts.by_outcome.at("ok"), 4u);
  EXPECT_EQ(VisibleMessages(store_, *lake_->ledger), GlobbedMessages(store_));
}

TEST_F(RawConsumerTest, ARedeliveryAddsNoRows) {
  const std::string etag = lake_->PutRaw("raw-events/1-do-0.ndjson", {Item(kNoon, "a")});
  lake_->Announce("raw-events/1-do-0.ndjson", etag);
  lake_->Announce("raw-events/1-do-0.ndjson", "of bytes that are gone");
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  lake_->Announce("raw-events/1-do-0.ndjson", etag);
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"a", 1}}));
  EXPECT_EQ(Stats().acked, 4u);
  EXPECT_EQ(lake_->consumer->stats().intake.already_processed, 1u);
}

TEST_F(RawConsumerTest, ARawFileThatIsNotReadyIsLeftWithoutBlame) {
  bool flushed = false;
  RawConsumerOptions options;
  options.ready = [&](std::string_view key) { return flushed || key != "raw-events/1.ndjson"; };
  Open(options);
  lake_->PutRaw("raw-events/1.ndjson", {Item(kNoon, "a")});
  lake_->PutRaw("raw-events/2.ndjson", {Item(kNoon, "b")});
  for (int i = 0; i < 20; ++i, clock_.AdvanceMs(5'000)) {
    ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  }
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"b", 1}}));
  EXPECT_EQ(Stats().dead_lettered, 0u);
  flushed = true;
  ASSERT_TRUE(lake_->Drain(clock_));
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"a", 1}, {"b", 1}}));
}

TEST_F(RawConsumerTest, TheObjectIsTakenAsItIsNow) {
  lake_->PutRaw("raw-events/1-do-0.ndjson", {Item(kNoon, "before")});
  lake_->PutRaw("raw-events/1-do-0.ndjson", {Item(kNoon, "now")});
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"now", 1}}));
  EXPECT_EQ(Stats().backlog, 0u);
}

TEST_F(RawConsumerTest, ABadLineIsQuarantinedAndItsNeighboursStored) {
  const std::string bytes = RawBytes({Item(kNoon, "a"), "{\"outcome\":", Item(kNoon, "b")});
  ASSERT_TRUE(store_.Put("ns/acme/raw-events/x/1-do-0.ndjson", bytes, {}).ok());
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"a", 1}, {"b", 1}}));
  const auto keys = Keys("ns/acme/quarantine/raw-events/x/1-do-0-");
  ASSERT_EQ(keys.size(), 1u);
  const auto line = nlohmann::json::parse(store_.Get(keys[0], {}).value());
  EXPECT_EQ(line["key"], "ns/acme/raw-events/x/1-do-0.ndjson");
  EXPECT_EQ(line["line"], 3);
  EXPECT_EQ(line["text"], "{\"outcome\":");
  EXPECT_FALSE(line["reason"].get<std::string>().empty());
  EXPECT_EQ(lake_->consumer->stats().committed.quarantine_lines, 1u);
  EXPECT_EQ(Stats().acked, 1u);
}

TEST_F(RawConsumerTest, AHeaderAloneIsASuccessWithoutRows) {
  lake_->PutRaw("raw-events/1-do-0.ndjson", {});
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_TRUE(Keys("logs/").empty());
  EXPECT_EQ(Stats().acked, 1u);
  EXPECT_EQ(VisibleMessages(store_, *lake_->ledger), Counts());
}

TEST_F(RawConsumerTest, ABadHeaderEndsInTheDeadLettersAndHoldsNobodyUp) {
  for (const char* bytes : {"", "not a header\n", "{\"doId\":7}\n{}"}) {
    Open({});
    ASSERT_TRUE(store_.Put("raw-events/0-bad-0.ndjson", bytes, {}).ok());
    lake_->PutRaw("raw-events/1-do-0.ndjson", {Item(kNoon, "good")});
    ASSERT_TRUE(lake_->consumer->RunOnce().ok());
    EXPECT_EQ(GlobbedMessages(store_), (Counts{{"good", 1}})) << bytes;
    ASSERT_TRUE(lake_->Drain(clock_)) << bytes;
    EXPECT_EQ(Stats().delivered, 5u) << bytes;  // the good one once, the bad one four times
    EXPECT_EQ(lake_->consumer->stats().intake.dead_lettered, 1u) << bytes;
    EXPECT_FALSE(DeadLetterReason().empty());
    for (const std::string& key : Keys("")) ASSERT_TRUE(store_.Delete(key).ok());
  }
}

TEST_F(RawConsumerTest, AMissingObjectEndsInTheDeadLettersByName) {
  lake_->Announce("raw-events/1-gone-0.ndjson");
  ASSERT_TRUE(lake_->Drain(clock_));
  EXPECT_NE(DeadLetterReason().find("raw-events/1-gone-0.ndjson"), std::string::npos);
  lake_->PutRaw("raw-events/1-gone-0.ndjson", {Item(kNoon, "late")});
  EXPECT_EQ(lake_->queue->Replay(kDeadLetters, 10).value(), 1u);
  ASSERT_TRUE(lake_->Drain(clock_));
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"late", 1}}));
}

TEST_F(RawConsumerTest, WhatIsNotARawFileIsAckedAndSkipped) {
  for (const char* key : {"events/x.parquet", "raw-events/readme.txt", "raw-events/.ndjson",
                          "raw-events.ndjson", "ns/default/raw-events/1.ndjson",
                          "ns/UPPER/raw-events/1.ndjson", "raw-events/../etc/passwd.ndjson"}) {
    lake_->Announce(key);
  }
  lake_->queue
      ->Send(kQueueName,
             notify::WriteDeleted("a", "b", "DeleteObject", "raw-events/1-do-0.ndjson", 0), {})
      .value();
  lake_->queue->Send(kQueueName, R"({"Service":"S3","Event":"s3:TestEvent"})", {}).value();
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_EQ(Stats().acked, 9u);
  EXPECT_EQ(lake_->consumer->stats().intake.skipped, 9u);
}

TEST_F(RawConsumerTest, WhatIsNoNotificationIsADeadLetterAtOnce) {
  lake_->queue->Send(kQueueName, "{\"hello\":1}", {}).value();
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_EQ(Stats().delivered, 1u);
  EXPECT_NE(DeadLetterReason().find("not an object notification"), std::string::npos);
}

TEST_F(RawConsumerTest, EscapedKeysOfOtherStoresFindTheirObject) {
  lake_->PutRaw("raw-events/1 a+b-0.ndjson", {Item(kNoon, "a")});
  ASSERT_TRUE(lake_->queue->PurgeAll(kQueueName).ok());
  lake_->queue
      ->Send(kQueueName, R"({"Records":[{"eventName":"ObjectCreated:Put","s3":
      {"object":{"key":"raw-events%2F1+a%2Bb-0.ndjson"}}}]})",
             {})
      .value();
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"a", 1}}));
}

TEST_F(RawConsumerTest, AMessageOfSeveralRecordsIsAckedWithTheLastOfThem) {
  RawConsumerOptions options;
  options.rows_max = 1;  // a plan for each raw file
  Open(options);
  store_.SetListener(nullptr);
  std::string records;
  for (const char* name : {"1", "2", "3"}) {
    lake_->PutRaw(std::string("raw-events/") + name + ".ndjson", {Item(kNoon, name)});
    records += std::string(records.empty() ? "" : ",") +
               R"({"eventName":"ObjectCreated:Put","s3":{"object":{"key":"raw-events/)" + name +
               R"(.ndjson"}}})";
  }
  lake_->queue->Send(kQueueName, "[" + records + "]", {}).value();
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  EXPECT_EQ(lake_->consumer->stats().flushes, 3u);
  EXPECT_EQ(Stats().acked, 1u);
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"1", 1}, {"2", 1}, {"3", 1}}));
}

TEST_F(RawConsumerTest, EachFileIsToldDownstreamOnce) {
  RawConsumerOptions options;
  options.downstream_queue = "written";
  Open(options);
  lake_->PutRaw("raw-events/1.ndjson", {Item(kNoon, "a"), Item(kNoon + kHour, "b")});
  lake_->PutRaw("raw-events/2.ndjson", {Item(kNoon, "c")});
  ASSERT_TRUE(lake_->consumer->RunOnce().ok());
  const auto messages = lake_->queue->Peek("written", 10).value();
  ASSERT_EQ(messages.size(), 2u);
  const auto told = nlohmann::json::parse(messages[0].body);
  EXPECT_EQ(told["type"], "parquet-written");
  EXPECT_EQ(told["recordCount"], 2);
  EXPECT_EQ(told["sourceFiles"], (nlohmann::json{"raw-events/1.ndjson", "raw-events/2.ndjson"}));
  EXPECT_EQ(told["processedAt"], clock_.NowMs());
  const std::string path = told["parquetPath"];
  EXPECT_EQ(store_.Head(path).value().size, told["sizeBytes"]);
}

TEST_F(RawConsumerTest, EveryFaultOfTheStoreLeavesEachRowOnce) {
  using store::FaultKind;
  using store::StoreCall;
  const std::pair<StoreCall, FaultKind> faults[] = {
      {StoreCall::kPut, FaultKind::kFailBefore},
      {StoreCall::kPut, FaultKind::kThrottle},
      {StoreCall::kPut, FaultKind::kUnknownNotDone},
      {StoreCall::kPut, FaultKind::kSucceedThenUnknown},
      {StoreCall::kPut, FaultKind::kConflictOnOwnWrite},
      {StoreCall::kGet, FaultKind::kFailBefore},
      {StoreCall::kGet, FaultKind::kTruncatedGet},
      {StoreCall::kGet, FaultKind::kBitFlippedGet},
      {StoreCall::kHead, FaultKind::kFailBefore},
      {StoreCall::kHead, FaultKind::kStaleHead},
      {StoreCall::kDelete, FaultKind::kFailBefore},
  };
  uint64_t fired = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const auto random = SeededRandom(seed);
    store::MemoryStore inner(clock_);
    store::FaultyStore faulty(inner, *random);
    RawConsumerOptions options;
    options.rows_max = 1 + seed % 7;
    Lake lake(faulty, ":memory:", clock_, *random, options);
    inner.SetListener(lake.notifier.get());
    Counts expected;
    for (int i = 0; i < 12; ++i) {
      const std::string message = "m" + std::to_string(i);
      lake.PutRaw("raw-events/" + std::to_string(i) + ".ndjson",
                  {Item(kNoon + kHour * (i % 3), message)});
      expected[message] = 1;
    }
    for (const auto& [call, kind] : faults) faulty.SetChance(call, kind, 60);
    for (int round = 0; round < 30; ++round) {
      (void)lake.consumer->RunOnce();
      clock_.AdvanceMs(5'000);
      ASSERT_EQ(VisibleMessages(inner, *lake.ledger), expected) << seed;
    }
    for (const auto& [call, kind] : faults) {
      faulty.SetChance(call, kind, 0);
      fired += faulty.fired(kind);
    }
    (void)lake.queue->Replay(kDeadLetters, 100);
    ASSERT_TRUE(lake.Drain(clock_)) << seed;
    ASSERT_EQ(GlobbedMessages(inner), expected) << seed;
  }
  EXPECT_GT(fired, 500u);
}

TEST_F(RawConsumerTest, AFailingStoreCostsNoMessageItsAttempts) {
  lake_->PutRaw("raw-events/1.ndjson", {Item(kNoon, "a")});
  store::FaultyStore faulty(store_, *random_);
  RawConsumerOptions options;
  options.queue = kQueueName;
  RawConsumer consumer(options, faulty, *lake_->queue, *lake_->ledger, clock_);
  faulty.SetChance(store::StoreCall::kPut, store::FaultKind::kFailBefore, 1'000);
  for (int i = 0; i < 60; ++i) {
    EXPECT_FALSE(consumer.RunOnce().ok());
    clock_.AdvanceMs(60'000);
  }
  EXPECT_EQ(Stats().dead_lettered, 0u);
  EXPECT_EQ(lake_->queue->Peek(kQueueName, 1).value().at(0).attempts, 0u);
  EXPECT_EQ(VisibleMessages(store_, *lake_->ledger), (Counts{{"a", 1}}));
  faulty.SetChance(store::StoreCall::kPut, store::FaultKind::kFailBefore, 0);
  ASSERT_TRUE(lake_->Drain(clock_));
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"a", 1}}));
}

TEST_F(RawConsumerTest, APlanWhoseSourceChangedIsAbandonedAndItsFilesGo) {
  lake_->PutRaw("raw-events/1.ndjson", {Item(kNoon, "old")});
  lake_->PutRaw("raw-events/2.ndjson", {Item(kNoon + kHour, "kept")});
  store::FaultyStore faulty(store_, *random_);
  RawConsumerOptions options;
  options.queue = kQueueName;
  RawConsumer consumer(options, faulty, *lake_->queue, *lake_->ledger, clock_);
  faulty.Script({store::FaultKind::kFailBefore, store::StoreCall::kPut, "logs/", 1, 1});
  EXPECT_FALSE(consumer.RunOnce().ok());
  EXPECT_EQ(Keys("logs/").size(), 1u);  // put, and of a plan that is not done
  lake_->PutRaw("raw-events/1.ndjson", {Item(kNoon, "new")});
  EXPECT_EQ(VisibleMessages(store_, *lake_->ledger), (Counts{{"new", 1}, {"kept", 1}}));
  ASSERT_TRUE(lake_->Drain(clock_));
  EXPECT_EQ(lake_->consumer->stats().committed.plans_abandoned, 1u);
  EXPECT_EQ(GlobbedMessages(store_), (Counts{{"new", 1}, {"kept", 1}}));
}

TEST_F(RawConsumerTest, TimesOutsideTheCalendarStillHaveADirectory) {
  const NamespaceId ns;
  EXPECT_EQ(HourDirectory(ns, "l", INT64_MIN), "l/year=0001/month=01/day=01/hour=00/");
  EXPECT_EQ(HourDirectory(ns, "l", -1), "l/year=1969/month=12/day=31/hour=23/");
  EXPECT_EQ(HourDirectory(ns, "l", INT64_MAX), "l/year=9999/month=12/day=31/hour=23/");
}

}  // namespace
}  // namespace varve::compact
