// The workflows of a data directory: what is kept of them, the definitions, and the engine that
// runs them. And the tables that they commit to, each tenant's under its own prefix.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "app/config.h"
#include "app/data_dir.h"
#include "catalog/lake_tables.h"
#include "compact/compaction_workflow.h"
#include "state/database.h"
#include "store/object_store.h"
#include "workflow/engine.h"
#include "workflow/workflow_store.h"

namespace varve::app {

// Thread-safe.
class TenantTables {
 public:
  TenantTables(store::ObjectStore& store, const Config& config, const DataDirPaths& paths);
  ~TenantTables();
  catalog::LakeTables& Of(const NamespaceId& tenant);

 private:
  struct Tenant;
  store::ObjectStore& store_;
  catalog::DeltaOptions options_;

  std::mutex mutex_;
  std::map<NamespaceId, std::unique_ptr<Tenant>> tenants_;  // guarded by mutex_; never removed
};

compact::CompactionOptions CompactionOptionsOf(const Config& config, const DataDirPaths& paths);

class Workflows {
 public:
  // The store and the database are borrowed; account may be null, and outlives this otherwise.
  static Result<std::unique_ptr<Workflows>> Open(const Config& config, const DataDirPaths& paths,
                                                 store::ObjectStore& store,
                                                 state::Database& database,
                                                 compact::SourceAccount* account);
  // With the options of compactions as the caller wants them.
  static Result<std::unique_ptr<Workflows>> Open(const Config& config, const DataDirPaths& paths,
                                                 store::ObjectStore& store,
                                                 state::Database& database,
                                                 compact::SourceAccount* account,
                                                 compact::CompactionOptions options);

  void Start() { engine_->Start(); }
  void Stop() { engine_->Stop(); }

  workflow::WorkflowStore& store() { return *workflows_; }
  workflow::Engine& engine() { return *engine_; }
  TenantTables& tables() { return tables_; }
  compact::CompactionWorkflow& compaction() { return compaction_; }

 private:
  Workflows(const Config& config, const DataDirPaths& paths, store::ObjectStore& store,
            compact::SourceAccount* account, compact::CompactionOptions options);

  TenantTables tables_;
  compact::CompactionWorkflow compaction_;
  std::unique_ptr<workflow::WorkflowStore> workflows_;
  std::unique_ptr<workflow::Engine> engine_;
};

}  // namespace varve::app
