// What a piece of SQL is, decided on DuckDB's own parse of it, before anything is bound: one SELECT
// (or EXPLAIN of one), its table functions all on the list of harmless ones.
//
// Why not the statement's type alone: SELECT * FROM enable_logging(storage = 'file', …) is a SELECT
// that changes settings though they are locked, and EXPLAIN ANALYZE runs what it explains.
#pragma once

#include <string>
#include <string_view>

#include "query/instance.h"

namespace varve::query {

struct Statement {
  std::string sql;  // one statement, no semicolon
  bool explain = false;
  bool reads_events = false;
  bool reads_logs = false;
};

// Errors: kInvalid SQL_ERROR (it does not parse) | SQL_NOT_ALLOWED, kForbidden SQL_FORBIDDEN.
Result<Statement> CheckStatement(Instance& instance, std::string_view sql);

}  // namespace varve::query
