#include "merge/arrow_merge.h"

#include <arrow/api.h>

#include <algorithm>
#include <map>

#include "merge/arrow_writer.h"
#include "merge/key_order.h"
#include "merge/part_reader.h"
#include "merge/row_types.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace {

class ArrowMerge {
 public:
  ArrowMerge(const InputSet& inputs, ArrowOutput& output) : inputs_(inputs), output_(output) {}

  Status Move(const GroupPlan& plan) {
    std::vector<std::unique_ptr<arrow::ArrayBuilder>> builders;
    for (const auto& field : output_.schema()->fields()) {
      auto builder = arrow::MakeBuilder(field->type(), RowMemory());
      TRY(FromArrow(builder.status(), "column " + field->name(), ErrorKind::kInvalid));
      builders.push_back(std::move(*builder));
    }
    std::vector<uint32_t> at;
    for (const Slot& slot : plan.slots) at.push_back(slot.begin);
    for (uint32_t row = 0; row < plan.rows;) {
      const uint16_t slot = plan.order[row];
      uint32_t run = 1;
      while (row + run < plan.rows && plan.order[row + run] == slot) ++run;
      TRY(MoveRun(plan.slots[slot].part, at[slot], run, builders));
      at[slot] += run;
      row += run;
    }
    std::vector<std::shared_ptr<arrow::Array>> columns;
    for (const auto& builder : builders) {
      auto column = builder->Finish();
      TRY(FromArrow(column.status(), "end a column"));
      columns.push_back(std::move(*column));
    }
    for (const Slot& slot : plan.slots) {
      if (slot.end == inputs_.parts[slot.part].rows) readers_.erase(slot.part);
    }
    builders.clear();
    return output_.Write(std::move(columns), plan.begins_period);
  }

 private:
  Status MoveRun(uint32_t part, uint32_t from, uint32_t rows,
                 std::vector<std::unique_ptr<arrow::ArrayBuilder>>& builders) {
    auto& reader = readers_[part];
    if (reader == nullptr) {
      reader = std::make_unique<PartReader>(inputs_, part, *output_.schema());
      TRY(reader->Open());
    }
    while (rows > 0) {
      const auto batch = TRY(reader->Next(from, rows));
      const int64_t count = batch->num_rows();
      for (size_t i = 0; i < builders.size(); ++i) {
        const auto& column = batch->column_data(static_cast<int>(i));
        const arrow::ArraySpan span(*column);
        TRY(FromArrow(builders[i]->AppendArraySlice(span, 0, count), "move rows"));
      }
      from += static_cast<uint32_t>(count);
      rows -= static_cast<uint32_t>(count);
    }
    return {};
  }

  const InputSet& inputs_;
  ArrowOutput& output_;
  std::map<uint32_t, std::unique_ptr<PartReader>> readers_;  // by part
};

}  // namespace

Result<std::vector<MergedFile>> MergeByArrow(const InputSet& inputs,
                                             const std::vector<KeyColumn>& keys,
                                             const std::string& output, TaskPool& pool,
                                             const MergeOptions& options) {
  ArrowOutput files(inputs, keys, output, options);
  TRY(files.Open());
  MemoryGauge gauge{0};
  GroupLimits limits;
  limits.rows_max = options.group_rows_max;
  if (options.file_rows_max > 0) {
    limits.rows_max =
        static_cast<uint32_t>(std::min<uint64_t>(limits.rows_max, options.file_rows_max));
  }
  // A row group is in memory as columns that grow by doubling, beside its readers' pages.
  limits.bytes_max = std::min(options.group_bytes_max, options.memory_bytes_max / 12);
  limits.may_copy.assign(inputs.parts.size(), false);
  KeyOrder order(inputs, keys, gauge, limits, TRY(KeySplit::Make(inputs, keys, options.split_us)));
  TRY(order.Start(pool));
  ArrowMerge merge(inputs, files);
  uint64_t rows = 0;
  while (true) {
    const auto plan = TRY(order.Next());
    if (!plan) break;
    Status moved;
    TRY(parquet::TryParquet("merge", [&] { moved = merge.Move(*plan); }));
    if (!moved.ok()) return std::move(moved).error();
    rows += plan->rows;
    if (options.progress) options.progress({rows, inputs.rows, 0});
    if (options.cancelled && options.cancelled()) {
      return MakeError(ErrorKind::kCancelled, "the merge was cancelled");
    }
  }
  TRY(files.Finish());
  return files.files();
}

}  // namespace varve::merge
