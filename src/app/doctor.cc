#include "app/doctor.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>

#include "app/commands.h"
#include "app/progress.h"
#include "core/clock.h"
#include "journal/replay.h"
#include "record/event_reader.h"
#include "state/database.h"
#include "store/local_store.h"

namespace varve::app {
namespace {

using Level = Finding::Level;
constexpr int64_t kTempAgeMs = 3'600'000;
constexpr size_t kListedMax = 10;
constexpr uint64_t kFreeBytesWanted = 1ull << 30;

void Add(Findings* findings, Level level, std::string what, std::string way_out = {}) {
  findings->push_back({level, std::move(what), std::move(way_out)});
}

std::string FirstOf(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < kListedMax; ++i) out += "\n      " + names[i];
  if (names.size() > kListedMax)
    out += fmt::format("\n      … and {} more", names.size() - kListedMax);
  return out;
}

int64_t ModifiedMs(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return INT64_MAX;
  return info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1'000'000;
}

Result<std::set<std::string>> AnnouncedKeys(state::Database& database) {
  std::set<std::string> keys;
  bool table = false;
  TRY(database.Run([&](state::Session& session) -> Status {
    TRY(session.Query("SELECT 1 FROM sqlite_master WHERE name = 'notify_announced'", {},
                      [&](const state::Row&) { return table = true; }));
    if (!table) return {};
    return session.Query("SELECT key FROM notify_announced", {}, [&](const state::Row& row) {
      keys.insert(row.Text(0));
      return true;
    });
  }));
  return keys;
}

struct ObjectTotals {
  uint64_t objects = 0, bytes = 0, parquet_bytes = 0;
};

Status EachObject(store::ObjectStore& store,
                  const std::function<void(const store::ObjectMeta&)>& look) {
  std::string after;
  do {
    store::ListPage page = TRY(store.List("", after, store::kListObjectsMax));
    for (const store::ObjectMeta& object : page.objects) {
      if (Interrupted()) return {};
      look(object);
    }
    after = std::move(page.next_start_after);
  } while (!after.empty());
  return {};
}

Status FooterOf(const std::string& path) {
  TRY(record::CheckParquetFile(path));
  return {};
}

// The key names the file already.
std::string WithoutPath(std::string message, const std::string& path) {
  for (size_t at; (at = message.find(path + ": ")) != std::string::npos;) {
    message.erase(at, path.size() + 2);
  }
  return message;
}

// Raw files that no message has told of. Not an error: the next reconcile finds them.
void CheckAnnounced(const DataDirPaths& paths, const Config& config, state::Database& database,
                    Findings* findings) {
  Result<std::set<std::string>> announced = AnnouncedKeys(database);
  if (!announced.ok()) {
    return Add(findings, Level::kError, "state: " + announced.error().message);
  }
  auto store = store::OpenLocalStore({.root = paths.root, .read_only = true}, SystemClock());
  if (!store.ok()) return Add(findings, Level::kError, "store: " + store.error().message);
  auto objects = store::ListAll(**store, config.flush.raw_events_prefix + "/");
  if (!objects.ok()) return Add(findings, Level::kError, "store: " + objects.error().message);
  std::vector<std::string> missing;
  for (const store::ObjectMeta& object : *objects) {
    if (object.key.ends_with(".ndjson") && !announced->contains(object.key)) {
      missing.push_back(object.key);
    }
  }
  if (missing.empty()) {
    return Add(findings, Level::kGood,
               fmt::format("raw files: {}, all announced", objects->size()));
  }
  Add(findings, Level::kNote,
      fmt::format("raw files not announced yet: {}{}", missing.size(), FirstOf(missing)),
      "`varve serve` announces them within notify.reconcile_interval_ms");
}

// The queues that others name as theirs for dead letters, and have some.
void CheckDeadLetters(state::Database& database, Findings* findings) {
  bool table = false;
  Status read = database.Run([&](state::Session& session) -> Status {
    TRY(session.Query("SELECT 1 FROM sqlite_master WHERE name = 'queues'", {},
                      [&](const state::Row&) { return table = true; }));
    if (!table) return {};
    return session.Query(
        "SELECT name, backlog FROM queues WHERE backlog > 0"
        " AND name IN (SELECT dead_letter_queue FROM queues) ORDER BY name",
        {}, [&](const state::Row& row) {
          NoteDeadLetters(row.Text(0), static_cast<uint64_t>(row.Int(1)), findings);
          return true;
        });
  });
  if (!read.ok()) Add(findings, Level::kWarning, "queues: " + read.error().message);
}

}  // namespace

void NoteDeadLetters(std::string_view queue, uint64_t messages, Findings* findings) {
  Add(findings, Level::kWarning, fmt::format("{}: {} dead letters", queue, messages),
      fmt::format("varve queue dlq {0} says why; then varve queue replay {0}", queue));
}

void CheckPermissions(const DataDirPaths& paths, Findings* findings) {
  for (const std::string* path : {&paths.root, &paths.own, &paths.journal, &paths.tmp}) {
    if (access(path->c_str(), R_OK | W_OK | X_OK) == 0) continue;
    if (errno == ENOENT && path != &paths.root && path != &paths.own) continue;
    return Add(
        findings, Level::kError, ErrnoError(errno, *path).message,
        fmt::format("give the user that runs varve (uid {}) read, write and search rights on "
                    "{}, or start it as the owner",
                    geteuid(), *path));
  }
  Add(findings, Level::kGood, fmt::format("{}: readable and writable", paths.root));
}

void CheckSpace(const DataDirPaths& paths, const Config& config, Findings* findings) {
  struct statvfs info {};
  if (statvfs(paths.root.c_str(), &info) != 0) {
    return Add(findings, Level::kError, ErrnoError(errno, "free space of " + paths.root).message);
  }
  uint64_t free_bytes = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  std::string text = fmt::format("free space: {}", HumanBytes(free_bytes));
  if (info.f_files != 0 && info.f_favail < 1000) {
    return Add(findings, Level::kError, fmt::format("only {} inodes are free", info.f_favail),
               "delete small files, or move the data directory to another file system");
  }
  if (free_bytes < kFreeBytesWanted) {
    return Add(findings, Level::kError, text, "make room: ingest is refused when the disk is full");
  }
  if (free_bytes < config.journal.bytes_max) {
    return Add(findings, Level::kNote,
               text + fmt::format(", less than journal.bytes_max ({})",
                                  HumanBytes(config.journal.bytes_max)),
               "a journal that cannot be flushed for long would meet a full disk before its bound; "
               "lower journal.bytes_max, or make room");
  }
  Add(findings, Level::kGood, text);
}

void CheckTempFiles(const DataDirPaths& paths, int64_t now_ms, Findings* findings) {
  std::error_code failed;
  std::vector<std::string> old;
  for (const auto& entry : std::filesystem::directory_iterator(paths.tmp, failed)) {
    if (now_ms - ModifiedMs(entry.path()) > kTempAgeMs) old.push_back(entry.path());
  }
  if (old.empty()) return Add(findings, Level::kGood, "temporary files: none left behind");
  Add(findings, Level::kNote,
      fmt::format("temporary files older than an hour: {}{}", old.size(), FirstOf(old)),
      "left by a crash; no reader sees them, they may be deleted");
}

void CheckObjects(const DataDirPaths& paths, bool fast, Findings* findings) {
  auto store = store::OpenLocalStore({.root = paths.root, .read_only = true}, SystemClock());
  if (!store.ok()) return Add(findings, Level::kError, "store: " + store.error().message);
  ObjectTotals all;
  Status listed = EachObject(**store, [&](const store::ObjectMeta& object) {
    all.objects += 1;
    all.bytes += object.size;
    if (object.key.ends_with(".parquet")) all.parquet_bytes += object.size;
  });
  std::vector<std::string> bad;
  uint64_t parquet = 0, done_bytes = 0, rows = 0;
  ProgressLine progress(!fast);
  if (listed.ok()) {
    listed = EachObject(**store, [&](const store::ObjectMeta& object) {
      if (!object.key.ends_with(".parquet")) return;
      const std::string path = (*store)->LocalPath(object.key).value_or(object.key);
      const uint64_t rows_before = rows;
      Status good = fast ? FooterOf(path) : record::VerifyParquetFile(path, [&](uint64_t read) {
        rows = rows_before + read;
        progress.Show("reading ", done_bytes, all.parquet_bytes, rows, "rows");
        return !Interrupted();
      });
      if (!good.ok() && good.error().kind == ErrorKind::kNotFound) return;  // deleted meanwhile
      ++parquet;
      done_bytes += object.size;
      if (!good.ok()) bad.push_back(object.key + ": " + WithoutPath(good.error().message, path));
    });
  }
  progress.Clear();
  if (!listed.ok()) return Add(findings, Level::kError, "list objects: " + listed.error().message);
  Add(findings, Level::kGood,
      fmt::format("objects: {}, {}", HumanCount(all.objects), HumanBytes(all.bytes)));
  if (Interrupted()) return Add(findings, Level::kError, "interrupted: not every file was read");
  if (bad.empty()) {
    return Add(findings, Level::kGood,
               fast
                   ? fmt::format("Parquet files: {}, every footer can be read", HumanCount(parquet))
                   : fmt::format("Parquet files: {}, every page of their {} rows can be read",
                                 HumanCount(parquet), HumanCount(rows)));
  }
  Add(findings, Level::kError,
      fmt::format("Parquet files that cannot be read: {}{}", bad.size(), FirstOf(bad)),
      "queries that meet them leave them out and say so, or fail; restore them from a backup, or "
      "move them out of the data directory");
}

void CheckJournal(const DataDirPaths& paths, Findings* findings) {
  std::error_code failed;
  if (!std::filesystem::is_directory(paths.journal, failed)) {
    return Add(findings, Level::kGood, "journal: empty");
  }
  journal::NameTable names;
  Result<journal::Replayed> replayed =
      journal::Replay(paths.journal, names, journal::ReplayMode::kLook);
  if (!replayed.ok()) {
    return Add(
        findings, Level::kError, "journal: " + replayed.error().message,
        "restore the file from a backup; or give up what only the journal held: `varve "
        "doctor --set-journal-aside` keeps it as journal.damaged-… and lets the server start");
  }
  uint64_t records = 0;
  for (const auto& segment : replayed->segments) records += segment->record_count();
  std::string torn;
  if (replayed->torn_bytes > 0) {
    torn = fmt::format("; {} bytes at its end were never acknowledged and are dropped at the start",
                       replayed->torn_bytes);
  }
  Add(findings, Level::kGood,
      fmt::format("journal: {} records in {} segments can be replayed{}", HumanCount(records),
                  replayed->segments.size(), torn));
}

void CheckState(const DataDirPaths& paths, const Config& config, Findings* findings) {
  if (access(paths.state.c_str(), F_OK) != 0) {
    return Add(findings, Level::kNote, "state database: not there yet");
  }
  const char* way_out =
      "stop everything that uses it, keep a copy, and restore state.db from a backup; without it "
      "queues and batch ids start anew, objects and journal are not touched";
  auto database = state::Database::Inspect(paths.state);
  if (!database.ok()) {
    return Add(findings, Level::kError, "state database: " + database.error().message, way_out);
  }
  std::string verdict;
  Status checked = (*database)->Run([&](state::Session& session) {
    return session.Query("PRAGMA quick_check", {}, [&](const state::Row& row) {
      verdict = row.Text(0);
      return false;
    });
  });
  if (!checked.ok() || verdict != "ok") {
    return Add(findings, Level::kError,
               "state database: " + (checked.ok() ? verdict : checked.error().message), way_out);
  }
  Add(findings, Level::kGood, "state database: sound");
  CheckDeadLetters(**database, findings);
  CheckAnnounced(paths, config, **database, findings);
}

}  // namespace varve::app
