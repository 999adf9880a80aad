#include "state/statement_cache.h"

#include <sqlite3.h>

#include "state/sqlite_error.h"

namespace varve::state {
namespace {

Result<sqlite3_stmt*> Compile(sqlite3* db, const std::string& file, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int code = sqlite3_prepare_v3(db, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, &tail);
  if (code != SQLITE_OK) return SqliteError(db, code, file, "prepare: " + std::string(sql));
  const std::string_view rest = sql.substr(static_cast<size_t>(tail - sql.data()));
  if (statement == nullptr || rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    sqlite3_finalize(statement);
    return MakeError(ErrorKind::kInternal, "STATE_SQL",
                     "exactly one statement expected: " + std::string(sql));
  }
  return statement;
}

}  // namespace

StatementCache::Lease::~Lease() {
  if (statement_ == nullptr) return;
  if (!cached_) {
    sqlite3_finalize(statement_);
    return;
  }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Result<StatementCache::Lease> StatementCache::Prepare(std::string_view sql) {
  const auto found = statements_.find(std::string(sql));
  if (found != statements_.end()) {
    // The same text inside its own row callback: the cached one is in the middle of its rows.
    if (sqlite3_stmt_busy(found->second)) return Lease(TRY(Compile(db_, file_, sql)), false);
    return Lease(found->second, true);
  }
  sqlite3_stmt* statement = TRY(Compile(db_, file_, sql));
  MakeRoom();
  if (statements_.size() >= kStatementsMax) return Lease(statement, false);
  statements_.emplace(sql, statement);
  return Lease(statement, true);
}

void StatementCache::MakeRoom() {
  if (statements_.size() < kStatementsMax) return;
  for (auto it = statements_.begin(); it != statements_.end();) {
    if (sqlite3_stmt_busy(it->second)) {
      ++it;
      continue;
    }
    sqlite3_finalize(it->second);
    it = statements_.erase(it);
  }
}

void StatementCache::Clear() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  statements_.clear();
}

}  // namespace varve::state
