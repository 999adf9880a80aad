// The exact files of a table at one snapshot, by id or by time: what a query reads from start to
// end, whatever is committed meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/lake_tables.h"
#include "table/constant_column.h"

namespace varve::catalog {

struct AsOf {                          // neither: the current one
  std::optional<int64_t> snapshot_id;  // a Delta table's version
  std::optional<int64_t> time_ms;      // the last snapshot that is not later
};

// Rows of a snapshot's files that other engines have deleted without writing the files anew.
struct DeletedRows {
  std::vector<table::DataFile> positions;  // Parquet files of (file_path, pos); paths are keys
  size_t others = 0;                       // delete files of other kinds, which are not applied
  // What stands before the key in a data file's location: file_path begins with one of them.
  std::set<std::string> roots;

  bool any() const { return !positions.empty() || others > 0; }
};

struct SnapshotFiles {
  int64_t snapshot_id = 0;  // 0 and no files: an Iceberg table without a snapshot
  int64_t timestamp_ms = 0;
  table::Schema schema;
  // What a column, by its field id, is called in files without field ids; none: as in the schema.
  std::map<int32_t, std::vector<std::string>> names;
  bool by_id = false;  // files that have field ids are read by them: Iceberg's, not Delta's
  std::vector<table::DataFile> files;            // paths are the store's keys
  std::vector<table::ConstantColumn> constants;  // values in the files' order
  DeletedRows deleted;
};

// Of the table's first format: Iceberg's snapshot, or Delta's version. kAll: with the columns'
// statistics, which a table of very many files pays for in memory; Delta's have none.
// kNotFound, NO_SUCH_SNAPSHOT.
Result<SnapshotFiles> FilesAsOf(
    LakeTables& tables, const std::string& name, const AsOf& as_of,
    table::iceberg::EntryDetail detail = table::iceberg::EntryDetail::kPathsOnly);

// kInvalid, DELETE_FILES_PRESENT.
Status CheckNothingDeleted(const SnapshotFiles& snapshot, const std::string& name);
// The same, of rows whose deletion no query here knows.
Status CheckReadable(const SnapshotFiles& snapshot, const std::string& name);

struct TableDiff {
  std::vector<std::string> added, removed;  // keys
  int64_t rows_added = 0, rows_removed = 0;
};
TableDiff DiffFiles(const SnapshotFiles& from, const SnapshotFiles& to);

}  // namespace varve::catalog
