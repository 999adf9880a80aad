// Whether varve may add files to a table, before anything is done to it.
#pragma once

#include <string>

#include "catalog/lake_tables.h"

namespace varve::catalog {

// kInvalid, PARTITIONING_UNSUPPORTED: it is a Delta table with partition columns. A commit asks
// again, of the version that it follows.
Status CheckTakesFiles(LakeTables& tables, const std::string& name);

}  // namespace varve::catalog
