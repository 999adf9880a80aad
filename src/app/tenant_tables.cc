#include "app/tenant_tables.h"

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

}  // namespace varve::app
