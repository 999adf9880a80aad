#include "catalog/tenant_tables.h"

namespace varve::catalog {

struct TenantTables::Tenant {
  Tenant(store::ObjectStore& store, const Clock& clock, Random& random, const DeltaOptions& options,
         IcebergHeads* heads)
      : iceberg(store, clock, random, options.catalog, heads),
        delta(store, clock, random, options),
        tables(iceberg, delta) {}

  IcebergTables iceberg;
  DeltaTables delta;
  LakeTables tables;
};

TenantTables::TenantTables(store::ObjectStore& store, const Clock& clock, Random& random,
                           DeltaOptions options, std::unique_ptr<IcebergHeads> heads)
    : store_(store),
      clock_(clock),
      random_(random),
      options_(std::move(options)),
      heads_(std::move(heads)) {}

TenantTables::~TenantTables() = default;

LakeTables& TenantTables::Of(const NamespaceId& tenant) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Tenant>& found = tenants_[tenant];
  if (found == nullptr) {
    DeltaOptions options = options_;
    options.catalog.prefix = tenant.StorePrefix() + options_.catalog.prefix;
    found = std::make_unique<Tenant>(store_, clock_, random_, options, heads_.get());
  }
  return found->tables;
}

}  // namespace varve::catalog
