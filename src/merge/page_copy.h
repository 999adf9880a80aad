// Which pages of the inputs become pages of the output as they are: those of which all rows come
// one after the other. They are read and checked, but not compressed again.
#pragma once

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "merge/column_build.h"
#include "merge/group_plan.h"
#include "merge/page_source.h"

namespace varve::merge {

// Output rows [begin, end) that are those of one slot: rows of its part, from `from` on.
struct SlotRun {
  uint32_t begin = 0, end = 0;
  uint32_t slot = 0, from = 0;
};

// Those of at least that many rows.
std::vector<SlotRun> LongRuns(const GroupPlan& plan, uint32_t rows_min);

// Whether the page has the output's encoding, codec and type, and about the size that is wanted.
bool MayCopyPage(const PageRef& ref, const OutputColumn& column, const PageLimits& limits,
                 uint32_t page_rows);

// The page as it is, of which rows.whole_page says that it has them.
Result<std::vector<parquet::EncodedPage>> CopyPage(const ColumnRows& rows,
                                                   parquet::ValueFilter* filter);

}  // namespace varve::merge
