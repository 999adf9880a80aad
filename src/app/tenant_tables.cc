#include "app/tenant_tables.h"

#include <filesystem>

#include "app/rest_transport.h"
#include "core/clock.h"

namespace varve::app {

struct TenantTables::Tenant {
  Tenant(store::ObjectStore& store, const catalog::DeltaOptions& options,
         catalog::IcebergHeads* heads)
      : iceberg(store, SystemClock(), SystemRandom(), options.catalog, heads),
        delta(store, SystemClock(), SystemRandom(), options),
        tables(iceberg, delta) {}

  catalog::IcebergTables iceberg;
  catalog::DeltaTables delta;
  catalog::LakeTables tables;
};

TenantTables::TenantTables(store::ObjectStore& store, const Config& config,
                           const DataDirPaths& paths)
    : store_(store), options_(config.table.formats), heads_(OpenRestHeads(config.table.rest)) {
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
    found = std::make_unique<Tenant>(store_, options, heads_.get());
  }
  return found->tables;
}

}  // namespace varve::app
