// The relational state: one SQLite file, WAL, synchronous=FULL, no mmap. One connection writes and
// checkpoints; every call takes the database's lock, so statements of two threads never interleave.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace varve::state {

using Value = std::variant<std::monostate, int64_t, double, std::string>;  // text or blob

// A step of a module's schema: run once, in order, inside one transaction, under the module's name.
struct Migration {
  int version;  // 1, 2, 3 …
  std::string_view sql;
};

// A prepared statement's row while it is being stepped; valid inside the callback only.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;  // text and blobs alike; NULL is ""
  bool IsNull(int column) const;

 private:
  sqlite3_stmt* statement_;
};

// Inside a transaction or a single call. Statements are cached by their text.
class Session {
 public:
  Status Execute(std::string_view sql, std::span<const Value> bound = {});
  Status Execute(std::string_view sql, std::initializer_list<Value> bound);
  // Calls on_row for each row until it returns false.
  Status Query(std::string_view sql, std::span<const Value> bound,
               const std::function<bool(const Row&)>& on_row);
  Status Query(std::string_view sql, std::initializer_list<Value> bound,
               const std::function<bool(const Row&)>& on_row);
  int64_t changes() const;  // rows the last Execute changed
  int64_t last_insert_id() const;

 private:
  friend class Database;
  explicit Session(class Database* database) : database_(database) {}
  Database* database_;
};

class Database {
 public:
  // path ":memory:" for tests. Runs quick_check after an unclean stop; kCorrupt if it fails.
  static Result<std::unique_ptr<Database>> Open(const std::string& path);
  // To look at a file that nobody else has open, without changing anything beside it either: no
  // migration, no checkpoint, no marks. Calls that would write fail.
  static Result<std::unique_ptr<Database>> Inspect(const std::string& path);
  ~Database();  // checkpoints and closes cleanly

  Status Migrate(std::string_view module, std::span<const Migration> migrations);

  // Runs body inside BEGIN IMMEDIATE … COMMIT; an Error from it rolls back and is returned.
  // Not reentrant: body uses the Session it is given. SQLITE_FULL becomes kExhausted, DISK_FULL.
  Status Transact(const std::function<Status(Session&)>& body);
  // One read or write outside a transaction of its own (autocommit).
  Status Run(const std::function<Status(Session&)>& body);

 private:
  friend class Session;
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve::state
