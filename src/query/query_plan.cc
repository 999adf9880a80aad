#include "query/query_plan.h"

#include <fmt/format.h>

#include <algorithm>

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

Status QueryPlan::Make(const TablesMessage& reads, const QueryRequest& request,
                       SnapshotSource& source, FileChecks& checks) {
  if (!reads.events && !reads.logs) return {};
  snapshot_ = TRY(source.Take(request.ns, request.range));
  for (TableSnapshot* table : {&snapshot_.events, &snapshot_.logs}) {
    table->parquet = PruneByPath(std::move(table->parquet), request.range);
    table->ndjson = PruneByPath(std::move(table->ndjson), request.range);
  }
  if (reads.events) Add(TableName::kEvents, snapshot_.events, checks);
  if (reads.logs) Add(TableName::kLogs, snapshot_.logs, checks);
  return {};
}

void QueryPlan::Add(TableName name, const TableSnapshot& table, FileChecks& checks) {
  const bool events = name == TableName::kEvents;
  const auto columns = events ? EventColumns() : LogColumns();
  const bool has_rows = !table.hot.empty() || !table.ndjson.empty();
  const char* function = events ? kEventRowsFunction : kLogRowsFunction;
  TableView view = MakeTableView(columns, table.parquet, checks.Shapes(table.parquet, columns),
                                 has_rows ? function : "");
  std::ranges::move(view.paths, std::back_inserter(paths_));
  std::ranges::move(view.warnings, std::back_inserter(warnings_));
  tables_.push_back({name, std::move(view.select), has_rows, &table});
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
