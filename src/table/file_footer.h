// What a Parquet file's footer says, in a table's words: columns with their field ids, rows,
// statistics, where its row groups begin, and what of it readers of tables would stumble over.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/data_file.h"
#include "table/schema.h"

namespace varve::table {

// A column of the file that is under no list or map.
struct LeafStats {
  std::vector<std::string> names;  // "a", "b": a field of a struct
  Type type;
  ColumnStats stats;  // field_id: the file's, 0 if it has none; bounds are not truncated
};

// What some reader of Iceberg or Delta would get wrong.
struct ColumnProblem {
  std::string text;  // a sentence about the column
  bool ends_in_merge = false;
};

struct FileFooter {
  uint64_t bytes = 0;
  int64_t rows = 0;
  Schema schema;               // ids: the file's field ids, 0 where there is none
  bool has_field_ids = false;  // every field has one
  std::vector<LeafStats> leaves;
  std::vector<int64_t> split_offsets;
  std::vector<ColumnProblem> problems;
};

using ReadRange = std::function<Result<std::string>(uint64_t offset, uint64_t size)>;

inline constexpr uint64_t kFooterBytesMax = uint64_t{64} << 20;

// kCorrupt, NOT_PARQUET or BAD_PARQUET.
Result<FileFooter> ReadFileFooter(const ReadRange& read, uint64_t file_bytes);

// The file's columns; those without a null are required, whatever the file says: they fit a table
// that requires them.
Schema SchemaWithoutNulls(const FileFooter& footer);

enum class MatchColumns : uint8_t { kByFieldIdIfAll, kByName };

// The file as a data file of a table of this schema, its columns matched by field id if it has all
// of them (unless by name is wanted: Delta's), else by name; its partition from the bounds.
// kInvalid: PARTITION_SPANNED if its rows are of several partitions, SCHEMA_MISMATCH if a column
// does not fit the schema.
Result<DataFile> DescribeFile(const FileFooter& footer, const Schema& schema,
                              const PartitionSpec& spec,
                              MatchColumns match = MatchColumns::kByFieldIdIfAll);

}  // namespace varve::table
