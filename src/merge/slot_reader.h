// Walks the runs of a column: for each piece that lies in one page, the page and the rows.
#pragma once

#include <algorithm>
#include <vector>

#include "merge/column_build.h"

namespace varve::merge {

class SlotReader {
 public:
  explicit SlotReader(const ColumnRows& rows) : rows_(rows), at_(rows.pages.size()) {}

  struct Place {
    const parquet::IndexedPage* page = nullptr;  // nullptr: no such column, so the rows are null
    const parquet::IndexedPage* dictionary = nullptr;
    uint32_t slot = 0;
  };

  // piece(place, first row of the page, rows) -> Status, for rows [begin, end) of the output.
  template <typename F>
  Status Walk(uint32_t begin, uint32_t end, F&& piece) {
    const auto& runs = rows_.plan->runs;
    for (size_t i = rows_.plan->RunAt(begin); begin < end; ++i) {
      const Run& run = runs[i];
      const uint32_t stop = std::min(end, runs[i + 1].out);
      uint32_t from = run.from + (begin - run.out);
      uint32_t left = stop - begin;
      begin = stop;
      At& at = at_[run.slot];
      while (left > 0) {
        if (from >= at.end) [[unlikely]]
          TRY(Advance(run.slot, from));
        const uint32_t take = std::min(left, at.end - from);
        TRY(piece(at.place, from - at.begin, take));
        from += take;
        left -= take;
      }
    }
    return {};
  }

 private:
  struct At {
    uint32_t begin = 0, end = 0;  // rows of the part
    size_t next = 0;              // page
    Place place;
  };

  Status Advance(uint32_t slot, uint32_t row) {
    At& at = at_[slot];
    at.place = {nullptr, nullptr, slot};
    const std::vector<PageRef>& pages = rows_.pages[slot];
    if (pages.empty()) {
      at.end = ~uint32_t{0};
      return {};
    }
    while (pages[at.next].end <= row) ++at.next;
    const PageRef& ref = pages[at.next];
    at.begin = ref.begin;
    at.end = ref.end;
    at.place.page = TRY(ref.page->Get());
    if (ref.dictionary != nullptr) at.place.dictionary = TRY(ref.dictionary->Get());
    return {};
  }

  const ColumnRows& rows_;
  std::vector<At> at_;
};

}  // namespace varve::merge
