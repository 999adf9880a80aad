#include "query/execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/clock.h"
#include "query/event_rows.h"
#include "query/log_rows.h"
#include "query/sql_text.h"
#include "query/table_view.h"

namespace varve::query {

Execution::~Execution() { instance_.ClearRows(); }

Status Execution::Start(const Statement& statement) {
  if (!run_.closed) TRY(instance_.Close(run_.paths));
  CHECK(instance_.closed());
  std::set<std::string> lake;
  for (const TableMessage& table : run_.tables) {
    if (table.kind == TableKind::kLake) lake.insert(table.name);
  }
  TRY(instance_.KeepLakeViews(lake));
  for (TableMessage& table : run_.tables) TRY(PutTable(table));
  TRY(Prepare(statement));
  return Execute();
}

Status Execution::PutTable(TableMessage& message) {
  const bool events = message.kind == TableKind::kEvents;
  if (message.has_rows) {
    TableSnapshot& table = *tables_.emplace_back(std::make_unique<TableSnapshot>());
    table.ndjson = std::move(message.ndjson);
    table.hot.reserve(message.hot.size());
    for (const HotPlace& place : message.hot) table.hot.push_back(TRY(files_->ChunkAt(place)));
    rows_.push_back(events ? MakeEventRows(table, setup_.threads, &scan_warnings_)
                           : MakeLogRows(table, setup_.threads, &scan_warnings_));
    TRY(instance_.SetRows(events ? kEventRowsFunction : kLogRowsFunction, rows_.back().get()));
  }
  if (!message.view_changed) return {};
  if (message.kind == TableKind::kLake) instance_.NoteLakeView(message.name);
  return instance_.SetView(message.name, message.view);
}

Result<Prepared> Execution::PrepareText(const std::string& sql) const {
  Extracted extracted;
  const idx_t count =
      duckdb_extract_statements(instance_.connection(), sql.c_str(), extracted.out());
  if (count != 1) {
    return MakeError(ErrorKind::kInvalid, "SQL_NOT_ALLOWED", "one SELECT statement can be run");
  }
  Prepared prepared;
  if (duckdb_prepare_extracted_statement(instance_.connection(), extracted.get(), 0,
                                         prepared.out()) != DuckDBSuccess) {
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
    const std::string_view cast = CastFor(run_.format, ResolveType(logical.get()));
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

Result<DoneMessage> Execution::WritePage(const NextMessage& page, int64_t start_ns,
                                         const ByteSink& sink) {
  const ResultColumns columns = ResolveColumns(result_, instance_.connection());
  Output output(sink, setup_.result_bytes_max);
  const auto writer = MakeResultWriter(run_.format, columns, &output);
  TRY(writer->Begin());
  DoneMessage done;
  while (TRY(FetchChunk())) {
    if (run_.page_rows > 0 && done.rows == run_.page_rows) {
      done.more = true;
      break;
    }
    const idx_t left = chunk_rows_ - chunk_next_;
    const idx_t count =
        run_.page_rows > 0 ? std::min<idx_t>(left, run_.page_rows - done.rows) : left;
    TRY(writer->Rows(chunk_.get(), chunk_next_, count));
    chunk_next_ += count;
    done.rows += count;
  }
  done.warnings = scan_warnings_.Texts();
  std::vector<std::string> warnings = run_.warnings;
  warnings.insert(warnings.end(), done.warnings.begin(), done.warnings.end());
  const double own_ms = static_cast<double>(SystemClock().MonotonicNs() - start_ns) / 1e6;
  TRY(writer->End({done.rows, done.more ? page.next_cursor : "", std::move(warnings),
                   page.elapsed_ms + own_ms}));
  return done;
}

}  // namespace varve::query
