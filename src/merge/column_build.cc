#include "merge/column_build.h"

#include <algorithm>

namespace varve::merge {

using parquet::EncodedPage;
using parquet::PageDraft;
using parquet::PageRows;

namespace {

// A page of byte arrays may grow to this many times the limit before it is ended early.
constexpr size_t kPageGrowth = 4;

class PlainColumn {
 public:
  PlainColumn(const ColumnRows& rows, const PageLimits& limits, Lanes lanes,
              parquet::ValueFilter* filter)
      : column_(*rows.column), limits_(limits), lanes_(std::move(lanes)), filter_(filter) {
    lanes_.FillValues();
  }

  Status AddRows(uint32_t rows) {
    const uint8_t* levels = lanes_.NextLevels(rows);
    return column_.shape.is_bytes() ? AddByteArrays(levels, rows) : AddFixed(levels, rows);
  }
  std::vector<EncodedPage> Finish() { return std::move(pages_); }

 private:
  Status AddFixed(const uint8_t* levels, uint32_t rows) {
    const size_t width = column_.shape.width;
    PageDraft draft(column_.shape, rows, rows * width);
    uint8_t* begin = draft.bytes().Extend(rows * width);
    const auto size = static_cast<size_t>(lanes_.NextValues(levels, rows, width, begin) - begin);
    draft.bytes().Resize(draft.bytes().size() - rows * width + size);
    const auto values = static_cast<uint32_t>(size / width);
    if (filter_ != nullptr) filter_->Add(begin, values);
    return FinishPage(draft, draft.Bounds(column_.order, values), {rows, values, levels});
  }

  Status AddByteArrays(const uint8_t* levels, uint32_t rows) {
    const size_t bytes_max = size_t{limits_.page_bytes} * kPageGrowth;
    while (rows > 0) {
      PageDraft draft(column_.shape, rows, limits_.page_bytes + limits_.page_bytes / 8);
      const size_t begin = draft.bytes().size();
      parquet::ByteArrayBounds seen;
      const auto taken = lanes_.NextByteArrays(levels, rows, bytes_max, draft.bytes(), seen);
      if (filter_ != nullptr) filter_->Add(draft.bytes().data() + begin, taken.values);
      auto bounds = parquet::ValueBounds(column_.order);
      if (column_.order == parquet::ValueOrder::kBytes) {
        bounds.Add(seen);
      } else {
        bounds = draft.Bounds(column_.order, taken.values);
      }
      TRY(FinishPage(draft, std::move(bounds), {taken.rows, taken.values, levels}));
      rows -= taken.rows;
      if (levels != nullptr) levels += taken.rows;
    }
    return {};
  }

  Status FinishPage(PageDraft& draft, parquet::ValueBounds bounds, const PageRows& rows) {
    pages_.push_back(TRY(std::move(draft).FinishPlain(limits_.codec, std::move(bounds), rows)));
    return {};
  }

  const OutputColumn& column_;
  const PageLimits& limits_;
  Lanes lanes_;
  parquet::ValueFilter* const filter_;
  std::vector<EncodedPage> pages_;
};

}  // namespace

Result<std::vector<EncodedPage>> BuildPlain(const ColumnRows& rows, const PageLimits& limits,
                                            uint32_t page_rows, parquet::ValueFilter* filter) {
  PlainColumn column(rows, limits, TRY(Lanes::Open(rows)), filter);
  for (uint32_t begin = rows.begin; begin < rows.end; begin += page_rows) {
    TRY(column.AddRows(std::min(page_rows, rows.end - begin)));
  }
  return column.Finish();
}

}  // namespace varve::merge
