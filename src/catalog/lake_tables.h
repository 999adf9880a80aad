// A table as its users know it: one set of Parquet files, published as Iceberg, as Delta, or both.
// The files lie under the table's root by partition, so they are Hive paths at the same time.
//
// The two logs cannot change in one step. A commit is done to Iceberg, then to Delta; each finds
// itself done when it is repeated (snapshot id and mark there, txn here), so whoever repeats a
// commit until both are done has each row once in both. In between, Delta is behind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/delta_tables.h"
#include "catalog/iceberg_tables.h"
#include "table/data_file.h"

namespace varve::catalog {

struct Formats {
  bool iceberg = false, delta = false;
  bool any() const { return iceberg || delta; }
};
// "iceberg", "delta", "iceberg+delta".
std::string_view ToString(Formats formats);   // of any
Formats ParseFormats(std::string_view text);  // none: it is none of these

struct TableShape {
  table::Schema schema;  // with ids
  table::PartitionSpec spec;
  table::SortOrder order;
  std::map<std::string, std::string> properties;  // Iceberg's
};

// What a writer or a compaction has done, and which commit it is. The ids are chosen once and kept
// by whoever repeats it (NewChanges).
struct FileChanges {
  std::vector<table::DataFile> added;                // paths are the store's keys
  std::vector<table::iceberg::RemovedFile> removed;  // likewise
  bool same_rows = false;  // a compaction: what is added has the rows of what is removed
  int64_t snapshot_id = 0;
  std::string commit_id;
  std::optional<table::iceberg::Mark> mark;
  std::map<std::string, std::string> summary;
  bool paths_are_new = false;
};

struct Published {
  std::optional<IcebergCommit> iceberg;
  std::optional<DeltaCommit> delta;
};

class LakeTables {
 public:
  LakeTables(IcebergTables& iceberg, DeltaTables& delta) : iceberg_(iceberg), delta_(delta) {}

  // Which formats the table has; none: there is no such table.
  Result<Formats> FormatsOf(const std::string& name);
  Result<std::vector<std::string>> List();

  // Makes what is missing: a repeated call, or one with another format, adds to the same table.
  Status Create(const std::string& name, const TableShape& shape, Formats formats);
  Result<TableShape> Shape(const std::string& name);
  // Makes every format's schema fit files with these columns.
  Status Evolve(const std::string& name, const table::Schema& file);

  FileChanges NewChanges();
  // kInvalid, OUTSIDE_TABLE: an added file of a Delta table is not under the table's root.
  Result<Published> Commit(const std::string& name, const FileChanges& changes);

  // A file's place under the table: "catalog/{t}/data/ts_hour=…/{file}".
  Result<std::string> DataKey(const std::string& name, const TableShape& shape,
                              const table::PartitionTuple& partition, const std::string& file);

  IcebergTables& iceberg() { return iceberg_; }
  DeltaTables& delta() { return delta_; }

 private:
  Result<IcebergCommit> CommitIceberg(const std::string& name, const FileChanges& changes);
  Result<DeltaCommit> CommitDelta(const std::string& name, const table::Schema& schema,
                                  const FileChanges& changes);

  IcebergTables& iceberg_;
  DeltaTables& delta_;
};

}  // namespace varve::catalog
