// Merges the inputs' keys into the order of the output, one row group after the other.
//
// 1. Each file's first key is read; files wait, by that key, until the merge has come to it, so
//    that only files whose ranges overlap are merged at a time.
// 2. A loser tree over the keys of those files gives the next row; equal keys are decided by the
//    files' order, which makes the merge stable.
// 3. When the same file has won a few times in a row, the end of its run is searched for in steps
//    that double, against the file that comes next.
// 4. Runs are gathered until a row group is full. A part of a file that turns out to be one run
//    may become a row group of its own, to be copied: until that is decided nothing is cut off.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "merge/group_plan.h"
#include "merge/key_cursor.h"
#include "merge/task_pool.h"

namespace varve::merge {

struct GroupLimits {
  uint32_t rows_max = 0;
  uint64_t bytes_max = 0;
  // Parts that may be copied, if nothing comes between their rows.
  std::vector<bool> may_copy;
  uint32_t copy_rows_min = 0;  // smaller row groups are not left in front of a copied one
};

class KeyOrder {
 public:
  KeyOrder(const InputSet& inputs, const std::vector<KeyColumn>& keys, MemoryGauge& gauge,
           GroupLimits limits);

  // Reads the files' first keys, with the pool's threads; before the first Next.
  Status Start(TaskPool& pool);
  // nullopt: all rows are in a group.
  Result<std::optional<GroupPlan>> Next();

 private:
  struct Waiting {
    OwnKey first;
    std::unique_ptr<KeyCursor> cursor;
    bool started = false;
  };

  struct FirstKey;
  Status Activate();  // files that wait no longer
  bool ShouldActivate() const;
  void BuildTree();
  size_t Replay(size_t leaf);
  bool Before(size_t a, size_t b) const;  // leaves
  Status Step();
  uint32_t RunRows(const KeyCursor& cursor) const;
  uint32_t RowsBefore(const KeyCursor& cursor, const KeyView& limit, uint32_t limit_file) const;

  void AddRun(uint32_t part, uint32_t from, uint32_t rows);
  void Gather(uint32_t part, uint32_t from, uint32_t rows);
  void AppendRun(uint32_t part, uint32_t from, uint32_t rows);
  void CloseGroup();
  void FinishCopy();

  const InputSet& inputs_;
  const std::vector<KeyColumn>& keys_;
  MemoryGauge& gauge_;
  const GroupLimits limits_;
  std::vector<Waiting> waiting_;  // by first key, the next at the end
  std::vector<std::unique_ptr<KeyCursor>> active_;
  std::vector<uint64_t> heads_;  // of the active files' keys
  bool tails_ = false;           // heads alone do not decide
  std::vector<uint32_t> losers_;
  size_t winner_ = 0;
  uint32_t wins_ = 0;  // of the same file in a row

  GroupPlan group_;  // being filled
  uint64_t group_bytes_ = 0;
  std::vector<uint32_t> slot_of_;  // by part
  // A part that has come from its first row on without a break.
  std::optional<uint32_t> copying_;
  uint32_t copied_rows_ = 0;
  std::vector<GroupPlan> ready_;  // the next at the end
};

}  // namespace varve::merge
