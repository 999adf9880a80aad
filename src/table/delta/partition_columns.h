// Tables with partition columns are read, and nothing is added to them: the columns' values are in
// the log, and files made elsewhere have them inside.
#pragma once

#include "table/delta/actions.h"

namespace varve::table::delta {

// kInvalid, PARTITIONING_UNSUPPORTED: it has such columns.
Status CheckTakesFiles(const TableInfo& table);

}  // namespace varve::table::delta
