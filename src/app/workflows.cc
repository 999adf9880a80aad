#include "app/workflows.h"

#include "compact/compaction_request.h"
#include "core/clock.h"

namespace varve::app {
namespace {

compact::TablesOf TablesOf(catalog::TenantTables& tables) {
  return [&tables](const NamespaceId& tenant) -> catalog::LakeTables& { return tables.Of(tenant); };
}

compact::StartWorkflow Starter(workflow::WorkflowStore& workflows) {
  return [&workflows](state::Session& session, const compact::CompactionRequest& request) {
    return workflows.Create(session, compact::kCompactionKind, compact::SubjectOf(request),
                            compact::ToJson(request), compact::kCompactionFirstStep);
  };
}

}  // namespace

compact::CompactionOptions CompactionOptionsOf(const Config& config, const DataDirPaths& paths) {
  compact::CompactionOptions options;
  options.work_directory = paths.own + "/merges";
  options.memory_bytes_max = config.workflow.merge_memory_bytes_max;
  options.threads = config.workflow.merge_threads;
  return options;
}

Workflows::Workflows(const Config& config, const WorkflowParts& parts,
                     compact::CompactionOptions options)
    : workflows_(parts.workflows),
      compaction_(std::move(options), parts.store, TablesOf(parts.tables), &parts.windows),
      migration_({parts.store, config.compaction.prefix + "/"}, parts.windows, parts.workflows,
                 TablesOf(parts.tables), Starter(parts.workflows), [this] { engine_->Wake(); }) {}

Result<std::unique_ptr<Workflows>> Workflows::Open(const Config& config, const WorkflowParts& parts,
                                                   compact::CompactionOptions options,
                                                   workflow::Definition* refreshes) {
  std::unique_ptr<Workflows> out(new Workflows(config, parts, std::move(options)));
  TRY(out->compaction_.SweepWork(parts.workflows));
  std::vector<workflow::Definition*> definitions = {&out->compaction_, &out->migration_};
  if (refreshes != nullptr) definitions.push_back(refreshes);
  out->engine_ = TRY(workflow::Engine::Open(config.workflow.engine, parts.workflows,
                                            std::move(definitions), SystemClock()));
  return out;
}

compact::StartWorkflow Workflows::starter() const { return Starter(workflows_); }

}  // namespace varve::app
