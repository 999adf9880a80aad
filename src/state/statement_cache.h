// Prepared statements by their text, so that a call that runs ten thousand times is compiled once.
// Not thread-safe: it belongs to the connection's lock.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace varve::state {

class StatementCache {
 public:
  static constexpr size_t kStatementsMax = 256;

  // A statement on loan: reset and unbound when it goes out of scope, then kept or finalized.
  class Lease {
   public:
    Lease(sqlite3_stmt* statement, bool cached) : statement_(statement), cached_(cached) {}
    Lease(Lease&& other) noexcept : statement_(other.statement_), cached_(other.cached_) {
      other.statement_ = nullptr;
    }
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    sqlite3_stmt* get() const { return statement_; }

   private:
    sqlite3_stmt* statement_;
    bool cached_;
  };

  StatementCache(sqlite3* db, std::string file) : db_(db), file_(std::move(file)) {}
  StatementCache(const StatementCache&) = delete;
  StatementCache& operator=(const StatementCache&) = delete;
  ~StatementCache() { Clear(); }

  Result<Lease> Prepare(std::string_view sql);
  void Clear();

 private:
  void MakeRoom();

  sqlite3* db_;
  std::string file_;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

}  // namespace varve::state
