// One merge of sorted inputs: plans row groups, gives columns to the threads, writes what they
// made.
//
// 1. KeyOrder plans a row group while the threads work on the one before.
// 2. For each column the pages of every slot are found by their headers. A column that is small or
//    has dictionaries is one task; a large one is a task for each output page, whose input pages
//    other tasks read ahead.
// 3. Tasks are queued in the output's order and finish in any. The caller's thread writes their
//    pages in order; what is read, held and made is counted, and no more is queued beyond the
//    limit until something has been written.
// The output depends on the inputs and the options, not on the threads: every task's rows are cut
// by the plan alone.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "merge/column_build.h"
#include "merge/copy_group.h"
#include "merge/key_order.h"
#include "merge/output_files.h"
#include "merge/page_copy.h"
#include "merge/task_pool.h"

namespace varve::merge {

class MergeRun {
 public:
  MergeRun(const InputSet& inputs, const std::vector<KeyColumn>& keys, KeySplit split,
           OutputFiles& output, TaskPool& pool, const MergeOptions& options);
  ~MergeRun();

  Status Run();
  uint64_t rows_copied() const { return rows_copied_; }

 private:
  struct Planned;
  struct Built;

  // What is to be written, in order.
  struct Output {
    std::shared_ptr<Built> built;
    uint32_t group_rows = 0;     // > 0: a row group begins here
    bool begins_period = false;  // and it is the first of another file
    bool begins_column = false, ends_column = false, ends_group = false;
    int64_t memory_bytes = 0;
    std::shared_ptr<parquet::ValueFilter> filter;  // of the column, for those whose values it has
  };

  std::shared_ptr<Planned> PlanNext();
  Status QueueGroup(const std::shared_ptr<const GroupPlan>& plan);
  Status QueueColumn(const std::shared_ptr<const GroupPlan>& plan, uint32_t column, Output marks);
  Status QueuePages(const std::shared_ptr<const GroupPlan>& plan, uint32_t column,
                    uint32_t page_rows, int64_t trim_bytes, Output marks);
  // Output rows that one page of an input has, which is copied.
  struct WholePage {
    uint32_t begin = 0, end = 0;
    uint32_t slot = 0;
  };
  Result<std::deque<WholePage>> WholePages(const GroupPlan& plan, uint32_t column,
                                           uint32_t page_rows);
  Status QueueCopy(const GroupPlan& plan);
  Result<ColumnRows> RowsOf(const GroupPlan& plan, uint32_t column,
                            const std::vector<uint32_t>& begin, const std::vector<uint32_t>& end,
                            int64_t trim_bytes);
  uint32_t PageRows(const GroupPlan& plan, uint32_t column, uint64_t* bytes) const;
  std::shared_ptr<parquet::ValueFilter> FilterOf(const GroupPlan& plan, uint32_t column);
  ChunkCursor* CursorOf(uint32_t part, uint32_t column);
  void ReadAhead(const ColumnRows& rows);
  void ForgetSlot(const Slot& slot, uint32_t column);
  void LetGo();

  Status Queue(Output output, std::function<void(Built&)> task);
  Status WriteOldest();
  Status EndColumn(const Output& output);
  Status Write(const Output& output);
  Status WriteAll();

  const InputSet& inputs_;
  OutputFiles& output_;
  TaskPool& pool_;
  const MergeOptions& options_;
  const PageLimits limits_;
  const int64_t budget_;
  const int64_t ahead_bytes_;  // of output that is queued

  MemoryGauge input_bytes_{0};
  int64_t output_bytes_ = 0;
  int64_t filter_bytes_ = 0;  // of those: of filters that the writer holds until the group ends
  KeyOrder order_;
  std::vector<SlotRun> runs_;  // of the plan that is being queued, where pages may be copied
  std::map<std::pair<uint32_t, uint32_t>, std::unique_ptr<ChunkCursor>> cursors_;
  uint32_t queued_column_ = 0;
  std::deque<Output> outputs_;
  parquet::PageFileWriter* writer_ = nullptr;
  uint64_t rows_written_ = 0, rows_copied_ = 0;
};

}  // namespace varve::merge
