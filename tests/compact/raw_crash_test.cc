// The consumer dies at each of its points, and the next process finishes; several consumers run at
// once beside a reader who must see each row once at every moment.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "core/crash_point.h"
#include "lake.h"
#include "store/local_store.h"
#include "store/memory_store.h"
#include "temp_dir.h"

namespace varve::compact {
namespace {

using Counts = std::map<std::string, int>;

constexpr int kRawFiles = 6;

RawConsumerOptions TwoPlans() {
  RawConsumerOptions options;
  options.rows_max = 6;  // of 12 rows
  options.downstream_queue = "written";
  return options;
}

Counts PutRawFiles(Lake& lake, int files) {
  Counts expected;
  for (int i = 0; i < files; ++i) {
    const std::string name = std::to_string(i);
    lake.PutRaw((i % 2 ? "ns/acme/raw-events/" : "raw-events/") + name + ".ndjson",
                {Item(kNoon + i, "a" + name), Item(kNoon + kHour, "b" + name)});
    expected["a" + name] = expected["b" + name] = 1;
  }
  return expected;
}

// A process of its own: runs rounds until the armed point ends it. True: the point was reached.
bool RunAndDieAt(const TempDir& dir, const std::string& armed) {
  const pid_t child = fork();
  if (child == 0) {
    ManualClock clock(kNoon + kHour);
    auto store = store::OpenLocalStore({dir.File("lake"), false}, clock).value();
    Lake lake(*store, dir.File("state.db"), clock, SystemRandom(), TwoPlans());
    lake.queue->ReleaseHolder(kQueueName, RawConsumerOptions().holder).value();
    CHECK(CrashPoint::Arm(armed));
    lake.Drain(clock, 5);
    _exit(1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status);
}

void ExpectEachRowOnce(const TempDir& dir, const Counts& expected, const std::string& armed) {
  ManualClock clock(kNoon + kHour + 1'000);
  auto store = store::OpenLocalStore({dir.File("lake"), false}, clock).value();
  Lake lake(*store, dir.File("state.db"), clock, SystemRandom(), TwoPlans());
  EXPECT_EQ(VisibleMessages(*store, *lake.ledger), expected) << armed << ", before recovery";
  lake.queue->ReleaseHolder(kQueueName, RawConsumerOptions().holder).value();
  EXPECT_TRUE(lake.Drain(clock)) << armed;
  EXPECT_EQ(VisibleMessages(*store, *lake.ledger), expected) << armed;
  EXPECT_EQ(GlobbedMessages(*store), expected) << armed;
  const auto stats = lake.queue->Stats(kQueueName).value();
  EXPECT_EQ(stats.acked, static_cast<uint64_t>(kRawFiles)) << armed;
  EXPECT_EQ(stats.dead_lettered, 0u) << armed;
  const auto files = store::ListAll(*store, "").value();
  const auto written = std::count_if(files.begin(), files.end(), [](const store::ObjectMeta& o) {
    return o.key.ends_with(".parquet");
  });
  EXPECT_EQ(lake.queue->Stats("written").value().sent, static_cast<uint64_t>(written)) << armed;
}

TEST(RawConsumerCrash, AtEveryPointAndPassageEachRowComesOutOnce) {
  for (const std::string_view point : CrashPoint::Names()) {
    if (!point.starts_with("compact.") || point == "compact.plan_abandoned") continue;
    for (int hit = 1; hit <= 2; ++hit) {
      const std::string armed = std::string(point) + ":" + std::to_string(hit);
      const TempDir dir;
      Counts expected;
      {
        ManualClock clock(kNoon + kHour);
        auto store = store::OpenLocalStore({dir.File("lake"), false}, clock).value();
        Lake lake(*store, dir.File("state.db"), clock, SystemRandom(), TwoPlans());
        store->SetListener(lake.notifier.get());
        expected = PutRawFiles(lake, kRawFiles);
      }
      EXPECT_TRUE(RunAndDieAt(dir, armed)) << armed;
      // And once more while it recovers, wherever that takes it past the same point.
      RunAndDieAt(dir, std::string(point) + ":1");
      ExpectEachRowOnce(dir, expected, armed);
    }
  }
}

TEST(RawConsumerCrash, InTheMiddleOfAbandoningAPlan) {
  const TempDir dir;
  {
    ManualClock clock(kNoon + kHour);
    auto store = store::OpenLocalStore({dir.File("lake"), false}, clock).value();
    Lake lake(*store, dir.File("state.db"), clock, SystemRandom(), TwoPlans());
    store->SetListener(lake.notifier.get());
    PutRawFiles(lake, kRawFiles);
  }
  ASSERT_TRUE(RunAndDieAt(dir, "compact.output_put:1"));
  {
    ManualClock clock(kNoon + kHour);
    auto store = store::OpenLocalStore({dir.File("lake"), false}, clock).value();
    ASSERT_TRUE(store->Put("raw-events/0.ndjson", RawBytes({Item(kNoon, "new")}), {}).ok());
  }
  ASSERT_TRUE(RunAndDieAt(dir, "compact.plan_abandoned"));
  Counts expected{{"new", 1}};
  for (int i = 1; i < kRawFiles; ++i) {
    expected["a" + std::to_string(i)] = expected["b" + std::to_string(i)] = 1;
  }
  ExpectEachRowOnce(dir, expected, "compact.plan_abandoned");
}

TEST(RawConsumerThreads, SeveralConsumersAndAReaderSeeEachRowOnce) {
  store::MemoryStore store(SystemClock());
  RawConsumerOptions options;
  options.consumers = 3;
  options.flush_threshold = 4;
  options.max_batch_size = 5;
  options.max_batch_timeout_ms = 20;
  options.pause_min_ms = 5;
  Lake lake(store, ":memory:", SystemClock(), SystemRandom(), options);
  RawConsumer second(
      [&] {
        RawConsumerOptions other = options;
        other.queue = kQueueName;
        other.holder = "second";
        return other;
      }(),
      store, *lake.queue, *lake.ledger, SystemClock());
  const Counts expected = PutRawFiles(lake, 60);
  ASSERT_TRUE(lake.consumer->Start().ok());
  ASSERT_TRUE(second.Start().ok());
  for (const store::ObjectMeta& object : store::ListAll(store, "").value()) {
    if (!ParseRawKey(object.key, "raw-events")) continue;
    lake.Announce(object.key, object.etag);
    lake.Announce(object.key, object.etag);  // and a duplicate, for the other consumer
  }
  uint64_t looks = 0;
  do {
    ASSERT_EQ(VisibleMessages(store, *lake.ledger), expected) << looks;
    ++looks;
  } while (lake.queue->Stats(kQueueName).value().backlog > 0);
  lake.consumer->Stop();
  second.Stop();
  EXPECT_EQ(GlobbedMessages(store), expected);
  EXPECT_EQ(lake.consumer->stats().committed.sources + second.stats().committed.sources, 60u);
  EXPECT_EQ(lake.queue->Stats(kQueueName).value().dead_lettered, 0u);
  EXPECT_GT(looks, 1u);
}

TEST(RawConsumerThreads, StopCommitsWhatWasGathered) {
  store::MemoryStore store(SystemClock());
  RawConsumerOptions options;
  options.max_batch_timeout_ms = 600'000;
  Lake lake(store, ":memory:", SystemClock(), SystemRandom(), options);
  store.SetListener(lake.notifier.get());
  const Counts expected = PutRawFiles(lake, 2);
  ASSERT_TRUE(lake.consumer->Start().ok());
  while (lake.queue->Stats(kQueueName).value().leased < 2) std::this_thread::yield();
  lake.consumer->Stop();
  EXPECT_EQ(GlobbedMessages(store), expected);
}

}  // namespace
}  // namespace varve::compact
