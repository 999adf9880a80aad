#include "merge/page_copy.h"

namespace varve::merge {

using parquet::EncodedPage;

namespace {

// Of the size that pages of the output have: small ones cost room and readers' time.
constexpr uint32_t kLeastPart = 4;
constexpr uint32_t kMostTimes = 2;

}  // namespace

std::vector<SlotRun> LongRuns(const GroupPlan& plan, uint32_t rows_min) {
  std::vector<SlotRun> runs;
  std::vector<uint32_t> rows_before;
  for (const Slot& slot : plan.slots) rows_before.push_back(slot.begin);
  const uint16_t* order = plan.order.data();
  for (uint32_t row = 0; row < plan.rows;) {
    const uint16_t slot = order[row];
    uint32_t end = row + 1;
    while (end < plan.rows && order[end] == slot) ++end;
    if (end - row >= rows_min) runs.push_back({row, end, slot, rows_before[slot]});
    rows_before[slot] += end - row;
    row = end;
  }
  return runs;
}

bool MayCopyPage(const PageRef& ref, const OutputColumn& column, const PageLimits& limits,
                 uint32_t page_rows) {
  const parquet::PageHeader& header = ref.page->header();
  const parquet::PageReading& reading = ref.page->reading();
  const auto bytes = static_cast<uint32_t>(header.uncompressed_bytes);
  const uint32_t rows = ref.end - ref.begin;
  return header.type == parquet::PageType::kData && header.encoding == parquet::kPlain &&
         (column.shape.max_level == 0 || header.level_encoding == parquet::kRle) &&
         reading.from == column.shape && reading.codec == limits.codec.codec &&
         bytes <= kMostTimes * limits.page_bytes && rows <= kMostTimes * limits.page_rows_max &&
         rows >= page_rows / kLeastPart;
}

Result<std::vector<EncodedPage>> CopyPage(const ColumnRows& rows, parquet::ValueFilter* filter) {
  PageHandle& handle = *rows.whole_page;
  const parquet::IndexedPage& page = *TRY(handle.Get());
  if (filter != nullptr) filter->Add(page.data, page.values);
  std::vector<EncodedPage> pages;
  pages.push_back(parquet::CopiedPlain(handle.header(), handle.body(), page, rows.column->shape,
                                       rows.column->order));
  return pages;
}

}  // namespace varve::merge
