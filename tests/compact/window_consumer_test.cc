// From messages on the queue to workflows: all dialects, messages that are none, files that are
// none.
#include "compact/window_consumer.h"

#include <gtest/gtest.h>

#include "store/memory_store.h"
#include "windows.h"

namespace varve::compact {
namespace {

constexpr char kQueue[] = "varve-compaction-events";

class WindowConsumerTest : public ::testing::Test {
 protected:
  WindowConsumerTest() : store_(clock_) {
    WindowOptions options;
    options.min_files = 1;
    windows_ = std::make_unique<Windows>(":memory:", clock_, options);
    queue_ = queue::SqliteQueue::Open(*windows_->database, clock_, SystemRandom()).value();
    EXPECT_TRUE(queue_->Declare({.name = "dead", .dead_letter_queue = ""}).ok());
    EXPECT_TRUE(queue_->Declare({.name = kQueue, .dead_letter_queue = "dead"}).ok());
    WindowConsumerOptions consumer;
    consumer.start = windows_->workflows->Start();
    consumer.standing = [this](std::string_view) { return Result<WorkflowStanding>(standing_); };
    consumer_ =
        std::make_unique<WindowConsumer>(std::move(consumer), *windows_->tracker, store_, *queue_);
  }
  void Send(std::string_view body) { ASSERT_TRUE(queue_->Send(kQueue, body, {}).ok()); }
  std::string Put(const std::string& key, std::string_view bytes = "x") {
    return store_.Put(key, bytes, {}).value().etag;
  }
  uint64_t Backlog(const char* queue = kQueue) { return queue_->Stats(queue).value().backlog; }
  NoteCounts Take() {
    EXPECT_TRUE(consumer_->TakeOnce().ok());
    return consumer_->stats().noted;
  }

  ManualClock clock_{kTen};
  store::MemoryStore store_;
  std::unique_ptr<Windows> windows_;
  std::unique_ptr<queue::SqliteQueue> queue_;
  std::unique_ptr<WindowConsumer> consumer_;
  WorkflowStanding standing_ = WorkflowStanding::kRuns;
};

std::string R2(std::string_view key, std::string_view action = "PutObject") {
  return fmt::format(
      R"({{"account":"a","action":"{}","bucket":"b","object":{{"key":"{}","size":7,"eTag":"e"}},)"
      R"("eventTime":"2026-11-21T10:00:00.000Z"}})",
      action, key);
}

TEST_F(WindowConsumerTest, EveryDialectIsTaken) {
  Send(R2("data/users/1795255200001-a-0.parquet"));
  Send(R"({"account":"a","bucket":"b","object":{"key":"data/users/1795255200001-b-0.parquet",)"
       R"("size":7,"eTag":"e"},"eventType":"object-create","eventTime":"2026-11-21T10:00:00Z"})");
  Send(R"({"Records":[{"eventVersion":"2.2","eventSource":"aws:s3","eventName":)"
       R"("s3:ObjectCreated:Put","eventTime":"2026-11-21T02:18:14Z","s3":{"bucket":{"name":"b"},)"
       R"("object":{"key":"data/users/1795255200001-c-0.parquet","size":"7","eTag":"\"e\""}}},)"
       R"({"eventVersion":"2.2","eventSource":"aws:s3","eventName":"ObjectCreated:Put",)"
       R"("eventTime":"2026-11-21T02:18:14Z","s3":{"bucket":{"name":"b"},)"
       R"("object":{"key":"ns/acme/data/users/1795255200-d-0.parquet","size":7,"eTag":"e"}}}]})");
  EXPECT_EQ(Take().added, 4u);
  EXPECT_EQ(Backlog(), 0u);
  EXPECT_EQ(windows_->StatusOf("users").row.Label(), "acme:users");
  EXPECT_EQ(ReadStatus(*windows_->tracker, {.tenant = NamespaceId()})->namespaces[0].pending_files,
            3u);
}

TEST_F(WindowConsumerTest, WhatIsNoNotificationIsADeadLetterAtOnce) {
  Send(R"({"hello":1})");
  Send(R2("data/users/1795255200001-a-0.parquet"));
  EXPECT_EQ(Take().added, 1u);
  EXPECT_EQ(Backlog(), 0u);
  EXPECT_EQ(Backlog("dead"), 1u);
  EXPECT_EQ(consumer_->stats().dead_lettered, 1u);
}

TEST_F(WindowConsumerTest, AFileOfNoWriterIsAckedCountedAndShown) {
  Put("data/users/export.parquet");
  Send(R2("data/users/export.parquet"));
  Send(R2("data/users/1795255200001000-a-0.parquet"));
  EXPECT_EQ(Take().added, 0u);
  EXPECT_EQ(Backlog(), 0u);
  const WindowStats stats = consumer_->stats();
  EXPECT_EQ(stats.skipped, 2u);
  ASSERT_EQ(stats.skipped_last.size(), 2u);
  EXPECT_EQ(stats.skipped_last[0].key, "data/users/export.parquet");
  EXPECT_NE(stats.skipped_last[1].why.find("9999"), std::string::npos);
  EXPECT_TRUE(store_.Head("data/users/export.parquet").ok());
  for (int i = 0; i < 50; ++i) Send(R2(fmt::format("data/users/x{}.parquet", i)));
  Take();
  EXPECT_EQ(consumer_->stats().skipped, 52u);
  EXPECT_EQ(consumer_->stats().skipped_last.size(), 10u);
}

TEST_F(WindowConsumerTest, ADeletionIsBelievedOnceTheStoreConfirmsIt) {
  const std::string key = "data/users/1795255200001-a-0.parquet";
  Put(key);
  const std::string removed = R"({"account":"a","action":"DeleteObject","bucket":"b","object":)"
                              R"({"key":"data/users/1795255200001-a-0.parquet"},)"
                              R"("eventTime":"2026-11-21T10:00:00.000Z"})";
  Send(removed);
  EXPECT_EQ(Take().added, 1u) << "an old message: the object is there";
  ASSERT_TRUE(store_.Delete(key).ok());
  Send(removed);
  EXPECT_EQ(Take().removed, 1u);
  EXPECT_EQ(windows_->StatusOf("users").windows_total, 0u);
}

TEST_F(WindowConsumerTest, TheStoreKnowsWhichSpellingOfAKeyIsMeantAndWhichBytesAreThere) {
  const std::string plain = "data/users/1795255200001-a+b-0.parquet";
  const std::string etag = Put(plain, "four");
  Send(R"({"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":)"
       R"("ObjectCreated:Put","eventTime":"2026-11-21T02:18:14Z","s3":{"bucket":{"name":"b"},)"
       R"("object":{"key":"data/users/1795255200001-a%2Bb-0.parquet","size":4,"eTag":"z"}}}]})");
  EXPECT_EQ(Take().added, 1u);
  EXPECT_EQ(windows_->ViewOf(plain, etag).standing, SourceStanding::kPending);
  EXPECT_EQ(windows_->StatusOf("users").pending_bytes, 4u);
}

TEST_F(WindowConsumerTest, ReadyWindowsBecomeWorkflowsAndEndedOnesGiveBack) {
  const std::string etag = Put("data/users/1795255200001-a-0.parquet");
  Send(R2("data/users/1795255200001-a-0.parquet"));
  Take();
  EXPECT_EQ(consumer_->DispatchOnce().value(), 0u);
  clock_.AdvanceMs(2 * kWindowMs);
  EXPECT_EQ(consumer_->DispatchOnce().value(), 1u);
  standing_ = WorkflowStanding::kHalted;
  ASSERT_TRUE(consumer_->Maintain().ok());
  EXPECT_EQ(windows_->StatusOf("users").halted, 1u);
  standing_ = WorkflowStanding::kEnded;  // without a word to the tracker
  ASSERT_TRUE(consumer_->Maintain().ok());
  EXPECT_EQ(windows_->StatusOf("users").pending, 1u);
  EXPECT_FALSE(consumer_->history().PointsOf("users", 0, 10).empty());
}

TEST_F(WindowConsumerTest, BytesThatChangedUnderAWorkflowAreLookedAtAgain) {
  const std::string key = "data/users/1795255200001-a-0.parquet";
  Send(R2(key));
  Take();
  clock_.AdvanceMs(2 * kWindowMs);
  ASSERT_EQ(consumer_->DispatchOnce().value(), 1u);
  windows_->Settle("w1", {{key, "e", SourceEnd::kChanged, "other bytes"}});
  windows_->End("w1");
  const std::string etag = Put(key, "other bytes");  // whose announcement was lost
  ASSERT_TRUE(consumer_->Maintain().ok());
  EXPECT_EQ(windows_->ViewOf(key, etag).standing, SourceStanding::kPending);
  EXPECT_EQ(windows_->ViewOf(key, "e").standing, SourceStanding::kChanged);
}

TEST_F(WindowConsumerTest, OldRowsGoWithTheirObjects) {
  const std::string key = "data/users/1795255200001-a-0.parquet";
  const std::string etag = Put(key);
  Send(fmt::format(R"({{"account":"a","action":"PutObject","bucket":"b","object":{{"key":"{}",)"
                   R"("size":1,"eTag":"{}"}},"eventTime":"2026-11-21T10:00:00.000Z"}})",
                   key, etag));
  Take();
  clock_.AdvanceMs(2 * kWindowMs);
  ASSERT_EQ(consumer_->DispatchOnce().value(), 1u);
  windows_->SettleAll("w1");
  windows_->End("w1");
  standing_ = WorkflowStanding::kEnded;
  clock_.AdvanceMs(8 * 24 * kWindowMs);
  ASSERT_TRUE(consumer_->Maintain().ok());
  EXPECT_EQ(windows_->ViewOf(key, etag).standing, SourceStanding::kCompacted) << "it is there";
  ASSERT_TRUE(store_.Delete(key).ok());
  clock_.AdvanceMs(8 * 24 * kWindowMs);
  ASSERT_TRUE(consumer_->Maintain().ok());
  EXPECT_EQ(windows_->ViewOf(key, etag).standing, SourceStanding::kUnknown);
}

TEST(WindowConsumerThreads, TakeAndDispatchByThemselves) {
  const Clock& clock = SystemClock();
  store::MemoryStore store(clock);
  WindowOptions options;
  options.min_files = 1;
  Windows windows(":memory:", clock, options);
  auto queue = queue::SqliteQueue::Open(*windows.database, clock, SystemRandom()).value();
  ASSERT_TRUE(queue->Declare({.name = kQueue, .dead_letter_queue = ""}).ok());
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t started = 0;
  WindowConsumerOptions consumer;
  consumer.start = windows.workflows->Start();
  consumer.started = [&] {
    const std::lock_guard lock(mutex);
    ++started;
    changed.notify_all();
  };
  WindowConsumer running(std::move(consumer), *windows.tracker, store, *queue);
  ASSERT_TRUE(running.Start().ok());
  ASSERT_TRUE(queue->Send(kQueue, R2("data/users/1700001234567-a-0.parquet"), {}).ok());
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return started == 1; }));
  lock.unlock();
  running.Stop();
  EXPECT_EQ(running.stats().dispatched, 1u);
}

}  // namespace
}  // namespace varve::compact
