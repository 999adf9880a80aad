// What a statement reads of one snapshot, decided in the server: views over exact files, and rows
// that lie in no Parquet file. The snapshot stays pinned as long as the plan lives.
#pragma once

#include <string>
#include <vector>

#include "query/engine.h"
#include "query/file_checks.h"
#include "query/table_view.h"
#include "query/worker_messages.h"

namespace varve::query {

struct TablePlan {
  TableKind kind;
  std::string name;
  std::string view;               // its SELECT
  bool has_rows;                  // those of the snapshot's hot and ndjson
  const TableSnapshot* snapshot;  // null: a lake table's
};

inline constexpr const char* kEventsView = "events";
inline constexpr const char* kLogsView = "logs";

class QueryPlan {
 public:
  QueryPlan() = default;
  QueryPlan(const QueryPlan&) = delete;
  QueryPlan& operator=(const QueryPlan&) = delete;

  // Takes the snapshot if the statement reads a table; runs nothing.
  Status Make(const TablesMessage& reads, const QueryRequest& request, SnapshotSource& source,
              FileChecks& checks);
  const Snapshot& snapshot() const { return snapshot_; }
  const std::vector<TablePlan>& tables() const { return tables_; }
  const std::vector<std::string>& paths() const { return paths_; }        // what it opens
  const std::vector<std::string>& warnings() const { return warnings_; }  // files left out
  // An error in words that its reader may see: keys in place of this machine's paths.
  Error Readable(Error error, uint64_t memory_bytes_max) const;

 private:
  void Add(TableKind kind, const TableSnapshot& table, FileChecks& checks);
  Status AddLake(const TablesMessage& reads, const NamespaceId& ns, SnapshotSource& source,
                 FileChecks& checks);
  void AddView(TableKind kind, std::string name, TableView view, const TableSnapshot* rows);

  Snapshot snapshot_;
  std::vector<LakeTable> lake_;
  std::vector<TablePlan> tables_;
  std::vector<std::string> paths_;
  std::vector<std::string> warnings_;
};

}  // namespace varve::query
