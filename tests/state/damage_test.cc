// What a database does after its process was killed, on a full disk, on a file that it may not
// write and on a file that is not what it wrote.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "core/crash_point.h"
#include "state/database.h"
#include "temp_dir.h"

namespace varve::state {
namespace {

constexpr Migration kFewNotes[] = {
    {1, "CREATE TABLE notes(id INTEGER PRIMARY KEY, words TEXT)"},
    {2, "CREATE INDEX by_words ON notes(words)"},
};

// Runs body in a child process; its exit code, or minus the signal that ended it.
int InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

Status Add(Database& db, const std::string& words) {
  return db.Transact([&](Session& s) -> Status {
    TRY(s.Execute("INSERT INTO notes(words) VALUES(?)", {words}));
    return s.Execute("INSERT INTO notes(words) VALUES(?)", {words});
  });
}

int64_t Count(Database& db) {
  int64_t count = -1;
  EXPECT_TRUE(db.Run([&](Session& s) {
                  return s.Query("SELECT count(*) FROM notes", {}, [&](const Row& row) {
                    count = row.Int(0);
                    return true;
                  });
                }).ok());
  return count;
}

// Opens, migrates, adds; exit code 0 when all of it succeeded.
int OneRun(const std::string& path, int adds) {
  auto db = Database::Open(path);
  if (!db.ok() || !(*db)->Migrate("notes", kFewNotes).ok()) return 1;
  for (int i = 0; i < adds; ++i) {
    if (!Add(**db, "note").ok()) return 2;
  }
  return 0;
}

TEST(DatabaseCrashTest, AKillAtEveryPointLeavesWholeTransactionsOnly) {
  int points = 0;
  for (const std::string_view name : CrashPoint::Names()) {
    if (!name.starts_with("state.")) continue;
    ++points;
    for (const int hit : {1, 2}) {
      if (hit == 2 && (name.starts_with("state.open") || name.starts_with("state.close"))) continue;
      const TempDir dir;
      const std::string path = dir.File("state.db");
      const int died = InChild([&] {
        CrashPoint::Arm(std::string(name) + ":" + std::to_string(hit));
        return OneRun(path, 3);
      });
      EXPECT_EQ(died, -SIGKILL) << name << " was not reached";
      auto db = Database::Open(path);
      ASSERT_TRUE(db.ok()) << name << ": " << db.error().message;
      ASSERT_TRUE((*db)->Migrate("notes", kFewNotes).ok());
      const int64_t before = Count(**db);
      EXPECT_EQ(before % 2, 0) << name;
      EXPECT_TRUE(Add(**db, "after").ok());
      EXPECT_EQ(Count(**db), before + 2);
    }
  }
  EXPECT_GE(points, 4);
}

TEST(DatabaseCrashTest, WhatWasCommittedBeforeTheKillIsThere) {
  const TempDir dir;
  const std::string path = dir.File("state.db");
  EXPECT_EQ(InChild([&] {
              auto db = Database::Open(path);
              if (!(*db)->Migrate("notes", kFewNotes).ok()) return 1;
              for (int i = 0; i < 20; ++i) {
                if (!Add(**db, "note").ok()) return 2;
              }
              return kill(getpid(), SIGKILL);
            }),
            -SIGKILL);
  auto db = Database::Open(path);
  ASSERT_TRUE(db.ok());
  EXPECT_EQ(Count(**db), 40);
}

// Damages a page in the middle of a database of many pages, behind the header.
void DamageAPage(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3 * 4096);
  file << std::string(4096, '\x5a');
}

void FillManyPages(const std::string& path) {
  auto db = Database::Open(path);
  ASSERT_TRUE((*db)->Migrate("notes", kFewNotes).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Add(**db, std::string(3000, 'x')).ok());
}

TEST(DatabaseDamageTest, AfterAnUncleanStopADamagedFileIsRefused) {
  const TempDir dir;
  const std::string path = dir.File("state.db");
  FillManyPages(path);
  EXPECT_EQ(InChild([&] {
              auto db = Database::Open(path);
              return kill(getpid(), SIGKILL);
            }),
            -SIGKILL);
  {  // checkpoints, so that the damage is to the file that is read
    auto db = Database::Open(path);
    ASSERT_TRUE(db.ok()) << db.error().message;
  }
  EXPECT_EQ(InChild([&] {
              CrashPoint::Arm("state.open.marked_running:1");
              auto db = Database::Open(path);
              return 0;
            }),
            -SIGKILL);
  DamageAPage(path);
  const auto opened = Database::Open(path);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, ErrorKind::kCorrupt);
  EXPECT_NE(opened.error().message.find(path), std::string::npos);
}

TEST(DatabaseDamageTest, AFileThatIsNoDatabaseIsCorrupt) {
  const TempDir dir;
  std::ofstream(dir.File("state.db")) << std::string(8192, 'x');
  const auto opened = Database::Open(dir.File("state.db"));
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, ErrorKind::kCorrupt);
  EXPECT_NE(opened.error().message.find("state.db"), std::string::npos);
}

TEST(DatabaseDamageTest, AMissingDirectoryIsAnErrorThatNamesTheFile) {
  const TempDir dir;
  const auto opened = Database::Open(dir.File("none/state.db"));
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("none/state.db"), std::string::npos);
}

TEST(DatabaseDamageTest, AFileThatMayNotBeWrittenIsAnErrorThatNamesIt) {
  const TempDir dir;
  const std::string path = dir.File("state.db");
  FillManyPages(path);
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(path, std::filesystem::perms(0444));
  std::filesystem::permissions(path + ".lock", std::filesystem::perms(0666));
  EXPECT_EQ(InChild([&] {
              if (getuid() == 0 && setuid(65534) != 0) return 1;
              const auto opened = Database::Open(path);
              if (opened.ok()) return 2;
              if (opened.error().code != "STATE_READ_ONLY") return 3;
              return opened.error().message.find(path) == std::string::npos ? 4 : 0;
            }),
            0);
}

TEST(DatabaseDamageTest, AReadOnlyDirectoryIsAnErrorThatNamesTheFile) {
  const TempDir dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0555));
  EXPECT_EQ(InChild([&] {
              if (getuid() == 0 && setuid(65534) != 0) return 1;
              const auto opened = Database::Open(dir.File("state.db"));
              if (opened.ok()) return 2;
              if (opened.error().code != "STATE_READ_ONLY") return 3;
              return opened.error().message.find("state.db") == std::string::npos ? 4 : 0;
            }),
            0);
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
}

TEST(DatabaseFullDiskTest, SqliteFullIsDiskFullAndLeavesTheRestUsable) {
  const TempDir dir;
  auto db = Database::Open(dir.File("state.db"));
  ASSERT_TRUE((*db)->Migrate("notes", kFewNotes).ok());
  const auto set_pages_max = [&](const char* sql) {
    ASSERT_TRUE((*db)->Run([&](Session& s) { return s.Execute(sql); }).ok());
  };
  set_pages_max("PRAGMA max_page_count=40");
  Status status;
  int64_t added = 0;
  while ((status = Add(**db, std::string(5000, 'x'))).ok()) added += 2;
  EXPECT_EQ(status.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(status.error().code, "DISK_FULL");
  EXPECT_EQ(Count(**db), added);
  set_pages_max("PRAGMA max_page_count=1000000");
  EXPECT_TRUE(Add(**db, "after").ok());
  EXPECT_EQ(Count(**db), added + 2);
}

TEST(DatabaseFullDiskTest, AWriteThatTheSystemRefusesForSpaceIsDiskFull) {
  const TempDir dir;
  const std::string path = dir.File("state.db");
  EXPECT_EQ(InChild([&] {
              signal(SIGXFSZ, SIG_IGN);
              auto db = Database::Open(path);
              if (!db.ok() || !(*db)->Migrate("notes", kFewNotes).ok()) return 1;
              const rlimit small{256 * 1024, 256 * 1024};
              if (setrlimit(RLIMIT_FSIZE, &small) != 0) return 2;
              Status status;
              for (int i = 0; i < 1000 && status.ok(); ++i) {
                status = Add(**db, std::string(5000, 'x'));
              }
              if (status.ok()) return 3;
              if (status.error().code != "DISK_FULL") return 4;
              return Count(**db) % 2 == 0 ? 0 : 5;
            }),
            0);
  auto db = Database::Open(path);
  ASSERT_TRUE(db.ok()) << db.error().message;
  EXPECT_TRUE(Add(**db, "after").ok());
}

std::string BytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Looking: with a log that was never checkpointed, and without one.
TEST(StateInspect, ReadsWhatIsThereAndChangesNoFile) {
  const TempDir dir;
  const std::string path = dir.path() + "/state.db";
  ASSERT_EQ(InChild([&] {
              auto db = Database::Open(path);
              if (!db.ok() || !(*db)->Migrate("notes", kFewNotes).ok()) return 1;
              for (int i = 0; i < 5; ++i) {
                if (!Add(**db, "note").ok()) return 2;
              }
              kill(getpid(), SIGKILL);
              return 3;
            }),
            -SIGKILL);
  const auto look = [&] {
    std::map<std::string, std::string> before, after;
    const auto read = [&](std::map<std::string, std::string>* files) {
      for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
        (*files)[entry.path()] = BytesOf(entry.path());
      }
    };
    read(&before);
    {
      auto db = Database::Inspect(path);
      ASSERT_TRUE(db.ok()) << db.error().message;
      EXPECT_EQ(Count(**db), 10);
      EXPECT_FALSE(Add(**db, "no").ok());
    }
    read(&after);
    EXPECT_EQ(before, after);
  };
  ASSERT_GT(std::filesystem::file_size(path + "-wal"), 0u);
  look();
  { ASSERT_TRUE(Database::Open(path).ok()); }
  ASSERT_FALSE(std::filesystem::exists(path + "-wal"));
  look();
  std::filesystem::remove(path);
  EXPECT_FALSE(Database::Inspect(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace varve::state
