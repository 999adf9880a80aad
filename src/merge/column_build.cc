#include "merge/column_build.h"

#include <cstring>

#include "merge/slot_reader.h"

namespace varve::merge {

using parquet::EncodedPage;
using parquet::IndexedPage;
using parquet::PageDraft;

namespace {

// A page may grow to this many times the limit before it is ended early.
constexpr size_t kPageGrowth = 4;

// Values [first, last) of a page, as they are.
void CopyValues(const IndexedPage& page, uint32_t width, uint32_t first, uint32_t last,
                parquet::Buffer& out) {
  const uint8_t* from;
  size_t size;
  if (width == 0) {
    const uint32_t* offsets = page.offsets.As<uint32_t>();
    from = page.data + offsets[first];
    size = offsets[last] - offsets[first];
  } else if (width == 8 && last - first == 1) {
    std::memcpy(out.Extend(8), page.data + size_t{first} * 8, 8);
    return;
  } else {
    from = page.data + size_t{first} * width;
    size = size_t{last - first} * width;
  }
  out.Append(from, size);
}

void CopyEntries(const IndexedPage& page, const IndexedPage& dictionary,
                 const parquet::ColumnShape& shape, uint32_t first, uint32_t last,
                 parquet::Buffer& out) {
  const uint32_t* indices = page.indices.As<uint32_t>();
  for (uint32_t i = first; i < last; ++i) {
    const std::string_view value = dictionary.Plain(indices[i], shape);
    out.Append(value.data(), value.size());
  }
}

void AddPiece(const SlotReader::Place& place, const parquet::ColumnShape& shape, uint32_t row,
              uint32_t rows, PageDraft& draft) {
  if (place.page == nullptr) return draft.AddNulls(rows, 0);
  const IndexedPage& page = *place.page;
  const auto [first, last] = draft.AddRows(page, row, rows);
  if (first == last) return;
  if (page.has_indices) {
    CopyEntries(page, *place.dictionary, shape, first, last, draft.bytes());
  } else {
    CopyValues(page, shape.width, first, last, draft.bytes());
  }
}

}  // namespace

Result<std::vector<EncodedPage>> BuildPlain(const ColumnRows& rows, const PageLimits& limits,
                                            uint32_t page_rows) {
  const OutputColumn& column = *rows.column;
  std::vector<EncodedPage> out;
  SlotReader reader(rows);
  const size_t bytes_max = size_t{limits.page_bytes} * kPageGrowth;
  for (uint32_t begin = rows.begin; begin < rows.end;) {
    const uint32_t end = std::min(rows.end, begin + page_rows);
    PageDraft draft(column.shape, end - begin, limits.page_bytes + limits.page_bytes / 8);
    auto finish = [&]() -> Status {
      out.push_back(TRY(std::move(draft).FinishPlain(limits.codec, column.order)));
      return {};
    };
    uint32_t added = 0;
    TRY(reader.Walk(begin, end,
                    [&](const SlotReader::Place& place, uint32_t row, uint32_t count) -> Status {
                      if (draft.values_bytes() > bytes_max) {
                        TRY(finish());
                        draft = PageDraft(column.shape, end - begin - added, bytes_max);
                      }
                      AddPiece(place, column.shape, row, count, draft);
                      added += count;
                      return {};
                    }));
    TRY(finish());
    begin = end;
  }
  return out;
}

}  // namespace varve::merge
