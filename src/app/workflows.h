// The workflows of a data directory: their definitions, and the engine that runs them.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "app/config.h"
#include "app/data_dir.h"
#include "catalog/tenant_tables.h"
#include "compact/compaction_workflow.h"
#include "compact/migration.h"
#include "compact/window_tracker.h"
#include "store/object_store.h"
#include "workflow/engine.h"
#include "workflow/workflow_store.h"

namespace varve::app {

compact::CompactionOptions CompactionOptionsOf(const Config& config, const DataDirPaths& paths);

// All are borrowed.
struct WorkflowParts {
  store::ObjectStore& store;
  catalog::TenantTables& tables;
  workflow::WorkflowStore& workflows;
  compact::WindowTracker& windows;  // is told what became of sources
};

class Workflows {
 public:
  // refreshes: of materialised views, borrowed; none: they are not kept here.
  static Result<std::unique_ptr<Workflows>> Open(const Config& config, const WorkflowParts& parts,
                                                 compact::CompactionOptions options,
                                                 workflow::Definition* refreshes = nullptr);

  void Start() { engine_->Start(); }
  void Stop() { engine_->Stop(); }

  workflow::Engine& engine() { return *engine_; }
  compact::StartWorkflow starter() const;  // makes compactions

 private:
  Workflows(const Config& config, const WorkflowParts& parts, compact::CompactionOptions options);

  workflow::WorkflowStore& workflows_;
  compact::CompactionWorkflow compaction_;
  compact::MigrationWorkflow migration_;
  std::unique_ptr<workflow::Engine> engine_;
};

}  // namespace varve::app
