#include "query/query_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "query/lake_view.h"

namespace varve::query {

namespace {

constexpr size_t kMessageBytesMax = 2000;
constexpr size_t kCatalogTablesMax = 200;  // that a statement on the catalog sees

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

}  // namespace

Status QueryPlan::Make(const TablesMessage& reads, const QueryRequest& request,
                       SnapshotSource& source, FileChecks& checks) {
  TRY(AddLake(reads, request.ns, source, checks));
  if (!reads.events && !reads.logs) return {};
  snapshot_ = TRY(source.Take(request.ns, request.range));
  for (TableSnapshot* table : {&snapshot_.events, &snapshot_.logs}) {
    table->parquet = PruneByPath(std::move(table->parquet), request.range);
    table->ndjson = PruneByPath(std::move(table->ndjson), request.range);
  }
  if (reads.events) Add(TableKind::kEvents, snapshot_.events, checks);
  if (reads.logs) Add(TableKind::kLogs, snapshot_.logs, checks);
  return {};
}

Status QueryPlan::AddLake(const TablesMessage& reads, const NamespaceId& ns, SnapshotSource& source,
                          FileChecks& checks) {
  std::vector<TableRef> refs = reads.lake;
  if (reads.catalog) {
    for (std::string& name : TRY(source.TableNames(ns, kCatalogTablesMax))) {
      TableRef ref{std::move(name)};
      if (std::ranges::find(refs, ref) == refs.end()) refs.push_back(std::move(ref));
    }
  }
  if (refs.empty()) return {};
  lake_ = TRY(source.TakeTables(ns, refs));
  for (const LakeTable& table : lake_) {
    AddView(
        TableKind::kLake, table.ref.ViewName(),
        TRY(MakeLakeView(table, checks.LakeShapes(table.files), checks.LakeShapes(table.sources))),
        nullptr);
  }
  return {};
}

void QueryPlan::AddView(TableKind kind, std::string name, TableView view,
                        const TableSnapshot* rows) {
  std::ranges::move(view.paths, std::back_inserter(paths_));
  std::ranges::move(view.warnings, std::back_inserter(warnings_));
  const bool has_rows = rows != nullptr && (!rows->hot.empty() || !rows->ndjson.empty());
  tables_.push_back({kind, std::move(name), std::move(view.select), has_rows, rows});
}

void QueryPlan::Add(TableKind kind, const TableSnapshot& table, FileChecks& checks) {
  const bool events = kind == TableKind::kEvents;
  const auto columns = events ? EventColumns() : LogColumns();
  const bool has_rows = !table.hot.empty() || !table.ndjson.empty();
  const char* function = events ? kEventRowsFunction : kLogRowsFunction;
  AddView(kind, events ? kEventsView : kLogsView,
          MakeTableView(columns, table.parquet, checks.Shapes(table.parquet, columns),
                        has_rows ? function : ""),
          &table);
}

Error QueryPlan::Readable(Error error, uint64_t memory_bytes_max) const {
  if (error.code == "QUERY_MEMORY" && error.message.find("of memory") == std::string::npos) {
    error.message =
        fmt::format("the query needs more than its {} bytes of memory", memory_bytes_max);
    error.details_json = fmt::format(R"({{"memoryBytesMax":{}}})", memory_bytes_max);
  }
  if (error.kind == ErrorKind::kInternal) {
    error.message.resize(std::min(error.message.find('\n'), error.message.size()));
  }
  for (const TableSnapshot* table : {&snapshot_.events, &snapshot_.logs}) {
    for (const FileRef& file : table->parquet) ReplaceAll(error.message, file.path, file.key);
  }
  for (const LakeTable& table : lake_) {
    for (const auto* files : {&table.files, &table.sources, &table.deletes}) {
      for (const FileRef& file : *files) ReplaceAll(error.message, file.path, file.key);
    }
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
