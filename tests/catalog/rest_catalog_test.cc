// What REST clients ask of our tables: names, namespaces, commits that race with ours, drops.
#include "catalog/rest_catalog.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "catalog/maintenance.h"
#include "simulation.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;

const Identifier kTable{{"default"}, "t"};

// A commit of the head to itself with a property more: no snapshot, nothing that conflicts.
constexpr const char* kSetOwner =
    R"({"requirements":[],"updates":[{"action":"set-properties","updates":{"owner":"ops"}}]})";

constexpr const char* kCreate = R"({"name":"%","schema":{"type":"struct","fields":[
  {"id":0,"name":"n","required":false,"type":"long"},
  {"id":5,"name":"p","required":false,"type":{"type":"struct","fields":[
    {"id":9,"name":"x","required":false,"type":"string"}]}}]},
  "partition-spec":{"fields":[{"source-id":0,"transform":"identity","name":"n_part"}]},
  "properties":{"owner":"ops"}})";

std::string CreateBody(const std::string& name) {
  std::string body = kCreate;
  return body.replace(body.find('%'), 1, name);
}

RC_GTEST_PROP(Identifiers, EveryNameOfOursHasOneAndComesBackFromIt, ()) {
  const auto parts = *rc::gen::container<std::vector<std::string>>(
      rc::gen::element<std::string>("a", "default", "_b-1", ".", "", "..", "T"));
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : ".") + part;
  if (!CheckTableName(name).ok()) return;
  const Identifier identifier = IdentifierOf(name);
  RC_ASSERT(!identifier.levels.empty() && !identifier.name.empty());
  const auto back = TableNameOf(identifier);
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == name);
}

TEST(Identifiers, DotsAreLevelsAndWhatHasNoneIsInDefault) {
  EXPECT_EQ(IdentifierOf("trips"), (Identifier{{"default"}, "trips"}));
  EXPECT_EQ(IdentifierOf("web.eu.hits"), (Identifier{{"web", "eu"}, "hits"}));
  EXPECT_EQ(IdentifierOf("a..b"), (Identifier{{"default"}, "a..b"}));
  EXPECT_EQ(IdentifierOf("default.t"), (Identifier{{"default"}, "default.t"}));
  for (const Identifier& none : {Identifier{{"default"}, "web.hits"}, Identifier{{"web.eu"}, "t"},
                                 Identifier{{"default", "eu"}, "t"}, Identifier{{"web"}, ".."},
                                 Identifier{{"web"}, "a/b"}, Identifier{{}, "t"}}) {
    EXPECT_FALSE(TableNameOf(none).ok()) << JoinLevels(none.levels) << " " << none.name;
  }
}

struct RestLab : Lab {
  explicit RestLab(uint64_t seed = 1, Formats formats = OnlyIceberg()) : Lab(seed, formats) {}
  RestCatalog rest{tables};
};

TEST(RestNamespaces, AreThereWhenMadeOrWhenATableIsInThem) {
  RestLab lab;
  RestNamespaces& namespaces = lab.rest.namespaces();
  ASSERT_TRUE(namespaces.Create({"a", "b"}, {{"k", "v"}}).ok());
  ExpectCode(namespaces.Create({"a", "b"}, {}), "NAMESPACE_EXISTS");
  ExpectCode(namespaces.Create({"a"}, {}), "NAMESPACE_EXISTS");
  ExpectCode(namespaces.Create({"a.b"}, {}), "INVALID_NAMESPACE");
  ExpectCode(namespaces.Create({}, {}), "INVALID_NAMESPACE");
  ASSERT_TRUE(lab.rest.Create({"a", "b"}, CreateBody("t")).ok());
  EXPECT_EQ(namespaces.Children({}).value(), (std::vector<Levels>{{"a"}, {"default"}}));
  EXPECT_EQ(namespaces.Children({"a"}).value(), (std::vector<Levels>{{"a", "b"}}));
  EXPECT_EQ(namespaces.Tables({"default"}).value().size(), 1u);
  EXPECT_EQ(namespaces.Load({"a", "b"}).value(), (Properties{{"k", "v"}}));
  ExpectCode(namespaces.Drop({"a", "b"}), "NAMESPACE_NOT_EMPTY");
  ASSERT_TRUE(lab.rest.Drop({{"a", "b"}, "t"}).ok());
  ASSERT_TRUE(namespaces.Drop({"a", "b"}).ok());
  ExpectCode(namespaces.Load({"a"}), "NO_SUCH_NAMESPACE");
  ExpectCode(lab.rest.Create({"a"}, CreateBody("t")), "NO_SUCH_NAMESPACE");
}

TEST(RestCatalog, NumbersANewTablesColumnsFromOne) {
  RestLab lab;
  const auto made = lab.rest.Create({"default"}, CreateBody("new"));
  ASSERT_TRUE(made.ok()) << made.error().message;
  const ice::TableMetadata& metadata = made->metadata;
  EXPECT_EQ(metadata.schema().fields[0].id, 1);
  EXPECT_EQ(metadata.last_column_id, 3);
  EXPECT_EQ(metadata.spec().fields[0].source_id, 1);
  EXPECT_EQ(metadata.spec().fields[0].field_id, 1000);
  EXPECT_EQ(metadata.properties.at("owner"), "ops");
  ExpectCode(lab.rest.Create({"default"}, CreateBody("new")), "TABLE_EXISTS");
  ExpectCode(lab.rest.Create({"default"}, R"({"name":"x"})"), "BAD_REQUEST");
  ExpectCode(lab.rest.Create({"default"}, CreateBody("a.b")), "INVALID_TABLE_NAME");
}

// The request that a client would send for what BuildCommit makes of these files.
std::string AppendRequest(Lab& lab, IcebergTables& tables, std::vector<table::DataFile> files,
                          uint64_t number) {
  const IcebergHead head = tables.Load("t").value();
  ice::Change change = tables.NewChange(ice::Operation::kAppend);
  for (table::DataFile& file : files) file.path = "memory://lake/" + file.path;
  change.added = std::move(files);
  ice::Attempt attempt;
  attempt.now_ms = lab.clock.NowMs();
  attempt.run = "client" + std::to_string(number);
  const ice::Built built = ice::BuildCommit(head.metadata, head.location, change, attempt,
                                            tables.Reader("t", head.metadata.location))
                               .value();
  for (const ice::NewObject& object : built.objects) {
    const std::string key = tables.Place("t").KeyOf(object.path, head.metadata.location).value();
    EXPECT_TRUE(lab.memory.Put(key, object.bytes, {}).ok());
  }
  return ice::WriteCommitRequest(ice::RequestBetween(head.metadata, built.next));
}

std::string AppendRequest(Lab& lab, std::vector<table::DataFile> files, uint64_t number) {
  return AppendRequest(lab, lab.iceberg, std::move(files), number);
}

int64_t Rows(Lab& lab) {
  const IcebergHead head = lab.iceberg.Load("t").value();
  int64_t rows = 0;
  const Status read = ice::ForEachLive(
      head.metadata, *head.metadata.current(), lab.iceberg.Reader("t", head.metadata.location),
      ice::EntryDetail::kPathsOnly, [&](ice::ManifestEntry&& entry) -> Status {
        rows += entry.file.rows;
        return {};
      });
  EXPECT_TRUE(read.ok());
  return rows;
}

TEST(RestCatalog, ACommitOfAClientOnAnOldBaseIsRefusedAndOnANewOneDone) {
  RestLab lab;
  const std::string early = AppendRequest(lab, {lab.File("early", 3)}, 1);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("ours", 10)})).ok());
  ExpectCode(lab.rest.Commit(kTable, early), "REQUIREMENT_FAILED");
  const auto done = lab.rest.Commit(kTable, AppendRequest(lab, {lab.File("late", 4)}, 2));
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(done->version, 3);
  EXPECT_EQ(Rows(lab), 14);
}

TEST(RestCatalog, ACommitThatLosesTheRaceBetweenCheckAndPutIsCheckedAnew) {
  RestLab lab;
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  const std::string request = AppendRequest(lab, {lab.File("theirs", 3)}, 1);
  bool raced = false;
  std::string name = "ours";
  lab.racing.before_commit = [&] {
    if (std::exchange(raced, true)) return;
    IcebergTables other(lab.memory, lab.clock, *lab.random, Lab::Options());
    DeltaTables delta(lab.memory, lab.clock, *lab.random, Lab::ForDelta());
    LakeTables tables(other, delta);
    ASSERT_TRUE(
        tables.Commit("t", lab.Append({lab.File(std::exchange(name, "ours again"), 10)})).ok());
  };
  ExpectCode(lab.rest.Commit(kTable, request), "REQUIREMENT_FAILED");
  EXPECT_EQ(Rows(lab), 11);
  raced = false;
  ASSERT_TRUE(lab.rest.Commit(kTable, kSetOwner).ok());  // what conflicts with nothing is done anew
  EXPECT_EQ(Rows(lab), 21);
}

TEST(RestCatalog, ASnapshotThatDoesNotFollowIsRefusedWhateverItsRequirements) {
  RestLab lab;
  std::string request = AppendRequest(lab, {lab.File("early", 3)}, 1);
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("ours", 10)})).ok());
  ice::CommitRequest blind = ice::ParseCommitRequest(request).value();
  blind.requirements.clear();
  ExpectCode(lab.rest.Commit(kTable, ice::WriteCommitRequest(blind)), "BASE_CHANGED");
  for (ice::Update& update : blind.updates) update.snapshot.sequence_number = 2;
  ExpectCode(lab.rest.Commit(kTable, ice::WriteCommitRequest(blind)), "BASE_CHANGED");
  EXPECT_EQ(Rows(lab), 10);
}

TEST(RestCatalog, ALostReplyIsUnknownAndTheCommitIsFoundAfterwards) {
  RestLab lab;
  store::Fault lost;
  lost.kind = store::FaultKind::kSucceedThenUnknown;
  lost.call = store::StoreCall::kPut;
  lost.key_prefix = "catalog/t/metadata/v2";
  lost.times = 1;
  lab.faulty.Script(lost);
  const auto done = lab.rest.Commit(kTable, kSetOwner);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(lab.iceberg.Load("t")->metadata.properties.at("owner"), "ops");
}

// A client that does as Iceberg says: on a conflict it begins anew, on an unknown outcome it looks.
TEST(RestCatalog, NoCommitIsLostOrDoneTwiceWhateverFailsAndWhoeverRaces) {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    RestLab lab(seed);
    IcebergTables clean(lab.memory, lab.clock, *lab.random, Lab::Options());
    DeltaTables no_delta(lab.memory, lab.clock, *lab.random, Lab::ForDelta());
    LakeTables ours(clean, no_delta);
    const auto rolls = SeededRandom(seed + 100);
    int64_t expected = 0;
    uint64_t number = 0;
    bool racing = false;
    lab.racing.before_commit = [&] {
      if (std::exchange(racing, true) || rolls->Below(3) != 0) return;
      const std::string name = "ours" + std::to_string(++number);
      ASSERT_TRUE(ours.Commit("t", lab.Append({lab.File(name, 100)})).ok());
      expected += 100;
    };
    for (const store::FaultKind kind :
         {store::FaultKind::kFailBefore, store::FaultKind::kUnknownNotDone,
          store::FaultKind::kSucceedThenUnknown, store::FaultKind::kConflictOnOwnWrite}) {
      lab.faulty.SetChance(store::StoreCall::kPut, kind, 150);
    }
    lab.faulty.SetChance(store::StoreCall::kGet, store::FaultKind::kTruncatedGet, 100);
    for (int done = 0, tries = 0; done < 8; ++tries) {
      ASSERT_LT(tries, 500) << seed;
      const std::string name = "theirs" + std::to_string(++number);
      const std::string request = AppendRequest(lab, clean, {lab.File(name, 1)}, number);
      const int64_t id = ice::ParseCommitRequest(request)->updates[0].snapshot.id;
      racing = false;
      const bool said_done = lab.rest.Commit(kTable, request).ok();
      const bool is_done = clean.Load("t")->metadata.FindSnapshot(id) != nullptr;
      if (said_done) {
        ASSERT_TRUE(is_done) << seed;
      }
      if (is_done) ++done, ++expected;
    }
    lab.racing.before_commit = nullptr;
    const IcebergHead head = clean.Load("t").value();
    EXPECT_EQ(head.metadata.current()->summary.at("total-records"), std::to_string(expected))
        << seed;
  }
}

TEST(RestCatalog, ATableThatIsDeltaTooTakesNoRows) {
  RestLab lab(1, Both());
  ExpectCode(lab.rest.Commit(kTable, AppendRequest(lab, {lab.File("theirs", 3)}, 1)), "ALSO_DELTA");
  EXPECT_TRUE(lab.rest.Commit(kTable, kSetOwner).ok());
  ExpectCode(lab.rest.Drop(kTable), "ALSO_DELTA");
}

TEST(RestCatalog, ADroppedTableIsGoneForItsWritersToo) {
  RestLab lab;
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  const FileChanges late = lab.Append({lab.File("late", 2)});
  bool dropped = false;
  lab.racing.before_commit = [&] {
    if (std::exchange(dropped, true)) return;
    IcebergTables other(lab.memory, lab.clock, *lab.random, Lab::Options());
    ASSERT_TRUE(other.Drop("t").ok());
  };
  ExpectCode(lab.tables.Commit("t", late), "NO_SUCH_TABLE");
  ExpectCode(lab.rest.Load(kTable), "NO_SUCH_TABLE");
  ExpectCode(lab.rest.Drop(kTable), "NO_SUCH_TABLE");
  EXPECT_TRUE(lab.tables.List().value().empty());
  const auto again = lab.rest.Create({"default"}, CreateBody("t"));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_GT(again->version, 3);
  EXPECT_EQ(lab.tables.List().value(), std::vector<std::string>{"t"});
  EXPECT_EQ(lab.rest.Load(kTable)->metadata.snapshots.size(), 0u);
}

TEST(RestCatalog, ADroppedTablesFilesGoWithItsOrphans) {
  RestLab lab;
  ASSERT_TRUE(lab.memory.Put("catalog/t/data/a.parquet", "bytes", {}).ok());
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  ASSERT_TRUE(lab.rest.Drop(kTable).ok());
  CleanOptions clean;
  clean.older_than_ms = lab.clock.NowMs() + 1;
  clean.dry_run = false;
  const auto cleaned = Maintenance(lab.tables).RemoveOrphans("t", clean);
  ASSERT_TRUE(cleaned.ok()) << cleaned.error().message;
  EXPECT_FALSE(lab.memory.Head("catalog/t/data/a.parquet").ok());
  ExpectCode(lab.rest.Load(kTable), "NO_SUCH_TABLE");
  ASSERT_TRUE(lab.rest.Create({"default"}, CreateBody("t")).ok());
}

TEST(RestCatalog, ATenantsTableRefersToNothingOfOthers) {
  RestLab lab;
  ASSERT_TRUE(lab.tables.Commit("t", lab.Append({lab.File("a", 1)})).ok());
  const IcebergHead ours = lab.iceberg.Load("t").value();
  DeltaOptions options = Lab::ForDelta();
  options.catalog.prefix = "ns/acme/catalog";
  IcebergTables iceberg(lab.memory, lab.clock, *lab.random, options.catalog);
  DeltaTables delta(lab.memory, lab.clock, *lab.random, options);
  LakeTables tables(iceberg, delta);
  RestCatalog acme(tables);
  ASSERT_TRUE(acme.Create({"default"}, CreateBody("t")).ok());
  ExpectCode(acme.Register({"default"},
                           R"({"name":"stolen","metadata-location":")" + ours.location + R"("})"),
             "FOREIGN_LOCATION");
  const std::string list = ours.metadata.current()->manifest_list;
  ExpectCode(acme.Commit(kTable, R"({"requirements":[],"updates":[{"action":"add-snapshot",
      "snapshot":{"snapshot-id":5,"sequence-number":1,"timestamp-ms":1,"manifest-list":")" +
                                     list + R"(","summary":{"operation":"append"}}}]})"),
             "FOREIGN_LOCATION");
  const auto theirs = acme.Load(kTable);
  ExpectCode(lab.rest.Register({"default"}, R"({"name":"theirs","metadata-location":")" +
                                                theirs->location + R"("})"),
             "FOREIGN_LOCATION");
}

TEST(RestCatalog, SeveralTablesDoNotChangeAtOnce) {
  RestLab lab;
  const std::string change =
      R"({"identifier":{"namespace":["default"],"name":"t"},)" + std::string(kSetOwner).substr(1);
  ExpectCode(lab.rest.CommitTransaction(R"({"table-changes":[)" + change + "," + change + "]}"),
             "UNSUPPORTED");
  EXPECT_TRUE(lab.rest.CommitTransaction(R"({"table-changes":[)" + change + "]}").ok());
  EXPECT_EQ(lab.iceberg.Load("t")->metadata.properties.at("owner"), "ops");
}

}  // namespace
}  // namespace varve::catalog
