// The compaction of writers' files in a serving process: its windows, and what joins them with the
// workflows that do the work.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "app/config.h"
#include "app/data_dir.h"
#include "app/lake.h"
#include "compact/window_consumer.h"
#include "compact/window_tracker.h"
#include "notify/rules.h"
#include "server/metrics.h"
#include "server/services.h"
#include "store/local_store.h"
#include "workflow/workflow_store.h"

namespace varve::app {

// Who makes the workflows and knows how they stand. Without `start` windows are watched, and none
// is dispatched.
struct CompactionHooks {
  compact::StartWorkflow start;
  std::function<Result<compact::WorkflowStanding>(std::string_view workflow_id)> standing;
  std::function<void()> started;  // wakes the engine
};

// The store outlives the hooks.
CompactionHooks WorkflowHooks(workflow::WorkflowStore& workflows, compact::StartWorkflow start,
                              std::function<void()> wake);

compact::WindowOptions WindowOptionsOf(const CompactionConfig& config);

// Of a data directory in which the writers' directories stay.
store::LocalStoreOptions StoreOptionsOf(const Config& config, const DataDirPaths& paths);

// Tells the windows' queue of writers' files, in every tenant's part; unless a rule does already.
void AddCompactionRule(const Config& config, std::vector<notify::NotifyRule>& rules);

class CompactionRole {
 public:
  // The queue is declared by the caller, as every rule's is. The lake outlives the role.
  CompactionRole(const Config& config, Lake& lake, CompactionHooks hooks);
  Status Start() { return consumer_.Start(); }
  void Stop() { consumer_.Stop(); }
  void Serve(server::Services& services);
  void WriteMetrics(server::MetricsWriter& out);

 private:
  compact::WindowTracker& tracker_;
  compact::WindowConsumer consumer_;
};

}  // namespace varve::app
