#include "notify/notifier.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/clock.h"
#include "core/crash_point.h"
#include "notify/notification.h"
#include "store/faulty_store.h"
#include "store/local_store.h"
#include "store/memory_store.h"
#include "temp_dir.h"

namespace varve::notify {
namespace {

constexpr char kQueue[] = "raw";

NotifyRule RawRule() { return {"raw-events/", ".ndjson", {"object-create"}, kQueue, true}; }

class NotifierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    queue::QueueConfig config;
    config.name = kQueue;
    config.messages_max = 5'000;
    ASSERT_TRUE(queue_->Declare(config).ok());
    Open({RawRule()});
  }

  void Open(std::vector<NotifyRule> rules) {
    notifier_.reset();
    NotifierOptions options;
    options.account = "acc";
    options.bucket = "b";
    options.rules = std::move(rules);
    notifier_ = Notifier::Open(options, *database_, *queue_, clock_).value();
  }

  void Put(std::string_view key, std::string_view bytes = "x") {
    ASSERT_TRUE(store_.Put(key, bytes, {}).ok());
  }
  void Listen() { store_.SetListener(notifier_.get()); }

  std::vector<Notification> Drain() {
    std::vector<Notification> all;
    for (;;) {
      const auto messages = queue_->Receive(kQueue, 100, 60'000).value();
      if (messages.empty()) return all;
      for (const queue::Message& message : messages) {
        all.push_back(ParseNotifications(message.body).value().at(0));
        queue_->Settle(kQueue, {message.lease_id}, {}).value();
      }
    }
  }
  std::vector<std::string> DrainKeys() {
    std::vector<std::string> keys;
    for (const Notification& n : Drain()) keys.push_back(n.key);
    return keys;
  }

  using Keys = std::vector<std::string>;
  ManualClock clock_{1'700'000'000'000};
  std::unique_ptr<Random> random_ = SeededRandom(5);
  std::unique_ptr<state::Database> database_ = state::Database::Open(":memory:").value();
  std::unique_ptr<queue::SqliteQueue> queue_ =
      queue::SqliteQueue::Open(*database_, clock_, *random_).value();
  store::MemoryStore store_{clock_};
  std::unique_ptr<Notifier> notifier_;
};

TEST_F(NotifierTest, TellsOfMatchingObjectsInTheDefaultPartAndInEveryTenants) {
  Listen();
  Put("raw-events/1-a-0.ndjson", "hello");
  Put("ns/acme/raw-events/2-b-0.ndjson");
  Put("raw-events/readme.txt");
  Put("events/2026/1/1/0/x.parquet");
  Put("ns/acme/quarantine/raw-events/x.ndjson");
  const auto told = Drain();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].key, "raw-events/1-a-0.ndjson");
  EXPECT_EQ(told[0].size, 5u);
  EXPECT_EQ(told[0].bucket, "b");
  EXPECT_EQ(told[0].kind, NotificationKind::kCreated);
  EXPECT_EQ(told[1].key, "ns/acme/raw-events/2-b-0.ndjson");
  EXPECT_EQ(notifier_->stats().announced, 2u);
}

TEST_F(NotifierTest, ReconcileFindsWhatACrashLeftUnannouncedOnceItIsStable) {
  Put("raw-events/1-a-0.ndjson");  // nobody listened
  Put("ns/acme/raw-events/2-a-0.ndjson");
  Put("ns/acme2/raw-events/3-a-0.ndjson");
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_TRUE(Drain().empty());
  clock_.AdvanceMs(2'000);
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_EQ(DrainKeys(), (Keys{"ns/acme/raw-events/2-a-0.ndjson",
                               "ns/acme2/raw-events/3-a-0.ndjson", "raw-events/1-a-0.ndjson"}));
  clock_.AdvanceMs(10'000);
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_TRUE(Drain().empty());
}

TEST_F(NotifierTest, AnObjectThatStillChangesIsNotAnnouncedYet) {
  Put("raw-events/1-a-0.ndjson", "half");
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  clock_.AdvanceMs(1'999);
  Put("raw-events/1-a-0.ndjson", "half and the rest");
  clock_.AdvanceMs(1);
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_TRUE(Drain().empty());
  clock_.AdvanceMs(2'000);
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  const auto told = Drain();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].size, 17u);
}

TEST_F(NotifierTest, NeitherARestartNorAReconcileTellsTwice) {
  Listen();
  Put("raw-events/1-a-0.ndjson");
  EXPECT_EQ(Drain().size(), 1u);
  Open({RawRule()});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(notifier_->Reconcile(store_).ok());
    clock_.AdvanceMs(5'000);
  }
  EXPECT_TRUE(Drain().empty());
  EXPECT_EQ(queue_->Stats(kQueue).value().deduplicated, 0u);
}

TEST_F(NotifierTest, NewBytesUnderAKeyAreTold) {
  Listen();
  Put("raw-events/1-a-0.ndjson", "a");
  Put("raw-events/1-a-0.ndjson", "a");
  Put("raw-events/1-a-0.ndjson", "b");
  EXPECT_EQ(Drain().size(), 2u);
}

TEST_F(NotifierTest, AFailureToSendLosesNothing) {
  Listen();
  queue::QueueConfig config;
  config.name = kQueue;
  config.messages_max = 1;
  ASSERT_TRUE(queue_->Declare(config).ok());
  Put("raw-events/1-a-0.ndjson");
  Put("raw-events/2-a-0.ndjson");
  EXPECT_EQ(notifier_->stats().announce_failures, 1u);
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  clock_.AdvanceMs(2'000);
  EXPECT_FALSE(notifier_->Reconcile(store_).ok());  // still full, and says so
  EXPECT_EQ(DrainKeys(), Keys{"raw-events/1-a-0.ndjson"});
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_EQ(DrainKeys(), Keys{"raw-events/2-a-0.ndjson"});
  EXPECT_EQ(notifier_->stats().reconcile_announced, 1u);
}

TEST_F(NotifierTest, DeletesForgetAndAreToldWhereTheRuleAsks) {
  NotifyRule rule = RawRule();
  rule.actions = {"object-create", "object-delete"};
  Open({rule});
  Listen();
  Put("raw-events/1-a-0.ndjson");
  ASSERT_TRUE(store_.Delete("raw-events/1-a-0.ndjson").ok());
  const auto told = Drain();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].kind, NotificationKind::kDeleted);
  EXPECT_FALSE(told[1].size.has_value());
}

TEST_F(NotifierTest, ReconcilePrunesWhatVanishedAndTellsOfIt) {
  NotifyRule rule = RawRule();
  rule.actions = {"PutObject", "DeleteObject"};
  Open({rule});
  Listen();
  Put("raw-events/1-a-0.ndjson");
  Put("ns/gone/raw-events/1-a-0.ndjson");
  store_.SetListener(nullptr);
  ASSERT_TRUE(store_.Delete("raw-events/1-a-0.ndjson").ok());
  ASSERT_TRUE(store_.Delete("ns/gone/raw-events/1-a-0.ndjson").ok());
  Drain();
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_EQ(notifier_->stats().reconcile_pruned, 2u);
  EXPECT_EQ(DrainKeys(), (Keys{"raw-events/1-a-0.ndjson", "ns/gone/raw-events/1-a-0.ndjson"}));
}

TEST_F(NotifierTest, AListingThatMissesItsLastPagePrunesNothing) {
  Listen();
  for (int i = 0; i < 2'500; ++i) Put("raw-events/" + std::to_string(10'000 + i) + "-a-0.ndjson");
  EXPECT_EQ(Drain().size(), 2'500u);
  store::FaultyStore faulty(store_, *random_);
  faulty.Script(
      {store::FaultKind::kListWithoutLastPage, store::StoreCall::kList, "raw-events/", 1, 1});
  ASSERT_TRUE(notifier_->Reconcile(faulty).ok());
  EXPECT_EQ(faulty.fired(store::FaultKind::kListWithoutLastPage), 1u);
  EXPECT_EQ(notifier_->stats().reconcile_pruned, 0u);
}

TEST_F(NotifierTest, ReconcileCrossesPagesBothWays) {
  for (int i = 0; i < 2'500; ++i) Put("raw-events/" + std::to_string(10'000 + i) + "-a-0.ndjson");
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_EQ(notifier_->stats().objects_listed, 2'500u);
  clock_.AdvanceMs(2'000);
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_EQ(Drain().size(), 2'500u);
  for (int i = 0; i < 2'500; i += 2) {
    ASSERT_TRUE(store_.Delete("raw-events/" + std::to_string(10'000 + i) + "-a-0.ndjson").ok());
  }
  ASSERT_TRUE(notifier_->Reconcile(store_).ok());
  EXPECT_EQ(notifier_->stats().reconcile_pruned, 1'250u);
}

TEST_F(NotifierTest, AStoreThatCannotBeListedIsReportedAndTriedAgain) {
  Put("raw-events/1-a-0.ndjson");
  store::FaultyStore faulty(store_, *random_);
  faulty.Script({store::FaultKind::kFailBefore, store::StoreCall::kList, "", 0, 1});
  EXPECT_FALSE(notifier_->Reconcile(faulty).ok());
  EXPECT_EQ(notifier_->stats().reconcile_failures, 1u);
  ASSERT_TRUE(notifier_->Reconcile(faulty).ok());
  EXPECT_EQ(notifier_->stats().candidates, 1u);
}

TEST(NotifierOnADirectory, FindsAFileThatAnotherProgramPutThere) {
  const TempDir dir;
  auto store = store::OpenLocalStore({dir.File("lake"), false}, SystemClock()).value();
  auto database = state::Database::Open(dir.File("state.db")).value();
  auto queue = queue::SqliteQueue::Open(*database, SystemClock(), SystemRandom()).value();
  queue::QueueConfig config;
  config.name = kQueue;
  ASSERT_TRUE(queue->Declare(config).ok());
  NotifierOptions options;
  options.bucket = "b";
  options.rules = {RawRule()};
  options.reconcile_interval_ms = 20;
  options.stable_ms = 10;
  auto notifier = Notifier::Open(options, *database, *queue, SystemClock()).value();
  store->SetListener(notifier.get());
  notifier->Start(*store);
  std::filesystem::create_directories(dir.File("lake/raw-events"));
  std::ofstream(dir.File("lake/raw-events/1-other-0.ndjson")) << "{}";
  queue->WaitForMessages(kQueue, 30'000);
  notifier->Stop();
  const auto messages = queue->Receive(kQueue, 10, 1'000).value();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(ParseNotifications(messages[0].body).value().at(0).key, "raw-events/1-other-0.ndjson");
}

// A process of its own: puts one object with the notifier listening, and dies at the point.
void PutAndDieAt(const TempDir& dir, std::string_view point) {
  const pid_t child = fork();
  if (child == 0) {
    const ManualClock clock(1'700'000'000'000);
    auto store = store::OpenLocalStore({dir.File("lake"), false}, clock).value();
    auto database = state::Database::Open(dir.File("state.db")).value();
    auto queue = queue::SqliteQueue::Open(*database, clock, SystemRandom()).value();
    queue::QueueConfig config;
    config.name = kQueue;
    queue->Declare(config).value();
    NotifierOptions options;
    options.rules = {RawRule()};
    auto notifier = Notifier::Open(options, *database, *queue, clock).value();
    store->SetListener(notifier.get());
    CHECK(CrashPoint::Arm(point));
    store->Put("raw-events/1-a-0.ndjson", "x", {}).value();
    _exit(1);  // the point was not reached
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << point;
}

TEST(NotifierCrash, AtEveryPointTheObjectIsToldOnce) {
  int points = 0;
  for (const std::string_view point : CrashPoint::Names()) {
    if (point.substr(0, 7) != "notify.") continue;
    ++points;
    const TempDir dir;
    PutAndDieAt(dir, point);
    ManualClock clock(1'700'000'100'000);
    auto store = store::OpenLocalStore({dir.File("lake"), false}, clock).value();
    auto database = state::Database::Open(dir.File("state.db")).value();
    auto queue = queue::SqliteQueue::Open(*database, clock, SystemRandom()).value();
    NotifierOptions options;
    options.rules = {RawRule()};
    auto notifier = Notifier::Open(options, *database, *queue, clock).value();
    for (int pass = 0; pass < 3; ++pass, clock.AdvanceMs(5'000)) {
      ASSERT_TRUE(notifier->Reconcile(*store).ok());
    }
    EXPECT_EQ(queue->Stats(kQueue).value().sent, 1u) << point;
    EXPECT_EQ(queue->Stats(kQueue).value().deduplicated, 0u) << point;
  }
  EXPECT_EQ(points, 3);
}

TEST(CheckRules, RefusesRulesThatWouldTellOneQueueTwice) {
  const NotifyRule base = RawRule();
  const auto with = [&](std::string prefix, std::string suffix, std::string queue = kQueue) {
    NotifyRule rule = base;
    rule.prefix = std::move(prefix);
    rule.suffix = std::move(suffix);
    rule.queue = std::move(queue);
    return rule;
  };
  EXPECT_TRUE(CheckRules({base}).ok());
  EXPECT_TRUE(CheckRules({base, with("events/", "")}).ok());
  EXPECT_TRUE(CheckRules({base, with("raw-events/", ".parquet")}).ok());
  EXPECT_TRUE(CheckRules({base, with("raw-events/", ".ndjson", "other")}).ok());
  EXPECT_FALSE(CheckRules({base, with("raw-events/2026", "")}).ok());
  EXPECT_FALSE(CheckRules({base, with("", "")}).ok());
  EXPECT_FALSE(CheckRules({base, with("ns/acme/", "")}).ok());
  EXPECT_FALSE(CheckRules({with("x", "", "")}).ok());
  NotifyRule wrong = base;
  wrong.actions = {"object-create", "Explode"};
  EXPECT_FALSE(CheckRules({wrong}).ok());
  NotifyRule deletes = base;
  deletes.actions = {"object-delete"};
  EXPECT_TRUE(CheckRules({base, deletes}).ok());
  EXPECT_FALSE(CheckRules(std::vector<NotifyRule>(101, base)).ok());
}

}  // namespace
}  // namespace varve::notify
