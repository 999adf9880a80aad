#include "query/execution.h"

#include <fmt/format.h>

#include <algorithm>

#include "query/event_rows.h"
#include "query/log_rows.h"
#include "query/sql_text.h"
#include "query/table_view.h"

namespace varve::query {

namespace {

constexpr size_t kMessageBytesMax = 2000;

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

}  // namespace

Status Execution::Plan(const Statement& statement, const QueryRequest& request,
                       SnapshotSource& source, FileChecks& checks) {
  page_rows_ = request.rows_max;
  if (!statement.reads_events && !statement.reads_logs) return {};
  snapshot_ = TRY(source.Take(request.ns, request.range));
  for (TableSnapshot* table : {&snapshot_.events, &snapshot_.logs}) {
    table->parquet = PruneByPath(std::move(table->parquet), request.range);
    table->ndjson = PruneByPath(std::move(table->ndjson), request.range);
  }
  if (statement.reads_events) {
    PlanTable("events", "varve_event_rows", EventColumns(), snapshot_.events,
              MakeEventRows(snapshot_.events, options_.threads, &scan_warnings_), checks);
  }
  if (statement.reads_logs) {
    PlanTable("logs", "varve_log_rows", LogColumns(), snapshot_.logs,
              MakeLogRows(snapshot_.logs, options_.threads, &scan_warnings_), checks);
  }
  return {};
}

void Execution::PlanTable(const char* name, const char* function,
                          std::span<const TableColumn> columns, const TableSnapshot& table,
                          std::unique_ptr<RowSource> rows, FileChecks& checks) {
  const auto shapes = checks.Shapes(table.parquet, columns);
  if (table.hot.empty() && table.ndjson.empty()) rows.reset();
  TableView view = MakeTableView(columns, table.parquet, shapes, rows ? function : "");
  std::ranges::move(view.paths, std::back_inserter(paths_));
  std::ranges::move(view.warnings, std::back_inserter(warnings_));
  tables_.push_back({name, function, std::move(view.select), std::move(rows)});
}

Status Execution::Start(const Statement& statement, const NamespaceId& ns) {
  TRY(instance_->Close(ns, paths_));
  for (const Table& table : tables_) {
    if (table.rows) TRY(instance_->SetRows(table.function, table.rows.get()));
    TRY(instance_->SetView(table.name, table.select));
  }
  TRY(Prepare(statement));
  return Execute();
}

std::unique_ptr<Instance> Execution::Release() {
  chunk_.Reset();
  result_.Reset();
  prepared_.Reset();
  return std::move(instance_);
}

Result<Prepared> Execution::PrepareText(const std::string& sql) const {
  Extracted extracted;
  const idx_t count = duckdb_extract_statements(connection(), sql.c_str(), extracted.out());
  if (count != 1) {
    return MakeError(ErrorKind::kInvalid, "SQL_NOT_ALLOWED", "one SELECT statement can be run");
  }
  Prepared prepared;
  if (duckdb_prepare_extracted_statement(connection(), extracted.get(), 0, prepared.out()) !=
      DuckDBSuccess) {
    return FromDuckError(duckdb_prepare_error(prepared.get()));
  }
  const duckdb_statement_type type = duckdb_prepared_statement_type(prepared.get());
  if (type != DUCKDB_STATEMENT_TYPE_SELECT && type != DUCKDB_STATEMENT_TYPE_EXPLAIN) {
    return MakeError(ErrorKind::kInvalid, "SQL_NOT_ALLOWED", "one SELECT statement can be run");
  }
  return prepared;
}

Status Execution::Prepare(const Statement& statement) {
  prepared_ = TRY(PrepareText(statement.sql));
  if (statement.explain) return {};
  const std::string wrapped = WithCasts(prepared_, statement.sql);
  if (!wrapped.empty()) prepared_ = TRY(PrepareText(wrapped));
  return {};
}

// Columns of a type that the format has no form for are cast. Empty: there are none.
std::string Execution::WithCasts(const Prepared& prepared, const std::string& sql) const {
  std::string list, aliases;
  bool any = false;
  const idx_t count = duckdb_prepared_statement_column_count(prepared.get());
  for (idx_t i = 0; i < count; ++i) {
    const LogicalType logical(duckdb_prepared_statement_column_logical_type(prepared.get(), i));
    if (!logical) return {};
    const std::string_view cast = CastFor(format_, ResolveType(logical.get()));
    any |= !cast.empty();
    const OwnedText name(
        const_cast<char*>(duckdb_prepared_statement_column_name(prepared.get(), i)));
    const std::string value =
        cast.empty() ? fmt::format("c{}", i) : fmt::format("CAST(c{} AS {})", i, cast);
    list += fmt::format("{}{} AS {}", i == 0 ? "" : ", ", value, SqlName(name.view()));
    aliases += fmt::format("{}c{}", i == 0 ? "" : ", ", i);
  }
  if (!any) return {};
  return fmt::format("SELECT {} FROM ({}\n) AS t({})", list, sql, aliases);
}

Status Execution::Execute() {
  Pending pending;
  if (duckdb_pending_prepared_streaming(prepared_.get(), pending.out()) != DuckDBSuccess) {
    return FromDuckError(duckdb_pending_error(pending.get()));
  }
  if (duckdb_execute_pending(pending.get(), result_.out()) != DuckDBSuccess) {
    return FromDuckError(duckdb_result_error(result_.get()));
  }
  return {};
}

Result<bool> Execution::FetchChunk() {
  while (chunk_next_ >= chunk_rows_) {
    chunk_ = Chunk(duckdb_fetch_chunk(*result_.get()));
    chunk_next_ = 0;
    chunk_rows_ = chunk_ ? duckdb_data_chunk_get_size(chunk_.get()) : 0;
    if (chunk_) continue;
    const char* error = duckdb_result_error(result_.get());
    if (error != nullptr && *error != '\0') return FromDuckError(error);
    return false;
  }
  return true;
}

Result<Execution::Page> Execution::WritePage(const std::string& next_cursor, const Clock& clock,
                                             int64_t start_ns, const ByteSink& sink) {
  const ResultColumns columns = ResolveColumns(result_, connection());
  Output output(sink, options_.result_bytes_max);
  const auto writer = MakeResultWriter(format_, columns, &output);
  TRY(writer->Begin());
  Page page;
  while (TRY(FetchChunk())) {
    if (page_rows_ > 0 && page.rows == page_rows_) {
      page.more = true;
      break;
    }
    const idx_t left = chunk_rows_ - chunk_next_;
    const idx_t count = page_rows_ > 0 ? std::min<idx_t>(left, page_rows_ - page.rows) : left;
    TRY(writer->Rows(chunk_.get(), chunk_next_, count));
    chunk_next_ += count;
    page.rows += count;
  }
  page.warnings = warnings_;
  std::ranges::move(scan_warnings_.Texts(), std::back_inserter(page.warnings));
  TRY(writer->End({page.rows, page.more ? next_cursor : "", page.warnings,
                   static_cast<double>(clock.MonotonicNs() - start_ns) / 1e6}));
  return page;
}

Error Execution::Readable(Error error) const {
  if (error.code == "QUERY_MEMORY" && error.message.find("of memory") == std::string::npos) {
    error.message =
        fmt::format("the query needs more than its {} bytes of memory", options_.memory_bytes_max);
    error.details_json = fmt::format(R"({{"memoryBytesMax":{}}})", options_.memory_bytes_max);
  }
  if (error.kind == ErrorKind::kInternal) {
    error.message.resize(std::min(error.message.find('\n'), error.message.size()));
  }
  for (const TableSnapshot* table : {&snapshot_.events, &snapshot_.logs}) {
    for (const FileRef& file : table->parquet) ReplaceAll(error.message, file.path, file.key);
  }
  // A binder error quotes the view's text, with all of its files.
  if (error.message.size() > kMessageBytesMax) {
    size_t cut = kMessageBytesMax;
    while (cut > 0 && (error.message[cut] & 0xc0) == 0x80) --cut;
    error.message.resize(cut);
    error.message += "…";
  }
  return error;
}

}  // namespace varve::query
