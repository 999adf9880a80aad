// What one query sees, fixed when it starts: the live files and the journal's rows that no file
// holds yet. Taken by whoever wires the process (app), so that query knows neither store nor
// journal.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespace_id.h"
#include "core/result.h"
#include "record/event.h"
#include "table/constant_column.h"
#include "table/schema.h"

namespace varve::query {

struct FileRef {
  std::string key;
  std::string path;  // absolute, on this machine
  uint64_t size = 0;
  int64_t modified_ms = 0;
};

struct HotChunk {  // one journal record
  record::RecordKind kind;
  int64_t received_ms;
  std::span<const record::EventRef> events;
  std::string_view body;  // kJsonPaddingBytes readable behind it
  uint32_t file = 0;      // of Snapshot::hot_files, in whose mapping both lie
};

struct HotFile {  // mapped, so that a SQL worker can map the same bytes
  int fd = -1;    // readable
  const char* base = nullptr;
  uint64_t bytes = 0;
};

struct TableSnapshot {
  std::vector<FileRef> parquet;
  std::vector<FileRef> ndjson;  // events: an event a line; logs: raw files with a header line
  std::vector<HotChunk> hot;
};

struct Snapshot {
  TableSnapshot events;
  TableSnapshot logs;
  std::vector<HotFile> hot_files;
  std::shared_ptr<const void> pins;  // keeps hot bytes and files alive, and as they are
};

// A lake table, as a statement names it.
struct TableRef {
  enum class At : uint8_t { kNow, kVersion, kTime };

  std::string name;  // table_names.h
  At at = At::kNow;
  int64_t value = 0;  // a snapshot id, or a Delta table's version; milliseconds

  // What it is called in DuckDB: the same table at two moments is two views.
  std::string ViewName() const;
  bool operator==(const TableRef&) const = default;
};

// What a statement sees of one: the files of one snapshot, and those of its writers that no
// snapshot has yet. Files are matched by field id if they have them, sources by name.
struct LakeTable {
  TableRef ref;
  table::Schema schema;  // without fields: there is no table yet, only sources
  // What a column, by its field id, is called in files without field ids; none: as in the schema.
  std::map<int32_t, std::vector<std::string>> names = {};
  bool by_id = false;  // files that have field ids are read by them
  std::vector<FileRef> files;
  std::vector<FileRef> sources;
  // Iceberg's position deletes: Parquet files of (file_path, pos), rows of `files` that are gone. A
  // file_path is one of delete_roots and a key.
  std::vector<FileRef> deletes = {};
  std::set<std::string> delete_roots = {};
  std::vector<table::ConstantColumn> constants = {};  // of files, whatever columns those have
  // Keys of which rows are read; the columns are those of all files. None: of all.
  std::optional<std::set<std::string>> only = {};
};

struct TimeRange {
  std::optional<int64_t> start_ms;  // inclusive
  std::optional<int64_t> end_ms;    // exclusive
};

class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  // Thread-safe. Files whose path lies outside the range may be left out.
  virtual Result<Snapshot> Take(const NamespaceId& ns, const TimeRange& range) = 0;
  // Those of the lake tables that there are. kNotFound, NO_SUCH_SNAPSHOT.
  virtual Result<std::vector<LakeTable>> TakeTables(const NamespaceId& /*ns*/,
                                                    std::span<const TableRef> /*refs*/) {
    return std::vector<LakeTable>();
  }
  // The first lake tables by name, at most so many.
  virtual Result<std::vector<std::string>> TableNames(const NamespaceId& /*ns*/,
                                                      size_t /*names_max*/) {
    return std::vector<std::string>();
  }
};

}  // namespace varve::query
