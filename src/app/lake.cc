#include "app/lake.h"

#include "app/compaction.h"
#include "app/config_load.h"
#include "app/table_access.h"
#include "core/clock.h"
#include "store/local_store.h"

namespace varve::app {
namespace {

ingest::FlusherOptions FlusherOptionsOf(const Config& config) {
  ingest::FlusherOptions options;
  options.events_flush_bytes = config.flush.events_flush_bytes;
  options.events_flush_ms = config.flush.events_flush_ms;
  options.raw_events_batch_size = config.flush.raw_events_batch_size;
  options.flush_interval_ms = config.flush.flush_interval_ms;
  options.raw_events_prefix = config.flush.raw_events_prefix;
  options.unit_bytes_max = config.flush.unit_bytes_max;
  options.unit_files_max = config.flush.unit_files_max;
  options.retry_ms_max = config.flush.retry_ms_max;
  options.stop_ms_max = config.flush.stop_ms_max;
  options.dedup_window_ms = config.ingest.dedup_window_ms;
  return options;
}

// Where the system looks for the program's libraries: all that a SQL worker needs to start.
std::vector<std::string> LoaderEnvironment() {
  std::vector<std::string> kept;
  for (const auto& [name, value] : ProcessEnvironment()) {
    if (name == "LD_LIBRARY_PATH") kept.push_back(name + "=" + value);
  }
  return kept;
}

}  // namespace

Result<std::unique_ptr<Lake>> OpenLake(const Config& config, const DataDirPaths& paths,
                                       LakeUse use) {
  const Clock& clock = SystemClock();
  Random& random = SystemRandom();
  auto lake = std::make_unique<Lake>();
  lake->store = TRY(store::OpenLocalStore(StoreOptionsOf(config, paths), clock));
  lake->database = TRY(state::Database::Open(paths.state));
  lake->instance = TRY(ingest::LoadInstance(*lake->database, random));
  lake->queue = TRY(queue::SqliteQueue::Open(*lake->database, clock, random));
  journal::JournalOptions journal = config.journal;
  journal.directory = paths.journal;
  journal.flushed_lsn = TRY(ingest::FlushedUpTo(*lake->database));
  lake->journal = TRY(use == LakeUse::kServe ? journal::OpenJournal(std::move(journal), clock)
                                             : journal::OpenJournalToRead(journal));
  lake->flusher = TRY(ingest::Flusher::Open(FlusherOptionsOf(config), lake->instance,
                                            *lake->journal, *lake->store, *lake->database, clock));
  lake->ledger = TRY(compact::RawLedger::Open(*lake->database, lake->instance.tag));
  lake->tables = OpenTenantTables(*lake->store, config, paths,
                                  use == LakeUse::kServe ? TablesUse::kAlone : TablesUse::kShared);
  lake->windows =
      TRY(compact::WindowTracker::Open(WindowOptionsOf(config.compaction), *lake->database, clock));
  lake->workflows =
      TRY(workflow::WorkflowStore::Open(*lake->database, clock, random, config.workflow.ended_max));
  lake->views = TRY(view::ViewStore::Open(config.view.store, *lake->database, clock));
  lake->reader =
      std::make_unique<LakeReader>(*lake->store, *lake->tables, *lake->windows, *lake->workflows,
                                   *lake->views, config.compaction.prefix + "/");
  lake->snapshots = std::make_unique<LakeSnapshots>(
      *lake->store, *lake->flusher, *lake->ledger, *lake->reader,
      SnapshotPaths{config.flush.raw_events_prefix, config.compact.parquet_prefix});
  query::EngineOptions engine = config.query;
  engine.temp_directory = paths.tmp;
  engine.worker.environment = LoaderEnvironment();
  lake->engine = TRY(query::Engine::Open(std::move(engine), lake->snapshots.get(), clock, random));
  return lake;
}

Result<std::unique_ptr<ingest::SpentEvents>> OpenSpentEvents(const Config& config,
                                                             const DataDirPaths& paths,
                                                             const Lake& lake) {
  ingest::SpentEventsOptions options;
  options.directory = paths.event_ids;
  options.ids_max = config.ingest.event_ids_max;
  options.window_ms = config.ingest.dedup_window_ms;
  options.key = lake.instance.id_key;
  return ingest::SpentEvents::Open(std::move(options), *lake.journal, lake.flusher->EventsDone(),
                                   SystemClock());
}

}  // namespace varve::app
