// A table's field ids in a merged file's schema. Included by .cc files only: it needs libparquet's
// schema.
#pragma once

#include <parquet/schema.h>

#include <vector>

#include "merge/input_set.h"

namespace varve::merge {

// Columns, and what is in them, have the ids that the table has for their names, and no others. The
// parts of lists and maps are named "element", "key" and "value", whatever the writer called them.
::parquet::schema::NodePtr WithTableIds(const ::parquet::schema::GroupNode& root,
                                        const std::vector<FieldIds>& ids);

}  // namespace varve::merge
