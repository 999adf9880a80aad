#include "query/result_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace varve::query {

namespace {

constexpr size_t kBufferBytes = 64 << 10;

bool HoldsInterval(const CellType& type) {
  return type.id == DUCKDB_TYPE_INTERVAL || std::ranges::any_of(type.children, HoldsInterval);
}

bool HoldsWide(const CellType& type) {
  return type.id == DUCKDB_TYPE_HUGEINT || type.id == DUCKDB_TYPE_UHUGEINT ||
         std::ranges::any_of(type.children, HoldsWide);
}

bool HoldsEmptyStruct(const CellType& type) {
  return (type.id == DUCKDB_TYPE_STRUCT && type.children.empty()) ||
         std::ranges::any_of(type.children, HoldsEmptyStruct);
}

}  // namespace

Status Output::Flush() {
  if (buffer_.empty()) return {};
  bytes_ += buffer_.size();
  if (bytes_ > bytes_max_) {
    return MakeError(ErrorKind::kExhausted, "RESULT_TOO_LARGE",
                     fmt::format("the result is larger than {} bytes", bytes_max_),
                     fmt::format(R"({{"resultBytesMax":{}}})", bytes_max_));
  }
  const bool taken = sink_(buffer_);
  buffer_.clear();
  if (taken) return {};
  return MakeError(ErrorKind::kCancelled, "QUERY_CANCELLED", "the client has gone");
}

Status Output::FlushIfFull() { return buffer_.size() >= kBufferBytes ? Flush() : Status(); }

ResultColumns ResolveColumns(ResultSet& result, duckdb_connection connection) {
  ResultColumns columns;
  std::set<std::string> taken;
  const idx_t count = duckdb_column_count(result.get());
  for (idx_t i = 0; i < count; ++i) {
    const std::string name = duckdb_column_name(result.get(), i);
    std::string unique = name;
    for (int n = 1; !taken.insert(unique).second; ++n) unique = fmt::format("{}_{}", name, n);
    columns.names.push_back(unique);
    columns.logical.emplace_back(duckdb_column_logical_type(result.get(), i));
    columns.types.push_back(ResolveType(columns.logical.back().get()));
  }
  duckdb_connection_get_arrow_options(connection, columns.arrow.out());
  return columns;
}

std::string_view CastFor(ResultFormat format, const CellType& type) {
  if (!IsRendered(type) || HoldsEmptyStruct(type)) return "VARCHAR";
  if (format != ResultFormat::kParquet && format != ResultFormat::kArrowStream) return "";
  if (format == ResultFormat::kParquet && HoldsInterval(type)) return "VARCHAR";
  // A sum of integers is a HUGEINT: a number to every reader as long as it has 38 digits. One with
  // 39 fails in the cast; as it is, Arrow would carry a value that its own type forbids.
  if (type.id == DUCKDB_TYPE_HUGEINT || type.id == DUCKDB_TYPE_UHUGEINT) return "DECIMAL(38,0)";
  return HoldsWide(type) ? "VARCHAR" : "";
}

std::unique_ptr<ResultWriter> MakeResultWriter(ResultFormat format, const ResultColumns& columns,
                                               Output* output) {
  switch (format) {
    case ResultFormat::kJson:
      return MakeJsonWriter(columns, output);
    case ResultFormat::kNdjson:
      return MakeNdjsonWriter(columns, output);
    case ResultFormat::kCsv:
      return MakeCsvWriter(columns, output);
    case ResultFormat::kArrowStream:
      return MakeArrowWriter(columns, output);
    case ResultFormat::kParquet:
      return MakeParquetWriter(columns, output);
    case ResultFormat::kTable:
      return MakeTableWriter(columns, output);
  }
  return MakeJsonWriter(columns, output);
}

}  // namespace varve::query
