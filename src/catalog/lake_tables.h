// A table as its users know it: one set of Parquet files, published as Iceberg, as Delta, or both.
// The files lie under the table's root by partition, so they are Hive paths at the same time.
//
// The two logs cannot change in one step. A commit is done to the format that the table had first,
// then to the other: to Iceberg, then to Delta, if it was made with both. Each finds itself done
// when it is repeated (snapshot id and mark there, txn here), so whoever repeats a commit until
// both are done has each row once in both. In between, the second format is behind; our own readers
// read the first. Iceberg as the second is brought level with Delta's log (iceberg_mirror.h). A
// commit looks which formats there are once it has done one: another may have been published
// meanwhile (publication.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/delta_others.h"
#include "catalog/delta_tables.h"
#include "catalog/iceberg_tables.h"
#include "table/data_file.h"

namespace varve::catalog {

struct Formats {
  bool iceberg = false, delta = false;
  bool any() const { return iceberg || delta; }
  bool operator==(const Formats&) const = default;
};
// "iceberg", "delta", "iceberg+delta".
std::string_view ToString(Formats formats);   // of any
Formats ParseFormats(std::string_view text);  // none: it is none of these

struct TableShape {
  table::Schema schema;  // with ids
  table::PartitionSpec spec;
  table::SortOrder order;
  std::map<std::string, std::string> properties;  // Iceberg's
  bool ids_of_iceberg = false;  // false: the columns' ids are those of their order
  int32_t last_column_id = 0;   // Iceberg's
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
  // Of the shape that the added files are described by. A table that has been published in Iceberg
  // meanwhile has other ids: kConflict, TABLE_CHANGED.
  std::optional<bool> ids_of_iceberg;
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

  // Makes what is missing: a repeated call makes nothing, one with another format publishes the
  // table in it as well.
  Status Create(const std::string& name, const TableShape& shape, Formats formats);
  Result<TableShape> Shape(const std::string& name);
  // Makes every format's schema fit files with these columns.
  Status Evolve(const std::string& name, const table::Schema& file, NewIds ids = NewIds::kNext);

  FileChanges NewChanges();
  // kInvalid, OUTSIDE_TABLE: an added file of a Delta table is not under the table's root.
  Result<Published> Commit(const std::string& name, const FileChanges& changes);

  // Whether commits go to Delta first, or only there.
  Result<bool> IsDeltaFirst(const std::string& name);
  // Brings the second format level with the first, where a commit or publication that was cut short
  // has left it behind and nobody else need be waited for; and the first with what other programs
  // have committed to the second, Delta (kInvalid, DELTA_CHANGED: it cannot be). Nothing of a table
  // with one format.
  Status Level(const std::string& name);
  // What Level would take from there.
  Result<OthersCommits> OthersInDelta(const std::string& name);

  // A file's place under the table: "catalog/{t}/data/ts_hour=…/{file}".
  Result<std::string> DataKey(const std::string& name, const TableShape& shape,
                              const table::PartitionTuple& partition, const std::string& file);

  IcebergTables& iceberg() { return iceberg_; }
  DeltaTables& delta() { return delta_; }

 private:
  Result<bool> HasDelta(const std::string& name);
  Status CreateNew(const std::string& name, const TableShape& shape, Formats formats);
  Result<IcebergCommit> CommitIceberg(const std::string& name, const FileChanges& changes);
  Result<DeltaCommit> CommitDelta(const std::string& name, const table::Schema& schema,
                                  const FileChanges& changes, bool is_first);
  // After Iceberg has it.
  Result<DeltaCommit> FollowIceberg(const std::string& name, const table::Schema& schema,
                                    const FileChanges& changes);

  IcebergTables& iceberg_;
  DeltaTables& delta_;
};

}  // namespace varve::catalog
