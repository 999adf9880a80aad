// The exact files of a table at one snapshot, by id or by time: what a query reads from start to
// end, whatever is committed meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "catalog/lake_tables.h"

namespace varve::catalog {

struct AsOf {                          // neither: the current one
  std::optional<int64_t> snapshot_id;  // a Delta table's version
  std::optional<int64_t> time_ms;      // the last snapshot that is not later
};

struct SnapshotFiles {
  int64_t snapshot_id = 0;  // 0 and no files: an Iceberg table without a snapshot
  int64_t timestamp_ms = 0;
  table::Schema schema;
  std::vector<table::DataFile> files;  // paths are the store's keys
};

// Of the table's first format: Iceberg's snapshot, or Delta's version. kAll: with the columns'
// statistics, which a table of very many files pays for in memory; Delta's have none.
// kNotFound, NO_SUCH_SNAPSHOT.
Result<SnapshotFiles> FilesAsOf(
    LakeTables& tables, const std::string& name, const AsOf& as_of,
    table::iceberg::EntryDetail detail = table::iceberg::EntryDetail::kPathsOnly);

struct TableDiff {
  std::vector<std::string> added, removed;  // keys
  int64_t rows_added = 0, rows_removed = 0;
};
TableDiff DiffFiles(const SnapshotFiles& from, const SnapshotFiles& to);

}  // namespace varve::catalog
