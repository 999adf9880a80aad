#include "query/file_checks.h"

#include <fmt/format.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/schema.h>

#include <algorithm>
#include <memory>

#include "record/event_reader.h"

namespace varve::query {

namespace {

// What DuckDB makes of a leaf, as far as the two tables' types go.
duckdb_type DuckTypeOf(const parquet::schema::PrimitiveNode& node) {
  using Logical = parquet::LogicalType;
  const auto& logical = node.logical_type();
  const bool plain = !logical || logical->is_none();
  switch (node.physical_type()) {
    case parquet::Type::BOOLEAN:
      return plain ? DUCKDB_TYPE_BOOLEAN : DUCKDB_TYPE_INVALID;
    case parquet::Type::DOUBLE:
      return plain ? DUCKDB_TYPE_DOUBLE : DUCKDB_TYPE_INVALID;
    case parquet::Type::BYTE_ARRAY:
      return logical && logical->is_string() ? DUCKDB_TYPE_VARCHAR : DUCKDB_TYPE_INVALID;
    case parquet::Type::INT32:
      if (plain || logical->Equals(*Logical::Int(32, true))) return DUCKDB_TYPE_INTEGER;
      return DUCKDB_TYPE_INVALID;
    case parquet::Type::INT64:
      if (plain || logical->Equals(*Logical::Int(64, true))) return DUCKDB_TYPE_BIGINT;
      if (logical->is_timestamp() &&
          static_cast<const parquet::TimestampLogicalType&>(*logical).is_adjusted_to_utc()) {
        return DUCKDB_TYPE_TIMESTAMP_TZ;
      }
      return DUCKDB_TYPE_INVALID;
    default:
      return DUCKDB_TYPE_INVALID;
  }
}

FileColumn::Kind KindOf(const parquet::schema::Node& node) {
  if (!node.is_primitive() || node.is_repeated()) return FileColumn::kNested;
  const auto& leaf = static_cast<const parquet::schema::PrimitiveNode&>(node);
  const auto& logical = leaf.logical_type();
  if (logical && logical->is_timestamp()) return FileColumn::kInstant;
  const parquet::Type::type type = leaf.physical_type();
  if (type == parquet::Type::INT96) return FileColumn::kInstant;
  const bool number = type == parquet::Type::INT32 || type == parquet::Type::INT64 ||
                      type == parquet::Type::FLOAT || type == parquet::Type::DOUBLE;
  const bool plain = !logical || logical->is_none() || logical->is_int();
  return number && plain ? FileColumn::kNumber : FileColumn::kPlain;
}

bool IsExact(const parquet::schema::GroupNode& root, std::span<const TableColumn> table) {
  if (root.field_count() != static_cast<int>(table.size())) return false;
  for (int i = 0; i < root.field_count(); ++i) {
    const parquet::schema::Node& node = *root.field(i);
    if (!node.is_primitive() || node.is_repeated() || node.name() != table[i].name) return false;
    const auto& leaf = static_cast<const parquet::schema::PrimitiveNode&>(node);
    if (DuckTypeOf(leaf) != table[i].type) return false;
  }
  return true;
}

}  // namespace

FileShape ReadFileShape(const std::string& path, std::span<const TableColumn> table) {
  FileShape shape;
  if (const auto check = record::CheckParquetFile(path); !check.ok()) {
    shape.problem = check.error().message;
    // The key names the file where this is shown; the machine's path does not go out.
    const size_t at = shape.problem.find(path + ": ");
    if (at != std::string::npos) shape.problem.erase(at, path.size() + 2);
    return shape;
  }
  try {
    const auto reader = parquet::ParquetFileReader::OpenFile(path, /*memory_map=*/false);
    const parquet::schema::GroupNode& root = *reader->metadata()->schema()->group_node();
    shape.exact = IsExact(root, table);
    for (int i = 0; !shape.exact && i < root.field_count(); ++i) {
      shape.columns.push_back({root.field(i)->name(), KindOf(*root.field(i))});
    }
    shape.readable = true;
  } catch (const std::exception& exception) {
    shape.problem = exception.what();
  }
  return shape;
}

std::vector<FileShape> FileChecks::Shapes(std::span<const FileRef> files,
                                          std::span<const TableColumn> table) {
  std::vector<FileShape> shapes(files.size());
  std::vector<size_t> unknown;
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < files.size(); ++i) {
      const auto it = entries_.find(files[i].path);
      if (it != entries_.end() && it->second.size == files[i].size &&
          it->second.modified_ms == files[i].modified_ms) {
        shapes[i] = it->second.shape;
      } else {
        unknown.push_back(i);
      }
    }
  }
  for (size_t i : unknown) shapes[i] = ReadFileShape(files[i].path, table);
  if (unknown.empty()) return shapes;
  const std::lock_guard lock(mutex_);
  if (entries_.size() + unknown.size() > files_max_) entries_.clear();
  for (size_t i : unknown) {
    entries_[files[i].path] = {files[i].size, files[i].modified_ms, shapes[i]};
  }
  return shapes;
}

}  // namespace varve::query
