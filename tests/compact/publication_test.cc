// A table that is there gets another format: over the same files, with all rows at every moment,
// whoever commits meanwhile and wherever it is cut short.
#include "catalog/publication.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "catalog/delta_mirror.h"
#include "catalog/iceberg_mirror.h"
#include "catalog/lease.h"
#include "catalog/simulation.h"
#include "compaction_lab.h"
#include "core/crash_point.h"
#include "store/local_store.h"
#include "store/memory_store.h"
#include "temp_dir.h"

namespace varve::compact {
namespace {

catalog::Formats Other(catalog::Formats first) { return first.iceberg ? Delta() : Iceberg(); }

Result<catalog::Formats> Publish(CompactionLab& lab, catalog::Formats to) {
  catalog::PublishOptions options;
  options.accept_problems = true;  // the lab's own files have milliseconds
  return catalog::PublishTable(lab.tables, "users", to, options);
}

bool IsBehind(CompactionLab& lab) {
  return catalog::IsBehind(lab.delta.Load("users").value(),
                           lab.iceberg.Load("users").value().metadata);
}

// Of a type that Delta does not have.
catalog::TableShape ShapeOfTimes() {
  catalog::TableShape shape;
  shape.schema.fields.emplace_back().name = "at";
  shape.schema.fields[0].type.id = table::TypeId::kTime;
  table::AssignIds(shape.schema, 0);
  return shape;
}

// A file of the window's first hour, which lies where the table's files do.
std::string PutFile(CompactionLab& lab, const std::string& name, Multiset& expected) {
  TestFile file;
  for (int i = 0; i < 3; ++i) {
    file.rows.push_back({kWindow + i, name, i});
    ++expected[TextOf(file.rows.back())];
  }
  const std::string key = "catalog/users/data/" + name + ".parquet";
  lab.Put(key, file);
  return key;
}

void Append(CompactionLab& lab, const std::string& name, Multiset& expected) {
  const std::string key = PutFile(lab, name, expected);
  const auto done = catalog::RegisterFiles(lab.tables, "users", {key}, InPlace({}));
  ASSERT_TRUE(done.ok()) << done.error().message;
}

// Takes a file's place, as a compaction does; ids tells which commit it is.
Status Replace(CompactionLab& lab, const std::string& old_key, const std::string& new_key,
               const catalog::FileChanges& ids) {
  const auto shape = TRY(lab.tables.Shape("users"));
  const uint64_t bytes = TRY(lab.store.Head(new_key)).size;
  const auto footer = TRY(catalog::ReadFooter(lab.store, new_key, bytes));
  catalog::FileChanges changes = ids;
  changes.ids_of_iceberg = shape.ids_of_iceberg;
  changes.added.push_back(TRY(table::DescribeFile(footer, shape.schema, shape.spec)));
  changes.added[0].path = new_key;
  changes.removed.emplace_back().path = old_key;
  changes.same_rows = true;
  TRY(lab.tables.Commit("users", changes));
  return {};
}

// A window of its own, which waits to be compacted.
std::vector<SourceFile> PutSources(CompactionLab& lab, const std::string& name,
                                   Multiset& expected) {
  std::vector<SourceFile> sources;
  for (int i = 0; i < 3; ++i) {
    TestFile file;
    for (int row = 0; row < 20; ++row) {
      file.rows.push_back({kWindow + row * 200'000 + i, name, row});
      ++expected[TextOf(file.rows.back())];
    }
    sources.push_back(lab.Put("data/users/" + name + "-" + std::to_string(i) + ".parquet", file));
  }
  return sources;
}

// All that the table has, but for its leases.
std::vector<std::string> TableKeys(CompactionLab& lab) {
  std::vector<std::string> keys = lab.Keys("catalog/users/");
  std::erase(keys, "catalog/users/_maintenance/lease");
  return keys;
}

// A table of one format with two hours of merged files, and one that was registered.
void MakeTable(CompactionLab& lab, catalog::Formats first, Multiset& expected) {
  lab.Start(lab.Request(lab.PutWindow(2, 2, expected), first));
  lab.Drain();
  Append(lab, "first", expected);
  ASSERT_EQ(*lab.tables.FormatsOf("users"), first);
}

void ExpectBoth(CompactionLab& lab, const Multiset& expected, const std::string& when) {
  EXPECT_EQ(*lab.tables.FormatsOf("users"), BothFormats()) << when;
  EXPECT_EQ(lab.Rows(), expected) << when;
  EXPECT_EQ(lab.IcebergRows(), expected) << when;
  EXPECT_EQ(lab.DeltaRows(), expected) << when;
}

class Publication : public testing::TestWithParam<catalog::Formats> {
 protected:
  const catalog::Formats first_ = GetParam();
  const catalog::Formats other_ = Other(GetParam());
};

INSTANTIATE_TEST_SUITE_P(FromEither, Publication, testing::Values(Iceberg(), Delta()),
                         [](const auto& info) {
                           return info.param.iceberg ? "IcebergFirst" : "DeltaFirst";
                         });

TEST_P(Publication, HasTheSameFilesAndThenEveryCommit) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  Multiset expected;
  MakeTable(lab, first_, expected);
  const auto files = lab.Keys("catalog/users/data/");
  const auto published = Publish(lab, other_);
  ASSERT_TRUE(published.ok()) << published.error().message;
  EXPECT_EQ(*published, BothFormats());
  EXPECT_EQ(lab.Keys("catalog/users/data/"), files);
  ExpectBoth(lab, expected, "published");
  EXPECT_EQ(*lab.tables.IsDeltaFirst("users"), first_.delta);

  const auto before = TableKeys(lab);
  ASSERT_TRUE(Publish(lab, BothFormats()).ok());
  EXPECT_EQ(TableKeys(lab), before);  // done already

  Append(lab, "later", expected);
  ExpectBoth(lab, expected, "appended to");
  const auto sources = PutSources(lab, "window", expected);
  const std::string id = lab.Start(lab.Request(sources, first_));
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, workflow::WorkflowState::kSucceeded) << lab.Get(id).error;
  ExpectBoth(lab, expected, "compacted to");
}

TEST_P(Publication, OfPartitionedFilesKeepsTheirPartitions) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  Multiset expected;
  MakeTable(lab, first_, expected);
  ASSERT_TRUE(Publish(lab, other_).ok());
  const auto head = lab.iceberg.Load("users");
  ASSERT_EQ(head->metadata.spec().fields.size(), 1u);
  EXPECT_EQ(head->metadata.spec().fields[0].name, "ts_hour");
  EXPECT_EQ(head->metadata.spec().fields[0].transform, "hour");
}

// Another writer's commit before each put that decides anything.
TEST_P(Publication, LosesNoCommitThatComesBetween) {
  for (int at = 1; at < 12; ++at) {
    const TempDir dir;
    ManualClock clock(kWindow + 2 * kHourMs);
    store::MemoryStore memory(clock);
    catalog::RacingStore racing(memory);
    CompactionLab lab(racing, dir.path(), clock, true);
    Multiset expected;
    MakeTable(lab, first_, expected);
    // A file whose rows the other writer moves to another one.
    Append(lab, "moved", expected);
    const std::string moved = "catalog/users/data/moved-again.parquet";
    memory.Put(moved, memory.Get("catalog/users/data/moved.parquet", {}).value(), {}).value();
    int puts = 0;
    bool came = false;
    racing.before_commit = [&] {
      if (came || ++puts != at) return;  // not of those that it makes itself
      came = true;
      Append(lab, "between", expected);
      const Status replaced =
          Replace(lab, "catalog/users/data/moved.parquet", moved, lab.tables.NewChanges());
      EXPECT_TRUE(replaced.ok()) << replaced.error().message;
      EXPECT_EQ(lab.Rows(), expected);
    };
    const auto published = Publish(lab, other_);
    ASSERT_TRUE(published.ok()) << at << ": " << published.error().message;
    racing.before_commit = nullptr;
    ExpectBoth(lab, expected, "put " + std::to_string(at));
    if (!came) {
      EXPECT_GT(at, 1);
      return;
    }
  }
}

// The whole publication before each deciding put of a commit that knows nothing of it.
TEST_P(Publication, IsFoundByCommitsThatWereUnderWay) {
  for (int at = 1; at < 12; ++at) {
    const TempDir dir;
    ManualClock clock(kWindow + 2 * kHourMs);
    store::MemoryStore memory(clock);
    catalog::RacingStore racing(memory);
    CompactionLab lab(racing, dir.path(), clock, true);
    Multiset expected;
    MakeTable(lab, first_, expected);
    const std::string id = lab.Start(lab.Request(PutSources(lab, "window", expected), first_));
    lab.RunUntil(id, "commit");
    int puts = 0;
    bool came = false;
    racing.before_commit = [&] {
      if (came || ++puts != at) return;  // not of those that it makes itself
      came = true;
      const auto published = Publish(lab, other_);
      EXPECT_TRUE(published.ok()) << published.error().message;
    };
    lab.Drain();
    racing.before_commit = nullptr;
    EXPECT_EQ(lab.Get(id).state, workflow::WorkflowState::kSucceeded) << lab.Get(id).error;
    if (!came) {
      EXPECT_GT(at, 1);
      return;
    }
    ExpectBoth(lab, expected, "put " + std::to_string(at));
  }
}

// A commit that Iceberg has and Delta has not yet, whose writer died: it is brought along, and
// finds itself done when it is repeated.
TEST(PublicationOfIceberg, BringsWhatItsCommitsAreKnownBy) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  Multiset expected;
  MakeTable(lab, Iceberg(), expected);
  Append(lab, "old", expected);
  const std::string next = "catalog/users/data/new.parquet";
  memory.Put(next, memory.Get("catalog/users/data/old.parquet", {}).value(), {}).value();
  const catalog::FileChanges ids = lab.tables.NewChanges();
  ASSERT_TRUE(Replace(lab, "catalog/users/data/old.parquet", next, ids).ok());
  ASSERT_TRUE(Publish(lab, Delta()).ok());
  ASSERT_TRUE(Replace(lab, "catalog/users/data/old.parquet", next, ids).ok());
  ExpectBoth(lab, expected, "repeated");
}

void ExpectRefused(CompactionLab& lab, catalog::Formats to, const std::string& code,
                   const catalog::PublishOptions& options = {}) {
  const auto before = TableKeys(lab);
  const auto refused = catalog::PublishTable(lab.tables, "users", to, options);
  ASSERT_FALSE(refused.ok()) << code;
  EXPECT_EQ(refused.error().code, code) << refused.error().message;
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(TableKeys(lab), before) << code;
}

TEST_P(Publication, OfMillisecondTimestampsIsRefused) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  Multiset expected;
  MakeTable(lab, first_, expected);
  ExpectRefused(lab, other_, "UNREADABLE_COLUMN");
}

TEST_P(Publication, WaitsForACleaner) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  Multiset expected;
  MakeTable(lab, first_, expected);
  const auto lease = catalog::Lease::Take(
      memory, clock, catalog::MaintenanceLeaseKey(lab.iceberg.Place("users")), 60'000);
  ASSERT_TRUE(lease.ok());
  const auto refused = Publish(lab, other_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "LEASED");
  EXPECT_EQ(*lab.tables.FormatsOf("users"), first_);
}

TEST(MaintenanceLease, OfAnEarlierRunIsTakenOver) {
  ManualClock clock(kWindow);
  store::MemoryStore memory(clock);
  const auto take = [&](const std::string& run) {
    return catalog::Lease::Take(memory, clock, "catalog/t/_maintenance/lease", 60'000, run);
  };
  const auto leave = [&](const std::string& run) {  // as a process does that is killed
    auto lease = take(run);
    ASSERT_TRUE(lease.ok()) << lease.error().message;
    const std::string text = memory.Get("catalog/t/_maintenance/lease", std::nullopt).value();
    { const auto given_back = std::move(*lease); }
    ASSERT_TRUE(memory.Put("catalog/t/_maintenance/lease", text, {}).ok());
  };
  leave("1-1");
  EXPECT_EQ(take("1-1").error().code, "LEASED");  // another thread's
  EXPECT_EQ(take("").error().code, "LEASED");     // by who does not know whether it lives
  const auto lease = take("2-1");
  ASSERT_TRUE(lease.ok()) << lease.error().message;
  EXPECT_EQ(lease->epoch(), 2);
  clock.AdvanceMs(60'000);
  leave("");
  EXPECT_EQ(take("3-1").error().code, "LEASED");  // a command's, which may be at work
}

TEST(Registration, ThatIsRefusedLeavesNoTable) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  lab.Put("imports/a.parquet", {.rows = {{kWindow, "x", 1}}});
  lab.Put("catalog/r/data/b.parquet", {.rows = {{kWindow, "x", 1}}});
  catalog::RegisterOptions both = InPlace(Iceberg());
  both.formats.delta = true;
  const auto outside = catalog::RegisterFiles(lab.tables, "r", {"imports/a.parquet"}, both);
  ASSERT_FALSE(outside.ok());
  EXPECT_EQ(outside.error().code, "OUTSIDE_TABLE");
  const auto twice = catalog::RegisterFiles(
      lab.tables, "r", {"catalog/r/data/b.parquet", "catalog/r/data/b.parquet"}, both);
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, "NAMED_TWICE");
  EXPECT_FALSE(lab.tables.FormatsOf("r")->any());
  EXPECT_TRUE(
      catalog::RegisterFiles(lab.tables, "r", {"imports/a.parquet"}, InPlace(Iceberg())).ok());

  EXPECT_EQ(lab.tables.Create("times", ShapeOfTimes(), both.formats).error().code,
            "UNSUPPORTED_TYPE");
  EXPECT_FALSE(lab.tables.FormatsOf("times")->any());
}

TEST(PublicationOfIceberg, OfWhatDeltaCannotHaveIsRefused) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  Multiset expected;
  lab.Put("data/elsewhere.parquet", {.rows = {{kWindow, "x", 1}}});
  ASSERT_TRUE(
      catalog::RegisterFiles(lab.tables, "users", {"data/elsewhere.parquet"}, InPlace(Iceberg()))
          .ok());
  ExpectRefused(lab, Delta(), "OUTSIDE_TABLE");

  ASSERT_TRUE(lab.tables.Create("times", ShapeOfTimes(), Iceberg()).ok());
  const auto refused = catalog::PublishTable(lab.tables, "times", Delta(), {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "UNSUPPORTED_TYPE");
  EXPECT_TRUE(lab.Keys("catalog/times/_delta_log/").empty());
}

// What another program may have done to the schema.
void Reshape(CompactionLab& lab, const std::function<void(table::Schema&)>& change) {
  const auto done = lab.iceberg.Update(
      "users",
      [&](const catalog::IcebergHead& head)
          -> Result<std::optional<table::iceberg::TableMetadata>> {
        table::Evolution evolution;
        evolution.schema = head.metadata.schema();
        change(evolution.schema);
        evolution.last_column_id = head.metadata.last_column_id + 10;
        return std::optional(TRY(table::iceberg::WithSchema(head.metadata, head.location, evolution,
                                                            head.metadata.last_updated_ms)));
      });
  ASSERT_TRUE(done.ok()) << done.error().message;
}

TEST(PublicationOfIceberg, OfColumnsThatWereOtherOnesIsRefused) {
  const std::map<std::string, std::function<void(table::Schema&)>> changes = {
      {"renamed", [](table::Schema& schema) { schema.fields[1].name = "name"; }},
      {"made anew", [](table::Schema& schema) { schema.fields[1].id += 10; }},
      {"another type",
       [](table::Schema& schema) { schema.fields[1].type.id = table::TypeId::kBinary; }}};
  for (const auto& [what, change] : changes) {
    SCOPED_TRACE(what);
    const TempDir dir;
    ManualClock clock(kWindow + 2 * kHourMs);
    store::MemoryStore memory(clock);
    CompactionLab lab(memory, dir.path(), clock, true);
    Multiset expected;
    MakeTable(lab, Iceberg(), expected);
    Reshape(lab, change);
    ExpectRefused(lab, Delta(), "COLUMN_CHANGED", {.accept_problems = true});
  }
}

TEST(PublicationOfDelta, TakesTheFieldIdsOfItsFiles) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  TestFile file{.rows = {{kWindow, "x", 1}, {kWindow + 1, "y", 2}}, .field_ids = true};
  Multiset expected;
  for (const TestRow& row : file.rows) ++expected[TextOf(row)];
  lab.Put("catalog/users/data/ids.parquet", file);
  ASSERT_TRUE(catalog::RegisterFiles(lab.tables, "users", {"catalog/users/data/ids.parquet"},
                                     InPlace(Delta()))
                  .ok());
  ASSERT_TRUE(Publish(lab, Iceberg()).ok());
  const uint64_t bytes = memory.Head("catalog/users/data/ids.parquet")->size;
  const auto footer = catalog::ReadFooter(memory, "catalog/users/data/ids.parquet", bytes);
  const auto head = lab.iceberg.Load("users");
  for (const table::Field& field : footer->schema.fields) {
    const table::Field* there = table::FindField(head->metadata.schema(), field.name);
    ASSERT_NE(there, nullptr);
    EXPECT_EQ(there->id, field.id) << field.name;
  }
  ExpectBoth(lab, expected, "with ids");
}

TEST(PublicationOfDelta, OfMoreFilesThanAChunkIsOneSnapshot) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  CompactionLab lab(memory, dir.path(), clock, true);
  Multiset expected;
  const std::string bytes = ParquetOf({.rows = {{kWindow, "x", 1}}});
  std::vector<std::string> keys;
  constexpr size_t kFiles = 2 * catalog::kMirrorChunkFiles + 7;
  for (size_t i = 0; i < kFiles; ++i) {
    keys.push_back("catalog/users/data/" + std::to_string(i) + ".parquet");
    lab.PutBytes(keys.back(), bytes);
  }
  ASSERT_TRUE(catalog::RegisterFiles(lab.tables, "users", keys, InPlace(Delta())).ok());
  const auto published = Publish(lab, Iceberg());
  ASSERT_TRUE(published.ok()) << published.error().message;
  const auto head = lab.iceberg.Load("users");
  ASSERT_EQ(head->metadata.snapshots.size(), 1u);
  const auto& summary = head->metadata.snapshots[0].summary;
  EXPECT_EQ(summary.at("total-data-files"), std::to_string(kFiles));
  EXPECT_EQ(summary.at("added-records"), std::to_string(kFiles));
  EXPECT_EQ(lab.IcebergRows(), lab.DeltaRows());
  size_t lists = 0;
  for (const std::string& key : lab.Keys("catalog/users/metadata/snap-")) lists += !key.empty();
  EXPECT_EQ(lists, 1u);  // the chunks' own are gone
}

std::unique_ptr<store::ObjectStore> OpenLake(const TempDir& dir, const Clock& clock) {
  return store::OpenLocalStore({.root = dir.File("lake"), .fsync = false}, clock).value();
}

// Publishes in a process of its own. True: it has died at the point.
bool PublishAndDieAt(const TempDir& dir, catalog::Formats to, const std::string& armed) {
  const pid_t child = fork();
  if (child == 0) {
    ManualClock clock(kWindow + 3 * kHourMs);
    const auto store = OpenLake(dir, clock);
    CompactionLab lab(*store, dir.path(), clock, true, 2);
    CHECK(CrashPoint::Arm(armed));
    (void)Publish(lab, to);
    _exit(1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status);
}

TEST_P(Publication, GoesOnAfterACrashAnywhere) {
  std::set<std::string> reached;
  for (const std::string_view point : CrashPoint::Names()) {
    for (int hit = 1; hit <= 3; ++hit) {
      const std::string armed = std::string(point) + ":" + std::to_string(hit);
      const TempDir dir;
      Multiset expected;
      ManualClock clock(kWindow + 2 * kHourMs);
      const auto store = OpenLake(dir, clock);
      CompactionLab lab(*store, dir.path(), clock, true);
      MakeTable(lab, first_, expected);
      const bool commit_between = hit == 2;
      if (!PublishAndDieAt(dir, other_, armed)) break;
      reached.insert(std::string(point));
      EXPECT_EQ(lab.Rows(), expected) << armed;
      if (commit_between) {
        Append(lab, "between", expected);
        EXPECT_EQ(lab.Rows(), expected) << armed;
      }
      clock.AdvanceMs(2 * kHourMs);  // the lease of who has died
      const auto published = Publish(lab, other_);
      ASSERT_TRUE(published.ok()) << armed << ": " << published.error().message;
      ExpectBoth(lab, expected, armed);
      Append(lab, "after", expected);
      ExpectBoth(lab, expected, armed);
    }
  }
  const std::set<std::string> of_delta = {"publication.delta_begun", "publication.delta_level",
                                          "delta.after_commit"};
  const std::set<std::string> of_iceberg = {
      "publication.iceberg_begun", "publication.iceberg_chunk", "publication.iceberg_level"};
  for (const std::string& point : first_.iceberg ? of_delta : of_iceberg) {
    EXPECT_TRUE(reached.contains(point)) << point;
  }
}

// What is left behind by a step that was cut short is made up for by the next commit.
TEST(PublicationOfIceberg, ThatCrashedIsMadeLevelByTheNextCompaction) {
  const TempDir dir;
  Multiset expected;
  ManualClock clock(kWindow + 2 * kHourMs);
  const auto store = OpenLake(dir, clock);
  CompactionLab lab(*store, dir.path(), clock, true);
  MakeTable(lab, Iceberg(), expected);
  ASSERT_TRUE(PublishAndDieAt(dir, Delta(), "publication.delta_begun:1"));
  EXPECT_TRUE(IsBehind(lab));
  lab.Start(lab.Request(PutSources(lab, "window", expected), Iceberg()));
  lab.Drain();
  EXPECT_FALSE(IsBehind(lab));
  ExpectBoth(lab, expected, "compacted to");
}

}  // namespace
}  // namespace varve::compact
