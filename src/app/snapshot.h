// What a query sees: the journal's rows that no object holds yet, and the live files.
//
// Each row once, at any moment, because of the order in which the parts are taken:
//
// 1. The ledger's view: which compaction plans are done. A log file that carries our tag is seen
//    only if its plan is done in this view.
// 2. The flush view: the hot records, and which flush units are done. An event file or raw file
//    that carries our tag is seen only if its unit is done in this view; its rows are hot
//    otherwise. The consumer takes no raw file before its unit is done, so what is hot now is in no
//    plan that was done before.
// 3. The raw files are listed. Those that a plan done in 1 holds are left out, the others read.
// 4. The log files are listed. A plan's files are put before it is done, so all rows of the raw
//    files that 3 left out are in files that 4 finds, and later plans change nothing.
//
// Files without our tag, put there by other programs, are live as they are.
#pragma once

#include <string>

#include "app/lake_reader.h"
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
                compact::RawLedger& ledger, LakeReader& tables, SnapshotPaths paths)
      : store_(store),
        flushes_(flushes),
        ledger_(ledger),
        tables_(tables),
        paths_(std::move(paths)) {}

  Result<query::Snapshot> Take(const NamespaceId& ns, const query::TimeRange& range) override;
  Result<std::vector<query::LakeTable>> TakeTables(const NamespaceId& ns,
                                                   std::span<const query::TableRef> refs) override;
  Result<std::vector<std::string>> TableNames(const NamespaceId& ns, size_t names_max) override;

 private:
  Status AddEventFiles(const NamespaceId& ns, const query::TimeRange& range,
                       const ingest::FlushView& view, query::TableSnapshot* events);
  Status AddLogFiles(const NamespaceId& ns, const compact::LedgerView& ledger,
                     const ingest::FlushView& view, query::TableSnapshot* logs);
  query::FileRef RefOf(const store::ObjectMeta& object) const;

  store::ObjectStore& store_;
  const ingest::FlushViews& flushes_;
  compact::RawLedger& ledger_;
  LakeReader& tables_;
  const SnapshotPaths paths_;
};

}  // namespace varve::app
