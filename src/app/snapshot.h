// What a query sees: the journal's rows that no object holds yet, and the live files.
//
// Each row once, at any moment, because of the order in which the parts are taken:
//
// 1. The flush view: the hot records, and which flush units were done at that instant. A file that
//    carries our tag is seen only if its unit is done in this view; its rows are hot otherwise.
// 2. The raw files are listed. Those of units that are not done in the view are left out.
// 3. The compaction ledger is read in one transaction: which of the listed raw files no finished
//    plan holds (they are read themselves), and which plans are done.
// 4. The log files are listed. A file that carries our tag is seen only if its plan is done in the
//    ledger's view: a plan's files are put before it is done, so a raw file that step 3 left out
//    has its rows in a file that step 4 finds, and a plan done after step 3 changes nothing.
//
// Files without our tag, put there by other programs, are live as they are.
#pragma once

#include <string>

#include "compact/raw_ledger.h"
#include "core/namespace_id.h"
#include "ingest/flush_view.h"
#include "query/snapshot.h"
#include "store/object_store.h"

namespace varve::app {

struct SnapshotPaths {
  std::string raw_events_prefix = "raw-events";
  std::string parquet_prefix = "logs/workers";
};

class LakeSnapshots : public query::SnapshotSource {
 public:
  LakeSnapshots(store::ObjectStore& store, const ingest::FlushViews& flushes,
                compact::RawLedger& ledger, SnapshotPaths paths)
      : store_(store), flushes_(flushes), ledger_(ledger), paths_(std::move(paths)) {}

  Result<query::Snapshot> Take(const NamespaceId& ns, const query::TimeRange& range) override;

 private:
  Status AddEventFiles(const NamespaceId& ns, const query::TimeRange& range,
                       const ingest::FlushView& view, query::TableSnapshot* events);
  Status AddLogFiles(const NamespaceId& ns, const ingest::FlushView& view,
                     query::TableSnapshot* logs);
  query::FileRef RefOf(const store::ObjectMeta& object) const;

  store::ObjectStore& store_;
  const ingest::FlushViews& flushes_;
  compact::RawLedger& ledger_;
  const SnapshotPaths paths_;
};

}  // namespace varve::app
