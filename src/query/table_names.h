// What the lake's tables are called in SQL. Every one is also lake.NAME; one whose own name means
// something else there (`events`, `logs`, DuckDB's own, a view's, another's qualified one) is
// called that alone.
#pragma once

#include <string>
#include <string_view>

namespace varve::query {

inline constexpr std::string_view kLakeSchema = "lake.";
inline constexpr std::string_view kViewSchema = "view.";

// Of one table there is one: "trips", "lake.events", "lake.lake.trips".
std::string NameInSql(std::string_view table);
// The table that is meant by a name in SQL; of a view's, the table of the same name.
std::string TableOf(std::string_view name_in_sql);

// Whether varve or DuckDB has a table of its own under the name, whatever the case.
bool IsOwnName(std::string_view name);

}  // namespace varve::query
