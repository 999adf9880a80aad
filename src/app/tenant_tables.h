// The lake tables of a data directory, each tenant's under its own prefix.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "app/config.h"
#include "app/data_dir.h"
#include "catalog/lake_tables.h"
#include "core/namespace_id.h"
#include "store/object_store.h"

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
  const std::unique_ptr<catalog::IcebergHeads> heads_;  // another catalog's; none: the store's

  std::mutex mutex_;
  std::map<NamespaceId, std::unique_ptr<Tenant>> tenants_;  // guarded by mutex_; never removed
};

}  // namespace varve::app
