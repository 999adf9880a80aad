// The lake tables that a statement names, found in DuckDB's parse tree of it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "query/instance.h"
#include "query/snapshot.h"

namespace varve::query {

// Whether the reference is to DuckDB's own catalog, or to events or logs.
bool IsOwnTable(const nlohmann::json& base_table);

// A BASE_TABLE of the tree. A table "a.b" is also schema a, table b, and schema lake is of all
// tables. AT takes a constant: VERSION
// a snapshot id, TIMESTAMP a time. kInvalid, SQL_ERROR: it is something else.
Result<TableRef> RefOf(Instance& instance, const nlohmann::json& base_table);

// Whether the view is not what the statement says: by name, or by a schema that DuckDB has not.
bool IsRenamed(const nlohmann::json& base_table, const TableRef& ref);

// The statement with every such reference under its view's name.
Result<std::string> WithViewNames(Instance& instance, std::string_view sql);

}  // namespace varve::query
