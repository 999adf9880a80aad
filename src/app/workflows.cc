#include "app/workflows.h"

#include <filesystem>

#include "core/clock.h"

namespace varve::app {

struct TenantTables::Tenant {
  Tenant(store::ObjectStore& store, const catalog::DeltaOptions& options)
      : iceberg(store, SystemClock(), SystemRandom(), options.catalog),
        delta(store, SystemClock(), SystemRandom(), options),
        tables(iceberg, delta) {}

  catalog::IcebergTables iceberg;
  catalog::DeltaTables delta;
  catalog::LakeTables tables;
};

TenantTables::TenantTables(store::ObjectStore& store, const Config& config,
                           const DataDirPaths& paths)
    : store_(store), options_(config.table.formats) {
  std::error_code ignored;
  options_.catalog.root = std::filesystem::canonical(paths.root, ignored).string();
}

TenantTables::~TenantTables() = default;

catalog::LakeTables& TenantTables::Of(const NamespaceId& tenant) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Tenant>& found = tenants_[tenant];
  if (found == nullptr) {
    catalog::DeltaOptions options = options_;
    options.catalog.prefix = tenant.StorePrefix() + options_.catalog.prefix;
    found = std::make_unique<Tenant>(store_, options);
  }
  return found->tables;
}

compact::CompactionOptions CompactionOptionsOf(const Config& config, const DataDirPaths& paths) {
  compact::CompactionOptions options;
  options.work_directory = paths.own + "/merges";
  options.memory_bytes_max = config.workflow.merge_memory_bytes_max;
  options.threads = config.workflow.merge_threads;
  return options;
}

Workflows::Workflows(const Config& config, const DataDirPaths& paths, store::ObjectStore& store,
                     compact::SourceAccount* account, compact::CompactionOptions options)
    : tables_(store, config, paths),
      compaction_(
          std::move(options), store,
          [this](const NamespaceId& tenant) -> catalog::LakeTables& { return tables_.Of(tenant); },
          account) {}

Result<std::unique_ptr<Workflows>> Workflows::Open(const Config& config, const DataDirPaths& paths,
                                                   store::ObjectStore& store,
                                                   state::Database& database,
                                                   compact::SourceAccount* account) {
  return Open(config, paths, store, database, account, CompactionOptionsOf(config, paths));
}

Result<std::unique_ptr<Workflows>> Workflows::Open(const Config& config, const DataDirPaths& paths,
                                                   store::ObjectStore& store,
                                                   state::Database& database,
                                                   compact::SourceAccount* account,
                                                   compact::CompactionOptions options) {
  std::unique_ptr<Workflows> out(new Workflows(config, paths, store, account, std::move(options)));
  out->workflows_ = TRY(workflow::WorkflowStore::Open(database, SystemClock(), SystemRandom(),
                                                      config.workflow.ended_max));
  TRY(out->compaction_.SweepWork(*out->workflows_));
  out->engine_ = TRY(workflow::Engine::Open(config.workflow.engine, *out->workflows_,
                                            {&out->compaction_}, SystemClock()));
  return out;
}

}  // namespace varve::app
