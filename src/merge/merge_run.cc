#include "merge/merge_run.h"

#include <arrow/util/compression.h>

#include <algorithm>

#include "core/check.h"
#include "merge/passes.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace {

// A column of a row group that is smaller is one task.
constexpr uint64_t kOneTaskBytes = 2 << 20;
constexpr int64_t kReadAheadBytesMin = 64 << 10;
constexpr size_t kQueuedTasksMax = 256;
constexpr size_t kTasksAfterPages = 3;
constexpr uint32_t kCopyRowsMin = 16'384;
constexpr uint32_t kRunRowsMin = 256;  // that a page may be copied from
constexpr int64_t kTrimShare = 8;      // of the budget, for what is kept of large pages
constexpr uint64_t kGroupBytesLeast = 16 << 20;
// Output that is queued for each thread: enough that none waits while a plan is made.
constexpr int64_t kAheadBytes = 8 << 20;

bool HasRareEncoding(const Part& part) {
  return std::any_of(part.chunks.begin(), part.chunks.end(),
                     [](const ChunkPlace& chunk) { return chunk.rare_encoding; });
}

GroupLimits LimitsOf(const InputSet& inputs, const MergeOptions& options) {
  GroupLimits limits;
  limits.rows_max = options.group_rows_max;
  if (options.file_rows_max > 0) {
    limits.rows_max =
        static_cast<uint32_t>(std::min<uint64_t>(limits.rows_max, options.file_rows_max));
  }
  limits.bytes_max =
      std::min(options.group_bytes_max, std::max(kGroupBytesLeast, options.memory_bytes_max / 4));
  // A file ends with a row group; what is compressed is a part of this.
  if (options.file_bytes_max > 0) {
    limits.bytes_max = std::min(limits.bytes_max, options.file_bytes_max);
  }
  limits.copy_rows_min = std::min(kCopyRowsMin, limits.rows_max / 4 + 1);
  for (const Part& part : inputs.parts) {
    limits.may_copy.push_back(options.copy && (options.rare_encodings || !HasRareEncoding(part)) &&
                              MayCopy(inputs, part, static_cast<int16_t>(options.codec.codec),
                                      limits.copy_rows_min, 8 * limits.rows_max) &&
                              (options.file_rows_max == 0 || part.rows <= options.file_rows_max));
  }
  return limits;
}

}  // namespace

struct MergeRun::Planned : TaskPool::Ticket {
  Status status;
  std::optional<GroupPlan> plan;
};

struct MergeRun::Built : TaskPool::Ticket {
  Status status;
  std::vector<parquet::EncodedPage> pages;
  std::optional<CopiedChunk> copied;
  uint32_t part = 0, column = 0;  // of copied
  std::shared_ptr<::parquet::FileMetaData> footer;

  template <typename T>
  void Set(Result<T> result, T& to) {
    if (result.ok()) {
      to = std::move(*result);
    } else {
      status = std::move(result).error();
    }
  }
};

MergeRun::MergeRun(const InputSet& inputs, const std::vector<KeyColumn>& keys, KeySplit split,
                   OutputFiles& output, TaskPool& pool, const MergeOptions& options)
    : inputs_(inputs),
      output_(output),
      pool_(pool),
      options_(options),
      limits_{options.codec, options.page_bytes, options.page_rows_max,
              options.dictionary_bytes_max},
      budget_(PageBudget(options)),
      ahead_bytes_(std::min(budget_ / 3, static_cast<int64_t>(pool.threads()) * kAheadBytes)),
      order_(inputs, keys, input_bytes_, LimitsOf(inputs, options), split) {}

MergeRun::~MergeRun() { pool_.Discard(); }  // tasks refer to this

std::shared_ptr<MergeRun::Planned> MergeRun::PlanNext() {
  auto planned = std::make_shared<Planned>();
  pool_.Submit(planned, [this, to = planned.get()] {
    auto next = order_.Next();
    if (next.ok()) {
      to->plan = std::move(*next);
    } else {
      to->status = std::move(next).error();
    }
  });
  return planned;
}

Status MergeRun::Run() {
  TRY(order_.Start(pool_));
  auto planned = PlanNext();
  while (true) {
    pool_.Wait(*planned);
    if (!planned->status.ok()) return planned->status.error();
    if (!planned->plan) break;
    const auto plan = std::make_shared<const GroupPlan>(std::move(*planned->plan));
    planned = PlanNext();
    TRY(plan->whole_part ? QueueCopy(*plan) : QueueGroup(plan));
  }
  return WriteAll();
}

ChunkCursor* MergeRun::CursorOf(uint32_t part, uint32_t column) {
  if (inputs_.layout(inputs_.parts[part]).chunk_of[column] < 0) return nullptr;
  auto& cursor = cursors_[{part, column}];
  if (cursor == nullptr) {
    cursor = std::make_unique<ChunkCursor>(inputs_, input_bytes_, part, column);
  }
  return cursor.get();
}

// As many rows as make a page, by what the inputs say of the column's size.
uint32_t MergeRun::PageRows(const GroupPlan& plan, uint32_t column, uint64_t* bytes) const {
  double sum = 0;
  for (const Slot& slot : plan.slots) {
    const Part& part = inputs_.parts[slot.part];
    const int chunk = inputs_.layout(part).chunk_of[column];
    if (chunk < 0) continue;
    const ChunkPlace& place = part.chunks[static_cast<size_t>(chunk)];
    double row = static_cast<double>(place.uncompressed) / part.rows;
    if (!inputs_.columns[column].shape.is_bytes()) {
      row = std::max<double>(row, inputs_.columns[column].shape.width);
    }
    sum += row * (slot.end - slot.begin);
  }
  *bytes = static_cast<uint64_t>(sum);
  const double per_row = std::max(sum / plan.rows, 0.01);
  return static_cast<uint32_t>(
      std::clamp<double>(limits_.page_bytes / per_row, 1, limits_.page_rows_max));
}

Result<ColumnRows> MergeRun::RowsOf(const GroupPlan& plan, uint32_t column,
                                    const std::vector<uint32_t>& begin,
                                    const std::vector<uint32_t>& end, int64_t trim_bytes) {
  ColumnRows rows;
  rows.plan = &plan;
  rows.column = &inputs_.columns[column];
  rows.slot_begin = begin;
  rows.slot_end = end;
  rows.pages.resize(plan.slots.size());
  for (size_t slot = 0; slot < plan.slots.size(); ++slot) {
    if (begin[slot] == end[slot]) continue;
    ChunkCursor* cursor = CursorOf(plan.slots[slot].part, column);
    if (cursor == nullptr) continue;
    rows.pages[slot] = TRY(cursor->Pages(begin[slot], end[slot], trim_bytes));
    for (const PageRef& ref : rows.pages[slot]) {
      ref.page->Reserve();
      if (ref.dictionary != nullptr) ref.dictionary->Reserve();
    }
  }
  return rows;
}

// So that tasks which need the same pages do not wait for each other.
void MergeRun::ReadAhead(const ColumnRows& rows) {
  auto read_ahead = [&](const std::shared_ptr<PageHandle>& page) {
    if (page == nullptr || page->memory_bytes() < kReadAheadBytesMin) return;
    if (!page->ClaimReadAhead()) return;
    pool_.Submit(std::make_shared<TaskPool::Ticket>(), [page] { page->ReadAhead(); });
  };
  for (const auto& pages : rows.pages) {
    for (const PageRef& ref : pages) {
      read_ahead(ref.dictionary);
      read_ahead(ref.page);
    }
  }
}

Status MergeRun::QueueGroup(const std::shared_ptr<const GroupPlan>& plan) {
  // What is not compressed costs no more to write anew.
  const bool copies = options_.copy && limits_.codec.codec != arrow::Compression::UNCOMPRESSED;
  if (copies) runs_ = LongRuns(*plan, kRunRowsMin);
  const auto columns = static_cast<uint32_t>(inputs_.columns.size());
  for (uint32_t column = 0; column < columns; ++column) {
    Output marks;
    marks.group_rows = column == 0 ? plan->rows : 0;
    marks.begins_period = plan->begins_period;
    marks.begins_column = marks.ends_column = true;
    marks.ends_group = column + 1 == columns;
    TRY(QueueColumn(plan, column, marks));
    for (const Slot& slot : plan->slots) ForgetSlot(slot, column);
  }
  return {};
}

// A part that is done with, or its pages that are: tasks hold what they need.
void MergeRun::ForgetSlot(const Slot& slot, uint32_t column) {
  const auto found = cursors_.find({slot.part, column});
  if (found == cursors_.end()) return;
  if (slot.end == inputs_.parts[slot.part].rows) {
    cursors_.erase(found);
  } else {
    found->second->Forget(slot.end);
  }
}

// Pages that the next row group needs too are read again then. Not those of the column that is
// being queued: its dictionaries would be read again for each of its pages.
void MergeRun::LetGo() {
  for (auto& [at, cursor] : cursors_) {
    if (at.second != queued_column_) cursor->Unload();
  }
}

// Threads add values of several pages to one filter, which is held until its row group is.
std::shared_ptr<parquet::ValueFilter> MergeRun::FilterOf(const GroupPlan& plan, uint32_t column) {
  if (!inputs_.columns[column].filtered) return nullptr;
  auto filter = std::make_shared<parquet::ValueFilter>(inputs_.columns[column].shape, plan.rows);
  output_bytes_ += filter->memory_bytes();
  return filter;
}

Status MergeRun::QueueColumn(const std::shared_ptr<const GroupPlan>& plan, uint32_t column,
                             Output marks) {
  queued_column_ = column;
  uint64_t bytes = 0;
  const uint32_t page_rows = PageRows(*plan, column, &bytes);
  std::vector<uint32_t> begin, end;
  for (const Slot& slot : plan->slots) {
    begin.push_back(slot.begin);
    end.push_back(slot.end);
  }
  marks.filter = FilterOf(*plan, column);
  const bool large = bytes > kOneTaskBytes;
  const bool tight = static_cast<int64_t>(bytes) * 4 > budget_;
  const auto slots = static_cast<int64_t>(plan->slots.size());
  const int64_t trim_bytes = tight ? budget_ / kTrimShare / slots + 1 : 0;
  if (large) return QueuePages(plan, column, page_rows, trim_bytes, marks);
  auto rows = std::make_shared<ColumnRows>(TRY(RowsOf(*plan, column, begin, end, trim_bytes)));
  rows->end = plan->rows;
  bool indices = limits_.dictionary_bytes_max > 0;
  for (const auto& pages : rows->pages) {
    for (const PageRef& ref : pages) indices = indices && ref.dictionary != nullptr;
  }
  marks.memory_bytes = static_cast<int64_t>(bytes);
  auto* filter = marks.filter.get();
  return Queue(std::move(marks), [this, plan, rows, page_rows, indices, filter](Built& built) {
    built.Set(indices ? BuildDictionary(*rows, limits_, page_rows, filter)
                      : BuildPlain(*rows, limits_, page_rows, filter),
              built.pages);
  });
}

Result<std::deque<MergeRun::WholePage>> MergeRun::WholePages(const GroupPlan& plan, uint32_t column,
                                                             uint32_t page_rows) {
  std::deque<WholePage> pages;
  for (const SlotRun& run : runs_) {
    ChunkCursor* cursor = CursorOf(plan.slots[run.slot].part, column);
    if (cursor == nullptr) continue;
    for (const PageRef& ref : TRY(cursor->Within(run.from, run.from + run.end - run.begin))) {
      if (!MayCopyPage(ref, inputs_.columns[column], limits_, page_rows)) continue;
      const uint32_t begin = run.begin + ref.begin - run.from;
      pages.push_back({begin, begin + ref.end - ref.begin, run.slot});
    }
  }
  return pages;
}

Status MergeRun::QueuePages(const std::shared_ptr<const GroupPlan>& plan, uint32_t column,
                            uint32_t page_rows, int64_t trim_bytes, Output marks) {
  std::vector<uint32_t> begin;
  for (const Slot& slot : plan->slots) begin.push_back(slot.begin);
  // A task is queued some tasks after its pages are, or it would wait for the thread that reads
  // them.
  std::deque<std::pair<Output, std::shared_ptr<ColumnRows>>> next;
  auto queue_next = [&]() -> Status {
    Output output = std::move(next.front().first);
    const auto rows = std::move(next.front().second);
    next.pop_front();
    auto* filter = output.filter.get();
    return Queue(std::move(output), [this, plan, rows, page_rows, filter](Built& built) {
      built.Set(rows->whole_page != nullptr ? CopyPage(*rows, filter)
                                            : BuildPlain(*rows, limits_, page_rows, filter),
                built.pages);
    });
  };
  auto whole = TRY(WholePages(*plan, column, page_rows));
  for (uint32_t row = 0, stop = 0; row < plan->rows; row = stop) {
    const bool copied = !whole.empty() && whole.front().begin == row;
    stop = std::min(plan->rows, row + page_rows);
    if (!whole.empty()) stop = copied ? whole.front().end : std::min(stop, whole.front().begin);
    std::vector<uint32_t> end = begin;
    plan->Advance(row, stop, end);
    auto rows = std::make_shared<ColumnRows>(TRY(RowsOf(*plan, column, begin, end, trim_bytes)));
    if (copied) {
      rows->whole_page = rows->pages[whole.front().slot].front().page.get();
      rows->whole_page->KeepBody();
      whole.pop_front();
    }
    ReadAhead(*rows);
    for (size_t slot = 0; slot < end.size(); ++slot) {
      if (begin[slot] < end[slot] && end[slot] == plan->slots[slot].end) {
        ForgetSlot(plan->slots[slot], column);
      }
    }
    rows->begin = row;
    rows->end = stop;
    Output output;
    output.group_rows = row == 0 ? marks.group_rows : 0;
    output.begins_period = marks.begins_period;
    output.begins_column = row == 0;
    output.ends_column = stop == plan->rows;
    output.ends_group = stop == plan->rows && marks.ends_group;
    output.memory_bytes = 2 * static_cast<int64_t>(limits_.page_bytes);
    output.filter = marks.filter;
    next.emplace_back(std::move(output), std::move(rows));
    if (next.size() > kTasksAfterPages) TRY(queue_next());
    begin = std::move(end);
  }
  while (!next.empty()) TRY(queue_next());
  return {};
}

Status MergeRun::QueueCopy(const GroupPlan& plan) {
  const uint32_t number = plan.slots[0].part;
  const Part& part = inputs_.parts[number];
  const auto footer = TRY(inputs_.files->ReadFooter(part.file));
  const auto columns = static_cast<uint32_t>(inputs_.columns.size());
  for (uint32_t column = 0; column < columns; ++column) {
    Output output;
    output.group_rows = column == 0 ? plan.rows : 0;
    output.begins_period = plan.begins_period;
    output.begins_column = output.ends_column = true;
    output.ends_group = column + 1 == columns;
    const ChunkPlace& place = part.chunks[column];
    output.memory_bytes = static_cast<int64_t>(place.bytes + place.filter_bytes);
    TRY(Queue(std::move(output), [this, number, column, footer](Built& built) {
      auto chunk = ReadChunk(inputs_, inputs_.parts[number], column);
      if (!chunk.ok()) {
        built.status = std::move(chunk).error();
        return;
      }
      built.copied = std::move(*chunk);
      built.part = number;
      built.column = column;
      built.footer = footer;
    }));
  }
  rows_copied_ += plan.rows;
  return {};
}

Status MergeRun::Queue(Output output, std::function<void(Built&)> task) {
  auto built = std::make_shared<Built>();
  output.built = built;
  output_bytes_ += output.memory_bytes;
  outputs_.push_back(std::move(output));
  pool_.Submit(built, [to = built.get(), task = std::move(task)] {
    const auto done = parquet::TryParquet("merge", [&] { task(*to); });
    if (!done.ok() && to->status.ok()) to->status = done;
  });
  while (!outputs_.empty() && (outputs_.size() > kQueuedTasksMax || output_bytes_ > ahead_bytes_ ||
                               input_bytes_ + output_bytes_ > budget_)) {
    // Half of it at once: this thread is not woken for each task.
    const size_t half = (outputs_.size() + 1) / 2;
    pool_.Wait(*outputs_[half - 1].built);
    for (size_t i = 0; i < half; ++i) TRY(WriteOldest());
  }
  // Nothing is queued any more: it is pages kept for the next row group that take the room.
  if (input_bytes_ > budget_) LetGo();
  return {};
}

Status MergeRun::WriteOldest() {
  const Output output = std::move(outputs_.front());
  outputs_.pop_front();
  pool_.Wait(*output.built);
  output_bytes_ -= output.memory_bytes;
  if (!output.built->status.ok()) return output.built->status.error();
  return Write(output);
}

Status MergeRun::EndColumn(const Output& output) {
  if (output.filter != nullptr) {
    filter_bytes_ += output.filter->memory_bytes();
    writer_->AddFilter(TRY(output.filter->Encode()));
  }
  return writer_->EndColumn();
}

Status MergeRun::Write(const Output& output) {
  const Built& built = *output.built;
  if (output.group_rows > 0) {
    writer_ = TRY(output_.ForGroup(output.group_rows, output.begins_period));
    TRY(writer_->BeginGroup(output.group_rows));
    rows_written_ += output.group_rows;
  }
  if (output.begins_column) TRY(writer_->BeginColumn());
  for (const parquet::EncodedPage& page : built.pages) TRY(writer_->AddPage(page));
  if (built.copied) {
    TRY(WriteChunk(inputs_, inputs_.parts[built.part], built.column, *built.footer, *built.copied,
                   *writer_));
  } else if (output.ends_column) {
    TRY(EndColumn(output));
  }
  if (!output.ends_group) return {};
  TRY(writer_->EndGroup());
  output_bytes_ -= filter_bytes_;
  filter_bytes_ = 0;
  if (options_.progress) {
    options_.progress({rows_written_, inputs_.rows, output_.bytes_written()});
  }
  if (options_.cancelled && options_.cancelled()) {
    return MakeError(ErrorKind::kCancelled, "the merge was cancelled");
  }
  return {};
}

Status MergeRun::WriteAll() {
  while (!outputs_.empty()) TRY(WriteOldest());
  return {};
}

}  // namespace varve::merge
