// The rows of one column, moved into the plan's order and made into pages.
#pragma once

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "merge/group_plan.h"
#include "merge/input_set.h"
#include "merge/page_source.h"
#include "parquet/page_encoder.h"

namespace varve::merge {

struct PageLimits {
  parquet::CodecChoice codec;
  uint32_t page_bytes = 0, page_rows_max = 0, dictionary_bytes_max = 0;
};

// Rows [begin, end) of the output row group, and for each slot of the plan the pages that have
// them, in order; none: the file does not have the column, and its rows are null.
struct ColumnRows {
  const GroupPlan* plan = nullptr;
  const OutputColumn* column = nullptr;
  uint32_t begin = 0, end = 0;
  std::vector<std::vector<PageRef>> pages;
};

// Pages of values. A page that grows far beyond the limit is ended before its rows are.
Result<std::vector<parquet::EncodedPage>> BuildPlain(const ColumnRows& rows,
                                                     const PageLimits& limits, uint32_t page_rows);

// One dictionary for the row group and pages of indices, where all rows have indices already and
// it is smaller than the values; else pages of values.
//
// An entry gets its index in the output when it is first met: a table for each input dictionary
// says which, so that it is hashed once however many rows have it.
Result<std::vector<parquet::EncodedPage>> BuildDictionary(const ColumnRows& rows,
                                                          const PageLimits& limits,
                                                          uint32_t page_rows);

}  // namespace varve::merge
