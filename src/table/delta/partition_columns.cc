#include "table/delta/partition_columns.h"

#include <fmt/format.h>

namespace varve::table::delta {

Status CheckTakesFiles(const TableInfo& table) {
  if (table.partition_columns.empty()) return {};
  return MakeError(ErrorKind::kInvalid, "PARTITIONING_UNSUPPORTED",
                   fmt::format("the Delta table is partitioned by the columns '{}', whose values "
                               "are in its log; files with these columns cannot be added",
                               fmt::join(table.partition_columns, "', '")));
}

}  // namespace varve::table::delta
