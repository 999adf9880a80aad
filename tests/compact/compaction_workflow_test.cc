// What a compaction does with a window's files, and with those that it cannot take.
#include "compact/compaction_workflow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "catalog/file_footers.h"
#include "catalog/registration.h"
#include "catalog/snapshot_files.h"
#include "compaction_lab.h"
#include "store/local_store.h"
#include "store/memory_store.h"
#include "table/iceberg/name_mapping.h"
#include "temp_dir.h"

namespace varve::compact {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using workflow::Operation;
using workflow::WorkflowState;

class CompactionTest : public ::testing::Test {
 protected:
  std::string Compact(const CompactionRequest& request) {
    const std::string id = lab.Start(request);
    lab.Drain();
    EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
    return id;
  }
  bool RegisterInPlace(const std::vector<std::string>& keys) {
    const auto done = catalog::RegisterFiles(lab.tables, "users", keys, InPlace(Iceberg()));
    EXPECT_TRUE(done.ok()) << done.error().message;
    return done.ok();
  }
  // A second file of the namespace, with a column n.
  CompactionRequest OneMoreColumn(CompactionRequest request) {
    const TestFile file{.rows = {{kWindow + 1, "more", 6}}};
    request.sources = {lab.Put("data/" + request.ns + "/more.parquet", file)};
    return request;
  }
  std::vector<table::FileFooter> FootersOf(const std::string& name) {
    std::vector<table::FileFooter> out;
    for (const auto& file : catalog::FilesAsOf(lab.tables, name, {}).value().files) {
      out.push_back(catalog::ReadFooter(store, file.path, file.bytes).value());
    }
    return out;
  }
  // As another program does through a catalog.
  void ChangeSchema(const std::function<void(table::Schema&)>& change) {
    const auto next = [&](const catalog::IcebergHead& head)
        -> Result<std::optional<table::iceberg::TableMetadata>> {
      table::Evolution evolution;
      evolution.schema = head.metadata.schema();
      evolution.last_column_id = head.metadata.last_column_id;
      change(evolution.schema);
      return std::optional(
          TRY(table::iceberg::WithSchema(head.metadata, head.location, evolution, clock.NowMs())));
    };
    ASSERT_TRUE(lab.iceberg.Update("users", next).ok());
  }
  std::string StepDetail(const std::string& id, const std::string& step) {
    std::string detail;
    for (const auto& record : lab.workflows->Steps(id).value()) {
      if (record.step == step) detail = record.detail_json;
    }
    return detail;
  }

  ManualClock clock{kWindow + 2 * kHourMs};
  store::MemoryStore store{clock};
  TempDir dir;
  CompactionLab lab{store, dir.path(), clock, true};
  Multiset expected;
};

TEST_F(CompactionTest, TheRowsOfAWindowComeIntoBothFormatsAndTheSourcesGo) {
  const auto sources = lab.PutWindow(3, 4, expected);
  const std::string id = Compact(lab.Request(sources, BothFormats()));
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_EQ(lab.DeltaRows(), expected);
  EXPECT_THAT(lab.Keys("data/"), IsEmpty());
  EXPECT_EQ(lab.account->Settled().size(), sources.size());
  EXPECT_EQ(lab.account->Ended(id), 1);
  const auto files =
      catalog::FilesAsOf(lab.tables, "users", {}, table::iceberg::EntryDetail::kAll).value().files;
  ASSERT_EQ(files.size(), 2u);  // an hour each
  for (const auto& file : files) {
    EXPECT_THAT(file.path, HasSubstr("catalog/users/data/ts_hour=2026-02-02-1"));
    EXPECT_EQ(file.sort_order_id, 1);
  }
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/merges/" + id));
  EXPECT_THAT(StepDetail(id, "merge"), HasSubstr("\"filesSorted\":4"));
  EXPECT_THAT(StepDetail(id, "delete"), HasSubstr("\"deleted\":12"));
}

TEST_F(CompactionTest, SourcesStayUntilTheGraceIsOver) {
  const auto sources = lab.PutWindow(2, 2, expected);
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, "delete");
  clock.AdvanceMs(600'000 - 1);
  EXPECT_FALSE(lab.RunOnce());
  EXPECT_EQ(lab.Keys("data/").size(), 4u);
  EXPECT_EQ(lab.IcebergRows(), expected);
  clock.AdvanceMs(1);
  EXPECT_TRUE(lab.RunOnce());
  EXPECT_THAT(lab.Keys("data/"), IsEmpty());
}

TEST_F(CompactionTest, SmallBatchesAreMergedOneStepEach) {
  const auto sources = lab.PutWindow(2, 3, expected);
  CompactionRequest request = lab.Request(sources, Iceberg());
  request.settings.batch_bytes_max = sources[0].size * 2 + 100;
  const std::string id = Compact(request);
  EXPECT_EQ(lab.IcebergRows(), expected);
  const auto steps = lab.workflows->Steps(id).value();
  const auto merges = std::count_if(steps.begin(), steps.end(),
                                    [](const auto& step) { return step.step == "merge"; });
  EXPECT_GT(merges, 2);
  EXPECT_EQ(static_cast<size_t>(merges), lab.State(id).batches.size());
}

TEST_F(CompactionTest, WhatCannotBeReadIsLeftWhereItIsAndReported) {
  auto sources = lab.PutWindow(2, 2, expected);
  const std::string whole = ParquetOf({.rows = {{kWindow, "x", 1}}});
  sources.push_back(lab.PutBytes("data/users/text.parquet", "this is no Parquet file at all"));
  sources.push_back(lab.PutBytes("data/users/empty.parquet", ""));
  sources.push_back(lab.PutBytes("data/users/cut.parquet", whole.substr(0, whole.size() - 10)));
  std::string damaged = whole;
  for (size_t i = 4; i < 60; ++i) damaged[i] = static_cast<char>(i * 37);
  sources.push_back(lab.PutBytes("data/users/damaged.parquet", damaged));
  sources.push_back(
      lab.Put("data/users/keyless.parquet", {.rows = {{kWindow, "x", 1}}, .has_ts = false}));
  sources.push_back(
      lab.Put("data/users/other.parquet", {.rows = {{kWindow, "x", 1}}, .n = NColumn::kText}));
  const std::string id = Compact(lab.Request(sources, Iceberg()));
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_EQ(lab.Keys("data/").size(), 6u);
  const auto settled = lab.account->Settled();
  for (const char* name : {"text", "empty", "cut", "damaged", "keyless", "other"}) {
    const std::string key = "data/users/" + std::string(name) + ".parquet";
    EXPECT_EQ(settled.at(key), SourceEnd::kQuarantined) << name;
    EXPECT_FALSE(lab.State(id).sources.empty());
  }
  EXPECT_THAT(StepDetail(id, "plan"), HasSubstr("has no column 'ts'"));
}

TEST_F(CompactionTest, OtherBytesThanWereAnnouncedAreNotTaken) {
  auto sources = lab.PutWindow(2, 2, expected);
  sources.push_back(lab.Put("data/users/new.parquet", {.rows = {{kWindow, "old", 1}}}));
  lab.Put("data/users/new.parquet", {.rows = {{kWindow, "new", 1}}});
  sources.push_back(lab.Put("data/users/gone.parquet", {.rows = {{kWindow, "gone", 1}}}));
  ASSERT_TRUE(store.Delete("data/users/gone.parquet").ok());
  Compact(lab.Request(sources, Iceberg()));
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_THAT(lab.Keys("data/"), ::testing::ElementsAre("data/users/new.parquet"));
  EXPECT_EQ(lab.account->Settled().at("data/users/gone.parquet"), SourceEnd::kChanged);
}

TEST_F(CompactionTest, ASourceThatIsReplacedAfterTheMergeIsNotDeleted) {
  const auto sources = lab.PutWindow(1, 2, expected);
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, "delete");
  lab.Put(sources[0].key, {.rows = {{kWindow, "again", 1}}});
  lab.Drain();
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_THAT(lab.Keys("data/"), ::testing::ElementsAre(sources[0].key));
}

TEST_F(CompactionTest, NothingToTakeIsASuccessThatChangesNothing) {
  const auto source = lab.PutBytes("data/users/a.parquet", "nothing that can be read");
  const std::string id = Compact(lab.Request({source}, Iceberg()));
  EXPECT_EQ(lab.account->Ended(id), 1);
  EXPECT_THAT(lab.Keys("catalog/"), IsEmpty());
  EXPECT_EQ(lab.Keys("data/").size(), 1u);
}

TEST_F(CompactionTest, FilesWithoutRowsAreCompacted) {
  const auto source = lab.Put("data/users/a.parquet", {});
  const std::string id = Compact(lab.Request({source}, Iceberg()));
  EXPECT_EQ(lab.account->Settled().at(source.key), SourceEnd::kCompacted);
  EXPECT_THAT(lab.Keys("data/"), IsEmpty());
  EXPECT_EQ(lab.account->Ended(id), 1);
}

TEST_F(CompactionTest, ASecondWindowGoesIntoTheSameTableAndItsNewColumnToo) {
  Compact(lab.Request(lab.PutWindow(2, 2, expected), BothFormats()));
  lab.Put("data/users/none.parquet", {});
  const TestFile without{.rows = {{kWindow + kHourMs, "w", 0}}, .n = NColumn::kNone};
  const SourceFile source = lab.Put("data/users/b.parquet", without);
  ++expected[TextOf(without.rows[0])];
  CompactionRequest request = lab.Request({source}, BothFormats());
  request.window_start_ms += kHourMs;
  request.window_end_ms += kHourMs;
  Compact(request);
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_EQ(lab.DeltaRows(), expected);
}

TEST_F(CompactionTest, TheSourcesOwnFieldIdsAreNotMistakenForTheTables) {
  Compact(lab.Request(lab.PutWindow(2, 1, expected), Iceberg()));
  TestFile file{.rows = {{kWindow, "ids", 5}}, .field_ids = true};
  ++expected[TextOf(file.rows[0])];
  Compact(lab.Request({lab.Put("data/users/ids.parquet", file)}, Iceberg()));
  EXPECT_EQ(lab.IcebergRows(), expected);
}

TEST_F(CompactionTest, MergedFilesHaveTheTablesIdsAndNoneWithoutIceberg) {
  TestFile file{.rows = {{kWindow, "ids", 5}}, .field_ids = true};
  for (const catalog::Formats formats : {Iceberg(), BothFormats(), Delta()}) {
    const std::string ns = !formats.delta ? "one" : formats.iceberg ? "both" : "other";
    CompactionRequest request = lab.Request({lab.Put("data/" + ns + "/a.parquet", file)}, formats);
    request.ns = ns;
    Compact(request);
    Compact(OneMoreColumn(request));
    const auto footers = FootersOf(ns);
    ASSERT_EQ(footers.size(), 2u);
    const auto shape = lab.tables.Shape(ns).value();
    for (const auto& footer : footers) {
      EXPECT_EQ(footer.has_field_ids, formats.iceberg) << ns;
      EXPECT_EQ(table::CheckSameIds(shape.schema, footer.schema).ok(), formats.iceberg) << ns;
    }
    EXPECT_EQ(shape.schema.fields.size(), 3u);
  }
}

TEST_F(CompactionTest, IdsThatAnotherCommitHasTakenSendItBackToThePlan) {
  CompactionRequest request = lab.Request(
      {lab.Put("data/users/a.parquet", {.rows = {{kWindow, "a", 0}}, .n = NColumn::kNone})},
      BothFormats());
  Compact(request);
  const std::string id = lab.Start(OneMoreColumn(request));
  lab.RunUntil(id, "commit");
  table::Schema theirs = lab.tables.Shape("users").value().schema;
  theirs.fields.push_back(theirs.fields.back());
  theirs.fields.back().name = "theirs";
  ASSERT_TRUE(lab.tables.Evolve("users", theirs).ok());
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  EXPECT_EQ(lab.State(id).plans, 2u);
  const auto shape = lab.tables.Shape("users").value();
  EXPECT_EQ(table::FindField(shape.schema, "n")->id, 4);
  for (const auto& footer : FootersOf("users")) {
    EXPECT_TRUE(table::CheckSameIds(shape.schema, footer.schema).ok());
  }
  EXPECT_EQ(lab.IcebergRows(), lab.DeltaRows());
}

TEST_F(CompactionTest, AColumnUnderItsOldNameIsQuarantinedAndADroppedOneIsNew) {
  const TestFile file{.rows = {{kWindow, "a", 1}}};
  Compact(lab.Request({lab.Put("data/users/a.parquet", file)}, Iceberg()));
  ChangeSchema([](table::Schema& schema) { schema.fields[1].name = "name"; });
  const std::string id = Compact(lab.Request({lab.Put("data/users/b.parquet", file)}, Iceberg()));
  EXPECT_EQ(lab.account->Settled().at("data/users/b.parquet"), SourceEnd::kQuarantined);
  EXPECT_THAT(StepDetail(id, "plan"), HasSubstr("has renamed its column 'id' to 'name'"));
  const auto in_place =
      catalog::RegisterFiles(lab.tables, "users", {"data/users/b.parquet"}, InPlace(Iceberg()));
  ASSERT_FALSE(in_place.ok());
  EXPECT_EQ(in_place.error().code, "OLD_COLUMN_NAME");

  ChangeSchema([](table::Schema& schema) { schema.fields[1].name = "id"; });
  ChangeSchema([](table::Schema& schema) { schema.fields.pop_back(); });  // n
  Compact(lab.Request({lab.Put("data/users/c.parquet", file)}, Iceberg()));
  const auto shape = lab.tables.Shape("users").value();
  EXPECT_EQ(table::FindField(shape.schema, "n")->id, 4);
  EXPECT_THAT(shape.properties.at(table::iceberg::kNameMapping),
              HasSubstr(R"({"field-id":3,"names":["n"]})"));
}

TEST_F(CompactionTest, RegisteredSourcesAreReplacedInOneCommitAndStayForOlderSnapshots) {
  const auto sources = lab.PutWindow(2, 3, expected);
  std::vector<std::string> keys;
  for (const SourceFile& source : sources) keys.push_back(source.key);
  ASSERT_TRUE(RegisterInPlace(keys));
  ASSERT_EQ(lab.IcebergRows(), expected);
  const std::string id = Compact(lab.Request(sources, Iceberg()));
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_EQ(lab.Keys("data/").size(), 6u);
  EXPECT_THAT(StepDetail(id, "delete"), HasSubstr("\"keptForSnapshots\":6"));
  const auto head = lab.iceberg.Load("users").value();
  EXPECT_EQ(head.metadata.current()->summary.at("operation"), "replace");
}

TEST_F(CompactionTest, ASourceThatIsRegisteredMeanwhileLeavesTheTableAgain) {
  const auto sources = lab.PutWindow(2, 2, expected);
  ASSERT_TRUE(RegisterInPlace({sources[0].key}));
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, "commit");
  ASSERT_TRUE(RegisterInPlace({sources[1].key}));
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  EXPECT_EQ(lab.IcebergRows(), expected);
}

TEST_F(CompactionTest, ASourceThatAnotherCommitTookIsLeftToIt) {
  const auto sources = lab.PutWindow(2, 2, expected);
  std::vector<std::string> keys;
  for (const SourceFile& source : sources) keys.push_back(source.key);
  ASSERT_TRUE(RegisterInPlace(keys));
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, "commit");
  catalog::FileChanges deleted = lab.tables.NewChanges();
  deleted.removed.emplace_back();
  deleted.removed.back().path = sources[1].key;
  ASSERT_TRUE(lab.tables.Commit("users", deleted).ok());
  const Multiset others = lab.IcebergRows();
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  EXPECT_EQ(lab.IcebergRows(), others);
  EXPECT_EQ(lab.State(id).plans, 2u);
  EXPECT_EQ(lab.account->Settled().at(sources[1].key), SourceEnd::kChanged);
  EXPECT_EQ(lab.Keys("catalog/users/data/").size(), 1u);  // that of the first plan is gone
}

TEST_F(CompactionTest, ATableThatSomebodyElseWritesMeanwhileKeepsTheirRows) {
  const auto sources = lab.PutWindow(2, 2, expected);
  const std::string id = lab.Start(lab.Request(sources, BothFormats()));
  lab.RunUntil(id, "commit");
  const TestFile theirs{.rows = {{kWindow, "theirs", 9}}, .n = NColumn::kInt64};
  lab.Put("catalog/users/data/theirs.parquet", theirs);
  ++expected[TextOf(theirs.rows[0])];
  ASSERT_TRUE(catalog::RegisterFiles(lab.tables, "users", {"catalog/users/data/theirs.parquet"},
                                     InPlace(BothFormats(), "hour(ts)"))
                  .ok());
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_EQ(lab.DeltaRows(), expected);
}

TEST_F(CompactionTest, ATableThatAppearsWithAnotherSchemaSendsItBackToThePlan) {
  const auto sources = lab.PutWindow(2, 2, expected);
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, "commit");
  const TestFile theirs{.rows = {{kWindow, "theirs", 9}}, .n = NColumn::kText};
  lab.Put("data/other.parquet", theirs);
  ASSERT_TRUE(
      catalog::RegisterFiles(lab.tables, "users", {"data/other.parquet"}, InPlace(Iceberg())).ok());
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  for (const auto& [key, end] : lab.account->Settled()) EXPECT_EQ(end, SourceEnd::kQuarantined);
  EXPECT_EQ(lab.Keys("data/users/").size(), 4u);
  EXPECT_THAT(lab.Keys("catalog/users/data/"), IsEmpty());
}

TEST_F(CompactionTest, ATablePartitionedOtherwiseIsRefusedByTheNameOfTheField) {
  const auto sources = lab.PutWindow(1, 2, expected);
  lab.Put("data/theirs.parquet", {.rows = {{kWindow, "theirs", 9}}});
  ASSERT_TRUE(catalog::RegisterFiles(lab.tables, "users", {"data/theirs.parquet"},
                                     InPlace(Iceberg(), "hour(ts),id"))
                  .ok());
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.Drain();
  EXPECT_EQ(lab.Get(id).error_code, "PARTITIONING_UNSUPPORTED");
  EXPECT_THAT(lab.Get(id).error, HasSubstr("by 'id' (identity)"));
  EXPECT_EQ(lab.Keys("data/users/").size(), 2u);
}

// Another engine's, whose log has the columns' values.
TEST_F(CompactionTest, ADeltaTableWithPartitionColumnsTakesNoFiles) {
  const auto sources = lab.PutWindow(1, 2, expected);
  lab.Put("catalog/users/data/theirs.parquet", {.rows = {{kWindow, "theirs", 9}}});
  ASSERT_TRUE(catalog::RegisterFiles(lab.tables, "users", {"catalog/users/data/theirs.parquet"},
                                     InPlace(Delta()))
                  .ok());
  const std::string late = lab.Start(lab.Request(sources, Delta()));
  lab.RunUntil(late, "commit");
  table::delta::Change change;
  change.commit_id = "theirs";
  change.table = lab.delta.Load("users")->table;
  change.table->partition_columns = {"id"};
  const int64_t version = lab.delta.Commit("users", change).value().version;
  lab.Drain();
  const std::string planned = lab.Start(lab.Request(sources, Delta()));
  lab.Drain();
  for (const std::string& id : {late, planned}) {
    EXPECT_EQ(lab.Get(id).error_code, "PARTITIONING_UNSUPPORTED") << lab.Get(id).error;
  }
  EXPECT_EQ(lab.Get(planned).step, "plan");
  EXPECT_EQ(lab.delta.Load("users")->version, version);
  EXPECT_EQ(lab.Keys("data/users/").size(), 2u);
  catalog::FileChanges changes = lab.tables.NewChanges();
  changes.added.emplace_back();
  changes.added[0].path = "catalog/users/data/more.parquet";
  EXPECT_EQ(lab.tables.Commit("users", changes).error().code, "PARTITIONING_UNSUPPORTED");
  changes.added.clear();
  changes.removed.emplace_back();
  changes.removed[0].path = "catalog/users/data/theirs.parquet";
  EXPECT_TRUE(lab.tables.Commit("users", changes).ok()) << "what takes files out may";
}

TEST_F(CompactionTest, TwoWorkflowsOnOneTableBothCommit) {
  std::vector<std::string> ids;
  for (int i = 0; i < 2; ++i) {
    Multiset rows;
    const TestFile file{.rows = {{kWindow, "f" + std::to_string(i), i}}};
    ++expected[TextOf(file.rows[0])];
    const std::string key = "data/users/f" + std::to_string(i) + ".parquet";
    ids.push_back(lab.Start(lab.Request({lab.Put(key, file)}, BothFormats())));
  }
  lab.Drain();  // their steps take turns
  for (const std::string& id : ids) {
    EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  }
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_EQ(lab.DeltaRows(), expected);
}

TEST_F(CompactionTest, CancelledBeforeTheCommitItLeavesNothingAndGivesBack) {
  const auto sources = lab.PutWindow(2, 2, expected);
  for (const char* step : {"plan", "merge", "seal", "commit"}) {
    const std::string id = lab.Start(lab.Request(sources, BothFormats()));
    lab.RunUntil(id, step);
    ASSERT_TRUE(lab.workflows->Operate(id, Operation::kCancel).ok());
    lab.Drain();
    EXPECT_EQ(lab.Get(id).state, WorkflowState::kCancelled) << step;
    EXPECT_THAT(lab.Keys("catalog/"), IsEmpty()) << step;
    EXPECT_FALSE(std::filesystem::exists(dir.path() + "/merges/" + id)) << step;
    EXPECT_EQ(lab.account->Ended(id), 1) << step;
  }
  EXPECT_EQ(lab.Keys("data/").size(), 4u);
  EXPECT_THAT(lab.account->Settled(), IsEmpty());
}

TEST_F(CompactionTest, AFencedCommitCannotBeDoneAnyMore) {
  Compact(lab.Request(lab.PutWindow(1, 1, expected), BothFormats()));
  const TestFile file{.rows = {{kWindow, "late", 1}}};
  const std::string id =
      lab.Start(lab.Request({lab.Put("data/users/late.parquet", file)}, BothFormats()));
  lab.RunUntil(id, "commit");
  ASSERT_TRUE(lab.workflows->Operate(id, Operation::kCancel).ok());
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kCancelled);
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_EQ(lab.DeltaRows(), expected);
}

TEST_F(CompactionTest, CancelledAfterTheCommitItGoesOn) {
  const auto sources = lab.PutWindow(2, 2, expected);
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, "verify");
  ASSERT_TRUE(lab.workflows->Operate(id, Operation::kCancel).ok());
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded);
  EXPECT_EQ(lab.IcebergRows(), expected);
  EXPECT_THAT(lab.Keys("data/"), IsEmpty());
}

TEST_F(CompactionTest, PlainFilesGoByTheirRowsHour) {
  const auto sources = lab.PutWindow(2, 2, expected);
  Compact(lab.Request(sources, {}));
  Multiset rows;
  const auto keys = lab.Keys("data/");
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_THAT(keys[0], HasSubstr("data/users/year=2026/month=02/day=02/hour=14/compacted-"));
  EXPECT_THAT(keys[1], HasSubstr("data/users/year=2026/month=02/day=02/hour=15/compacted-"));
  for (const std::string& key : keys) AddRows(store.Get(key, std::nullopt).value(), rows);
  EXPECT_EQ(rows, expected);
  EXPECT_THAT(lab.Keys("catalog/"), IsEmpty());
}

TEST_F(CompactionTest, MergedFilesThatAreLostAreMadeAgain) {
  const auto sources = lab.PutWindow(2, 2, expected);
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, "seal");
  std::filesystem::remove_all(dir.path() + "/merges");
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  EXPECT_EQ(lab.IcebergRows(), expected);
}

TEST_F(CompactionTest, WorkOfWorkflowsThatEndedIsSweptAndOfOthersIsNot) {
  const std::string id = lab.Start(lab.Request(lab.PutWindow(1, 1, expected), Iceberg()));
  lab.RunUntil(id, "seal");
  std::filesystem::create_directories(dir.path() + "/merges/01ABC");
  ASSERT_TRUE(lab.definition->SweepWork(*lab.workflows).ok());
  EXPECT_TRUE(std::filesystem::exists(dir.path() + "/merges/" + id));
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/merges/01ABC"));
}

}  // namespace
}  // namespace varve::compact
