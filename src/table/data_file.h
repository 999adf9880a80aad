// A data file as both formats know it: what is in it, by field id. Made from a Parquet footer
// (file_footer.h) or by a merge that knows it already; read back from manifests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "table/partition.h"

namespace varve::table {

// What is not known is left out, not zero.
struct ColumnStats {
  int32_t field_id = 0;
  std::optional<int64_t> bytes;   // on disk, compressed
  std::optional<int64_t> values;  // nulls included
  std::optional<int64_t> nulls;
  std::optional<int64_t> nans;
  std::optional<std::string> lower, upper;            // bounds.h, truncated
  bool lower_is_value = true, upper_is_value = true;  // false: it was truncated, or not known
};

struct DataFile {
  std::string path;  // a location in Iceberg's files, a store's key to everybody else
  uint64_t bytes = 0;
  int64_t rows = 0;
  int32_t spec_id = 0;
  PartitionTuple partition;
  std::vector<ColumnStats> columns;  // ascending by field id
  std::vector<int64_t> split_offsets;
  std::optional<int32_t> sort_order_id;  // only if the rows are in that order
};

}  // namespace varve::table
