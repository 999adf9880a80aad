// The order of the rows of one output row group, decided by the key alone: every column is moved
// by it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace varve::merge {

// Rows of an input's row group that are in this output row group.
struct Slot {
  uint32_t part = 0;  // an input's row group: an index into InputSet::parts
  uint32_t begin = 0, end = 0;
};

// Rows of the output from `out` up to the next run's are rows of the slot's part from `from` on.
struct Run {
  uint32_t out = 0;
  uint32_t slot = 0;
  uint32_t from = 0;
};

struct GroupPlan {
  uint32_t rows = 0;
  std::vector<Slot> slots;
  std::vector<Run> runs;    // with one more at the end, of no rows
  bool whole_part = false;  // one slot, all of its part, which may be copied as it is

  size_t RunAt(uint32_t row) const {
    auto after = std::upper_bound(runs.begin(), runs.end() - 1, row,
                                  [](uint32_t at, const Run& run) { return at < run.out; });
    return static_cast<size_t>(after - runs.begin()) - 1;
  }
};

// Walks the plan: at each call the rows of every slot that come before an output row.
class SlotPositions {
 public:
  explicit SlotPositions(const GroupPlan& plan) : plan_(plan) {
    for (const Slot& slot : plan.slots) at_.push_back(slot.begin);
  }
  // Only forward.
  const std::vector<uint32_t>& MoveTo(uint32_t row) {
    while (plan_.runs[run_].out < row) {
      const Run& run = plan_.runs[run_];
      const uint32_t next = plan_.runs[run_ + 1].out;
      at_[run.slot] = run.from + std::min(next, row) - run.out;
      if (next > row) break;
      ++run_;
    }
    return at_;
  }

 private:
  const GroupPlan& plan_;
  std::vector<uint32_t> at_;
  size_t run_ = 0;
};

}  // namespace varve::merge
