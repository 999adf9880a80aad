// Sorted Parquet files become one sorted file, or a few of a target size: the way from a list of
// paths to files that are there whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/result.h"
#include "parquet/page_encoder.h"

namespace varve::merge {

struct SortKey {
  std::string column;
  bool descending = false;
  bool nulls_first = false;
};

enum class Unsorted : uint8_t { kRefuse, kSort };

// The unit of columns of times. kKeep: the inputs', the finest where they differ; INT96 stays.
// Otherwise all have that one, rounded down if it is coarser, and INT96 becomes INT64.
enum class Timestamps : uint8_t { kKeep, kMillis, kMicros };

enum class ColumnWidth : uint8_t { kInt64, kDouble, kDecimal };

// A column that the output has at least so wide, as a table that it goes to has it.
struct WideColumn {
  std::string name;  // dotted; "a.element", "a.key", "a.value": of a list or map
  ColumnWidth width = ColumnWidth::kInt64;
  int digits = 0;  // of a decimal
};

// The ids of a table's columns. fields: a struct's; a list's "element"; a map's "key" and "value".
struct FieldIds {
  std::string name;
  int32_t id = 0;
  std::vector<FieldIds> fields = {};
};

struct MergeProgress {
  uint64_t rows_written = 0, rows_total = 0;
  uint64_t bytes_written = 0;
};

struct MergeOptions {
  std::vector<SortKey> keys;
  parquet::CodecChoice codec;
  uint32_t threads = 0;  // 0: one a core
  uint64_t memory_bytes_max = 256 << 20;
  uint32_t open_files_max = 256;  // or what the process may have, if that is less

  uint32_t group_rows_max = 131'072;
  uint64_t group_bytes_max = 64 << 20;  // not compressed
  uint32_t page_bytes = 1 << 20;        // not compressed
  uint32_t page_rows_max = 32'768;
  uint32_t dictionary_bytes_max = 1 << 20;  // of a column in a row group; 0: no dictionaries
  bool copy = true;  // row groups and pages that overlap no other are not encoded again

  // That have a Bloom filter in each row group, of 1 % false positives; not booleans or half
  // floats.
  std::vector<std::string> bloom_columns;

  // A file ends with a row group, before it has more rows than this, and about this size: where one
  // more would go further beyond it than the file is below. 0: no bound.
  uint64_t file_rows_max = 0;
  uint64_t file_bytes_max = 0;
  // So does it where the first key column, a timestamp or a date, comes into another period of this
  // length (an hour, a day, from 1970 on); 0: no periods. Nulls have files of their own.
  int64_t split_us = 0;
  uint32_t files_max = 10'000;

  Timestamps timestamps = Timestamps::kKeep;
  // Of the columns, as the first input that has one of the type gives it. false: the output has
  // those of `table_ids`, by name, or none where there are none: whoever reads it goes by name
  // then.
  bool field_ids = true;
  std::vector<FieldIds> table_ids;
  // false: what the inputs' footers tell of the columns in other words than Parquet's
  // (ARROW:schema, pandas, …) is left out even where all agree: a table's files are to be read
  // alike.
  bool column_metadata = true;
  // Of integers, floats and decimals that are narrower; any other column is as it is.
  std::vector<WideColumn> wide;
  // Columns, and fields of structs, that have no type, as all their values are null (the logical
  // type Null): false: they are left out.
  bool untyped_columns = true;
  // false: a row group in an encoding that some readers do not know is not copied as it is.
  bool rare_encodings = true;
  Unsorted unsorted = Unsorted::kRefuse;
  bool digests = false;        // of the output's files: MergedFile::digest
  std::string temp_directory;  // empty: the output's
  bool sync = true;            // the output is on the disk before it has its name
  std::function<void(const MergeProgress&)> progress;  // on the caller's thread
  std::function<bool()> cancelled;
};

struct MergedFile {
  std::string path;
  uint64_t rows = 0, bytes = 0, row_groups = 0;
  std::string digest = {};  // OutputFile::Digest, if it was wanted
};

struct MergeSummary {
  std::vector<MergedFile> files;
  uint64_t rows = 0;
  uint64_t bytes_read = 0;  // of the inputs
  uint64_t bytes_written = 0;
  uint64_t rows_copied = 0;  // in row groups that were copied as they are
  uint32_t passes = 1;
  uint32_t files_sorted = 0;  // that were not sorted
  bool by_rows = false;       // a nested column: Arrow's reader and writer moved the rows
};

// Equal keys keep the order of the inputs, and within one of its rows. With a bound on the file's
// size or rows, or with periods, `output` "a.parquet" stands for a-00000.parquet, a-00001.parquet,
// …, of which none may be there before (kConflict, OUTPUT_EXISTS). kInvalid: types that conflict,
// an input that is not sorted (code UNSORTED), or a time that the output's unit has no room for
// (TIMESTAMP_RANGE); kCorrupt: an input that is damaged. Both name the file, and neither leaves an
// output behind.
Result<MergeSummary> MergeFiles(const std::vector<std::string>& inputs, const std::string& output,
                                const MergeOptions& options);

}  // namespace varve::merge
