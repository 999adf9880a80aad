// One schema for all inputs: columns by name, in the order of the first file that has them; a
// column that a file lacks or may leave out is optional; integers, floats and decimals are as wide
// as the widest or as the rule wants them, times as fine as the finest or as the rule wants them;
// the fields of structs are united as columns are. Anything else that differs is a conflict.
// Included by .cc files only.
#pragma once

#include <parquet/schema.h>

#include <memory>
#include <vector>

#include "core/result.h"
#include "merge/input_set.h"

namespace varve::merge {

// Fills schema, columns, and the layouts' chunk_of.
Status UniteSchemas(InputSet& inputs, const SchemaRule& rule);

}  // namespace varve::merge
