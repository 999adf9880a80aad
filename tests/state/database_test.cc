#include "state/database.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "temp_dir.h"

namespace varve::state {
namespace {

std::unique_ptr<Database> MustOpen(const std::string& path) {
  auto opened = Database::Open(path);
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return opened.ok() ? std::move(opened).value() : nullptr;
}

constexpr Migration kNotes[] = {
    {1, "CREATE TABLE notes(id INTEGER PRIMARY KEY, words TEXT UNIQUE, weight REAL)"},
    {2, "ALTER TABLE notes ADD COLUMN colour TEXT; CREATE INDEX by_colour ON notes(colour)"},
};

std::unique_ptr<Database> WithNotes(const std::string& path) {
  auto db = MustOpen(path);
  const Status migrated = db->Migrate("notes", kNotes);
  EXPECT_TRUE(migrated.ok()) << migrated.error().message;
  return db;
}

int64_t Count(Database& db, std::string_view sql) {
  int64_t count = -1;
  const Status status = db.Run([&](Session& session) {
    return session.Query(sql, {}, [&](const Row& row) {
      count = row.Int(0);
      return true;
    });
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
  return count;
}

Status AddNote(Database& db, const std::string& words) {
  return db.Transact([&](Session& session) {
    return session.Execute("INSERT INTO notes(words) VALUES(?)", {words});
  });
}

TEST(DatabaseTest, ValuesOfEveryTypeComeBackAsTheyWentIn) {
  auto db = WithNotes(":memory:");
  const std::string bytes("a\0b\xff'\"", 6);
  ASSERT_TRUE(db->Transact([&](Session& s) {
                  return s.Execute("INSERT INTO notes(id, words, weight) VALUES(?, ?, ?)",
                                   {int64_t{1} << 62, bytes, 0.1});
                }).ok());
  int rows = 0;
  const Status read = db->Run([&](Session& s) {
    return s.Query("SELECT id, words, weight, colour FROM notes", {}, [&](const Row& row) {
      ++rows;
      EXPECT_EQ(row.Int(0), int64_t{1} << 62);
      EXPECT_EQ(row.Text(1), bytes);
      EXPECT_EQ(row.Double(2), 0.1);
      EXPECT_TRUE(row.IsNull(3));
      EXPECT_EQ(row.Text(3), "");
      return true;
    });
  });
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(rows, 1);
}

TEST(DatabaseTest, AnErrorFromTheBodyRollsEverythingBack) {
  auto db = WithNotes(":memory:");
  const Status status = db->Transact([](Session& s) -> Status {
    TRY(s.Execute("INSERT INTO notes(words) VALUES('lost')"));
    return MakeError(ErrorKind::kConflict, "NO", "changed my mind");
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, "NO");
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM notes"), 0);
  EXPECT_TRUE(AddNote(*db, "kept").ok());
}

TEST(DatabaseTest, AnExceptionFromTheBodyRollsBackAndLeavesTheDatabaseUsable) {
  auto db = WithNotes(":memory:");
  const auto throwing = [](Session& s) -> Status {
    TRY(s.Execute("INSERT INTO notes(words) VALUES('lost')"));
    throw std::runtime_error("from a caller");
  };
  EXPECT_THROW((void)db->Transact(throwing), std::runtime_error);
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM notes"), 0);
  EXPECT_TRUE(AddNote(*db, "kept").ok());
}

TEST(DatabaseTest, AConstraintIsAConflict) {
  auto db = WithNotes(":memory:");
  ASSERT_TRUE(AddNote(*db, "one").ok());
  const Status again = AddNote(*db, "one");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().kind, ErrorKind::kConflict);
}

TEST(DatabaseTest, WrongSqlIsAnErrorThatShowsTheSql) {
  auto db = MustOpen(":memory:");
  for (const char* sql : {"SELEC 1", "SELECT 1; SELECT 2", "", "  "}) {
    const Status status = db->Run([&](Session& s) { return s.Execute(sql); });
    ASSERT_FALSE(status.ok()) << sql;
    EXPECT_NE(status.error().message.find(sql), std::string::npos) << status.error().message;
  }
}

TEST(DatabaseTest, ChangesAndLastInsertIdAreThoseOfTheLastStatement) {
  auto db = WithNotes(":memory:");
  const Status status = db->Transact([](Session& s) -> Status {
    TRY(s.Execute("INSERT INTO notes(id, words) VALUES(41, 'a'), (42, 'b')"));
    EXPECT_EQ(s.changes(), 2);
    EXPECT_EQ(s.last_insert_id(), 42);
    TRY(s.Execute("DELETE FROM notes WHERE id = ?", {int64_t{41}}));
    EXPECT_EQ(s.changes(), 1);
    return {};
  });
  EXPECT_TRUE(status.ok());
}

TEST(DatabaseTest, TheSameStatementMayRunInsideItsOwnRowCallback) {
  auto db = WithNotes(":memory:");
  for (const char* words : {"a", "b", "c"}) ASSERT_TRUE(AddNote(*db, words).ok());
  constexpr std::string_view kAll = "SELECT words FROM notes ORDER BY words";
  std::string seen;
  const Status status = db->Run([&](Session& s) {
    return s.Query(kAll, {}, [&](const Row& outer) {
      seen += outer.Text(0);
      EXPECT_TRUE(s.Query(kAll, {}, [&](const Row& inner) {
                     seen += inner.Text(0);
                     return true;
                   }).ok());
      return true;
    });
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(seen, "aabcbabccabc");
}

TEST(DatabaseTest, AQueryStoppedEarlyStillWritesWhatItReturned) {
  auto db = WithNotes(":memory:");
  const Status status = db->Run([](Session& s) {
    return s.Query("INSERT INTO notes(words) VALUES('a'), ('b') RETURNING id", {},
                   [](const Row&) { return false; });
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM notes"), 2);
}

TEST(DatabaseTest, MoreDistinctStatementsThanTheCacheHoldsStillRun) {
  auto db = MustOpen(":memory:");
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(Count(*db, "SELECT " + std::to_string(i)), i);
  }
}

TEST(DatabaseTest, MigrationsRunOnceInOrderAndContinueWhereTheyStopped) {
  const TempDir dir;
  const std::string path = dir.File("state.db");
  {
    auto db = MustOpen(path);
    ASSERT_TRUE(db->Migrate("notes", std::span(kNotes).first(1)).ok());
    ASSERT_TRUE(AddNote(*db, "old").ok());
  }
  auto db = WithNotes(path);
  ASSERT_TRUE(db->Migrate("notes", kNotes).ok());
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM notes WHERE colour IS NULL"), 1);
  EXPECT_EQ(Count(*db, "SELECT version FROM varve_migrations WHERE module = 'notes'"), 2);
}

TEST(DatabaseTest, AFailedMigrationLeavesNothingOfItself) {
  auto db = MustOpen(":memory:");
  constexpr Migration kBroken[] = {{1, "CREATE TABLE half(a); CREATE TABLE half(a)"}};
  ASSERT_FALSE(db->Migrate("half", kBroken).ok());
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
  constexpr Migration kMended[] = {{1, "CREATE TABLE half(a)"}};
  EXPECT_TRUE(db->Migrate("half", kMended).ok());
}

TEST(DatabaseTest, TablesOfANewerVarveAreRefused) {
  const TempDir dir;
  { WithNotes(dir.File("state.db")); }
  auto db = MustOpen(dir.File("state.db"));
  const Status old = db->Migrate("notes", std::span(kNotes).first(1));
  ASSERT_FALSE(old.ok());
  EXPECT_EQ(old.error().code, "STATE_TOO_NEW");
}

TEST(DatabaseTest, TransactionsOfManyThreadsDoNotInterleave) {
  const TempDir dir;
  auto db = MustOpen(dir.File("state.db"));
  constexpr Migration kCounter[] = {
      {1, "CREATE TABLE counter(n INTEGER); INSERT INTO counter VALUES(0)"}};
  ASSERT_TRUE(db->Migrate("counter", kCounter).ok());
  constexpr int kThreads = 8, kRounds = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        const Status status = db->Transact([](Session& s) -> Status {
          int64_t n = 0;
          TRY(s.Query("SELECT n FROM counter", {}, [&](const Row& row) {
            n = row.Int(0);
            return true;
          }));
          return s.Execute("UPDATE counter SET n = ?", {n + 1});
        });
        EXPECT_TRUE(status.ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Count(*db, "SELECT n FROM counter"), kThreads * kRounds);
}

TEST(DatabaseTest, TwoConnectionsToOneFileTakeTurns) {
  const TempDir dir;
  auto one = WithNotes(dir.File("state.db"));
  auto two = MustOpen(dir.File("state.db"));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(AddNote(*one, "one" + std::to_string(i)).ok());
    ASSERT_TRUE(AddNote(*two, "two" + std::to_string(i)).ok());
  }
  EXPECT_EQ(Count(*one, "SELECT count(*) FROM notes"), 20);
}

TEST(DatabaseTest, CommitsAreInTheWriteAheadLogWithFullSync) {
  const TempDir dir;
  auto db = WithNotes(dir.File("state.db"));
  EXPECT_EQ(Count(*db, "PRAGMA synchronous"), 2);
  EXPECT_TRUE(std::filesystem::exists(dir.File("state.db-wal")));
}

TEST(DatabaseDeathTest, ATransactionInsideATransactionIsADefect) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto db = MustOpen(":memory:");
  EXPECT_DEATH(
      (void)db->Transact([&](Session&) { return db->Run([](Session&) { return Status(); }); }), "");
}

// The model: a map. Every batch of operations is one transaction that is kept or abandoned.
TEST(DatabaseTest, KeptTransactionsAreAllThatIsThere) {
  using Batch = std::pair<bool, std::vector<std::pair<uint8_t, std::string>>>;
  const bool held = rc::check([](const std::vector<Batch>& batches) {
    auto db = MustOpen(":memory:");
    constexpr Migration kMap[] = {{1, "CREATE TABLE map(k INTEGER PRIMARY KEY, v TEXT)"}};
    RC_ASSERT(db->Migrate("map", kMap).ok());
    std::map<int64_t, std::string> model;
    for (const auto& [kept, writes] : batches) {
      auto after = model;
      const Status status = db->Transact([&, keep = kept, &changes = writes](Session& s) -> Status {
        for (const auto& [key, value] : changes) {
          TRY(s.Execute("INSERT OR REPLACE INTO map VALUES(?, ?)", {int64_t{key}, value}));
          after[key] = value;
        }
        if (!keep) return MakeError(ErrorKind::kCancelled, "abandoned");
        return {};
      });
      RC_ASSERT(status.ok() == kept);
      if (kept) model = std::move(after);
    }
    std::map<int64_t, std::string> found;
    RC_ASSERT(db->Run([&](Session& s) {
                  return s.Query("SELECT k, v FROM map", {}, [&](const Row& row) {
                    found[row.Int(0)] = row.Text(1);
                    return true;
                  });
                }).ok());
    RC_ASSERT(found == model);
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace varve::state
