// Another program commits to the Delta log of a table that has Iceberg first: what it did comes
// into Iceberg with the next compaction, or that one waits for somebody and says why.
#include "catalog/delta_others.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "catalog/publication.h"
#include "compaction_lab.h"
#include "store/memory_store.h"
#include "table/delta/actions.h"
#include "temp_dir.h"

namespace varve::compact {
namespace {

namespace dl = table::delta;
using ::testing::HasSubstr;
using workflow::WorkflowState;

// Lets somebody act just before a commit's put.
class InterruptedStore : public store::MemoryStore {
 public:
  using MemoryStore::MemoryStore;

  std::string at;  // part of a key
  std::function<void()> act;

  Result<store::ObjectMeta> Put(std::string_view key, std::string_view bytes,
                                const store::PutOptions& options) override {
    if (act && key.find(at) != std::string_view::npos) std::exchange(act, nullptr)();
    return MemoryStore::Put(key, bytes, options);
  }
};

class OthersTest : public ::testing::Test {
 protected:
  std::string Start(const std::string& name) {
    const TestFile file{.rows = {{kWindow, name, 1}}, .micros = true};
    ++expected[TextOf(file.rows[0])];
    return lab.Start(
        lab.Request({lab.Put("data/users/" + name + ".parquet", file)}, BothFormats()));
  }
  void Compact(const std::string& name) {
    const std::string id = Start(name);
    lab.Drain();
    ASSERT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  }

  // As another program does it: the next version, without a word of ours.
  void Commit(dl::Commit commit) {
    const auto log = lab.delta.Load("users");
    ASSERT_TRUE(log.ok()) << log.error().message;
    commit.info_json = R"({"operation":"WRITE","engineInfo":"another"})";
    const auto place = lab.delta.Place("users");
    store::PutOptions options;
    options.precondition = store::Precondition::kIfAbsent;
    const std::string key = catalog::DeltaLogKey(place, log->version + 1, ".json");
    ASSERT_TRUE(store.MemoryStore::Put(key, dl::WriteCommit(commit).value(), options).ok());
  }
  // Rows of two hours, which are in no one partition.
  dl::Add Theirs(const std::string& name) {
    const TestFile file{.rows = {{kWindow, name, 7}, {kWindow + kHourMs, name, 8}}, .micros = true};
    for (const TestRow& row : file.rows) ++expected[TextOf(row)];
    dl::Add add;
    add.path = name + ".parquet";
    add.bytes = static_cast<int64_t>(lab.Put("catalog/users/" + add.path, file).size);
    return add;
  }
  void Append(const std::string& name) {
    dl::Commit commit;
    commit.adds = {Theirs(name)};
    Commit(commit);
  }
  void ExpectAllRows() {
    EXPECT_EQ(lab.IcebergRows(), expected);
    EXPECT_EQ(lab.DeltaRows(), expected);
    EXPECT_EQ(lab.tables.OthersInDelta("users")->count, 0u);
  }

  ManualClock clock{kWindow + 2 * kHourMs};
  InterruptedStore store{clock};
  TempDir dir;
  CompactionLab lab{store, dir.path(), clock, true};
  Multiset expected;
};

TEST_F(OthersTest, WhatTheyAppendedComesIntoIceberg) {
  Compact("a");
  Append("theirs");
  const auto others = lab.tables.OthersInDelta("users");
  ASSERT_TRUE(others.ok()) << others.error().message;
  EXPECT_EQ(others->count, 1u);
  EXPECT_EQ(others->added.size(), 1u);
  Compact("b");
  ExpectAllRows();
}

TEST_F(OthersTest, AFileThatTheyRewroteAndOneThatTheyRemovedAreGone) {
  Compact("a");
  Compact("b");
  const auto log = lab.delta.Load("users");
  ASSERT_EQ(log->files.size(), 2u);
  dl::Commit rewritten;
  for (const auto& item : log->files) {
    dl::Remove remove;
    remove.path = item.first;
    rewritten.removes.push_back(std::move(remove));
  }
  expected.clear();
  rewritten.adds = {Theirs("rewritten")};
  Commit(rewritten);
  ASSERT_TRUE(lab.tables.Level("users").ok());
  ExpectAllRows();
  // It is taken once: what becomes of the file later is nobody's old commit's business.
  const int64_t version = lab.iceberg.Load("users")->version;
  ASSERT_TRUE(lab.tables.Level("users").ok());
  EXPECT_EQ(lab.iceberg.Load("users")->version, version);
  Compact("c");
  Append("more");
  Append("and more");
  ASSERT_TRUE(catalog::PublishTable(lab.tables, "users", BothFormats(), {}).ok());
  ExpectAllRows();
}

TEST_F(OthersTest, WhoCommitsWhileACompactionDoesIsNotPassedOver) {
  Compact("a");
  const std::string id = Start("b");
  lab.RunUntil(id, "commit");
  store.at = "_delta_log/0";
  store.act = [&] { Append("meanwhile"); };
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  ExpectAllRows();
}

TEST_F(OthersTest, WhatCannotComeIntoIcebergIsForAnOperator) {
  Compact("a");
  const Multiset before = expected;
  const dl::TableInfo as_it_was = lab.delta.Load("users")->table;
  dl::Commit commit;
  commit.table = as_it_was;
  std::string& schema = commit.table->schema_json;
  schema.replace(schema.find("\"long\""), 6, "\"string\"");
  Commit(commit);
  const std::string id = Start("b");
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kFailed);
  EXPECT_THAT(lab.Get(id).error, HasSubstr("another program has committed to the Delta log"));
  EXPECT_THAT(lab.Get(id).error, HasSubstr("versions 2 to 2"));
  EXPECT_EQ(lab.IcebergRows(), before);
  EXPECT_EQ(lab.Keys("data/users/").size(), 1u);
  // Restored there, as a version of its own.
  commit.table = as_it_was;
  Commit(commit);
  ASSERT_TRUE(lab.workflows->Operate(id, workflow::Operation::kRetry).ok());
  lab.Drain();
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
  ExpectAllRows();
}

TEST_F(OthersTest, CommitsThatChangeNoRowsAreNobodysBusiness) {
  Compact("a");
  Commit({});
  EXPECT_EQ(lab.tables.OthersInDelta("users")->count, 0u);
  Compact("b");
  ExpectAllRows();
}

}  // namespace
}  // namespace varve::compact
