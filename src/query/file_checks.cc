#include "query/file_checks.h"

#include <fmt/format.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/schema.h>

#include <algorithm>
#include <memory>
#include <set>

#include "core/letter_case.h"
#include "record/event_reader.h"
#include "table/parquet_types.h"

namespace varve::query {

namespace {

constexpr int32_t kDecimalDigitsMax = 38;

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

// Why DuckDB has no such type. Empty: it has. A table would not open for one file that is odd.
std::string OddType(const table::Type& type) {
  if (type.id == table::TypeId::kDecimal && type.precision > kDecimalDigitsMax) {
    return fmt::format("is {}; SQL has {} digits", table::TypeName(type), kDecimalDigitsMax);
  }
  std::set<std::string> names;
  for (const table::Field& field : type.fields) {
    if (!names.insert(FoldCase(field.name)).second) {
      return fmt::format("has two fields '{}', which differ only in case", field.name);
    }
    std::string inner = OddType(field.type);
    if (!inner.empty()) return inner;
  }
  return {};
}

std::string OddColumn(const table::Schema& schema) {
  for (const table::Field& field : schema.fields) {
    const std::string odd = OddType(field.type);
    if (!odd.empty()) return fmt::format("the column '{}' {}", field.name, odd);
  }
  return {};
}

// Empty: there is none. The key names the file where this is shown; the machine's path does not go
// out.
std::string ProblemOf(const std::string& path) {
  const auto check = record::CheckParquetFile(path);
  if (check.ok()) return {};
  std::string problem = check.error().message;
  const size_t at = problem.find(path + ": ");
  if (at != std::string::npos) problem.erase(at, path.size() + 2);
  return problem;
}

}  // namespace

FileShape ReadFileShape(const std::string& path, std::span<const TableColumn> table) {
  FileShape shape;
  shape.problem = ProblemOf(path);
  if (!shape.problem.empty()) return shape;
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

LakeShape FileChecks::ReadLakeShape(const std::string& path) {
  LakeShape shape;
  shape.problem = ProblemOf(path);
  if (!shape.problem.empty()) return shape;
  try {
    const auto reader = parquet::ParquetFileReader::OpenFile(path, /*memory_map=*/false);
    const parquet::SchemaDescriptor& schema = *reader->metadata()->schema();
    const std::lock_guard lock(mutex_);
    std::erase_if(lake_columns_, [](const auto& known) { return known.second.expired(); });
    auto& known = lake_columns_[schema.ToString()];
    shape.columns = known.lock();
    if (shape.columns != nullptr) return shape;
    auto columns = table::ReadFileColumns(schema);
    shape.problem = columns.ok() ? OddColumn(columns->schema) : columns.error().message;
    if (!shape.problem.empty()) return shape;
    shape.columns = std::make_shared<const LakeColumns>(
        LakeColumns{std::move(columns->schema), columns->has_field_ids});
    known = shape.columns;
  } catch (const std::exception& exception) {
    shape.problem = exception.what();
  }
  return shape;
}

}  // namespace varve::query
