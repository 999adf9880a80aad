// The process dies at each point of a compaction, and the next one finishes it: what a reader sees
// is the table before or after, and in the end each row is there once.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "catalog/registration.h"
#include "catalog/snapshot_files.h"
#include "compaction_lab.h"
#include "core/crash_point.h"
#include "store/local_store.h"
#include "temp_dir.h"

namespace varve::compact {
namespace {

using workflow::WorkflowState;

constexpr int kHitsMax = 3;

std::unique_ptr<store::ObjectStore> OpenStore(const TempDir& dir, const Clock& clock) {
  return store::OpenLocalStore({.root = dir.File("lake"), .fsync = false}, clock).value();
}

enum class Way { kAppend, kReplace, kCancel };

// A window that waits to be compacted; kReplace: its files are in the table already; kCancel: it is
// to be undone when it is about to commit.
std::string Prepare(const TempDir& dir, Way way, Multiset& expected) {
  ManualClock clock(kWindow + 2 * kHourMs);
  const auto store = OpenStore(dir, clock);
  CompactionLab lab(*store, dir.path(), clock, false);
  const auto sources = lab.PutWindow(2, 2, expected);
  if (way == Way::kReplace) {
    std::vector<std::string> keys;
    for (const SourceFile& source : sources) keys.push_back(source.key);
    EXPECT_TRUE(catalog::RegisterFiles(lab.tables, "users", keys, InPlace(Iceberg())).ok());
  }
  const std::string id =
      lab.Start(lab.Request(sources, way == Way::kReplace ? Iceberg() : BothFormats()));
  if (way == Way::kCancel) {
    lab.RunUntil(id, "commit");
    EXPECT_TRUE(lab.workflows->Operate(id, workflow::Operation::kCancel).ok());
  }
  return id;
}

// A process of its own. True: the point was reached.
bool RunAndDieAt(const TempDir& dir, const std::string& armed) {
  const pid_t child = fork();
  if (child == 0) {
    ManualClock clock(kWindow + 3 * kHourMs);
    const auto store = OpenStore(dir, clock);
    CompactionLab lab(*store, dir.path(), clock, false, 2);
    CHECK(CrashPoint::Arm(armed));
    lab.Drain();
    _exit(1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status);
}

bool HasTable(CompactionLab& lab) { return lab.tables.FormatsOf("users")->any(); }

void ExpectBeforeOrAfter(const TempDir& dir, Way way, const Multiset& expected,
                         const std::string& armed) {
  ManualClock clock(kWindow + 4 * kHourMs);
  const auto store = OpenStore(dir, clock);
  CompactionLab lab(*store, dir.path(), clock, false, 3);
  const Multiset now = HasTable(lab) ? lab.IcebergRows() : Multiset();
  const bool before = now == (way == Way::kReplace ? expected : Multiset());
  EXPECT_TRUE(before || (now == expected && way != Way::kCancel)) << armed;
  if (before && way != Way::kReplace) {
    EXPECT_EQ(lab.Keys("data/").size(), 4u) << armed;
  }
}

void ExpectItEnds(const TempDir& dir, Way way, const std::string& id, const Multiset& expected,
                  const std::string& armed) {
  ManualClock clock(kWindow + 5 * kHourMs);
  const auto store = OpenStore(dir, clock);
  CompactionLab lab(*store, dir.path(), clock, false, 4);
  lab.Drain();
  EXPECT_EQ(lab.account->Ended(id), 1) << armed;
  if (way == Way::kCancel) {
    EXPECT_EQ(lab.Get(id).state, WorkflowState::kCancelled) << armed << lab.Get(id).error;
    EXPECT_TRUE(lab.Keys("catalog/users/data/").empty()) << armed;
    EXPECT_EQ(lab.Keys("data/").size(), 4u) << armed;
    return;
  }
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << armed << ": " << lab.Get(id).error;
  EXPECT_EQ(lab.IcebergRows(), expected) << armed;
  if (way == Way::kAppend) {
    EXPECT_EQ(lab.DeltaRows(), expected) << armed;
  }
  EXPECT_EQ(lab.account->Settled().size(), 4u) << armed;
  EXPECT_EQ(lab.Keys("data/").size(), way == Way::kReplace ? 4u : 0u) << armed;
  std::set<std::string> live;
  const auto snapshot = catalog::FilesAsOf(lab.tables, "users", {});
  for (const auto& file : snapshot->files) live.insert(file.path);
  for (const std::string& key : lab.Keys("catalog/users/data/")) {
    EXPECT_TRUE(live.contains(key)) << armed << ": a stray " << key;
  }
}

// Points that this way comes past, each of them at each of its first passages.
void AtEveryPoint(Way way, const std::set<std::string>& must_reach) {
  std::set<std::string> reached;
  for (const std::string_view point : CrashPoint::Names()) {
    if (point.starts_with("compact.") || point.starts_with("queue.")) continue;
    for (int hit = 1; hit <= kHitsMax; ++hit) {
      const std::string armed = std::string(point) + ":" + std::to_string(hit);
      const TempDir dir;
      Multiset expected;
      const std::string id = Prepare(dir, way, expected);
      if (!RunAndDieAt(dir, armed)) break;
      reached.insert(std::string(point));
      ExpectBeforeOrAfter(dir, way, expected, armed);
      RunAndDieAt(dir, std::string(point) + ":1");  // and once more while it recovers
      ExpectItEnds(dir, way, id, expected, armed);
    }
  }
  for (const std::string& point : must_reach) EXPECT_TRUE(reached.contains(point)) << point;
}

TEST(CompactionCrash, OfANewTableInBothFormats) {
  AtEveryPoint(
      Way::kAppend,
      {"compaction.merged", "compaction.before_put", "compaction.put", "compaction.table_created",
       "compaction.table_evolved", "compaction.committed", "compaction.before_delete",
       "compaction.deleted", "compaction.step_done", "workflow.before_step", "workflow.after_step",
       "workflow.after_save", "catalog.between_formats", "delta.after_commit",
       "store.put.published", "store.put.before_publish", "store.delete.unlinked"});
}

TEST(CompactionCrash, OfFilesThatAreInTheTableAlready) {
  AtEveryPoint(Way::kReplace, {"compaction.committed", "compaction.step_done"});
}

TEST(CompactionCrash, OfOneThatIsUndone) { AtEveryPoint(Way::kCancel, {"compaction.undone"}); }

}  // namespace
}  // namespace varve::compact
