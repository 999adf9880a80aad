// Files of a Delta log as Iceberg has them, and the objects of an Iceberg commit that follows one.
#pragma once

#include <set>
#include <string>

#include "catalog/file_footers.h"
#include "catalog/iceberg_tables.h"
#include "table/delta/actions.h"

namespace varve::catalog {

// kInvalid: FOREIGN_LOCATION, PARTITION_COLUMNS.
Result<StoredFile> MirroredFile(const TablePlace& place, const table::delta::Add& add);

// Before the place's key, in the table's locations.
std::string MirrorRoot(const table::iceberg::TableMetadata& metadata, const TablePlace& place);

// By the table's own partitioning if its rows are of one partition, or else by none, if it has
// that.
Result<table::DataFile> DescribeMirrored(const table::iceberg::TableMetadata& metadata,
                                         const table::FileFooter& footer, const StoredFile& stored,
                                         const std::string& root);

// Objects of commits that may be in vain; what is not kept is deleted.
class MirroredObjects {
 public:
  MirroredObjects(IcebergTables& iceberg, const std::string& name)
      : iceberg_(iceberg), place_(iceberg.Place(name)) {}

  Status Put(const table::iceberg::Built& built);
  void Delete();  // only when it is certain that nothing refers to them
  void Keep() { put_.clear(); }

 private:
  IcebergTables& iceberg_;
  const TablePlace place_;
  std::set<std::string> put_;
};

}  // namespace varve::catalog
