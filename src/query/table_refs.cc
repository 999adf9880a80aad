#include "query/table_refs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/letter_case.h"
#include "query/parse_tree.h"
#include "query/table_names.h"

namespace varve::query {

using Json = nlohmann::json;

namespace {

constexpr std::array<std::string_view, 6> kOwnSchemas = {"",     "main",   "information_schema",
                                                         "temp", "system", "pg_catalog"};
constexpr std::array<std::string_view, 4> kOwnCatalogs = {"", "memory", "temp", "system"};

bool Contains(const auto& names, const std::string& name) {
  return std::ranges::find(names, FoldCase(name)) != names.end();
}

// Behind "lake" nothing is DuckDB's own: lake.main.t is the table "main.t".
std::string NameOf(const std::string& catalog, const std::string& schema, const std::string& name) {
  const bool has_catalog = !Contains(kOwnCatalogs, catalog);
  std::string whole = has_catalog ? catalog + "." : "";
  const bool all_is_ours = FoldCase(whole) == kLakeSchema;
  if (all_is_ours ? !schema.empty() : !Contains(kOwnSchemas, schema)) whole += schema + ".";
  whole += name;
  return FoldCase(whole).starts_with(kLakeSchema) ? NameInSql(TableOf(whole)) : whole;
}

Error BadMoment(const char* what) {
  return MakeError(ErrorKind::kInvalid, "SQL_ERROR",
                   fmt::format("AT takes a constant: AT (VERSION => 4711) or AT (TIMESTAMP => "
                               "'2026-02-01 12:00'); {}",
                               what));
}

// The value in a constant, or in a cast of one.
const Json* ConstantOf(const Json& expression) {
  const Json* at = &expression;
  for (int casts = 0; casts < 4 && TextMember(*at, "class") == "CAST"; ++casts) {
    const auto child = at->find("child");
    if (child == at->end()) return nullptr;
    at = &*child;
  }
  const auto value = at->find("value");
  if (TextMember(*at, "class") != "CONSTANT" || value == at->end()) return nullptr;
  const auto inner = value->find("value");
  return inner == value->end() ? nullptr : &*inner;
}

Result<int64_t> VersionOf(const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return BadMoment("the version is no number");
  }
  return number;
}

Result<int64_t> TimeOf(Instance& instance, const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_string()) return BadMoment("the time is no text");
  const auto ms = instance.AskText("SELECT CAST(epoch_ms(CAST($1 AS TIMESTAMPTZ)) AS VARCHAR)",
                                   value.get<std::string>());
  if (!ms.ok()) return BadMoment("the time cannot be read");
  return VersionOf(*ms);
}

Status RenameAll(Instance& instance, Json& root) {
  std::vector<Json*> stack = {&root};
  while (!stack.empty()) {
    Json* node = stack.back();
    stack.pop_back();
    for (Json& child : *node) {
      if (child.is_structured()) stack.push_back(&child);
    }
    if (!node->is_object() || TextMember(*node, "type") != "BASE_TABLE" || IsOwnTable(*node))
      continue;
    const TableRef ref = TRY(RefOf(instance, *node));
    if (!IsRenamed(*node, ref)) continue;
    if (TextMember(*node, "alias").empty()) (*node)["alias"] = TextMember(*node, "table_name");
    (*node)["table_name"] = ref.ViewName();
    (*node)["schema_name"] = (*node)["catalog_name"] = "";
    (*node)["at_clause"] = nullptr;
  }
  return {};
}

}  // namespace

bool IsOwnTable(const Json& base_table) {
  const std::string schema = FoldCase(TextMember(base_table, "schema_name"));
  const std::string catalog = TextMember(base_table, "catalog_name");
  if (!Contains(kOwnSchemas, schema) || !Contains(kOwnCatalogs, catalog)) return false;
  if (schema == "information_schema" || schema == "pg_catalog") return true;
  return IsOwnName(TextMember(base_table, "table_name"));
}

Result<TableRef> RefOf(Instance& instance, const Json& base_table) {
  TableRef ref;
  ref.name = NameOf(TextMember(base_table, "catalog_name"), TextMember(base_table, "schema_name"),
                    TextMember(base_table, "table_name"));
  const auto at = base_table.find("at_clause");
  if (at == base_table.end() || !at->is_object()) return ref;
  const auto expression = at->find("expr");
  const Json* value = expression == at->end() ? nullptr : ConstantOf(*expression);
  if (value == nullptr) return BadMoment("this is none");
  const bool version = FoldCase(TextMember(*at, "unit")) == "version";
  ref.at = version ? TableRef::At::kVersion : TableRef::At::kTime;
  ref.value = version ? TRY(VersionOf(*value)) : TRY(TimeOf(instance, *value));
  return ref;
}

bool IsRenamed(const Json& base_table, const TableRef& ref) {
  return ref.ViewName() != TextMember(base_table, "table_name") ||
         !Contains(kOwnSchemas, TextMember(base_table, "schema_name"));
}

Result<std::string> WithViewNames(Instance& instance, std::string_view sql) {
  const std::string tree =
      TRY(instance.AskText("SELECT CAST(json_serialize_sql(CAST($1 AS VARCHAR)) AS VARCHAR)", sql));
  Json parsed = Json::parse(tree, nullptr, false);
  if (!parsed.is_object()) return MakeError(ErrorKind::kInternal, "DuckDB's parse tree is unread");
  TRY(RenameAll(instance, parsed));
  return instance.AskText("SELECT json_deserialize_sql(CAST($1 AS JSON))", parsed.dump());
}

}  // namespace varve::query
