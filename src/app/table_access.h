// What `varve table` does, each as text or JSON.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/data_dir.h"
#include "catalog/maintenance.h"
#include "catalog/tenant_tables.h"
#include "core/result.h"

namespace varve::app {

struct TableOptions {
  std::string data, config, name;
  bool json = false;
  std::string as_of, from, to;
  std::vector<std::string> files;
  std::string prefix, format = "iceberg", partitioning, sorting;
  bool accept_problems = false;
  std::string older_than;
  size_t keep_last = 1;
  bool yes = false;
};

// kAlone: who opens them has the data directory's lock exclusively.
enum class TablesUse : uint8_t { kAlone, kShared };

// The lake tables of a data directory, in whatever catalog the configuration names.
std::unique_ptr<catalog::TenantTables> OpenTenantTables(store::ObjectStore& store,
                                                        const Config& config,
                                                        const DataDirPaths& paths, TablesUse use);

// The data directory's tables. writes: false opens the store for looking only.
class TableAccess {
 public:
  static Result<std::unique_ptr<TableAccess>> Open(const TableOptions& options, bool writes);

  store::ObjectStore& store() { return *store_; }
  catalog::LakeTables& tables() { return tables_->Of({}); }
  const DataDirPaths& paths() const { return paths_; }
  const TableConfig& config() const { return config_; }

 private:
  TableAccess(std::unique_ptr<store::ObjectStore> store, const Config& config,
              const DataDirPaths& paths)
      : config_(config.table),
        paths_(paths),
        store_(std::move(store)),
        tables_(OpenTenantTables(*store_, config, paths, TablesUse::kShared)) {}

  const TableConfig config_;
  const DataDirPaths paths_;
  std::unique_ptr<store::ObjectStore> store_;
  std::unique_ptr<catalog::TenantTables> tables_;
};

Result<std::string> ListTables(const TableOptions& options, TableAccess& access);
Result<std::string> ShowTable(const TableOptions& options, TableAccess& access);
Result<std::string> TableHistory(const TableOptions& options, TableAccess& access);
Result<std::string> TableFiles(const TableOptions& options, TableAccess& access);
Result<std::string> TableChanges(const TableOptions& options, TableAccess& access);
Result<std::string> RegisterTableFiles(const TableOptions& options, TableAccess& access);
Result<std::string> PublishTableAs(const TableOptions& options, TableAccess& access);
Result<std::string> ExpireTable(const TableOptions& options, TableAccess& access);
Result<std::string> VacuumTable(const TableOptions& options, TableAccess& access);
Result<std::string> RemoveTableOrphans(const TableOptions& options, TableAccess& access);
Result<std::string> RewriteTableManifests(const TableOptions& options, TableAccess& access);

}  // namespace varve::app
