#include "query/statement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "core/letter_case.h"
#include "query/parse_tree.h"
#include "query/sql_scan.h"
#include "query/table_refs.h"

namespace varve::query {

namespace {

using Json = nlohmann::json;

// Table functions that compute or describe; a function not named here is refused, so that a new
// version of DuckDB opens nothing by itself.
constexpr std::array<std::string_view, 24> kTableFunctions = {"duckdb_columns",
                                                              "duckdb_functions",
                                                              "duckdb_keywords",
                                                              "duckdb_schemas",
                                                              "duckdb_settings",
                                                              "duckdb_tables",
                                                              "duckdb_types",
                                                              "duckdb_views",
                                                              "generate_series",
                                                              "histogram",
                                                              "histogram_values",
                                                              "icu_calendar_names",
                                                              "json_each",
                                                              "json_tree",
                                                              "pg_timezone_names",
                                                              "pragma_table_info",
                                                              "pragma_version",
                                                              "range",
                                                              "repeat",
                                                              "repeat_row",
                                                              "summary",
                                                              "test_all_types",
                                                              "unnest",
                                                              "pragma_show"};

// Values beyond this many bytes or elements, asked for by a constant, are refused: DuckDB does not
// count a single value against memory_limit.
constexpr double kValueElementsMax = 16e6;

// Of the parse tree, two for an operator: DuckDB plans in the cube of the depth, a second for this,
// and looks at no interrupt while it does.
constexpr int kTreeDepthMax = 500;
constexpr size_t kLakeTablesMax = 100;

bool LooksLikeAFile(std::string_view table) {
  if (table.find_first_of("/\\*?~") != std::string_view::npos) return true;
  const size_t dot = table.rfind('.');
  if (dot == std::string_view::npos) return false;
  static constexpr std::array<std::string_view, 14> kEndings = {
      "parquet", "csv", "tsv", "json",   "jsonl", "ndjson", "txt",
      "gz",      "zst", "db",  "duckdb", "xlsx",  "arrow",  "avro"};
  return std::ranges::find(kEndings, FoldCase(table.substr(dot + 1))) != kEndings.end();
}

Error Forbidden(std::string message) {
  return MakeError(ErrorKind::kForbidden, "SQL_FORBIDDEN", std::move(message));
}

// Walks DuckDB's parse tree; a stack of our own, because its depth is the sender's choice.
class TreeCheck {
 public:
  TreeCheck(Instance& instance, Statement* statement)
      : instance_(instance), statement_(statement) {}

  Status Run(const Json& root) {
    stack_.push_back({&root, 0});
    while (!stack_.empty()) {
      const auto [node, depth] = stack_.back();
      stack_.pop_back();
      if (depth > kTreeDepthMax) {
        return MakeError(ErrorKind::kInvalid, "SQL_ERROR",
                         "the statement is nested too deeply for the planner");
      }
      if (node->is_object()) TRY(CheckNode(*node));
      for (const Json& child : *node) {
        if (child.is_structured()) stack_.push_back({&child, depth + 1});
      }
    }
    if (renames_) statement_->sql = TRY(WithViewNames(instance_, statement_->sql));
    return {};
  }

 private:
  Status CheckNode(const Json& node) {
    const std::string type = TextMember(node, "type");
    if (type == "TABLE_FUNCTION") return CheckTableFunction(node);
    if (type == "BASE_TABLE") return CheckTable(node);
    if (type == "SHOW_REF") ReadsCatalog();
    if (type == "FUNCTION") return CheckFunction(node);
    return {};
  }

  Status CheckTableFunction(const Json& node) {
    const auto function = node.find("function");
    if (function == node.end()) return Forbidden("a table function without a name");
    // Its rows stream: no single value grows with its arguments.
    streaming_.insert(&*function);
    const std::string name = FoldCase(TextMember(*function, "function_name"));
    if (name.starts_with("duckdb_") || name.starts_with("pragma_")) ReadsCatalog();
    if (std::ranges::find(kTableFunctions, name) != kTableFunctions.end()) return {};
    return Forbidden(
        fmt::format("the table function {} is not available: SQL reads events, logs and lake "
                    "tables only, no files, no network, no settings",
                    name));
  }

  Status CheckTable(const Json& node) {
    const std::string table = TextMember(node, "table_name");
    if (LooksLikeAFile(table)) {
      return Forbidden(
          fmt::format("{} is read as a file; SQL reads events, logs and lake tables only", table));
    }
    if (!IsOwnTable(node)) return AddLakeTable(node);
    const std::string name = FoldCase(table);
    statement_->reads_events |= name == "events";
    statement_->reads_logs |= name == "logs";
    if (!TextMember(node, "schema_name").empty() || name.starts_with("duckdb_") ||
        name.starts_with("pg_") || name.starts_with("sqlite_")) {
      ReadsCatalog();
    }
    return {};
  }

  Status AddLakeTable(const Json& node) {
    TableRef ref = TRY(RefOf(instance_, node));
    renames_ |= IsRenamed(node, ref);
    auto& lake = statement_->lake;
    if (std::ranges::find(lake, ref) != lake.end()) return {};
    if (lake.size() == kLakeTablesMax) {
      return MakeError(ErrorKind::kInvalid, "SQL_ERROR",
                       fmt::format("the statement names more than {} tables", kLakeTablesMax));
    }
    lake.push_back(std::move(ref));
    return {};
  }

  Status CheckFunction(const Json& node) {
    const std::string name = FoldCase(TextMember(node, "function_name"));
    if (name == "write_log") return Forbidden("the function write_log is not available");
    const bool amplifies = name == "repeat" || name == "lpad" || name == "rpad" ||
                           name == "range" || name == "generate_series";
    if (!amplifies || streaming_.contains(&node)) return {};
    const auto children = node.find("children");
    if (children == node.end() || !children->is_array()) return {};
    for (const Json& child : *children) {
      const auto value = child.find("value");
      if (value == child.end() || !value->is_object()) continue;
      const auto number = value->find("value");
      if (number != value->end() && number->is_number() &&
          number->get<double>() > kValueElementsMax) {
        return MakeError(ErrorKind::kExhausted, "QUERY_MEMORY",
                         fmt::format("{} of more than {:.0f} elements takes too much memory for "
                                     "one value",
                                     name, kValueElementsMax));
      }
    }
    return {};
  }

  void ReadsCatalog() {
    statement_->reads_events = statement_->reads_logs = statement_->reads_catalog = true;
  }

  Instance& instance_;
  Statement* statement_;
  bool renames_ = false;
  std::vector<std::pair<const Json*, int>> stack_;
  std::set<const Json*> streaming_;  // functions in FROM
};

Error NotAllowed(std::string_view why) {
  return MakeError(ErrorKind::kInvalid, "SQL_NOT_ALLOWED",
                   fmt::format("one SELECT statement is what can be run here: {}", why));
}

Status CheckSelect(Instance& instance, std::string_view sql, Statement* statement) {
  const std::string tree =
      TRY(instance.AskText("SELECT CAST(json_serialize_sql(CAST($1 AS VARCHAR), skip_null := true, "
                           "skip_empty := true, skip_default := true) AS VARCHAR)",
                           sql));
  const Json parsed = Json::parse(tree, nullptr, false);
  if (!parsed.is_object()) return MakeError(ErrorKind::kInternal, "DuckDB's parse tree is unread");
  if (parsed.value("error", true)) {
    const std::string words = TextMember(parsed, "error_message");
    if (TextMember(parsed, "error_type") == "not implemented") return NotAllowed(words);
    return MakeError(ErrorKind::kInvalid, "SQL_ERROR", "Parser Error: " + words);
  }
  const auto statements = parsed.find("statements");
  const size_t count = statements != parsed.end() ? statements->size() : 0;
  if (count != 1) return NotAllowed(fmt::format("there are {}", count));
  statement->sql = sql;
  statement->row_wise = RowWiseOf(statements->front());
  return TreeCheck(instance, statement).Run(*statements);
}

// EXPLAIN [ANALYZE] [(options)] SELECT …: the statement inside is checked, and the text is put
// together anew so that what runs is what was checked.
Status CheckExplain(Instance& instance, std::string_view rest, Statement* statement) {
  const bool analyze = TakeWord(rest, "analyze");
  std::string head = analyze ? "EXPLAIN ANALYZE " : "EXPLAIN ";
  Status plain = CheckSelect(instance, rest, statement);
  if (!plain.ok()) {
    const std::string_view before = rest;
    if (!TakeParenthesised(rest)) return plain;
    const std::string_view options = before.substr(0, before.size() - rest.size());
    if (options.size() > 64) return plain;
    TRY(CheckSelect(instance, rest, statement));
    head += options;
    head += ' ';
  }
  statement->explain = true;
  statement->row_wise = {"it is an EXPLAIN", {}};
  statement->sql = head + statement->sql;
  return {};
}

}  // namespace

Result<Statement> CheckStatement(Instance& instance, std::string_view sql) {
  if (sql.find('\0') != std::string_view::npos) {
    return MakeError(ErrorKind::kInvalid, "SQL_ERROR", "the text holds a NUL byte");
  }
  Statement statement;
  std::string_view text = TrimStatement(sql);
  if (text.empty()) return NotAllowed("there is none");
  if (TakeWord(text, "explain")) {
    TRY(CheckExplain(instance, text, &statement));
  } else {
    TRY(CheckSelect(instance, text, &statement));
  }
  return statement;
}

}  // namespace varve::query
