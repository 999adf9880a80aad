#include <fmt/format.h>

#include <utility>

#include "catalog/maintenance.h"
#include "catalog/snapshot_files.h"
#include "simulation.h"
#include "store/object_store.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
using store::Fault;
using store::FaultKind;
using store::StoreCall;

Fault At(FaultKind kind, const std::string& key_prefix, uint32_t times = 1,
         StoreCall call = StoreCall::kPut) {
  Fault fault;
  fault.kind = kind;
  fault.call = call;
  fault.key_prefix = key_prefix;
  fault.times = times;
  return fault;
}

std::set<std::string> KeysOf(const SnapshotFiles& files) {
  std::set<std::string> keys;
  for (const auto& file : files.files) keys.insert(file.path);
  return keys;
}

TEST(Commit, AnAppendIsASnapshotWithItsCounts) {
  Lab lab(1, Both());
  const auto done = lab.tables.Commit("t", lab.Append({lab.File("a", 10), lab.File("b", 5)}));
  ASSERT_TRUE(done.ok()) << done.error().message;
  const auto head = lab.iceberg.Load("t");
  ASSERT_TRUE(head.ok());
  const auto& summary = head->metadata.current()->summary;
  EXPECT_EQ(summary.at("operation"), "append");
  EXPECT_EQ(summary.at("added-data-files"), "2");
  EXPECT_EQ(summary.at("added-records"), "15");
  EXPECT_EQ(summary.at("total-records"), "15");
  EXPECT_EQ(summary.at("total-files-size"), "2015");
  EXPECT_EQ(summary.at("changed-partition-count"), "1");
  EXPECT_EQ(summary.count("deleted-data-files"), 0u);
}

TEST(Commit, AReplaceKeepsUntouchedManifestsAndMarksItsSourcesDeleted) {
  Lab lab(2, OnlyIceberg());
  const auto a = lab.File("a", 10), b = lab.File("b", 5), c = lab.File("c", 7);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({a, b})).ok());
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({c})).ok());
  FileChanges changes = lab.Append({lab.File("m", 10)});
  changes.removed = {Lab::Removed(a)};
  changes.same_rows = true;
  ASSERT_TRUE(lab.tables.Commit("t", changes).ok());
  const auto head = lab.iceberg.Load("t");
  const auto read = lab.iceberg.Reader("t", head->metadata.location);
  const auto list = ice::ReadManifestList(read(head->metadata.current()->manifest_list).value());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 3u);  // added, rewritten, carried
  EXPECT_EQ((*list)[0].added_files, 1);
  EXPECT_EQ((*list)[1].existing_files, 1);
  EXPECT_EQ((*list)[1].deleted_files, 1);
  EXPECT_EQ((*list)[1].min_sequence_number, 1);
  EXPECT_EQ((*list)[2].sequence_number, 2);
  const auto& summary = head->metadata.current()->summary;
  EXPECT_EQ(summary.at("operation"), "replace");
  EXPECT_EQ(summary.at("added-records"), summary.at("deleted-records"));
  EXPECT_EQ(summary.at("manifests-kept"), "1");
  EXPECT_EQ(summary.at("manifests-replaced"), "1");
  EXPECT_EQ(summary.at("total-data-files"), "3");
}

TEST(Commit, Trap1AReplaceThatKeepsItsInputsOrIsPlayedTwiceIsRefused) {
  Lab lab(3, Both());
  const auto a = lab.File("a", 10);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({a})).ok());
  ExpectCode(lab.tables.Commit("t", lab.Append({a})), "FILE_ALREADY_LIVE");
  FileChanges changes = lab.Append({lab.File("m", 11)});
  changes.removed = {Lab::Removed(a)};
  changes.same_rows = true;
  ExpectCode(lab.tables.Commit("t", changes), "ROWS_NOT_KEPT");
  changes = lab.Append({lab.File("m", 10)});
  changes.removed = {Lab::Removed(a)};
  changes.same_rows = true;
  ASSERT_TRUE(lab.tables.Commit("t", changes).ok());
  const auto again = lab.tables.Commit("t", changes);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->iceberg->already_done);
  EXPECT_TRUE(again->delta->already_done);
  EXPECT_EQ(FilesAsOf(lab.tables, "t", {})->files.size(), 1u);
}

TEST(Commit, Trap2AStaleHintIsPassedByAndRepaired) {
  Lab lab(4, OnlyIceberg());
  lab.faulty.Script(At(FaultKind::kFailBefore, "catalog/t/metadata/version-hint.text", 100));
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  EXPECT_EQ(lab.memory.Get("catalog/t/metadata/version-hint.text", std::nullopt).value(), "1");
  EXPECT_EQ(lab.iceberg.Load("t")->version, 2);
  Lab other(5, OnlyIceberg());
  other.faulty.Script(At(FaultKind::kFailBefore, "catalog/t/metadata/version-hint.text", 8));
  ASSERT_TRUE(other.tables.Commit("t", other.Append({other.File("a", 1)})).ok());
  ASSERT_TRUE(other.tables.Commit("t", other.Append({other.File("b", 1)})).ok());
  EXPECT_EQ(other.memory.Get("catalog/t/metadata/version-hint.text", std::nullopt).value(), "3");
}

TEST(Damage, ANewestMetadataFileThatIsGoneIsNotGoneBackFrom) {
  Lab lab(60, Both());
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("b", 1)})).ok());
  ASSERT_TRUE(lab.memory.Delete("catalog/t/metadata/v3.metadata.json").ok());
  const auto head = lab.iceberg.Load("t");
  ExpectCode(head, "METADATA_MISSING");
  for (const char* named : {"version-hint.text", "v3.metadata.json", "v2.metadata.json"}) {
    EXPECT_NE(head.error().message.find(named), std::string::npos) << head.error().message;
  }
  ExpectCode(lab.tables.Commit("t", lab.Append({lab.File("c", 1)})), "METADATA_MISSING");
  EXPECT_FALSE(lab.memory.Head("catalog/t/metadata/v3.metadata.json").ok());
  // As the message says: the older one is accepted.
  ASSERT_TRUE(lab.memory.Put("catalog/t/metadata/version-hint.text", "2", {}).ok());
  EXPECT_EQ(lab.iceberg.Load("t").value().version, 2);
}

TEST(Damage, AHintAheadOfAllMetadataIsNotPassedOver) {
  Lab lab(61, OnlyIceberg());
  ASSERT_TRUE(lab.memory.Put("catalog/t/metadata/version-hint.text", "99", {}).ok());
  ExpectCode(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})), "METADATA_MISSING");
  ASSERT_TRUE(lab.memory.Delete("catalog/t/metadata/v1.metadata.json").ok());
  ice::NewTable table;
  table.schema = EventSchema();
  ExpectCode(lab.iceberg.Create("t", std::move(table)), "METADATA_MISSING");
}

TEST(Damage, AnEmptyMetadataFileIsNamed) {
  Lab lab(62, OnlyIceberg());
  ASSERT_TRUE(lab.memory.Put("catalog/t/metadata/v1.metadata.json", "", {}).ok());
  const auto head = lab.iceberg.Load("t");
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().kind, ErrorKind::kCorrupt) << head.error().message;
  EXPECT_NE(head.error().message.find("v1.metadata.json"), std::string::npos);
}

TEST(Damage, ACutManifestListIsNamed) {
  Lab lab(63, OnlyIceberg());
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  const auto lists = store::ListAll(lab.memory, "catalog/t/metadata/snap-").value();
  ASSERT_EQ(lists.size(), 1u);
  const std::string& key = lists[0].key;
  const std::string whole = lab.memory.Get(key, std::nullopt).value();
  ASSERT_TRUE(lab.memory.Put(key, whole.substr(0, 20), {}).ok());
  const auto files = FilesAsOf(lab.tables, "t", {});
  ASSERT_FALSE(files.ok());
  EXPECT_NE(files.error().message.find(key), std::string::npos) << files.error().message;
  const auto commit = lab.tables.Commit("t", lab.Append({lab.File("b", 1)}));
  ASSERT_FALSE(commit.ok());
  EXPECT_NE(commit.error().message.find(key), std::string::npos) << commit.error().message;
}

TEST(Damage, AMissingCommitOfADeltaLogIsNotItsEnd) {
  Formats delta;
  delta.delta = true;
  for (const int missing : {0, 1, 2}) {
    Lab lab(64, delta);
    for (const char* name : {"a", "b", "c"}) {
      ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File(name, 1)})).ok());
    }
    const std::string key = DeltaLogKey(lab.delta.Place("t"), missing, ".json");
    ASSERT_TRUE(lab.memory.Delete(key).ok());
    const auto state = lab.delta.Load("t");
    ExpectCode(state, "COMMIT_MISSING");
    EXPECT_NE(state.error().message.find(fmt::format("version {} is missing", missing)),
              std::string::npos)
        << state.error().message;
    ExpectCode(lab.tables.Commit("t", lab.Append({lab.File("d", 1)})), "COMMIT_MISSING");
    TableShape shape;
    shape.schema = EventSchema();
    EXPECT_FALSE(lab.delta.Create("t", "another", shape.schema, {}).ok());
    EXPECT_FALSE(lab.memory.Head(key).ok());
  }
}

TEST(Damage, ADeltaLogThatEndsBeforeItsLastCheckpointIsRefused) {
  Formats delta;
  delta.delta = true;
  Lab lab(65, delta);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File(std::to_string(i), 1)})).ok());
  }
  ASSERT_TRUE(lab.memory.Head("catalog/t/_delta_log/_last_checkpoint").ok());
  for (const char* suffix : {".json", ".checkpoint.parquet"}) {
    ASSERT_TRUE(lab.memory.Delete(DeltaLogKey(lab.delta.Place("t"), 10, suffix)).ok());
  }
  ExpectCode(lab.tables.Commit("t", lab.Append({lab.File("d", 1)})), "COMMIT_MISSING");
}

TEST(Damage, ALostDeltaCheckpointIsMadeUpForByTheNextCommit) {
  Formats delta;
  delta.delta = true;
  for (const bool is_cut : {false, true}) {
    Lab lab(66, delta);
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File(std::to_string(i), 1)})).ok());
    }
    EXPECT_FALSE(lab.delta.LoadHead("t")->lost);
    const TablePlace place = lab.delta.Place("t");
    const std::string key = DeltaLogKey(place, 10, ".checkpoint.parquet");
    if (is_cut) {
      ASSERT_TRUE(lab.memory.Put(key, "PAR1", {}).ok());
    } else {
      ASSERT_TRUE(lab.memory.Delete(key).ok());
    }
    const auto head = lab.delta.LoadHead("t");
    ASSERT_TRUE(head.ok() && head->lost);
    EXPECT_EQ(head->lost->key, key);
    EXPECT_EQ(head->lost->is_there, is_cut);
    ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("d", 1)})).ok());
    EXPECT_TRUE(lab.memory.Head(DeltaLogKey(place, 11, ".checkpoint.parquet")).ok());
    EXPECT_FALSE(lab.delta.LoadHead("t")->lost);
    EXPECT_EQ(lab.delta.Load("t")->files.size(), 11u);
    ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("e", 1)})).ok());
    EXPECT_FALSE(lab.memory.Head(DeltaLogKey(place, 12, ".checkpoint.parquet")).ok());
  }
}

TEST(Damage, ADeltaCheckpointInPartsIsNotLost) {
  Formats delta;
  delta.delta = true;
  Lab lab(67, delta);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  const TablePlace place = lab.delta.Place("t");
  const std::string part = DeltaLogKey(place, 1, ".checkpoint.0000000001.0000000001.parquet");
  ASSERT_TRUE(lab.memory.Put(part, "another writer's", {}).ok());
  ASSERT_TRUE(
      lab.memory.Put(DeltaPointerKey(place), R"({"version":1,"size":3,"parts":1})", {}).ok());
  const auto head = lab.delta.LoadHead("t");
  ASSERT_TRUE(head.ok());
  EXPECT_FALSE(head->lost);
}

TEST(Commit, AReplyThatIsLostOrAConflictWithOneselfIsDone) {
  for (const FaultKind kind : {FaultKind::kSucceedThenUnknown, FaultKind::kConflictOnOwnWrite,
                               FaultKind::kUnknownNotDone}) {
    for (const char* key : {"catalog/t/metadata/v2", "catalog/t/manifests/",
                            "catalog/t/metadata/snap", "catalog/t/_delta_log/"}) {
      Lab lab(6, Both());
      lab.faulty.Script(At(kind, key));
      const auto done = lab.tables.Commit("t", lab.Append({lab.File("a", 1)}));
      ASSERT_TRUE(done.ok()) << key << done.error().message;
      EXPECT_EQ(lab.faulty.fired(kind), 1u) << key;
      EXPECT_EQ(FilesAsOf(lab.tables, "t", {})->files.size(), 1u);
      EXPECT_EQ(lab.delta.Load("t")->files.size(), 1u);
    }
  }
}

TEST(Commit, AnOutcomeThatStaysUnknownIsSaidSoAndNothingIsCleanedUp) {
  Lab lab(7, OnlyIceberg());
  const FileChanges changes = lab.Append({lab.File("a", 1)});
  // The first put arrives, its reply is lost, and whatever is asked after that is not answered.
  lab.faulty.Script(At(FaultKind::kSucceedThenUnknown, "catalog/t/metadata/v2", 1));
  lab.racing.before_commit = [&] {
    lab.faulty.Script(At(FaultKind::kFailBefore, "catalog/t/metadata/v2", 1000, StoreCall::kGet));
  };
  const auto done = lab.tables.Commit("t", changes);
  lab.racing.before_commit = nullptr;
  ExpectCode(done, "COMMIT_UNKNOWN");
  EXPECT_EQ(done.error().kind, ErrorKind::kUnknown);
  EXPECT_EQ(store::ListAll(lab.memory, "catalog/t/manifests/")->size(), 1u);
}

TEST(Commit, AConflictLeavesNoObjectsOfTheLosingAttempts) {
  Lab lab(8, OnlyIceberg());
  bool raced = false;
  lab.racing.before_commit = [&] {
    if (raced) return;
    raced = true;
    ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("other", 3)})).ok());
  };
  const auto done = lab.tables.Commit("t", lab.Append({lab.File("a", 1)}));
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->iceberg->attempts, 2);
  EXPECT_EQ(store::ListAll(lab.memory, "catalog/t/manifests/")->size(), 2u);
  EXPECT_EQ(store::ListAll(lab.memory, "catalog/t/metadata/snap")->size(), 2u);
  EXPECT_EQ(FilesAsOf(lab.tables, "t", {})->files.size(), 2u);
}

TEST(Commit, AfterAConflictThatChangedTheSchemaTheListTellsTheManifestsLengths) {
  Lab lab(15, OnlyIceberg());
  bool raced = false;
  lab.racing.before_commit = [&] {
    if (std::exchange(raced, true)) return;
    const table::Schema wider =
        EventSchemaWith("a_column_that_makes_the_header_longer", table::TypeId::kLong);
    ASSERT_TRUE(lab.tables.Evolve("t", wider).ok());
  };
  const auto done = lab.tables.Commit("t", lab.Append({lab.File("a", 1)}));
  lab.racing.before_commit = nullptr;
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(done->iceberg->attempts, 2);
  const auto head = lab.iceberg.Load("t");
  const auto read = lab.iceberg.Reader("t", head->metadata.location);
  const auto list = ice::ReadManifestList(read(head->metadata.current()->manifest_list).value());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 1u);
  const std::string manifest = read((*list)[0].path).value();
  EXPECT_EQ(static_cast<size_t>((*list)[0].length), manifest.size());
  EXPECT_NE(manifest.find("a_column_that_makes_the_header_longer"), std::string::npos);
  EXPECT_EQ(store::ListAll(lab.memory, "catalog/t/manifests/")->size(), 1u);
}

// All that may be expired by now.
Result<Cleaned> ExpireOlder(Lab& lab) {
  lab.clock.AdvanceMs(10);
  CleanOptions clean;
  clean.older_than_ms = lab.clock.NowMs();
  clean.dry_run = false;
  return Maintenance(lab.tables).Expire("t", clean);
}

TEST(Commit, WhatWasExpiredWhileACommitLookedAtItIsNoDamage) {
  Lab lab(25, OnlyIceberg());
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  const auto old = lab.iceberg.Load("t");
  const std::string list = old->metadata.current()->manifest_list;
  lab.clock.AdvanceMs(10);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("b", 1)})).ok());
  ASSERT_TRUE(ExpireOlder(lab).ok());
  const auto read = lab.iceberg.Reader("t", old->metadata.location);
  const auto gone = read(list);
  ExpectCode(gone, "SNAPSHOT_EXPIRED");
  EXPECT_EQ(gone.error().kind, ErrorKind::kRetryable);
  const std::string newest = lab.iceberg.Load("t")->metadata.current()->manifest_list;
  ASSERT_TRUE(lab.memory.Delete(newest.substr(newest.find("catalog/"))).ok());
  ExpectCode(read(newest), "MISSING_OBJECT");
}

TEST(Commit, AReplaceWhoseSourceWasTakenIsRejectedAndLeavesNothing) {
  Lab lab(9, Both());
  const auto a = lab.File("a", 4);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({a})).ok());
  FileChanges first = lab.Append({lab.File("m1", 4)}), second = lab.Append({lab.File("m2", 4)});
  first.removed = second.removed = {Lab::Removed(a)};
  first.same_rows = second.same_rows = true;
  ASSERT_TRUE(lab.tables.Commit("t", first).ok());
  const size_t before = store::ListAll(lab.memory, "catalog/t/")->size();
  ExpectCode(lab.tables.Commit("t", second), "SOURCE_NOT_LIVE");
  EXPECT_EQ(store::ListAll(lab.memory, "catalog/t/")->size(), before);
}

TEST(Commit, AMarkOutlivesTheSnapshotThatSetIt) {
  Lab lab(10, OnlyIceberg());
  FileChanges changes = lab.Append({lab.File("a", 1)});
  changes.mark = ice::Mark{"s1", 5};
  ASSERT_TRUE(lab.tables.Commit("t", changes).ok());
  lab.clock.AdvanceMs(10);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("b", 1)})).ok());
  ASSERT_TRUE(ExpireOlder(lab).ok());
  FileChanges again = lab.Append({lab.File("c", 1)});
  again.mark = ice::Mark{"s1", 5};
  const auto done = lab.tables.Commit("t", again);
  ASSERT_TRUE(done.ok());
  EXPECT_TRUE(done->iceberg->already_done);
}

TEST(Commit, SmallManifestsAreMergedWhenManyHaveGathered) {
  Lab lab(11, OnlyIceberg());
  for (int i = 0; i < 130; ++i) {
    lab.clock.AdvanceMs(1);
    ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("f" + std::to_string(i), 1)})).ok());
  }
  const auto head = lab.iceberg.Load("t");
  const auto read = lab.iceberg.Reader("t", head->metadata.location);
  const auto list = ice::ReadManifestList(read(head->metadata.current()->manifest_list).value());
  EXPECT_LT(list->size(), 100u);
  EXPECT_EQ(FilesAsOf(lab.tables, "t", {})->files.size(), 130u);
  EXPECT_EQ(head->metadata.current()->summary.at("total-data-files"), "130");
}

TEST(Commit, AsOfFindsSnapshotsByIdAndByTime) {
  Lab lab(12, OnlyIceberg());
  std::vector<int64_t> ids;
  for (int i = 0; i < 3; ++i) {
    lab.clock.AdvanceMs(1000);
    ids.push_back(lab.tables.Commit("t", lab.Append({lab.File("f" + std::to_string(i), 1)}))
                      ->iceberg->snapshot_id);
  }
  AsOf by_id, by_time, too_early;
  by_id.snapshot_id = ids[0];
  by_time.time_ms = lab.clock.NowMs() - 1;
  too_early.time_ms = 5;
  EXPECT_EQ(FilesAsOf(lab.tables, "t", by_id)->files.size(), 1u);
  EXPECT_EQ(FilesAsOf(lab.tables, "t", by_time)->snapshot_id, ids[1]);
  ExpectCode(FilesAsOf(lab.tables, "t", too_early), "NO_SUCH_SNAPSHOT");
  const TableDiff diff =
      DiffFiles(*FilesAsOf(lab.tables, "t", by_id), *FilesAsOf(lab.tables, "t", {}));
  EXPECT_EQ(diff.added.size(), 2u);
  EXPECT_EQ(diff.rows_added, 2);
}

TEST(Commit, ATableWithDeleteFilesOrAnotherVersionIsRefused) {
  Lab lab(13, OnlyIceberg());
  std::string text = lab.memory.Get("catalog/t/metadata/v1.metadata.json", std::nullopt).value();
  text.replace(text.find("\"format-version\":2"), 18, "\"format-version\":3");
  ASSERT_TRUE(lab.memory.Put("catalog/t/metadata/v2.metadata.json", text, {}).ok());
  ExpectCode(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})), "UNSUPPORTED_FORMAT_VERSION");
}

TEST(Commit, AMetadataFileCutShortIsCorruptAndNothingIsBuiltOnIt) {
  Lab lab(14, OnlyIceberg());
  const std::string text =
      lab.memory.Get("catalog/t/metadata/v1.metadata.json", std::nullopt).value();
  ASSERT_TRUE(lab.memory.Put("catalog/t/metadata/v2.metadata.json", text.substr(0, 200), {}).ok());
  const auto done = lab.tables.Commit("t", lab.Append({lab.File("a", 1)}));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().kind, ErrorKind::kCorrupt);
}

TEST(Maintenance, ExpiryDeletesOnlyWhatNoRetainedSnapshotOfAnyFormatHas) {
  Lab lab(20, Both());
  const auto a = lab.File("a", 4), b = lab.File("b", 6);
  for (const auto& file : {a, b}) {
    ASSERT_TRUE(lab.memory.Put(file.path, "PAR1", {}).ok());
  }
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({a, b})).ok());
  lab.clock.AdvanceMs(1000);
  FileChanges changes = lab.Append({lab.File("m", 10)});
  changes.removed = {Lab::Removed(a), Lab::Removed(b)};
  changes.same_rows = true;
  ASSERT_TRUE(lab.tables.Commit("t", changes).ok());
  CleanOptions clean;
  clean.older_than_ms = lab.clock.NowMs();
  EXPECT_TRUE(Maintenance(lab.tables).Expire("t", clean)->expired.empty())
      << "the first was the newest until now";
  lab.clock.AdvanceMs(1);
  clean.older_than_ms = lab.clock.NowMs();
  const auto dry = Maintenance(lab.tables).Expire("t", clean);
  ASSERT_TRUE(dry.ok()) << dry.error().message;
  EXPECT_EQ(dry->expired.size(), 1u);
  EXPECT_EQ(lab.iceberg.Load("t")->metadata.snapshots.size(), 2u);
  clean.dry_run = false;
  ASSERT_TRUE(Maintenance(lab.tables).Expire("t", clean).ok());
  EXPECT_EQ(lab.iceberg.Load("t")->metadata.snapshots.size(), 1u);
  EXPECT_TRUE(lab.memory.Head(a.path).ok());  // Delta's tombstone is young
  lab.clock.AdvanceMs(int64_t{8} * 86'400'000);
  const auto vacuumed = Maintenance(lab.tables).Vacuum("t", clean);
  ASSERT_TRUE(vacuumed.ok()) << vacuumed.error().message;
  EXPECT_EQ(vacuumed->deleted.size(), 2u);
  EXPECT_FALSE(lab.memory.Head(a.path).ok());
  EXPECT_EQ(KeysOf(*FilesAsOf(lab.tables, "t", {})),
            std::set<std::string>{"catalog/t/data/m.parquet"});
}

TEST(Maintenance, TheLogBelowACheckpointThatCannotBeReadStays) {
  Lab lab(24, Formats{.delta = true});
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File(std::to_string(i), 1)})).ok());
  }
  const auto checkpoint = [](int version) {
    return fmt::format("catalog/t/_delta_log/{:020}.checkpoint.parquet", version);
  };
  ASSERT_TRUE(lab.memory.Put(checkpoint(20), "", {}).ok());
  lab.clock.AdvanceMs(1000);
  CleanOptions clean;
  clean.older_than_ms = lab.clock.NowMs();
  clean.dry_run = false;
  const auto vacuumed = Maintenance(lab.tables).Vacuum("t", clean);
  ASSERT_TRUE(vacuumed.ok()) << vacuumed.error().message;
  EXPECT_EQ(vacuumed->deleted.size(), 10u) << "what is below the checkpoint of version 10";
  EXPECT_EQ(lab.delta.Load("t")->files.size(), 25u);
}

TEST(Maintenance, OrphansAreOldUnreferencedAndUnderTheTable) {
  Lab lab(21, Both());
  const auto a = lab.File("a", 4);
  ASSERT_TRUE(lab.memory.Put(a.path, "PAR1", {}).ok());
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({a})).ok());
  ASSERT_TRUE(lab.memory.Put("catalog/t/data/orphan.parquet", "x", {}).ok());
  lab.clock.AdvanceMs(1000);
  ASSERT_TRUE(lab.memory.Put("catalog/t/data/young.parquet", "x", {}).ok());
  CleanOptions clean;
  clean.older_than_ms = lab.clock.NowMs();
  clean.dry_run = false;
  const auto done = Maintenance(lab.tables).RemoveOrphans("t", clean);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(done->deleted, std::vector<std::string>{"catalog/t/data/orphan.parquet"});
}

TEST(Delta, Trap28And29ACheckpointKeepsTxnsAndTombstonesAndComesBeforeItsPointer) {
  Lab lab(30, Both());
  std::vector<std::string> puts;
  const auto a = lab.File("a", 1);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({a})).ok());
  FileChanges changes = lab.Append({lab.File("m", 1)});
  changes.removed = {Lab::Removed(a)};
  changes.same_rows = true;
  changes.mark = ice::Mark{"s", 42};
  ASSERT_TRUE(lab.tables.Commit("t", changes).ok());
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("f" + std::to_string(i), 1)})).ok());
  }
  const auto from_checkpoint = lab.delta.Load("t");
  ASSERT_TRUE(from_checkpoint.ok()) << from_checkpoint.error().message;
  EXPECT_TRUE(lab.memory.Head("catalog/t/_delta_log/_last_checkpoint").ok());
  // The same from the JSON alone.
  ASSERT_TRUE(lab.memory.Delete("catalog/t/_delta_log/_last_checkpoint").ok());
  ASSERT_TRUE(
      lab.memory.Delete("catalog/t/_delta_log/00000000000000000010.checkpoint.parquet").ok());
  const auto from_log = lab.delta.Load("t");
  ASSERT_TRUE(from_log.ok());
  EXPECT_EQ(from_log->version, from_checkpoint->version);
  EXPECT_EQ(from_checkpoint->txns.at("varve/s").version, 42);
  EXPECT_EQ(from_checkpoint->tombstones.size(), 1u);
  ASSERT_EQ(from_log->files.size(), from_checkpoint->files.size());
  for (const auto& [path, add] : from_log->files) {
    EXPECT_EQ(from_checkpoint->files.at(path).stats_json, add.stats_json);
    EXPECT_EQ(from_checkpoint->files.at(path).bytes, add.bytes);
  }
  EXPECT_EQ(from_checkpoint->table.schema_json, from_log->table.schema_json);
}

TEST(Delta, NewColumnsAreAddedAndWidenedOnesRefused) {
  Lab lab(31, Both());
  table::Schema file = EventSchemaWith("extra", table::TypeId::kLong);
  ASSERT_TRUE(lab.tables.Evolve("t", file).ok());
  EXPECT_EQ(lab.tables.Shape("t")->schema.fields.size(), 3u);
  EXPECT_NE(lab.delta.Load("t")->table.schema_json.find("extra"), std::string::npos);
  file.fields[1].type.id = table::TypeId::kDouble;
  ExpectCode(lab.tables.Evolve("t", file), "SCHEMA_MISMATCH");
}

}  // namespace
}  // namespace varve::catalog
