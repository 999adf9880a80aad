// A Parquet schema in a table's types, and what its statistics' bytes are in a table's values.
// Included by .cc files only: it names libparquet's types.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/file_footer.h"
#include "table/schema.h"

namespace parquet {
class SchemaDescriptor;
}

namespace varve::table {

struct LeafType {
  int column = 0;  // in the file
  int32_t field_id = 0;
  std::vector<std::string> names;
  Type type;
  int64_t micros_per_unit = 1;   // of a timestamp that is coarser than micros
  int64_t units_per_micro = 1;   // of one that is finer
  bool integer_decimal = false;  // stored little-endian, as INT32 or INT64
  bool has_order = true;         // min and max mean something

  // A PLAIN value of the statistics; nothing if it is none of the type.
  std::optional<std::string> Value(const std::string& plain) const;
};

// A column that the file has no type for, as all its values are null, is not among them.
struct FileColumns {
  Schema schema;
  bool has_field_ids = true;
  std::vector<LeafType> leaves;  // those under no list or map
  std::vector<ColumnProblem> problems;
};

Result<FileColumns> ReadFileColumns(const ::parquet::SchemaDescriptor& schema);

}  // namespace varve::table
