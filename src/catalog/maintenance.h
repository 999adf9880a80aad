// What a table no longer needs: expired snapshots, Delta's tombstones, files that nothing refers
// to. Each tells first (dry run) what it would delete; nothing outside the table's root is deleted.
//
// A file goes only if no format's retained snapshots have it. What is under way is spared by age:
// a file that no snapshot has yet must be older than any job takes. The store is listed before the
// references are read, so what is committed meanwhile is found among them.
//
// One cleaner at a time: a lease on the store, with an epoch that each taker counts up. It keeps
// two cleaners from doing the same work, and is no guard of the data, which age and references are.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "catalog/lake_tables.h"

namespace varve::catalog {

struct Cleaned {
  std::vector<std::string> deleted;   // keys; of a dry run: that would be
  uint64_t bytes = 0;                 // of them, where it is known
  std::vector<int64_t> expired;       // snapshot ids
  std::vector<std::string> released;  // no longer referenced, but not under the table's root
};

struct CleanOptions {
  int64_t older_than_ms = 0;  // before this moment
  size_t keep_last = 1;       // snapshots, in Expire
  bool dry_run = true;
};

class Maintenance {
 public:
  explicit Maintenance(LakeTables& tables) : tables_(tables) {}

  // Iceberg snapshots: first out of the metadata, then the files that only they had.
  Result<Cleaned> Expire(const std::string& name, const CleanOptions& options);
  // Delta: files whose tombstones are older than the retention, and log files below a checkpoint
  // that are older than older_than_ms.
  Result<Cleaned> Vacuum(const std::string& name, const CleanOptions& options);
  // Objects under the table's root that nothing refers to.
  Result<Cleaned> RemoveOrphans(const std::string& name, const CleanOptions& options);
  // Merges an Iceberg table's small manifests; the rows stay.
  Result<IcebergCommit> RewriteManifests(const std::string& name);

  // Every object that the table's retained snapshots need.
  Result<std::set<std::string>> References(const std::string& name);

 private:
  Status AddIcebergReferences(const std::string& name, std::set<std::string>& keys);
  Status AddDeltaReferences(const std::string& name, std::set<std::string>& keys);
  Status Delete(const std::string& name, const std::vector<std::string>& keys, bool dry_run,
                Cleaned& cleaned);

  LakeTables& tables_;
};

}  // namespace varve::catalog
