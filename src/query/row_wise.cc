#include "query/row_wise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "core/letter_case.h"
#include "query/parse_tree.h"

namespace varve::query {

using Json = nlohmann::json;

namespace {

constexpr std::array<std::string_view, 12> kExpressions = {
    "COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "FUNCTION", "CAST",
    "CASE",       "OPERATOR", "BETWEEN",    "STAR",        "COLLATE",  "LAMBDA"};
constexpr std::array<std::string_view, 5> kSelectMembers = {"type", "select_list", "from_table",
                                                            "where_clause", "aggregate_handling"};
constexpr std::array<std::string_view, 7> kTableMembers = {
    "type",        "alias",        "query_location",   "table_name",
    "schema_name", "catalog_name", "column_name_alias"};
// Columns of no table: a moment.
constexpr std::array<std::string_view, 5> kMoments = {
    "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"};

bool IsOneOf(const auto& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// In the words of who wrote the statement, where there are such.
std::string WordsFor(const std::string& member) {
  if (member == "modifiers") return "DISTINCT, ORDER BY or LIMIT";
  if (member == "cte_map") return "WITH";
  if (member.starts_with("group")) return "GROUP BY";
  if (member == "having") return "HAVING";
  if (member == "qualify") return "QUALIFY";
  if (member == "sample") return "a sample";
  if (member == "at_clause") return "AT";
  return member;
}

std::string CheckMembers(const Json& node, const auto& known) {
  for (const auto& [name, value] : node.items()) {
    if (!IsOneOf(known, name)) return "it has " + WordsFor(name);
  }
  return "";
}

std::string CheckFunction(const Json& node, std::set<std::string>& functions) {
  const std::string name = FoldCase(TextMember(node, "function_name"));
  const auto orders = node.find("order_bys");
  const bool ordered = orders != node.end() && orders->contains("orders");
  if (node.contains("filter") || node.contains("distinct") || ordered) {
    return fmt::format("{} is called as an aggregate", name);
  }
  functions.insert(name);
  return "";
}

std::string CheckExpression(const Json& node, std::set<std::string>& functions) {
  const std::string kind = TextMember(node, "class");
  if (!IsOneOf(kExpressions, kind)) {
    if (kind == "SUBQUERY") return "it has a subquery";
    if (kind == "WINDOW") return "it has a window function";
    return fmt::format("it has an expression of the kind {}", kind);
  }
  if (kind == "FUNCTION") return CheckFunction(node, functions);
  const auto names = node.find("column_names");
  if (kind == "COLUMN_REF" && names != node.end() && names->size() == 1 &&
      (*names)[0].is_string() && IsOneOf(kMoments, FoldCase((*names)[0].get<std::string>()))) {
    return fmt::format("{} is another one at every refresh", (*names)[0].get<std::string>());
  }
  return "";
}

// A stack of our own: the tree's depth is the sender's choice.
std::string CheckExpressions(const Json& root, std::set<std::string>& functions) {
  std::vector<const Json*> stack = {&root};
  while (!stack.empty()) {
    const Json* node = stack.back();
    stack.pop_back();
    if (node->is_object() && node->contains("class")) {
      std::string why = CheckExpression(*node, functions);
      if (!why.empty()) return why;
      if (TextMember(*node, "class") == "CONSTANT") continue;
    }
    for (const auto& [name, child] : node->items()) {
      if (child.is_structured() && name != "cast_type") stack.push_back(&child);
    }
  }
  return "";
}

std::string CheckSelectNode(const Json& node, std::set<std::string>& functions) {
  if (TextMember(node, "type") != "SELECT_NODE") return "it puts several SELECTs together";
  std::string why = CheckMembers(node, kSelectMembers);
  if (!why.empty()) return why;
  if (TextMember(node, "aggregate_handling") != "STANDARD_HANDLING") return "it has GROUP BY";
  const auto from = node.find("from_table");
  if (from == node.end() || TextMember(*from, "type") != "BASE_TABLE") {
    return "it reads not exactly one table";
  }
  why = CheckMembers(*from, kTableMembers);
  for (const char* part : {"select_list", "where_clause"}) {
    const auto found = node.find(part);
    if (why.empty() && found != node.end()) why = CheckExpressions(*found, functions);
  }
  return why;
}

}  // namespace

RowWise RowWiseOf(const Json& statement) {
  RowWise out;
  const auto node = statement.find("node");
  out.why_not =
      node == statement.end() ? "its form is not known" : CheckSelectNode(*node, out.functions);
  if (!out.why_not.empty()) out.functions.clear();
  return out;
}

}  // namespace varve::query
