// Iceberg tables whose files are on an object store.
//
// A commit:
//  1. The head (iceberg_heads.h). 2. The next metadata is built (table/iceberg/commit.h). 3. Its
//     manifests and list are put, under names of this run. 4. It becomes the head. Rejected: from 1
//     again, on the new head, everything validated anew. Unknown: kUnknown, and nothing is cleaned
//     up; the same change, committed again, finds itself done or is done then. From 4 on the commit
//     is there, whatever happens.
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

#include "catalog/store_heads.h"
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
  std::string run = {};  // of whoever has the store's lock for himself (lease.h)
};

// Of columns that are added. kAsGiven: the next ones are those that the columns have already, as
// files with these ids are there; kInvalid, SCHEMA_MISMATCH: they are not, for the table has
// changed.
enum class NewIds : uint8_t { kNext, kAsGiven };

struct IcebergCommit {
  int64_t snapshot_id = 0;
  int64_t version = 0;
  uint32_t attempts = 1;
  bool already_done = false;  // found in the table, by its snapshot id or its mark
};

class IcebergTables {
 public:
  IcebergTables(store::ObjectStore& store, const Clock& clock, Random& random,
                CatalogOptions options, IcebergHeads* heads = nullptr);  // none: the store's

  // kNotFound, NO_SUCH_TABLE.
  Result<IcebergHead> Load(const std::string& name);
  // kConflict, TABLE_EXISTS. location is filled in, a uuid too if it is empty.
  Result<IcebergHead> Create(const std::string& name, table::iceberg::NewTable table);
  // As Create, of metadata that is whole: its location is taken as it is.
  Result<IcebergHead> CreateAs(const std::string& name, const table::iceberg::TableMetadata& first);
  // From now on there is no such table; its files stay. kNotFound, NO_SUCH_TABLE.
  Status Drop(const std::string& name);
  Result<bool> Exists(const std::string& name);
  Result<IcebergCommit> Commit(const std::string& name, const table::iceberg::Change& change);

  // Makes the schema fit files with these columns; nothing is written if it does.
  Result<IcebergHead> Evolve(const std::string& name, const table::Schema& file,
                             NewIds ids = NewIds::kNext);
  // The next metadata without a snapshot; nothing where there is none to write.
  using NextMetadata =
      std::function<Result<std::optional<table::iceberg::TableMetadata>>(const IcebergHead& head)>;
  Result<IcebergHead> Update(const std::string& name, const NextMetadata& next);

  table::iceberg::Change NewChange(table::iceberg::Operation operation);  // with fresh ids
  table::iceberg::ReadObject Reader(const std::string& name, const std::string& base);
  TablePlace Place(const std::string& name) const;
  store::ObjectStore& store() { return store_; }
  const Clock& clock() const { return clock_; }
  const std::string& run() const { return options_.run; }
  IcebergHeads& heads() { return *heads_; }
  // Tables are in another program's catalog, which others may commit to.
  bool has_foreign_heads() const { return heads_ != &own_heads_; }
  std::string Nonce();  // 16 hex digits
  std::string NewUuid();

 private:
  Error Missing(const TablePlace& place, const std::string& key, const std::string& location);
  class CommitRun;

  store::ObjectStore& store_;
  const Clock& clock_;
  const CatalogOptions options_;
  StoreHeads own_heads_;
  IcebergHeads* const heads_;

  std::mutex mutex_;
  Random& random_;  // guarded by mutex_
};

}  // namespace varve::catalog
