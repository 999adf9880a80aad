// The lake tables of a store, each tenant's under its own prefix (`ns/{tenant}/catalog`).
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "catalog/lake_tables.h"
#include "core/namespace_id.h"

namespace varve::catalog {

// Thread-safe, as the tables are.
class TenantTables {
 public:
  // Store, clock and random are borrowed. heads: another catalog's; none: the store's.
  TenantTables(store::ObjectStore& store, const Clock& clock, Random& random, DeltaOptions options,
               std::unique_ptr<IcebergHeads> heads = nullptr);
  ~TenantTables();

  LakeTables& Of(const NamespaceId& tenant);

 private:
  struct Tenant;
  store::ObjectStore& store_;
  const Clock& clock_;
  Random& random_;
  const DeltaOptions options_;
  const std::unique_ptr<IcebergHeads> heads_;

  std::mutex mutex_;
  std::map<NamespaceId, std::unique_ptr<Tenant>> tenants_;  // guarded by mutex_; never removed
};

}  // namespace varve::catalog
