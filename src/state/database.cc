// Opening, in order:
//  1. take the run marker's lock (run_marker.h), open the file, set and read back the pragmas;
//  2. if nobody else has it open and the marker row says "running", the last process was killed:
//     PRAGMA quick_check, and kCorrupt if it finds anything;
//  3. write "running" durably, then let others in.
// Closing reverses it: checkpoint, write "clean" if we are the last, close.
//
// Why not SQLite's own word for it: a leftover -wal file says nothing, because SQLite also leaves
// one when another process still has the file open, and deletes it only after a checkpoint that
// worked.
#include "state/database.h"

#include <sqlite3.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "core/bytes.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "state/run_marker.h"
#include "state/sqlite_error.h"
#include "state/statement_cache.h"

namespace varve::state {
namespace {

const CrashPoint kBeforeCommit{"state.transact.before_commit"};
const CrashPoint kCommitted{"state.transact.committed"};
const CrashPoint kMigrated{"state.migrate.before_commit"};
const CrashPoint kMarkedRunning{"state.open.marked_running"};
const CrashPoint kMarkedClean{"state.close.marked_clean"};

constexpr int kBusyTimeoutMs = 5000;
constexpr int kSqliteVersionMin = 3051003;  // older ones can corrupt on a WAL reset

// Pragma, its value, and what reading it back must give.
struct Pragma {
  const char* set;
  const char* read;
  const char* expected;
};
constexpr Pragma kPragmas[] = {
    {"PRAGMA synchronous=FULL", "PRAGMA synchronous", "2"},
    {"PRAGMA mmap_size=0", nullptr, nullptr},
    {"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", "2"},
    {"PRAGMA foreign_keys=ON", "PRAGMA foreign_keys", "1"},
    {"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", "1"},
    {"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", "0"},
    {"PRAGMA cache_size=-16384", nullptr, nullptr},            // 16 MiB
    {"PRAGMA journal_size_limit=67108864", nullptr, nullptr},  // the WAL, after a checkpoint
};

constexpr const char* kOwnSchema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS varve_migrations("
    "  module TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS varve_run(one INTEGER PRIMARY KEY CHECK(one = 1),"
    "  clean INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO varve_run VALUES(1, 1);"
    "COMMIT;";

}  // namespace

struct Database::Impl {
  Impl(std::string file_name, sqlite3* connection, std::optional<RunMarker> run_marker)
      : path(std::move(file_name)),
        db(connection),
        statements(connection, path),
        marker(std::move(run_marker)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  Status Exec(const char* sql);
  Result<std::string> ReadOne(const char* sql);
  Status Configure();
  Status CheckAfterUncleanStop();
  Status SetClean(bool clean);
  Error Fail(int code, std::string_view doing) { return SqliteError(db, code, path, doing); }

  const std::string path;
  std::mutex mutex;
  sqlite3* const db;                      // guarded by mutex
  StatementCache statements;              // guarded by mutex
  std::optional<RunMarker> marker;        // none for :memory:
  bool marks_clean = false;               // this process checked or found the file clean
  bool inspects = false;                  // nothing is written, not even at the end
  std::atomic<std::thread::id> holder{};  // who is inside Run or Transact
};

namespace {

// Takes the connection for one call. Re-entry by the same thread would deadlock: it is a defect.
class Turn {
 public:
  Turn(std::mutex& mutex, std::atomic<std::thread::id>& holder) : holder_(holder) {
    CHECK(holder.load(std::memory_order_relaxed) != std::this_thread::get_id());
    lock_ = std::unique_lock(mutex);
    holder.store(std::this_thread::get_id(), std::memory_order_relaxed);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { holder_.store(std::thread::id{}, std::memory_order_relaxed); }

 private:
  std::unique_lock<std::mutex> lock_;
  std::atomic<std::thread::id>& holder_;
};

// Rolls back unless the commit was reached, also when body throws.
class Rollback {
 public:
  explicit Rollback(sqlite3* db) : db_(db) {}
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    // After a full disk or an I/O error SQLite may have rolled back by itself.
    if (sqlite3_get_autocommit(db_) == 0) {
      sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    }
  }

 private:
  sqlite3* db_;
};

struct BindVisitor {
  sqlite3_stmt* statement;
  int index;
  int operator()(std::monostate) const { return sqlite3_bind_null(statement, index); }
  int operator()(int64_t value) const { return sqlite3_bind_int64(statement, index, value); }
  int operator()(double value) const { return sqlite3_bind_double(statement, index, value); }
  int operator()(const std::string& value) const {
    return sqlite3_bind_text64(statement, index, value.data(), value.size(), SQLITE_STATIC,
                               SQLITE_UTF8);
  }
};

int Bind(sqlite3_stmt* statement, std::span<const Value> bound) {
  CHECK(static_cast<size_t>(sqlite3_bind_parameter_count(statement)) == bound.size());
  for (size_t i = 0; i < bound.size(); ++i) {
    const int code = std::visit(BindVisitor{statement, static_cast<int>(i) + 1}, bound[i]);
    if (code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

std::string UriPath(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool special = c == '%' || c == '?' || c == '#';
    out += special ? "%" + HexEncode(std::string_view(&c, 1)) : std::string(1, c);
  }
  return out;
}

}  // namespace

Database::Impl::~Impl() {
  statements.Clear();
  const int code = inspects ? SQLITE_OK
                            : sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                                        nullptr, nullptr);
  if (code != SQLITE_OK && code != SQLITE_BUSY) {
    LogWarn("state_checkpoint_failed", {{"file", path}, {"error", sqlite3_errmsg(db)}});
  }
  if (marker && marks_clean && marker->TryAlone()) {
    if (Status marked = SetClean(true); !marked.ok()) {
      LogWarn("state_not_marked_clean", {{"file", path}, {"error", marked.error().message}});
    }
    kMarkedClean.Hit();
  }
  if (sqlite3_close(db) != SQLITE_OK) LogError("state_close_failed", {{"file", path}});
}

Status Database::Impl::Exec(const char* sql) {
  const int code = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Fail(code, sql);
  return {};
}

Result<std::string> Database::Impl::ReadOne(const char* sql) {
  const StatementCache::Lease lease = TRY(statements.Prepare(sql));
  const int code = sqlite3_step(lease.get());
  if (code == SQLITE_ROW) return Row(lease.get()).Text(0);
  if (code == SQLITE_DONE) return std::string();
  return Fail(code, sql);
}

Status Database::Impl::Configure() {
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  const std::string mode = TRY(ReadOne("PRAGMA journal_mode=WAL"));
  if (path != ":memory:" && mode != "wal") {
    return MakeError(ErrorKind::kInternal, "STATE_NO_WAL",
                     "open " + path + ": the file system does not allow a write-ahead log");
  }
  for (const Pragma& pragma : kPragmas) {
    TRY(Exec(pragma.set));
    if (pragma.read == nullptr) continue;
    const std::string now = TRY(ReadOne(pragma.read));
    CHECK(now == pragma.expected);
  }
  return {};
}

Status Database::Impl::CheckAfterUncleanStop() {
  const std::string clean = TRY(ReadOne("SELECT clean FROM varve_run WHERE one = 1"));
  if (clean == "1") return {};
  LogInfo("state_unclean_stop", {{"file", path}, {"action", "quick_check"}});
  const std::string verdict = TRY(ReadOne("PRAGMA quick_check(1)"));
  if (verdict == "ok") return {};
  return MakeError(ErrorKind::kCorrupt, "STATE_CORRUPT",
                   "open " + path + ": quick_check after an unclean stop: " + verdict);
}

Status Database::Impl::SetClean(bool clean) {
  return Exec(clean ? "UPDATE varve_run SET clean = 1" : "UPDATE varve_run SET clean = 0");
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  CHECK(sqlite3_libversion_number() >= kSqliteVersionMin);
  std::optional<RunMarker> marker;
  if (path != ":memory:") marker.emplace(TRY(RunMarker::Take(path)));
  const bool alone = marker && marker->alone();
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  if (code != SQLITE_OK) {
    Error error = SqliteError(db, code, path, "open");
    sqlite3_close(db);
    return error;
  }
  auto impl = std::make_unique<Impl>(path, db, std::move(marker));
  // SQLite opens a file that it may not write without a word.
  if (sqlite3_db_readonly(db, "main") == 1) {
    return MakeError(ErrorKind::kInternal, "STATE_READ_ONLY",
                     "open " + path + ": the file or its directory is read-only");
  }
  TRY(impl->Configure());
  TRY(impl->Exec(kOwnSchema));
  if (alone) {
    TRY(impl->CheckAfterUncleanStop());
    TRY(impl->SetClean(false));
    kMarkedRunning.Hit();
    impl->marks_clean = true;
    impl->marker->Share();
  }
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

// A file without a log beside it is complete: immutable tells SQLite to make none. One with a log
// is read through it, its index on the heap (exclusive locking), and the log is left as it is.
Result<std::unique_ptr<Database>> Database::Inspect(const std::string& path) {
  std::error_code none;
  const bool log = std::filesystem::file_size(path + "-wal", none) > 0 && !none;
  sqlite3* db = nullptr;
  const std::string uri = "file:" + UriPath(path) + (log ? "?mode=rw" : "?mode=ro&immutable=1");
  const int flags =
      SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | (log ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
  const int code = sqlite3_open_v2(uri.c_str(), &db, flags, nullptr);
  if (code != SQLITE_OK) {
    Error error = SqliteError(db, code, path, "open");
    sqlite3_close(db);
    return error;
  }
  auto impl = std::make_unique<Impl>(path, db, std::nullopt);
  impl->inspects = true;
  sqlite3_extended_result_codes(db, 1);
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  TRY(impl->Exec("PRAGMA locking_mode=EXCLUSIVE"));
  TRY(impl->Exec("PRAGMA query_only=ON"));
  TRY(impl->Exec("PRAGMA temp_store=MEMORY"));
  TRY(impl->ReadOne("SELECT count(*) FROM sqlite_master"));
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

Status Database::Migrate(std::string_view module, std::span<const Migration> migrations) {
  for (size_t i = 0; i < migrations.size(); ++i) {
    CHECK(migrations[i].version == static_cast<int>(i) + 1);
  }
  int64_t version = 0;
  const std::initializer_list<Value> name = {std::string(module)};
  TRY(Run([&](Session& session) {
    return session.Query("SELECT version FROM varve_migrations WHERE module = ?", name,
                         [&](const Row& row) {
                           version = row.Int(0);
                           return false;
                         });
  }));
  if (version > static_cast<int64_t>(migrations.size())) {
    return MakeError(ErrorKind::kInvalid, "STATE_TOO_NEW",
                     impl_->path + ": the tables of " + std::string(module) + " are at version " +
                         std::to_string(version) + "; this varve knows " +
                         std::to_string(migrations.size()));
  }
  for (const Migration& migration : migrations.subspan(static_cast<size_t>(version))) {
    const std::string sql(migration.sql);
    TRY(Transact([&](Session& session) -> Status {
      TRY(impl_->Exec(sql.c_str()));
      TRY(session.Execute("INSERT OR REPLACE INTO varve_migrations VALUES(?, ?)",
                          {std::string(module), int64_t{migration.version}}));
      kMigrated.Hit();
      return {};
    }));
  }
  return {};
}

Status Database::Transact(const std::function<Status(Session&)>& body) {
  const Turn turn(impl_->mutex, impl_->holder);
  TRY(impl_->Exec("BEGIN IMMEDIATE"));
  const Rollback rollback(impl_->db);
  Session session(this);
  TRY(body(session));
  kBeforeCommit.Hit();
  TRY(impl_->Exec("COMMIT"));
  kCommitted.Hit();
  return {};
}

Status Database::Run(const std::function<Status(Session&)>& body) {
  const Turn turn(impl_->mutex, impl_->holder);
  Session session(this);
  return body(session);
}

Status Session::Execute(std::string_view sql, std::span<const Value> bound) {
  return Query(sql, bound, [](const Row&) { return true; });
}

Status Session::Execute(std::string_view sql, std::initializer_list<Value> bound) {
  return Execute(sql, std::span<const Value>(bound.begin(), bound.size()));
}

Status Session::Query(std::string_view sql, std::span<const Value> bound,
                      const std::function<bool(const Row&)>& on_row) {
  Database::Impl& impl = *database_->impl_;
  const StatementCache::Lease lease = TRY(impl.statements.Prepare(sql));
  int code = Bind(lease.get(), bound);
  if (code != SQLITE_OK) return impl.Fail(code, sql);
  const Row row(lease.get());
  while ((code = sqlite3_step(lease.get())) == SQLITE_ROW) {
    if (on_row(row)) continue;
    // In autocommit the write of an INSERT … RETURNING is committed by this reset.
    code = sqlite3_reset(lease.get());
    if (code != SQLITE_OK) return impl.Fail(code, sql);
    return {};
  }
  if (code != SQLITE_DONE) return impl.Fail(code, sql);
  return {};
}

Status Session::Query(std::string_view sql, std::initializer_list<Value> bound,
                      const std::function<bool(const Row&)>& on_row) {
  return Query(sql, std::span<const Value>(bound.begin(), bound.size()), on_row);
}

int64_t Session::changes() const { return sqlite3_changes64(database_->impl_->db); }
int64_t Session::last_insert_id() const { return sqlite3_last_insert_rowid(database_->impl_->db); }

int64_t Row::Int(int column) const { return sqlite3_column_int64(statement_, column); }
double Row::Double(int column) const { return sqlite3_column_double(statement_, column); }
bool Row::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
std::string Row::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

}  // namespace varve::state
