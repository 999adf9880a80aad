// One query from its text to its last row: the instance it runs in, the snapshot it reads, and what
// of its result has not been sent yet. Used by one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "query/engine.h"
#include "query/file_checks.h"
#include "query/instance.h"
#include "query/result_writer.h"
#include "query/row_scan.h"
#include "query/statement.h"

namespace varve::query {

class Execution {
 public:
  Execution(const EngineOptions& options, ResultFormat format)
      : options_(options), format_(format) {}

  // Takes the snapshot if the statement reads a table; runs nothing.
  Status Plan(const Statement& statement, const QueryRequest& request, SnapshotSource& source,
              FileChecks& checks);
  const std::vector<std::string>& paths() const {
    return paths_;
  }  // what Start must be able to open
  // Before Start: where it runs.
  void Adopt(std::unique_ptr<Instance> instance) { instance_ = std::move(instance); }
  Status Start(const Statement& statement, const NamespaceId& ns);
  // After the last row: the instance, to be used again.
  std::unique_ptr<Instance> Release();

  struct Page {
    uint64_t rows = 0;
    bool more = false;
    std::vector<std::string> warnings;
  };
  // The next page_rows() rows (0: all). next_cursor names the page after it, if there is one.
  Result<Page> WritePage(const std::string& next_cursor, const Clock& clock, int64_t start_ns,
                         const ByteSink& sink);

  uint64_t page_rows() const { return page_rows_; }
  duckdb_connection connection() const { return instance_->connection(); }
  // An error in words that its reader may see: keys in place of this machine's paths.
  Error Readable(Error error) const;

 private:
  struct Table {
    const char* name;
    const char* function;
    std::string select;
    std::unique_ptr<RowSource> rows;  // null: all of its rows lie in Parquet files
  };
  void PlanTable(const char* name, const char* function, std::span<const TableColumn> columns,
                 const TableSnapshot& table, std::unique_ptr<RowSource> rows, FileChecks& checks);
  Status Prepare(const Statement& statement);
  Result<Prepared> PrepareText(const std::string& sql) const;
  std::string WithCasts(const Prepared& prepared, const std::string& sql) const;
  Status Execute();
  // The next chunk with unsent rows into chunk_; false at the end.
  Result<bool> FetchChunk();

  const EngineOptions& options_;
  const ResultFormat format_;
  uint64_t page_rows_ = 0;

  // Destroyed from the bottom up: what DuckDB reads from goes after DuckDB.
  Snapshot snapshot_;
  ScanWarnings scan_warnings_;
  std::vector<std::string> warnings_;
  std::vector<std::string> paths_;
  std::vector<Table> tables_;
  std::unique_ptr<Instance> instance_;
  Prepared prepared_;
  ResultSet result_;
  Chunk chunk_;
  idx_t chunk_next_ = 0, chunk_rows_ = 0;
};

}  // namespace varve::query
