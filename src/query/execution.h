// In a SQL worker: a checked statement over the tables it was given, up to its last row.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "query/instance.h"
#include "query/mapped_files.h"
#include "query/result_writer.h"
#include "query/row_scan.h"
#include "query/statement.h"

namespace varve::query {

class Execution {
 public:
  // Instance and setup outlive it; files are those that the message's hot places name.
  Execution(Instance& instance, const SetupMessage& setup, RunMessage run,
            std::unique_ptr<MappedFiles> files)
      : instance_(instance), setup_(setup), run_(std::move(run)), files_(std::move(files)) {}
  ~Execution();

  Status Start(const Statement& statement);
  // The next page of rows, which was asked for at start_ns; the warnings are the scans' own.
  Result<DoneMessage> WritePage(const NextMessage& page, int64_t start_ns, const ByteSink& sink);

 private:
  Status PutTable(TableMessage& message);
  Status Prepare(const Statement& statement);
  Result<Prepared> PrepareText(const std::string& sql) const;
  std::string WithCasts(const Prepared& prepared, const std::string& sql) const;
  Status Execute();
  // The next chunk with unsent rows into chunk_; false at the end.
  Result<bool> FetchChunk();

  Instance& instance_;
  const SetupMessage& setup_;
  RunMessage run_;

  // Destroyed from the bottom up: what DuckDB reads from goes after DuckDB.
  std::unique_ptr<MappedFiles> files_;
  ScanWarnings scan_warnings_;
  std::vector<std::unique_ptr<TableSnapshot>> tables_;
  std::vector<std::unique_ptr<RowSource>> rows_;
  Prepared prepared_;
  ResultSet result_;
  Chunk chunk_;
  idx_t chunk_next_ = 0, chunk_rows_ = 0;
};

}  // namespace varve::query
