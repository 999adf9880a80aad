// What the fuzzer of the merge's inputs runs on each; also replayed, from a seed, by the tests.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "merge/column_build.h"
#include "merge/input_set.h"
#include "merge/key_cursor.h"

namespace varve::merge {

// A file that has no name on a disk.
class FileInMemory {
 public:
  explicit FileInMemory(std::string_view bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    CHECK(fd_ >= 0);
    CHECK(write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  ~FileInMemory() { close(fd_); }
  FileInMemory(const FileInMemory&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// All rows of one part's column, as the only slot of a plan.
inline Status MoveColumn(const InputSet& inputs, uint32_t number, uint32_t column,
                         const GroupPlan& plan) {
  MemoryGauge gauge{0};
  ColumnRows rows;
  rows.plan = &plan;
  rows.column = &inputs.columns[column];
  rows.end = plan.rows;
  rows.slot_begin = {0};
  rows.slot_end = {plan.rows};
  rows.pages.resize(1);
  bool indices = true;
  if (inputs.layout(inputs.parts[number]).chunk_of[column] >= 0) {
    ChunkCursor cursor(inputs, gauge, number, column);
    rows.pages[0] = TRY(cursor.Pages(0, plan.rows, /*trim_bytes=*/0));
    for (const PageRef& ref : rows.pages[0]) indices = indices && ref.dictionary != nullptr;
  }
  PageLimits limits;
  limits.page_bytes = 1 << 16;
  limits.page_rows_max = 512;
  limits.dictionary_bytes_max = 1 << 16;
  TRY(indices ? BuildDictionary(rows, limits, 300, nullptr)
              : BuildPlain(rows, limits, 300, nullptr));
  return {};
}

// A Parquet file, whole or not: what its footer promises is found in its pages, or is an error.
inline void FuzzMergeInput(std::string_view input) {
  static const auto made = TaskPool::Make(1);
  TaskPool& pool = **made;
  constexpr uint32_t kRowsMax = 1 << 12;  // of a part: more of them only take longer
  const FileInMemory file(input);
  auto opened = OpenInputs({file.path()}, "k", 4, pool);
  if (!opened.ok() || opened->nested) return;
  InputSet inputs = std::move(*opened);
  inputs.page_bytes_max = 1 << 20;
  for (uint32_t part = 0; part < inputs.parts.size(); ++part) {
    GroupPlan plan;
    plan.rows = inputs.parts[part].rows;
    if (plan.rows > kRowsMax) continue;
    plan.slots = {{part, 0, plan.rows}};
    plan.order.assign(plan.rows, 0);
    for (uint32_t column = 0; column < inputs.columns.size(); ++column) {
      const auto moved = MoveColumn(inputs, part, column, plan);
      if (!moved.ok()) CHECK(!moved.error().message.empty());
    }
  }
}

}  // namespace varve::merge
