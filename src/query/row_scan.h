// Rows that lie in no Parquet file (the journal's, and NDJSON files') as DuckDB table functions.
// DuckDB says which columns it wants; several threads take units of work from one scan.
#pragma once

#include <duckdb.h>

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "query/table_shape.h"

namespace varve::query {

// Lines and files that a scan had to leave out. Thread-safe; a scan that runs twice in one
// statement counts once.
class ScanWarnings {
 public:
  void Add(const std::string& key, uint64_t bad_lines, const std::string& reason);
  std::vector<std::string> Texts() const;

 private:
  struct Entry {
    uint64_t bad_lines = 0;
    std::string reason;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

// For each column of the result, the table's column that fills it, or -1 for none.
using Projection = std::vector<int>;

class ScanThread {  // one thread's part of a scan
 public:
  virtual ~ScanThread() = default;
  // Fills at most a vector's rows; 0 at the end.
  virtual Result<idx_t> Fill(duckdb_data_chunk out) = 0;
};

class Scan {  // one pass over the rows, shared by its threads
 public:
  virtual ~Scan() = default;
  virtual std::unique_ptr<ScanThread> NewThread() = 0;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual std::span<const TableColumn> columns() const = 0;
  virtual uint64_t rows_estimated() const = 0;
  virtual uint32_t threads_max() const = 0;
  virtual std::unique_ptr<Scan> Begin(Projection projection) const = 0;
};

// What a table function reads from; a statement's source takes the place of the last one's.
struct RowSlot {
  std::span<const TableColumn> columns;
  const RowSource* source = nullptr;
};

// The slot outlives the connection.
Status RegisterRowSlot(duckdb_connection connection, const char* name, RowSlot* slot);

}  // namespace varve::query
