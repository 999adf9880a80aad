// The two tables as SQL sees them: names and types, equal to what DuckDB reads from their files, so
// that rows from files and rows from memory unite without a cast.
#pragma once

#include <duckdb.h>

#include <span>
#include <string>
#include <string_view>

namespace varve::query {

struct TableColumn {
  std::string_view name;
  std::string_view sql_type;
  duckdb_type type;
};

std::span<const TableColumn> EventColumns();  // 13, in record::EventColumn's order
std::span<const TableColumn> LogColumns();    // 16, in record::kLogColumnNames' order

std::string ColumnList(std::span<const TableColumn> columns);  // "ts", "type", …
std::string EmptyRelation(std::span<const TableColumn> columns);

}  // namespace varve::query
