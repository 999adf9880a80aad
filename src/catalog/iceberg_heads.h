// Where an Iceberg table's newest metadata is found and replaced: the one place of its commits.
// Either the store itself (store_heads.h) or another program's REST catalog (rest_heads.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "catalog/checked_store.h"
#include "catalog/table_place.h"
#include "core/result.h"
#include "table/iceberg/metadata.h"

namespace varve::catalog {

struct IcebergHead {
  table::iceberg::TableMetadata metadata;
  int64_t version = 0;
  std::string location;  // of the metadata file
  bool settled = true;   // all that should follow its commit is there too
};

// Thread-safe.
class IcebergHeads {
 public:
  virtual ~IcebergHeads() = default;

  // kNotFound, NO_SUCH_TABLE. kCorrupt, METADATA_MISSING: the newest was lost.
  virtual Result<IcebergHead> Load(const TablePlace& place) = 0;
  // kConflict, TABLE_EXISTS.
  virtual Result<IcebergHead> Create(const TablePlace& place,
                                     const table::iceberg::TableMetadata& first) = 0;
  // Makes next the head, if base still is. kRejected: it is not. kUnknown: it could not be found
  // out; nothing may be cleaned up, and the same call may be repeated. On kDone *head is the head.
  virtual Result<PutOutcome> Swap(const TablePlace& place, const IcebergHead& base,
                                  const table::iceberg::TableMetadata& next, IcebergHead* head) = 0;
  // Does what a commit that was cut short has left undone.
  virtual void Settle(const TablePlace& place, const IcebergHead& head) = 0;

  virtual Result<bool> Exists(const TablePlace& place) = 0;
  // The names of tables that may be there, in order; nothing where the store's keys tell.
  virtual Result<std::vector<std::string>> List() = 0;
  // From now on there is no such table; its files stay. kNotFound, NO_SUCH_TABLE.
  virtual Status Drop(const TablePlace& place) = 0;
};

}  // namespace varve::catalog
