// Merges the inputs' keys into the order of the output, one row group after the other.
//
// 1. Each file waits by its first key until the merge has come to it, so that only files whose
//    ranges overlap are merged at a time. The key is that of the statistics where they have it.
// 2. A loser tree over the keys of those files gives the next row; equal keys are decided by the
//    files' order, which makes the merge stable. Its nodes have the 64 bits that nearly always
//    decide, and are gone through without a branch: which of two comes first cannot be guessed.
// 3. When the same file has won a few times in a row, the end of its run is searched for in steps
//    that double, against the file that comes next.
// 4. Runs are gathered until a row group is full, or a period ends that has files of its own. A
// part of a file that turns out to be one run
//    may become a row group of its own, to be copied: until that is decided nothing is cut off.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "merge/group_plan.h"
#include "merge/key_cursor.h"
#include "merge/key_split.h"
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
           GroupLimits limits, KeySplit split = {});

  // Reads first keys, with the pool's threads; before the first Next.
  Status Start(TaskPool& pool);
  // nullopt: all rows are in a group.
  Result<std::optional<GroupPlan>> Next();

 private:
  struct Waiting {
    OwnKey first;  // or less
    std::unique_ptr<KeyCursor> cursor;
    bool started = false;
  };

  struct FirstKey;
  std::optional<OwnKey> KnownFirstKey(uint32_t file) const;
  struct Node {
    uint64_t head = 0;
    uint32_t leaf = 0;  // an active file
  };
  // Where TakeRows is in an active file.
  struct Source {
    const uint64_t* at = nullptr;  // heads, of the block
    const uint64_t* end = nullptr;
    uint32_t slot = 0;
    uint64_t row_bytes = 0;
  };

  Status StartCursor(Waiting& waiting);
  Status Activate();  // files that wait no longer
  bool ShouldActivate() const;
  void BuildTree();
  void Replay(Node node);  // the winner's next key
  bool Before(const Node& a, const Node& b) const;
  Status Step();
  void BeginPeriod();
  bool TakeRows();
  Status Proceed();
  uint32_t RunRows(const KeyCursor& cursor) const;
  uint32_t RowsBefore(const KeyCursor& cursor, const KeyView& limit, uint32_t limit_file) const;

  void AddRun(uint32_t part, uint32_t from, uint32_t rows);
  void Gather(uint32_t part, uint32_t from, uint32_t rows);
  void AppendRun(uint32_t part, uint32_t from, uint32_t rows);
  void CloseGroup();
  void Hand(GroupPlan group);
  void FinishCopy();

  const InputSet& inputs_;
  const std::vector<KeyColumn>& keys_;
  MemoryGauge& gauge_;
  const GroupLimits limits_;
  const KeySplit split_;
  bool period_begun_ = false;
  std::optional<OwnKey> period_end_;                // none: it has no end
  bool begins_period_ = false;                      // the next group does
  std::vector<Waiting> waiting_;                    // by first key, the next at the end
  std::vector<std::unique_ptr<KeyCursor>> active_;  // in the order of the files
  std::vector<Source> sources_;
  bool tails_ = false;        // heads alone do not decide
  std::vector<Node> losers_;  // by inner node: which lost there
  Node winner_;
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
