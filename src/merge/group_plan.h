// The order of the rows of one output row group, decided by the key alone: every column is moved
// by it.
#pragma once

#include <cstdint>
#include <vector>

namespace varve::merge {

// Rows of an input's row group that are in this output row group.
struct Slot {
  uint32_t part = 0;  // an input's row group: an index into InputSet::parts
  uint32_t begin = 0, end = 0;
};

inline constexpr size_t kSlotsMax = 1 << 16;  // of a row group

// Every slot's rows come in their own order, so that a slot's number says which row is next.
// Interleaved inputs change slot with nearly every row: two bytes a row are less than their runs,
// and are followed without a branch.
struct GroupPlan {
  uint32_t rows = 0;
  std::vector<Slot> slots;
  std::vector<uint16_t> order;  // by output row: its slot
  bool whole_part = false;      // one slot, all of its part, which may be copied as it is
  bool begins_period = false;   // the output begins another file here, by time

  // Moves the rows of each slot that come before row `begin` on to those before row `end`.
  void Advance(uint32_t begin, uint32_t end, std::vector<uint32_t>& rows_before) const {
    for (uint32_t row = begin; row < end; ++row) ++rows_before[order[row]];
  }
};

}  // namespace varve::merge
