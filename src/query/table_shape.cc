#include "query/table_shape.h"

#include <fmt/format.h>

#include <array>

#include "query/sql_text.h"

namespace varve::query {

namespace {

constexpr std::string_view kText = "VARCHAR";
constexpr std::string_view kInstant = "TIMESTAMP WITH TIME ZONE";

// TIMESTAMP_MILLIS adjusted to UTC is DuckDB's TIMESTAMP WITH TIME ZONE.
constexpr std::array<TableColumn, 13> kEvents = {{
    {"ts", kInstant, DUCKDB_TYPE_TIMESTAMP_TZ},
    {"type", kText, DUCKDB_TYPE_VARCHAR},
    {"source", kText, DUCKDB_TYPE_VARCHAR},
    {"provider", kText, DUCKDB_TYPE_VARCHAR},
    {"event_type", kText, DUCKDB_TYPE_VARCHAR},
    {"verified", "BOOLEAN", DUCKDB_TYPE_BOOLEAN},
    {"script_name", kText, DUCKDB_TYPE_VARCHAR},
    {"outcome", kText, DUCKDB_TYPE_VARCHAR},
    {"method", kText, DUCKDB_TYPE_VARCHAR},
    {"url", kText, DUCKDB_TYPE_VARCHAR},
    {"status_code", "INTEGER", DUCKDB_TYPE_INTEGER},
    {"duration_ms", "DOUBLE", DUCKDB_TYPE_DOUBLE},
    {"payload", kText, DUCKDB_TYPE_VARCHAR},
}};

constexpr std::array<TableColumn, 16> kLogs = {{
    {"id", kText, DUCKDB_TYPE_VARCHAR},
    {"scriptName", kText, DUCKDB_TYPE_VARCHAR},
    {"eventTimestamp", "BIGINT", DUCKDB_TYPE_BIGINT},
    {"timestamp", "BIGINT", DUCKDB_TYPE_BIGINT},
    {"level", kText, DUCKDB_TYPE_VARCHAR},
    {"message", kText, DUCKDB_TYPE_VARCHAR},
    {"httpMethod", kText, DUCKDB_TYPE_VARCHAR},
    {"httpUrl", kText, DUCKDB_TYPE_VARCHAR},
    {"httpStatus", "INTEGER", DUCKDB_TYPE_INTEGER},
    {"outcome", kText, DUCKDB_TYPE_VARCHAR},
    {"isException", "BOOLEAN", DUCKDB_TYPE_BOOLEAN},
    {"exceptionName", kText, DUCKDB_TYPE_VARCHAR},
    {"colo", kText, DUCKDB_TYPE_VARCHAR},
    {"country", kText, DUCKDB_TYPE_VARCHAR},
    {"requestId", kText, DUCKDB_TYPE_VARCHAR},
    {"fetchCount", "INTEGER", DUCKDB_TYPE_INTEGER},
}};

}  // namespace

std::span<const TableColumn> EventColumns() { return kEvents; }
std::span<const TableColumn> LogColumns() { return kLogs; }

std::string ColumnList(std::span<const TableColumn> columns) {
  std::string out;
  for (const TableColumn& column : columns) {
    if (!out.empty()) out += ", ";
    out += SqlName(column.name);
  }
  return out;
}

std::string EmptyRelation(std::span<const TableColumn> columns) {
  std::string out = "SELECT ";
  for (const TableColumn& column : columns) {
    if (out.size() > 7) out += ", ";
    out += fmt::format("CAST(NULL AS {}) AS {}", column.sql_type, SqlName(column.name));
  }
  return out += " WHERE false";
}

}  // namespace varve::query
