// What a data directory holds, opened: objects, state, journal, queue, and the answers over them.
// `serve` adds what changes it; `query` on a directory that nobody serves reads it.
#pragma once

#include <memory>

#include "app/config.h"
#include "app/data_dir.h"
#include "app/lake_reader.h"
#include "app/snapshot.h"
#include "catalog/tenant_tables.h"
#include "compact/raw_ledger.h"
#include "compact/window_tracker.h"
#include "ingest/flusher.h"
#include "ingest/spent_events.h"
#include "journal/journal.h"
#include "query/engine.h"
#include "queue/sqlite_queue.h"
#include "state/database.h"
#include "store/object_store.h"
#include "view/view_store.h"
#include "workflow/workflow_store.h"

namespace varve::app {

// Each member uses only those above it.
struct Lake {
  std::unique_ptr<store::ObjectStore> store;
  std::unique_ptr<state::Database> database;
  ingest::Instance instance;
  std::unique_ptr<queue::SqliteQueue> queue;
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<ingest::Flusher> flusher;  // not started
  std::unique_ptr<compact::RawLedger> ledger;
  std::unique_ptr<catalog::TenantTables> tables;
  std::unique_ptr<compact::WindowTracker> windows;
  std::unique_ptr<workflow::WorkflowStore> workflows;
  std::unique_ptr<view::ViewStore> views;
  std::unique_ptr<LakeReader> reader;
  std::unique_ptr<LakeSnapshots> snapshots;
  std::unique_ptr<query::Engine> engine;
};

// For whoever ingests: reads which event ids are spent. Before the flusher starts.
Result<std::unique_ptr<ingest::SpentEvents>> OpenSpentEvents(const Config& config,
                                                             const DataDirPaths& paths,
                                                             const Lake& lake);

enum class LakeUse : uint8_t {
  kServe,  // a journal that ends torn is cut, and goes on
  kRead,   // the journal is looked at, and takes nothing
};

// The caller holds the directory's lock.
Result<std::unique_ptr<Lake>> OpenLake(const Config& config, const DataDirPaths& paths,
                                       LakeUse use);

}  // namespace varve::app
