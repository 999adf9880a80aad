// The rows of one column, moved into the plan's order and made into pages.
#pragma once

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "merge/lanes.h"
#include "parquet/page_encoder.h"
#include "parquet/value_filter.h"

namespace varve::merge {

struct PageLimits {
  parquet::CodecChoice codec;
  uint32_t page_bytes = 0, page_rows_max = 0, dictionary_bytes_max = 0;
};

// Pages of values. A page that grows far beyond the limit is ended before its rows are.
// Here and below the values are added to filter, if there is one.
Result<std::vector<parquet::EncodedPage>> BuildPlain(const ColumnRows& rows,
                                                     const PageLimits& limits, uint32_t page_rows,
                                                     parquet::ValueFilter* filter);

// One dictionary for the row group and pages of indices, where all rows have indices already and
// it is smaller than the values; else pages of values.
//
// A table for each input dictionary says which entry of it has which index in the output, so that
// an entry is hashed once however many rows have it.
Result<std::vector<parquet::EncodedPage>> BuildDictionary(const ColumnRows& rows,
                                                          const PageLimits& limits,
                                                          uint32_t page_rows,
                                                          parquet::ValueFilter* filter);

}  // namespace varve::merge
