// Ends the process at every named place between ingest and objects, goes on, and counts rows: each
// acknowledged one is in objects once, each other one at most once.
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "core/crash_point.h"
#include "ingest/lake.h"

namespace varve::ingest {
namespace {

constexpr int kBatches = 24, kEventsEach = 6, kItemsEach = 4;

LakeOptions CrashOptions() {
  LakeOptions options;
  options.journal.segment_bytes = 64 << 10;
  options.journal.bytes_max = 2 << 20;
  options.flusher.events_flush_bytes = 1'500;
  options.flusher.raw_events_batch_size = 10;
  return options;
}

// By turns a batch is known by its id, and its events by theirs.
std::string Batch(int i) {
  std::string json = BatchJson("b" + std::to_string(i), kEventsEach, 2);
  if (i % 2 == 0) return json;
  json.erase(1, json.find("\"events\"") - 1);
  for (size_t at = 0; (at = json.find("\"n\":\"", at)) != std::string::npos;) {
    const std::string name = json.substr(at + 4, json.find('"', at + 5) - at - 3);
    json.insert(at, "\"id\":" + name + ",");
    at += 2 * name.size() + 10;
  }
  return json;
}

std::string BatchName(int i) { return "b" + std::to_string(i); }

// Sends what it can and says on the pipe which batches were acknowledged; once rows have moved it
// stops in order.
void ChildWork(const std::string& directory, int acked_fd) {
  auto opened = OpenLake(directory, CrashOptions(), SystemClock());
  CHECK(opened.ok());
  Lake& lake = **opened;
  for (int i = 0; i < kBatches; ++i) {
    std::string_view ns = i % 3 == 2 ? "acme" : "default";
    if (!Send(*lake.ingest, Batch(i), ns).ok()) continue;
    CHECK(SendTail(*lake.ingest, TailJson(BatchName(i), kItemsEach), ns).ok());
    CHECK(write(acked_fd, &i, sizeof i) == sizeof i);
  }
  CHECK(lake.Stop().ok());
}

struct Life {
  bool killed = false;
  std::set<int> acked;
};

Life Live(const std::string& directory, const std::string& crash) {
  int fds[2];
  CHECK(pipe(fds) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(fds[0]);
    if (!crash.empty()) CHECK(CrashPoint::Arm(crash));
    ChildWork(directory, fds[1]);
    _exit(0);
  }
  close(fds[1]);
  Life life;
  for (int i; read(fds[0], &i, sizeof i) == sizeof i;) life.acked.insert(i);
  close(fds[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  life.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  EXPECT_TRUE(life.killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) << status;
  return life;
}

// Events have ids and are sent again in each life; tail items have none, so that they are counted
// for the lives that acknowledged them.
void ExpectConserved(const std::string& directory, const std::vector<Life>& lives) {
  auto opened = OpenLake(directory, CrashOptions(), SystemClock());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  Lake& lake = **opened;
  ASSERT_TRUE(lake.Stop().ok());
  for (std::string_view ns : {"default", "acme"}) {
    Rows events = EventsInObjects(lake, ns), items = ItemsInObjects(lake, ns);
    EXPECT_EQ(Visible(lake, ns), events);
    for (const auto& [name, count] : events) EXPECT_EQ(count, 1) << name << " in " << ns;
    for (int i = 0; i < kBatches; ++i) {
      if (ns != (i % 3 == 2 ? "acme" : "default")) continue;
      int acked = 0;
      for (const Life& life : lives) acked += life.acked.contains(i) ? 1 : 0;
      std::string last_event = BatchName(i) + "-" + std::to_string(kEventsEach - 1);
      std::string last_item = BatchName(i) + "-" + std::to_string(kItemsEach - 1);
      EXPECT_EQ(events[last_event], std::max(events[last_event], acked > 0 ? 1 : 0)) << last_event;
      EXPECT_GE(items[last_item], acked) << last_item;
      EXPECT_LE(items[last_item], static_cast<int>(lives.size())) << last_item;
    }
    std::set<int64_t> sequences;
    std::string root = NamespaceId::Parse(ns).value().StorePrefix() + "raw-events/";
    for (const std::string& key : Keys(lake, root)) {
      EXPECT_TRUE(sequences.insert(std::stoll(key.substr(key.rfind('-') + 1))).second) << key;
    }
    if (sequences.empty()) continue;
    EXPECT_EQ(*sequences.rbegin(), static_cast<int64_t>(sequences.size()));
  }
}

std::vector<std::string> Points() {
  std::vector<std::string> points;
  for (std::string_view name : CrashPoint::Names()) {
    if (name.starts_with("journal.") || name.starts_with("flush.")) points.emplace_back(name);
  }
  return points;
}

TEST(IngestCrash, EveryPlaceKeepsEachAcknowledgedRowOnce) {
  std::vector<std::string> points = Points();
  ASSERT_GT(points.size(), 10u);
  for (const std::string& point : points) {
    int fired = 0;
    for (const char* hit : {":1", ":3", ":8"}) {
      SCOPED_TRACE(point + hit);
      TempDir dir;
      std::vector<Life> lives = {Live(dir.path(), point + hit)};
      fired += lives[0].killed ? 1 : 0;
      ExpectConserved(dir.path(), lives);
    }
    bool must_fire = point.starts_with("flush.");
    EXPECT_TRUE(fired > 0 || !must_fire) << point << " was never reached";
  }
}

TEST(IngestCrash, ACrashWhileACrashIsMendedChangesNothing) {
  for (const std::string& first : Points()) {
    for (const char* second : {"flush.after_put:1", "flush.before_end:1", "flush.after_end:1"}) {
      SCOPED_TRACE(first + ", then " + second);
      TempDir dir;
      std::vector<Life> lives = {Live(dir.path(), first + ":5"), Live(dir.path(), second),
                                 Live(dir.path(), "")};
      ExpectConserved(dir.path(), lives);
    }
  }
}

}  // namespace
}  // namespace varve::ingest
