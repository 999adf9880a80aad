#include "query/table_names.h"

#include <algorithm>
#include <cctype>

namespace varve::query {

namespace {

std::string InSmallLetters(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return std::tolower(static_cast<unsigned char>(c)); });
  return out;
}

}  // namespace

bool IsOwnName(std::string_view name) {
  const std::string small = InSmallLetters(name);
  return small == "events" || small == "logs" || small.starts_with("duckdb_") ||
         small.starts_with("pg_") || small.starts_with("sqlite_");
}

std::string NameInSql(std::string_view table) {
  const std::string small = InSmallLetters(table);
  const bool other =
      IsOwnName(table) || small.starts_with(kLakeSchema) || small.starts_with(kViewSchema);
  return (other ? std::string(kLakeSchema) : "") + std::string(table);
}

std::string TableOf(std::string_view name_in_sql) {
  if (InSmallLetters(name_in_sql).starts_with(kLakeSchema)) {
    name_in_sql.remove_prefix(kLakeSchema.size());
  }
  return std::string(name_in_sql);
}

}  // namespace varve::query
