// What a compaction of a window is asked to do, and how it ends: the words that the windows, which
// ask for it, and the workflow, which does it, have in common.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/lake_tables.h"
#include "core/namespace_id.h"
#include "core/result.h"
#include "merge/merge.h"
#include "parquet/page_encoder.h"
#include "state/database.h"

namespace varve::compact {

// A writer's file, as it was announced: these bytes and no others.
struct SourceFile {
  std::string key, etag, writer;
  uint64_t size = 0;
  int64_t time_ms = 0;    // of its name
  uint64_t sequence = 0;  // of its name
};

struct TargetFormat {
  bool parquet = false;  // plain files, by Hive paths, without a table
  catalog::Formats tables;
};

enum class PartitionBy : uint8_t { kNone, kHour, kDay };  // of the first sort column, UTC

// How a namespace's data is compacted.
struct CompactionSettings {
  TargetFormat target;
  std::vector<merge::SortKey> sort_by;  // empty: the first of ts, timestamp, createdAt, created_at
  PartitionBy partition_by = PartitionBy::kHour;
  parquet::CodecChoice codec;
  uint64_t file_bytes_max = 100ull << 20;
  uint64_t file_rows_max = 1'000'000;
  uint64_t batch_bytes_max = 4ull << 30;  // of sources in one merge
  uint64_t grace_ms = 600'000;  // between the commit and the sources' end: longer than any query
  bool delete_sources = true;
};

// The parameters of a workflow of kind "compaction".
struct CompactionRequest {
  NamespaceId tenant;
  std::string ns;  // of the data: data/{ns}/…
  int64_t window_start_ms = 0, window_end_ms = 0;
  std::vector<SourceFile> sources;  // by time, writer, sequence
  CompactionSettings settings;
};

enum class SourceEnd : uint8_t {
  kCompacted,    // its rows are in the target
  kQuarantined,  // it cannot be read; it stays where it is
  kChanged,      // other bytes now, or gone: nothing of it was taken
  kGivenBack,    // the workflow was cancelled: it waits for the next one
};

struct SourceOutcome {
  std::string key, etag;
  SourceEnd end = SourceEnd::kGivenBack;
  std::string why;
};

// Of a compacted source that stays for a while, and whose ETag is not made of its bytes.
struct SourceContent {
  std::string key, etag;
  std::string content;  // source_content.h
};

// Who keeps account of the sources. Called inside the transactions that end the workflow's steps.
class SourceAccount {
 public:
  virtual ~SourceAccount() = default;
  // The commit is done: from here on these sources' rows are read from the target.
  virtual Status Settle(state::Session& session, std::string_view workflow_id,
                        const std::vector<SourceOutcome>& outcomes) = 0;
  // By which the same bytes are known when they come again. May be told twice.
  virtual Status Remember(state::Session& session, std::string_view workflow_id,
                          const std::vector<SourceContent>& contents) = 0;
  // The workflow has ended; what it has not settled is given back.
  virtual Status End(state::Session& session, std::string_view workflow_id) = 0;
  // Whether the namespace's sources are to stay by now, whatever was asked when it began.
  virtual Result<bool> KeepsSources(const NamespaceId& tenant, std::string_view ns) = 0;
};

}  // namespace varve::compact
