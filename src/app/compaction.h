// The compaction of writers' files in a serving process: its windows, and what joins them with the
// workflows that do the work.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "app/config.h"
#include "app/lake.h"
#include "compact/window_consumer.h"
#include "compact/window_tracker.h"
#include "notify/rules.h"
#include "server/metrics.h"
#include "server/services.h"
#include "workflow/workflow_store.h"

namespace varve::app {

// Who makes the workflows and knows how they stand. Without `start` windows are watched, and none
// is dispatched.
struct CompactionHooks {
  compact::StartWorkflow start;
  std::function<Result<compact::WorkflowStanding>(std::string_view workflow_id)> standing;
  std::function<void()> started;  // wakes the engine
};

// Workflows of the kind "compaction" in that store, which outlives the hooks.
CompactionHooks WorkflowHooks(workflow::WorkflowStore& workflows, std::function<void()> wake);

compact::WindowOptions WindowOptionsOf(const CompactionConfig& config);

// Tells the windows' queue of writers' files, in every tenant's part; unless a rule does already.
void AddCompactionRule(const Config& config, std::vector<notify::NotifyRule>& rules);

class CompactionRole {
 public:
  // The queue is declared by the caller, as every rule's is. The lake outlives the role.
  static Result<std::unique_ptr<CompactionRole>> Open(const Config& config, Lake& lake);

  // Whom the workflows tell what became of their sources: there before they are.
  compact::SourceAccount& account() { return *tracker_; }

  // Once. What the hooks use outlives Stop. The rest is for after it.
  Status Start(CompactionHooks hooks);
  void Stop();
  void Serve(server::Services& services);
  void WriteMetrics(server::MetricsWriter& out);

 private:
  CompactionRole(std::unique_ptr<compact::WindowTracker> tracker,
                 compact::WindowConsumerOptions options, Lake& lake)
      : tracker_(std::move(tracker)), options_(std::move(options)), lake_(lake) {}

  std::unique_ptr<compact::WindowTracker> tracker_;
  compact::WindowConsumerOptions options_;
  Lake& lake_;
  std::unique_ptr<compact::WindowConsumer> consumer_;
};

}  // namespace varve::app
