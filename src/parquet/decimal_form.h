// Decimals in the forms in which files store them: INT32, INT64, and big-endian bytes of a fixed
// or their own length, all in two's complement.
#pragma once

#include "core/result.h"
#include "parquet/indexed_page.h"

namespace varve::parquet {

// The page's values, in the column's form, as those of `to`, which is not bytes of their own
// length. kCorrupt: a value is more than that holds.
Status ConvertDecimals(const ColumnShape& from, const ColumnShape& to, IndexedPage& page);

}  // namespace varve::parquet
