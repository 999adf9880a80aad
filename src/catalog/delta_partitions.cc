#include "catalog/delta_partitions.h"

#include "table/delta/partition_columns.h"

namespace varve::catalog {

Status CheckTakesFiles(LakeTables& tables, const std::string& name) {
  if (!TRY(tables.FormatsOf(name)).delta) return {};
  const Status takes = table::delta::CheckTakesFiles(TRY(tables.delta().LoadToChange(name)).table);
  if (takes.ok()) return takes;
  return Error(takes.error()).Context("the table '" + name + "'");
}

}  // namespace varve::catalog
