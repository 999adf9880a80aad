#include "query/table_names.h"

#include "core/letter_case.h"

namespace varve::query {

bool IsOwnName(std::string_view name) {
  const std::string small = FoldCase(name);
  return small == "events" || small == "logs" || small.starts_with("duckdb_") ||
         small.starts_with("pg_") || small.starts_with("sqlite_");
}

std::string NameInSql(std::string_view table) {
  const std::string small = FoldCase(table);
  const bool other =
      IsOwnName(table) || small.starts_with(kLakeSchema) || small.starts_with(kViewSchema);
  return (other ? std::string(kLakeSchema) : "") + std::string(table);
}

std::string TableOf(std::string_view name_in_sql) {
  if (FoldCase(name_in_sql).starts_with(kLakeSchema)) {
    name_in_sql.remove_prefix(kLakeSchema.size());
  }
  return std::string(name_in_sql);
}

}  // namespace varve::query
