#include <algorithm>
#include <bit>
#include <string>

#include "merge/column_build.h"
#include "merge/dictionary_union.h"
#include "merge/slot_reader.h"

namespace varve::merge {

using parquet::EncodedPage;
using parquet::IndexedPage;
using parquet::PageDraft;

namespace {

constexpr uint32_t kUnassigned = ~uint32_t{0};
// After so many rows a dictionary that has taken in nearly all of them is given up.
constexpr uint32_t kTrialRows = 2048;

// A data page before its indices' width is known.
struct PageOfIndices {
  PageDraft draft;
  uint32_t first = 0;  // of its indices
};

class DictionaryColumn {
 public:
  DictionaryColumn(const ColumnRows& rows, const PageLimits& limits)
      : rows_(rows), limits_(limits), tables_(rows.pages.size()) {
    entry_bytes_min_ = rows.column->shape.is_bytes() ? 4 : rows.column->shape.width;
  }

  // False: it does not pay.
  Result<bool> Gather(uint32_t page_rows) {
    SlotReader reader(rows_);
    for (uint32_t begin = rows_.begin; begin < rows_.end; begin += page_rows) {
      const uint32_t end = std::min(rows_.end, begin + page_rows);
      pages_.push_back({PageDraft(rows_.column->shape, end - begin, 0), count_});
      auto& draft = pages_.back().draft;
      TRY(reader.Walk(begin, end,
                      [&](const SlotReader::Place& place, uint32_t row, uint32_t rows) -> Status {
                        if (given_up_) return {};
                        AddPiece(place, row, rows, draft);
                        if (count_ >= next_look_) Look();
                        return {};
                      }));
      Look();
      if (given_up_) return false;
    }
    return count_ > 0;
  }

  Result<std::vector<EncodedPage>> Finish() {
    std::vector<EncodedPage> out;
    out.push_back(TRY(parquet::EncodeDictionary(entries_.plain(), entries_.size(), limits_.codec)));
    const int width = entries_.size() < 2 ? 1 : std::bit_width(entries_.size() - 1);
    seen_.assign(entries_.size(), 0);
    for (size_t i = 0; i < pages_.size(); ++i) {
      const uint32_t* indices = indices_.As<uint32_t>() + pages_[i].first;
      const uint32_t count = pages_[i].draft.values();
      EncodedPage page =
          TRY(std::move(pages_[i].draft).FinishIndices(limits_.codec, indices, width));
      Describe(indices, count, static_cast<uint32_t>(i + 1), page);
      out.push_back(std::move(page));
    }
    return out;
  }

 private:
  void AddPiece(const SlotReader::Place& place, uint32_t row, uint32_t rows, PageDraft& draft) {
    if (place.page == nullptr) return draft.AddNulls(rows, 0);
    const IndexedPage& page = *place.page;
    const auto [first, last] = draft.AddRows(page, row, rows);
    if (first == last) return;
    std::vector<uint32_t>& table = tables_[place.slot];
    if (table.empty()) table.assign(place.dictionary->values, kUnassigned);
    const uint32_t* from = page.indices.As<uint32_t>();
    uint32_t* to = reinterpret_cast<uint32_t*>(indices_.Extend(size_t{last - first} * 4));
    for (uint32_t i = first; i < last; ++i) {
      uint32_t& index = table[from[i]];
      if (index == kUnassigned) [[unlikely]] {
        index = entries_.IndexOf(place.dictionary->Plain(from[i], rows_.column->shape));
      }
      *to++ = index;
    }
    count_ += last - first;
  }

  void Look() {
    next_look_ = count_ + kTrialRows;
    given_up_ = entries_.plain().size() > limits_.dictionary_bytes_max || !Pays();
  }

  // Against what the values would take.
  bool Pays() const {
    if (count_ < kTrialRows) return true;
    const size_t entry = entries_.plain().size() / std::max(1u, entries_.size());
    const size_t plain = size_t{count_} * std::max(entry, entry_bytes_min_);
    const size_t bits = static_cast<size_t>(std::bit_width(entries_.size()));
    return entries_.plain().size() + size_t{count_} * bits / 8 < plain;
  }

  // Bounds and sizes of a page: each of its entries counts once.
  void Describe(const uint32_t* indices, uint32_t count, uint32_t stamp, EncodedPage& page) {
    const bool bytes = rows_.column->shape.is_bytes();
    page.bounds = parquet::ValueBounds(rows_.column->order);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t index = indices[i];
      if (bytes) page.plain_bytes += static_cast<int64_t>(entries_.entry(index).size() - 4);
      if (seen_[index] == stamp) continue;
      seen_[index] = stamp;
      const std::string_view entry = entries_.entry(index);
      page.bounds.AddPlain(rows_.column->shape, reinterpret_cast<const uint8_t*>(entry.data()), 1);
    }
  }

  const ColumnRows& rows_;
  const PageLimits& limits_;
  size_t entry_bytes_min_ = 0;
  DictionaryUnion entries_;
  std::vector<std::vector<uint32_t>> tables_;  // by slot: a row group has one dictionary
  parquet::Buffer indices_;
  uint32_t count_ = 0, next_look_ = kTrialRows;
  bool given_up_ = false;
  std::vector<PageOfIndices> pages_;
  std::vector<uint32_t> seen_;  // by entry: the last page that had it
};

}  // namespace

Result<std::vector<EncodedPage>> BuildDictionary(const ColumnRows& rows, const PageLimits& limits,
                                                 uint32_t page_rows) {
  {
    DictionaryColumn column(rows, limits);
    if (TRY(column.Gather(limits.page_rows_max))) return column.Finish();
  }
  return BuildPlain(rows, limits, page_rows);
}

}  // namespace varve::merge
