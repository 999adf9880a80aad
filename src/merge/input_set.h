// What is known of the inputs before a page of theirs is read: their row groups, where each column
// chunk lies, and the schema that they have together.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "merge/merge.h"
#include "merge/task_pool.h"
#include "parquet/indexed_page.h"
#include "parquet/input_file.h"
#include "parquet/value_order.h"

namespace parquet {
class FileMetaData;
class RowGroupMetaData;
class SchemaDescriptor;
}  // namespace parquet

namespace varve::merge {

// A column chunk of an input.
struct ChunkPlace {
  uint64_t begin = 0, bytes = 0;
  uint64_t uncompressed = 0;
  uint64_t filter_begin = 0, filter_bytes = 0;  // of a Bloom filter; no bytes: there is none
  int16_t codec = 0;                            // arrow::Compression
  bool has_dictionary = false;
  bool rare_encoding = false;  // one that some readers do not know
};

// A row group of an input.
struct Part {
  uint32_t file = 0;
  uint32_t group = 0;  // its number in the file
  uint32_t rows = 0;
  uint64_t row_bytes = 1;  // on average, not compressed
  std::vector<ChunkPlace> chunks;
  // Of the first key column, by the footer, as values of the output; what relies on them finds out
  // if they lie.
  bool has_range = false;
  bool has_nulls = true;  // or it is not known
  std::string range_min, range_max;
};

// Files of the same schema share one.
struct Layout {
  uint32_t example = 0;  // a file that has it, for messages
  std::shared_ptr<const ::parquet::SchemaDescriptor> schema;
  std::vector<int> chunk_of;                 // by output column; -1: these files do not have it
  std::vector<parquet::ColumnShape> shapes;  // by chunk
  bool as_output = false;                    // the output's schema, column by column
};

// What becomes of columns of times.
struct TimestampRule {
  // That all have, INT96 too; kNone: the finest of the inputs, and INT96 is kept.
  parquet::TimestampUnit unit = parquet::TimestampUnit::kNone;
  // Of the merge that this is a part of: its columns of times are what these become.
  std::shared_ptr<const ::parquet::SchemaDescriptor> like;
};

// What the output's columns are, beyond what the inputs' are.
struct SchemaRule {
  TimestampRule timestamps;
  bool field_ids = true;  // false: those of table_ids
  std::vector<FieldIds> table_ids;
  std::vector<WideColumn> wide;
  bool untyped_columns = true;  // false: they are left out
  bool column_metadata = true;  // false: it is left out
};

struct OutputColumn {
  std::string name;  // dotted path
  parquet::ColumnShape shape;
  parquet::ValueOrder order = parquet::ValueOrder::kNone;
  bool filtered = false;  // its chunks have Bloom filters
};

struct InputSet {
  std::unique_ptr<parquet::InputFiles> files;
  std::vector<Layout> layouts;
  std::vector<uint32_t> layout_of;   // by file
  std::vector<uint32_t> first_part;  // by file, and the number of parts at the end
  std::vector<Part> parts;
  std::shared_ptr<const ::parquet::SchemaDescriptor> schema;  // the output's
  std::vector<OutputColumn> columns;
  std::vector<std::pair<std::string, std::string>> metadata;  // what the files agree on
  uint64_t rows = 0;
  uint64_t bytes = 0;                 // of the files
  uint64_t page_bytes_max = 1 << 30;  // in memory; a larger page is an error
  bool nested = false;  // has repeated columns, or types that only a row at a time can be cast

  // An output column. kInvalid: none has the name, or two have: "a.b", and a field b of a.
  Result<size_t> ColumnNamed(const std::string& name) const;
  const Layout& layout(const Part& part) const { return layouts[layout_of[part.file]]; }
  const std::string& path(const Part& part) const { return files->path(part.file); }
};

// Reads the footers, with the pool's threads; key: the first key column.
Result<InputSet> OpenInputs(const std::vector<std::string>& paths, const std::string& key,
                            uint32_t open_files_max, TaskPool& pool, const SchemaRule& rule = {});

// "a.parquet: column ts, row group 3: what"
Error InPlace(const InputSet& inputs, const Part& part, const std::string& column, Error error);

}  // namespace varve::merge
