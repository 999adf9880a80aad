#include "queue/sqlite_queue.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/clock.h"
#include "temp_dir.h"

namespace varve::queue {
namespace {

constexpr int64_t kStartMs = 1'700'000'000'000;

class SqliteQueueTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = state::Database::Open(":memory:").value();
    queue_ = SqliteQueue::Open(*database_, clock_, *random_).value();
    Declare(3);
  }

  void Declare(uint32_t max_retries, std::string dead_letter_queue = "dead",
               uint64_t messages_max = 1'000) {
    QueueConfig config;
    config.name = "q";
    config.max_retries = max_retries;
    config.dead_letter_queue = std::move(dead_letter_queue);
    config.messages_max = messages_max;
    ASSERT_TRUE(queue_->Declare(config).ok());
  }

  std::string Send(std::string_view body) { return queue_->Send("q", body, {}).value(); }
  Message ReceiveOne() { return queue_->Receive("q", 1, 1'000).value().at(0); }

  ManualClock clock_{kStartMs};
  std::unique_ptr<Random> random_ = SeededRandom(1);
  std::unique_ptr<state::Database> database_;
  std::unique_ptr<SqliteQueue> queue_;
};

TEST_F(SqliteQueueTest, DeliversInOrderUnderLeaseAndForgetsWhatIsAcked) {
  Send("a");
  Send("b");
  const auto messages = queue_->Receive("q", 10, 1'000).value();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].body, "a");
  EXPECT_EQ(messages[1].body, "b");
  EXPECT_EQ(messages[0].attempts, 1u);
  EXPECT_TRUE(queue_->Receive("q", 10, 1'000).value().empty());
  const auto outcome =
      queue_->Settle("q", {messages[0].lease_id, messages[1].lease_id}, {}).value();
  EXPECT_EQ(outcome.acked, 2u);
  EXPECT_EQ(queue_->Stats("q").value().backlog, 0u);
  EXPECT_EQ(queue_->Stats("q").value().backlog_bytes, 0u);
}

TEST_F(SqliteQueueTest, AnAckOfAnEarlierDeliveryStillSettlesTheMessage) {
  Send("a");
  const Message first = ReceiveOne();
  clock_.AdvanceMs(1'001);
  const Message second = ReceiveOne();
  EXPECT_EQ(second.attempts, 2u);
  EXPECT_NE(first.lease_id, second.lease_id);
  EXPECT_EQ(queue_->Settle("q", {first.lease_id}, {}).value().acked, 1u);
  const auto late = queue_->Settle("q", {second.lease_id}, {}).value();
  EXPECT_EQ(late.acked, 0u);
  ASSERT_EQ(late.warnings.size(), 1u);
  EXPECT_EQ(late.warnings[0].first, second.lease_id);
}

TEST_F(SqliteQueueTest, ARetryOfAnEarlierDeliveryChangesNothing) {
  Send("a");
  const Message first = ReceiveOne();
  clock_.AdvanceMs(1'001);
  ReceiveOne();
  const auto outcome = queue_->Settle("q", {}, {{first.lease_id, "late", 0, true}}).value();
  EXPECT_EQ(outcome.retried + outcome.dead_lettered, 0u);
  EXPECT_EQ(outcome.warnings.size(), 1u);
  EXPECT_EQ(queue_->Stats("q").value().leased, 1u);
}

TEST_F(SqliteQueueTest, BacksOffExponentiallyAndThenDeadLettersWithTheReason) {
  const std::string id = Send("poison");
  int64_t expected_ms = 1'000;
  for (int attempt = 1; attempt <= 3; ++attempt, expected_ms *= 2) {
    const Message message = ReceiveOne();
    queue_->Settle("q", {}, {{message.lease_id, "no good", -1, false}}).value();
    clock_.AdvanceMs(expected_ms * 3 / 4 - 1);
    EXPECT_TRUE(queue_->Receive("q", 1, 1'000).value().empty()) << attempt;
    clock_.AdvanceMs(expected_ms / 2 + 2);
  }
  const Message last = ReceiveOne();
  EXPECT_EQ(last.attempts, 4u);
  EXPECT_EQ(queue_->Settle("q", {}, {{last.lease_id, "no good"}}).value().dead_lettered, 1u);
  const auto dead = queue_->Peek("dead", 10).value();
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(dead[0].id, id);
  EXPECT_EQ(dead[0].body, "poison");
  EXPECT_EQ(dead[0].dead_letter_reason, "no good");
  EXPECT_EQ(dead[0].dead_letter_source, "q");
  EXPECT_EQ(queue_->Settle("q", {last.lease_id}, {}).value().acked, 0u);
}

TEST_F(SqliteQueueTest, ARetriedMessageDoesNotStandInFrontOfTheOthers) {
  Send("poison");
  const Message poison = ReceiveOne();
  Send("good");
  clock_.AdvanceMs(10);
  queue_->Settle("q", {}, {{poison.lease_id, "bad", 0}}).value();
  clock_.AdvanceMs(10);
  Send("later");
  EXPECT_EQ(ReceiveOne().body, "good");
}

TEST_F(SqliteQueueTest, LeasesThatRunOutPastTheRetriesDeadLetter) {
  Send("a");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(queue_->Receive("q", 1, 1'000).value().size(), 1u);
    clock_.AdvanceMs(1'000);
  }
  EXPECT_EQ(queue_->Stats("q").value().dead_lettered, 1u);
  EXPECT_EQ(queue_->Peek("dead", 1).value().at(0).dead_letter_reason, "lease expired");
}

TEST_F(SqliteQueueTest, WithoutADeadLetterQueueAnExhaustedMessageIsDeletedAndCounted) {
  Declare(0, "");
  Send("a");
  queue_->Settle("q", {}, {{ReceiveOne().lease_id, "bad"}}).value();
  const QueueStats stats = queue_->Stats("q").value();
  EXPECT_EQ(stats.dead_lettered, 1u);
  EXPECT_EQ(stats.backlog, 0u);
}

TEST_F(SqliteQueueTest, AFullDeadLetterQueueKeepsTheMessageWhereItIs) {
  QueueConfig dead;
  dead.name = "dead";
  dead.messages_max = 1;
  ASSERT_TRUE(queue_->Declare(dead).ok());
  for (const char* body : {"a", "b"}) {
    Send(body);
    queue_->Settle("q", {}, {{ReceiveOne().lease_id, "bad", -1, true}}).value();
  }
  EXPECT_EQ(queue_->Stats("dead").value().backlog, 1u);
  EXPECT_EQ(queue_->Stats("q").value().backlog, 1u);
  clock_.AdvanceMs(300'000);
  EXPECT_EQ(ReceiveOne().body, "b");
}

TEST_F(SqliteQueueTest, ReplayStartsALifeInWhichOldLeasesAreWorthless) {
  Send("a");
  const Message first = ReceiveOne();
  queue_->Settle("q", {}, {{first.lease_id, "bad", -1, true}}).value();
  EXPECT_EQ(queue_->Replay("dead", 10).value(), 1u);
  EXPECT_EQ(queue_->Settle("q", {first.lease_id}, {}).value().acked, 0u);
  const Message again = ReceiveOne();
  EXPECT_EQ(again.attempts, 1u);
  EXPECT_EQ(again.body, "a");
  EXPECT_TRUE(again.dead_letter_source.empty());
  EXPECT_EQ(queue_->Stats("dead").value().backlog, 0u);
}

TEST_F(SqliteQueueTest, SendsOneDedupKeyOnceInItsWindow) {
  SendOptions options;
  options.dedup_key = "bucket/key/etag";
  options.dedup_window_ms = 1'000;
  EXPECT_FALSE(queue_->Send("q", "a", options).value().empty());
  EXPECT_TRUE(queue_->Send("q", "a", options).value().empty());
  clock_.AdvanceMs(1'000);
  EXPECT_FALSE(queue_->Send("q", "a", options).value().empty());
  EXPECT_EQ(queue_->Stats("q").value().deduplicated, 1u);
}

TEST_F(SqliteQueueTest, RefusesWhatBreaksABoundAndSaysWhich) {
  const auto too_large = queue_->Send("q", std::string(kBodyBytesMax + 1, 'x'), {});
  ASSERT_FALSE(too_large.ok());
  EXPECT_EQ(too_large.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(too_large.error().code, "MESSAGE_TOO_LARGE");
  EXPECT_TRUE(queue_->Send("q", std::string(kBodyBytesMax, 'x'), {}).ok());
  Declare(3, "dead", 1);
  EXPECT_EQ(queue_->Send("q", "a", {}).error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(queue_->Send("nowhere", "a", {}).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(queue_->Receive("q", 101, 1'000).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(queue_->Receive("q", 1, 0).error().kind, ErrorKind::kInvalid);
}

TEST_F(SqliteQueueTest, RefusesQueueNamesAndSettingsThatAreWrong) {
  for (const char* name : {"", "A", "-a", "a/b", "../x", "a b"}) {
    QueueConfig config;
    config.name = name;
    EXPECT_EQ(queue_->Declare(config).error().code, "INVALID_QUEUE") << name;
  }
  QueueConfig own;
  own.name = own.dead_letter_queue = "own";
  EXPECT_FALSE(queue_->Declare(own).ok());
}

TEST_F(SqliteQueueTest, AHoldersLeasesComeBackBlamelessAfterItsProcessEnded) {
  Send("a");
  Send("b");
  ASSERT_EQ(queue_->ReceiveHeld("q", 1, 60'000, "consumer").value().size(), 1u);
  ASSERT_EQ(queue_->Receive("q", 1, 60'000).value().size(), 1u);
  EXPECT_EQ(queue_->ReleaseHolder("q", "consumer").value(), 1u);
  const auto again = queue_->Receive("q", 10, 60'000).value();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].body, "a");
  EXPECT_EQ(again[0].attempts, 1u);
}

TEST_F(SqliteQueueTest, AMessageThatKeepsKillingItsHolderEndsInTheDeadLetters) {
  Send("killer");
  int deliveries = 0;
  while (queue_->Stats("dead").value().backlog == 0 && deliveries < 100) {
    deliveries += static_cast<int>(queue_->ReceiveHeld("q", 1, 1'000, "c").value().size());
    queue_->ReleaseHolder("q", "c").value();
    for (const Message& message : queue_->Peek("q", 1).value()) {
      if (message.attempts <= 3) continue;
      const Message last = ReceiveOne();
      queue_->Settle("q", {}, {{last.lease_id, "killed its consumer"}}).value();
    }
  }
  EXPECT_LT(deliveries, 50);
  EXPECT_EQ(queue_->Stats("dead").value().backlog, 1u);
}

TEST_F(SqliteQueueTest, AClockSetBackHidesNothingAfterAReopen) {
  Send("a");
  clock_.AdvanceMs(-7 * 86'400'000LL);
  EXPECT_TRUE(queue_->Receive("q", 1, 1'000).value().empty());
  queue_ = SqliteQueue::Open(*database_, clock_, *random_).value();
  EXPECT_EQ(ReceiveOne().body, "a");
}

TEST_F(SqliteQueueTest, WorkInsideATransactionOfTheCallerStandsOrFallsWithIt) {
  Send("a");
  const Message message = ReceiveOne();
  const std::vector<std::string> leases{message.lease_id};
  const auto body = [&](bool fail) {
    return database_->Transact([&, fail](state::Session& session) -> Status {
      EXPECT_EQ(TRY(queue_->AckIn(session, "q", leases)), 1u);
      TRY(queue_->SendIn(session, "q", "downstream", {}));
      if (fail) return MakeError(ErrorKind::kRetryable, "no");
      return {};
    });
  };
  EXPECT_FALSE(body(true).ok());
  EXPECT_EQ(queue_->Stats("q").value().leased, 1u);
  EXPECT_EQ(queue_->Stats("q").value().backlog, 1u);
  EXPECT_TRUE(body(false).ok());
  EXPECT_EQ(ReceiveOne().body, "downstream");
  EXPECT_EQ(queue_->Stats("q").value().acked, 1u);
}

TEST(SqliteQueueDurability, EverythingSurvivesAReopenOfTheFile) {
  const TempDir dir;
  ManualClock clock(kStartMs);
  const auto random = SeededRandom(2);
  std::string lease;
  {
    auto database = state::Database::Open(dir.File("state.db")).value();
    auto queue = SqliteQueue::Open(*database, clock, *random).value();
    QueueConfig config;
    config.name = "q";
    config.dead_letter_queue = "dead";
    ASSERT_TRUE(queue->Declare(config).ok());
    for (const char* body : {"a", "b", "c"}) queue->Send("q", body, {}).value();
    lease = queue->Receive("q", 1, 1'000).value().at(0).lease_id;
    const auto second = queue->Receive("q", 1, 1'000).value();
    queue->Settle("q", {}, {{second.at(0).lease_id, "bad", -1, true}}).value();
  }
  auto database = state::Database::Open(dir.File("state.db")).value();
  auto queue = SqliteQueue::Open(*database, clock, *random).value();
  const QueueStats stats = queue->Stats("q").value();
  EXPECT_EQ(stats.sent, 3u);
  EXPECT_EQ(stats.delivered, 2u);
  EXPECT_EQ(stats.dead_lettered, 1u);
  EXPECT_EQ(stats.backlog, 2u);
  EXPECT_EQ(stats.leased, 1u);
  EXPECT_EQ(stats.oldest_message_ms, kStartMs);
  EXPECT_EQ(queue->Settle("q", {lease}, {}).value().acked, 1u);
  EXPECT_EQ(queue->Peek("dead", 1).value().at(0).body, "b");
  EXPECT_EQ(queue->Receive("q", 10, 1'000).value().at(0).body, "c");
}

class WaitingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    QueueConfig config;
    config.name = "q";
    ASSERT_TRUE(queue_->Declare(config).ok());
  }
  std::unique_ptr<state::Database> database_ = state::Database::Open(":memory:").value();
  std::unique_ptr<SqliteQueue> queue_ =
      SqliteQueue::Open(*database_, SystemClock(), SystemRandom()).value();
};

TEST_F(WaitingTest, ASendEndsTheWait) {
  std::jthread sender([&] { queue_->Send("q", "a", {}).value(); });
  queue_->WaitForMessages("q", 60'000);
  EXPECT_EQ(queue_->Stats("q").value().backlog, 1u);
}

TEST_F(WaitingTest, ADelayedMessageEndsTheWaitWhenItBecomesVisible) {
  SendOptions options;
  options.delay_ms = 30;
  queue_->Send("q", "a", options).value();
  queue_->WaitForMessages("q", 60'000);
  EXPECT_EQ(queue_->Receive("q", 1, 1'000).value().size(), 1u);
}

TEST_F(WaitingTest, CloseAndStopEndTheWait) {
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(queue_->Wait("q", 60'000, stop.get_token()));
  std::jthread closer([&] { queue_->Close(); });
  queue_->WaitForMessages("q", 60'000);
}

TEST_F(WaitingTest, ABatchIsHandedOutWhenItIsFullOrItsTimeIsUp) {
  BatchOptions options;
  options.batch_max = 3;
  options.batch_timeout_ms = 60'000;
  std::jthread sender([&] {
    for (const char* body : {"a", "b", "c"}) queue_->Send("q", body, {}).value();
  });
  EXPECT_EQ(queue_->ReceiveBatch("q", options, {}).value().size(), 3u);
  queue_->Send("q", "d", {}).value();
  options.batch_timeout_ms = 40;
  EXPECT_EQ(queue_->ReceiveBatch("q", options, {}).value().size(), 1u);
  EXPECT_TRUE(queue_->ReceiveBatch("q", options, {}).value().empty());
}

}  // namespace
}  // namespace varve::queue
