// What a compaction has found out and done so far: the data of its workflow.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compact/compaction.h"

namespace varve::compact {

enum class SourceFate : uint8_t { kTaken, kQuarantined, kChanged };

struct CompactionSource {
  SourceFate state = SourceFate::kTaken;
  std::string why;           // that it is not taken
  uint64_t rows = 0;         // by its footer
  std::string content = {};  // of its bytes, where it stays and its ETag does not say
};

// A file that the merge made: in the work directory first, on the store once it is sealed.
struct CompactionOutput {
  std::string file;    // its name in the work directory
  std::string key;     // its place on the store
  std::string digest;  // of its bytes, as the merge says
  std::string etag;    // empty: not sealed yet
  uint64_t bytes = 0, rows = 0;
};

struct CompactionState {
  std::string table;                      // empty: plain files
  std::vector<CompactionSource> sources;  // as in the request
  std::vector<merge::SortKey> sort_by;    // chosen by the plan
  PartitionBy partition_by = PartitionBy::kNone;
  std::string partition_name;  // of the partition field, "ts_hour"
  // Columns that some source has narrower than others or the table do: every output has one type.
  std::vector<merge::WideColumn> wide;
  // All that the table will have, with Iceberg's ids, which the merged files have as well; empty:
  // the table has no Iceberg, and its files no ids.
  table::Schema columns;
  uint32_t plans = 0;  // that were made; more than one: another commit came first
  std::vector<std::vector<uint32_t>> batches;  // of sources
  uint32_t batches_done = 0;
  std::vector<CompactionOutput> outputs;

  // The commit, chosen before its first attempt.
  int64_t snapshot_id = 0;
  std::string commit_id;
  std::vector<uint32_t> removed;  // sources that the table had, and loses by this commit
  // Sources that came into the table while it was committed: they leave by a commit of their own.
  int64_t late_snapshot_id = 0;
  std::string late_commit_id;
  std::vector<uint32_t> late;

  uint64_t rows_taken() const;
  uint64_t rows_made() const;
  size_t CountOf(SourceFate state) const;
};

std::string ToJson(const CompactionState& state);
Result<CompactionState> ParseCompactionState(std::string_view json);  // kCorrupt

}  // namespace varve::compact
