// What a piece of SQL is, decided on DuckDB's own parse of it, before anything is bound: one SELECT
// (or EXPLAIN of one), its table functions all on the list of harmless ones.
//
// Why not the statement's type alone: SELECT * FROM enable_logging(storage = 'file', …) is a SELECT
// that changes settings though they are locked, and EXPLAIN ANALYZE runs what it explains.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "query/instance.h"
#include "query/row_wise.h"

namespace varve::query {

struct Statement {
  // One statement, no semicolon. A lake table of a moment (AT), or whose name has dots, is named as
  // its view is.
  std::string sql;
  bool explain = false;
  bool reads_events = false;
  bool reads_logs = false;
  bool reads_catalog = false;  // it asks which tables there are
  std::vector<TableRef> lake;  // other tables that it names, each once; CTEs too
  RowWise row_wise;
};

// Errors: kInvalid SQL_ERROR (it does not parse) | SQL_NOT_ALLOWED, kForbidden SQL_FORBIDDEN.
Result<Statement> CheckStatement(Instance& instance, std::string_view sql);

}  // namespace varve::query
