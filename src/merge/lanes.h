// The rows of one column, brought into the plan's order.
//
// Each slot's rows become a lane: values of one width, one after the other, and a level a row where
// any row of the column is null. What a page is made of (values, indices of a dictionary) is
// looked at once a page, not once a row. Then the plan's order is followed: the next row is the
// next of its slot's lane.
#pragma once

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "merge/group_plan.h"
#include "merge/input_set.h"
#include "merge/page_source.h"
#include "parquet/buffer.h"

namespace varve::merge {

// Rows [begin, end) of the output row group. By slot of the plan: which rows of its part those are,
// and the pages that have them, in order; none: the file does not have the column, and its rows are
// null.
struct ColumnRows {
  const GroupPlan* plan = nullptr;
  const OutputColumn* column = nullptr;
  uint32_t begin = 0, end = 0;
  std::vector<uint32_t> slot_begin, slot_end;
  std::vector<std::vector<PageRef>> pages;
  PageHandle* whole_page = nullptr;  // its rows are these, and its bytes are what they become
};

// Rows of a slot that lie in one page.
struct Piece {
  uint32_t slot = 0;
  const parquet::IndexedPage* page = nullptr;
  const parquet::IndexedPage* dictionary = nullptr;  // if the page has indices
  uint32_t row = 0, rows = 0;                        // of the page
  uint32_t value = 0, values = 0;                    // of the page
};

class Lanes {
 public:
  // Reads the pages. rows outlives this.
  static Result<Lanes> Open(const ColumnRows& rows);

  const std::vector<Piece>& pieces() const { return pieces_; }
  uint32_t values() const { return values_; }

  // Lanes of values of this width. fill(piece, to) writes those of a piece, and says whether to go
  // on; false: it did not.
  template <typename F>
  bool Fill(size_t width, F&& fill) {
    room_.Resize(values_ * width);
    uint8_t* to = room_.data();
    at_.assign(rows_.pages.size(), to);  // a lane of no values is looked at too
    const Piece* last = nullptr;
    for (const Piece& piece : pieces_) {
      if (last == nullptr || piece.slot != last->slot) at_[piece.slot] = to;
      if (!fill(piece, to)) return false;
      to += piece.values * width;
      last = &piece;
    }
    return true;
  }
  // The values themselves; of byte arrays, where each begins, with its length.
  void FillValues();

  // The next rows' levels; nullptr: no row is null. Valid until the next call.
  const uint8_t* NextLevels(uint32_t rows);
  // The values of these rows, of what was filled in; returns their end. Bytes behind it, as far as
  // Buffer::kSlack, may be written too.
  uint8_t* NextValues(const uint8_t* levels, uint32_t rows, size_t width, uint8_t* to);
  struct Taken {
    uint32_t rows = 0, values = 0;
  };
  // The byte arrays of these rows, until they are more than bytes_max; and into bounds.
  Taken NextByteArrays(const uint8_t* levels, uint32_t rows, size_t bytes_max, parquet::Buffer& to,
                       parquet::ByteArrayBounds& bounds);

 private:
  explicit Lanes(const ColumnRows& rows);
  Status FindPieces();
  void FillLevels();
  void FillFixed(size_t width);
  void FillPointers();
  template <size_t kWidth>
  uint8_t* NextFixed(const uint8_t* levels, const uint16_t* order, uint32_t rows, uint8_t* to);

  const ColumnRows& rows_;
  const uint8_t max_level_;
  const uint16_t *levels_order_, *values_order_;  // of the next row
  uint32_t values_ = 0;
  bool has_nulls_ = false;
  std::vector<Piece> pieces_;                   // by slot
  parquet::Buffer room_, level_room_, levels_;  // of lanes; of NextLevels
  std::vector<const uint8_t*> at_, level_at_;   // by slot: its next value and level
};

}  // namespace varve::merge
