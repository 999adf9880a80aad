// A query's rows as bytes of one format. A page of a cursor is a whole document of its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "query/duck_handles.h"
#include "query/engine.h"
#include "query/value_text.h"

namespace varve::query {

// The sink behind a buffer and a byte limit.
class Output {
 public:
  Output(const ByteSink& sink, uint64_t bytes_max) : sink_(sink), bytes_max_(bytes_max) {}

  std::string& buffer() { return buffer_; }
  Status FlushIfFull();  // kExhausted RESULT_TOO_LARGE, kCancelled when the client has gone
  Status Flush();

 private:
  const ByteSink& sink_;
  const uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  std::string buffer_;
};

struct ResultColumns {
  std::vector<std::string> names;  // no two alike
  std::vector<CellType> types;
  std::vector<LogicalType> logical;
  ArrowOptions arrow;  // the connection's
};
ResultColumns ResolveColumns(ResultSet& result, duckdb_connection connection);

struct PageEnd {
  uint64_t rows = 0;
  std::string next_cursor;
  std::vector<std::string> warnings;
  double elapsed_ms = 0;
};

class ResultWriter {
 public:
  virtual ~ResultWriter() = default;
  virtual Status Begin() = 0;
  virtual Status Rows(duckdb_data_chunk chunk, idx_t first, idx_t count) = 0;
  virtual Status End(const PageEnd& end) = 0;
};

// columns and output outlive the writer.
std::unique_ptr<ResultWriter> MakeResultWriter(ResultFormat format, const ResultColumns& columns,
                                               Output* output);

// Each format's own.
std::unique_ptr<ResultWriter> MakeJsonWriter(const ResultColumns& columns, Output* output);
std::unique_ptr<ResultWriter> MakeNdjsonWriter(const ResultColumns& columns, Output* output);
std::unique_ptr<ResultWriter> MakeCsvWriter(const ResultColumns& columns, Output* output);
std::unique_ptr<ResultWriter> MakeTableWriter(const ResultColumns& columns, Output* output);
std::unique_ptr<ResultWriter> MakeArrowWriter(const ResultColumns& columns, Output* output);
std::unique_ptr<ResultWriter> MakeParquetWriter(const ResultColumns& columns, Output* output);

// The SQL type that a column is cast to because the format has no form for its own; empty: none.
std::string_view CastFor(ResultFormat format, const CellType& type);

}  // namespace varve::query
