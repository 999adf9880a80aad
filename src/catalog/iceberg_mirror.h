// Iceberg metadata as a mirror of a Delta table: its snapshot has the files that the log has.
//
// Such a table is Delta's first, for good (kFirstFormatProperty): commits go to Delta, and then
// Iceberg is made level. A mirroring commit is made for one Iceberg head, and of a state of the log
// that was loaded after it, which therefore has all that the head has; one that comes between is
// rejected by the swap, and made anew. Nobody else may commit to such a table's Iceberg side.
//
// What Delta does not say is read from the files' footers: statistics, partitions, field ids.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "catalog/lake_tables.h"

namespace varve::catalog {

// An Iceberg property, "delta" in a table whose commits go to Delta first.
inline constexpr const char* kFirstFormatProperty = "varve.first-format";
bool FollowsDelta(const table::iceberg::TableMetadata& metadata);

struct NewMirror {
  // Its partitioning, order and properties; none: partitioned as the files' folders say, if they
  // do.
  std::optional<TableShape> shape;
  bool accept_problems = false;  // columns that some readers get wrong
  std::function<bool()> stopped;
};

// The table's first metadata, with one snapshot of all of the log's files, put in one step; nothing
// if there is a table already. Files are described and put into manifests so many at a time.
// A file whose rows are of several partitions is in none.
// kInvalid: PARTITION_COLUMNS, UNREADABLE_COLUMN, SCHEMA_MISMATCH, FILE_MISSING, FOREIGN_CATALOG,
// FOREIGN_LOCATION. Then there is no such table, and what was put is an orphan.
inline constexpr size_t kMirrorChunkFiles = 1'000;
Status BeginIceberg(IcebergTables& iceberg, DeltaTables& delta, const std::string& name,
                    const NewMirror& wanted);
// Makes the current snapshot say what the log says. Tells the snapshot.
Result<IcebergCommit> LevelIceberg(IcebergTables& iceberg, DeltaTables& delta,
                                   const std::string& name);

// Where Iceberg is first: what other programs have committed to the Delta log comes into Iceberg,
// their new columns too. A file with rows of several partitions is in none. kInvalid,
// DELTA_CHANGED: it cannot, and why.
Status TakeFromDelta(IcebergTables& iceberg, DeltaTables& delta, const std::string& name);

}  // namespace varve::catalog
