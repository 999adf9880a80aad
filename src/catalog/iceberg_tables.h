// Iceberg tables on an object store: `catalog/{table}/metadata/v{n}.metadata.json`, each put only
// if it is not there yet, and `version-hint.text` behind them, which never goes back.
//
// A commit:
//  1. The head: the hint's version, or a later one that is there (its writer may have died before
//     the hint). 2. The next metadata is built (table/iceberg/commit.h). 3. Its manifests and list
//     are put, under names of this run. 4. v{n+1} is put. Rejected: from 1 again, on the new head,
//     everything validated anew. Unknown: kUnknown, and nothing is cleaned up; the same change,
//     committed again, finds itself done or is done then. 5. The hint. From 4 on the commit is
//     there, whatever happens.
//  What an attempt put in vain is deleted once it is certain which attempt, if any, has won.
//
// Thread-safe if the store is; any number of processes may commit to one table where the store
// keeps its word (store/probe.h).
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "catalog/table_place.h"
#include "core/clock.h"
#include "core/result.h"
#include "store/object_store.h"
#include "table/iceberg/commit.h"
#include "table/iceberg/expire.h"

namespace varve::catalog {

struct CatalogOptions {
  std::string root;                // of locations; empty: the local store's
  std::string prefix = "catalog";  // of keys
  uint32_t commit_attempts_max = 32;
};

struct IcebergHead {
  table::iceberg::TableMetadata metadata;
  int64_t version = 0;
  std::string location;  // of the metadata file
};

struct IcebergCommit {
  int64_t snapshot_id = 0;
  int64_t version = 0;
  uint32_t attempts = 1;
  bool already_done = false;  // found in the table, by its snapshot id or its mark
};

class IcebergTables {
 public:
  IcebergTables(store::ObjectStore& store, const Clock& clock, Random& random,
                CatalogOptions options);

  // kNotFound, NO_SUCH_TABLE.
  Result<IcebergHead> Load(const std::string& name);
  // kConflict, TABLE_EXISTS. location is filled in, a uuid too if it is empty.
  Result<IcebergHead> Create(const std::string& name, table::iceberg::NewTable table);
  Result<IcebergCommit> Commit(const std::string& name, const table::iceberg::Change& change);

  // Makes the schema fit files with these columns; nothing is written if it does.
  Result<IcebergHead> Evolve(const std::string& name, const table::Schema& file);
  // The next metadata without a snapshot; nothing where there is none to write.
  using NextMetadata =
      std::function<Result<std::optional<table::iceberg::TableMetadata>>(const IcebergHead& head)>;
  Result<IcebergHead> Update(const std::string& name, const NextMetadata& next);

  table::iceberg::Change NewChange(table::iceberg::Operation operation);  // with fresh ids
  table::iceberg::ReadObject Reader(const std::string& name, const std::string& base);
  TablePlace Place(const std::string& name) const;
  store::ObjectStore& store() { return store_; }
  const Clock& clock() const { return clock_; }
  std::string Nonce();  // 16 hex digits

 private:
  class CommitRun;
  Result<IcebergHead> Head(const TablePlace& place, int64_t* hinted);
  Result<int64_t> Hint(const TablePlace& place);
  Result<int64_t> HighestListed(const TablePlace& place);
  void MoveHint(const TablePlace& place, int64_t version);

  store::ObjectStore& store_;
  const Clock& clock_;
  const CatalogOptions options_;

  std::mutex mutex_;
  Random& random_;  // guarded by mutex_
};

std::string MetadataKey(const TablePlace& place, int64_t version);
// v{n}.metadata.json's n; nothing for another name.
std::optional<int64_t> MetadataVersion(std::string_view key);

}  // namespace varve::catalog
