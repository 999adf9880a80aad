// What every step of a compaction works with.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "catalog/file_footers.h"
#include "catalog/lake_tables.h"
#include "compact/compaction.h"
#include "compact/compaction_state.h"
#include "store/object_store.h"
#include "table/file_footer.h"
#include "workflow/engine.h"

namespace varve::compact {

// The tables of a tenant, which lie under ns/{tenant}/catalog. They outlive whoever asks.
using TablesOf = std::function<catalog::LakeTables&(const NamespaceId& tenant)>;

struct CompactionOptions {
  // Merged files wait here until they are sealed; on the store's file system they are not copied.
  std::string work_directory;
  uint64_t memory_bytes_max = uint64_t{256} << 20;  // of one merge
  uint32_t threads = 0;                             // of one merge; 0: one a core
  uint32_t plans_max = 5;  // of one compaction, when other commits come first
  bool sync = true;
  std::function<void(const merge::MergeProgress&)> progress = {};  // besides what steps report
};

struct CompactionRun {
  const CompactionRequest& request;
  const CompactionOptions& options;
  store::ObjectStore& store;
  catalog::LakeTables& tables;
  workflow::StepRun& step;
  CompactionState& state;

  const std::string& id() const { return step.workflow.id; }
  // Gone with the compaction.
  std::string directory() const { return options.work_directory + "/" + id(); }
  bool to_table() const { return !request.settings.target.parquet; }
};

// Whether the source is there with the bytes that are pinned; nothing: it is gone, by two answers.
Result<std::optional<bool>> IsPinned(store::ObjectStore& store, const SourceFile& source);

using catalog::ReadFooter;
table::ReadRange ReaderOfFile(const std::string& path);  // kCorrupt if the file is shorter

// Calls act for 0 to below count, on a few threads: what it does is waiting for a disk or a store.
// The first error ends it and is told; kCancelled where the step is to end.
Status ForEach(const CompactionRun& run, size_t count, const std::function<Status(size_t)>& act);

// Whether there is such a table, in any format.
Result<bool> HasTable(CompactionRun& run);

}  // namespace varve::compact
