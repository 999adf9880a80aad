#include "catalog/snapshot_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "core/letter_case.h"
#include "table/iceberg/name_mapping.h"

namespace varve::catalog {
namespace {

constexpr int kLooksMax = 5;  // at a table whose snapshots are expired meanwhile

namespace ice = table::iceberg;
namespace dl = table::delta;

constexpr int32_t kPositionDeletes = 1;  // Iceberg's content of a delete file
constexpr const char* kRewrite =
    "have them applied by the engine that wrote them (Spark: rewrite_data_files with "
    "'delete-file-threshold' 1)";

Error NoSuchSnapshot(const std::string& name, const std::string& what) {
  return MakeError(ErrorKind::kNotFound, "NO_SUCH_SNAPSHOT",
                   fmt::format("the table '{}' has no snapshot {}", name, what));
}

Result<const ice::Snapshot*> Choose(const ice::TableMetadata& metadata, const std::string& name,
                                    const AsOf& as_of) {
  if (as_of.snapshot_id) {
    const ice::Snapshot* found = metadata.FindSnapshot(*as_of.snapshot_id);
    if (found == nullptr) return NoSuchSnapshot(name, std::to_string(*as_of.snapshot_id));
    return found;
  }
  if (!as_of.time_ms) return metadata.current();
  const ice::Snapshot* found = nullptr;
  for (const ice::LogEntry& entry : metadata.snapshot_log) {
    if (entry.timestamp_ms <= *as_of.time_ms) found = metadata.FindSnapshot(entry.snapshot_id);
  }
  if (found == nullptr) return NoSuchSnapshot(name, "at " + FormatIso(*as_of.time_ms));
  return found;
}

Result<SnapshotFiles> OfIceberg(IcebergTables& tables, const std::string& name, const AsOf& as_of,
                                ice::EntryDetail detail) {
  const IcebergHead head = TRY(tables.Load(name));
  const ice::TableMetadata& metadata = head.metadata;
  const ice::Snapshot* snapshot = TRY(Choose(metadata, name, as_of));
  SnapshotFiles out;
  out.schema = metadata.schema();
  out.by_id = true;
  if (const auto mapping = metadata.properties.find(ice::kNameMapping);
      mapping != metadata.properties.end()) {
    out.names = ice::MappedNames(mapping->second);
  }
  if (snapshot == nullptr) return out;
  out.snapshot_id = snapshot->id;
  out.timestamp_ms = snapshot->timestamp_ms;
  // A column may have been renamed or dropped since the current snapshot was made.
  const bool is_past = as_of.snapshot_id || as_of.time_ms;
  if (is_past && snapshot->schema_id) {
    if (const table::Schema* schema = metadata.FindSchema(*snapshot->schema_id)) {
      out.schema = *schema;
    }
  }
  const TablePlace place = tables.Place(name);
  const auto to_key = [&](std::string& path) -> Status {
    std::string key = TRY(place.KeyOf(path, metadata.location));
    path.resize(path.size() - key.size());
    if (!out.deleted.roots.contains(path)) out.deleted.roots.insert(std::move(path));
    path = std::move(key);
    return {};
  };
  const auto file = [&](ice::ManifestEntry&& entry) -> Status {
    TRY(to_key(entry.file.path));
    out.files.push_back(std::move(entry.file));
    return {};
  };
  const auto deletes = [&](ice::ManifestEntry&& entry) -> Status {
    const bool positions = entry.content == kPositionDeletes && FoldCase(entry.format) == "parquet";
    if (!positions) ++out.deleted.others;
    if (!positions) return {};
    entry.file.path = TRY(place.KeyOf(entry.file.path, metadata.location));
    out.deleted.positions.push_back(std::move(entry.file));
    return {};
  };
  TRY(ice::ForEachLive(metadata, *snapshot, tables.Reader(name, metadata.location), detail, file,
                       deletes));
  return out;
}

Result<SnapshotFiles> OfDelta(DeltaTables& tables, const std::string& name, const AsOf& as_of) {
  std::optional<int64_t> version = as_of.snapshot_id;
  if (!version && as_of.time_ms) {
    for (const auto& entry : TRY(tables.History(name))) {
      if (entry.timestamp_ms <= *as_of.time_ms) version = entry.version;
    }
    if (!version) return NoSuchSnapshot(name, "at " + FormatIso(*as_of.time_ms));
  }
  const dl::State state =
      version ? TRY(tables.LoadVersion(name, *version)) : TRY(tables.Load(name));
  SnapshotFiles out;
  out.snapshot_id = state.version;
  out.timestamp_ms = state.timestamp_ms;
  out.schema = TRY(dl::SchemaFromJson(state.table.schema_json));
  const TablePlace place = tables.Place(name);
  std::map<std::string, const dl::Add*> adds;  // by key
  for (const auto& item : state.files) {
    auto key = DeltaFileKey(place, item.first);
    if (!key) {
      return MakeError(ErrorKind::kInvalid, "FOREIGN_LOCATION",
                       fmt::format("'{}' is not under the table's root", item.first));
    }
    adds[std::move(*key)] = &item.second;
  }
  for (const std::string& column : state.table.partition_columns) {
    out.constants.push_back({column, {}});
  }
  for (const auto& item : adds) {
    const dl::Add& add = *item.second;
    table::DataFile file;
    file.path = item.first;
    file.bytes = static_cast<uint64_t>(add.bytes);
    file.rows = dl::RowsOf(add).value_or(-1);
    out.files.push_back(std::move(file));
    for (table::ConstantColumn& column : out.constants) {
      const auto value = add.partition.find(column.name);
      column.values.push_back(value == add.partition.end() ? std::nullopt : value->second);
    }
  }
  return out;
}

}  // namespace

Result<SnapshotFiles> FilesAsOf(LakeTables& tables, const std::string& name, const AsOf& as_of,
                                ice::EntryDetail detail) {
  if (TRY(tables.IsDeltaFirst(name))) return OfDelta(tables.delta(), name, as_of);
  for (int i = 1;; ++i) {
    auto files = OfIceberg(tables.iceberg(), name, as_of, detail);
    if (files.ok() || files.error().code != "SNAPSHOT_EXPIRED" || i == kLooksMax) return files;
  }
}

Status CheckNothingDeleted(const SnapshotFiles& snapshot, const std::string& name) {
  if (!snapshot.deleted.any()) return {};
  return MakeError(
      ErrorKind::kInvalid, "DELETE_FILES_PRESENT",
      fmt::format("the table '{}' has {} delete files, which only Iceberg knows; {}", name,
                  snapshot.deleted.positions.size() + snapshot.deleted.others, kRewrite));
}

Status CheckReadable(const SnapshotFiles& snapshot, const std::string& name) {
  if (snapshot.deleted.others == 0) return {};
  return MakeError(ErrorKind::kInvalid, "DELETE_FILES_PRESENT",
                   fmt::format("the table '{}' has {} delete files that are none of positions in "
                               "Parquet (equality deletes, perhaps), which are not applied here; "
                               "{}",
                               name, snapshot.deleted.others, kRewrite));
}

TableDiff DiffFiles(const SnapshotFiles& from, const SnapshotFiles& to) {
  std::unordered_map<std::string, int64_t> before;
  for (const table::DataFile& file : from.files) before[file.path] = file.rows;
  TableDiff diff;
  for (const table::DataFile& file : to.files) {
    if (before.erase(file.path) > 0) continue;
    diff.added.push_back(file.path);
    diff.rows_added += file.rows;
  }
  for (const auto& [path, rows] : before) {
    diff.removed.push_back(path);
    diff.rows_removed += rows;
  }
  std::sort(diff.added.begin(), diff.added.end());
  std::sort(diff.removed.begin(), diff.removed.end());
  return diff;
}

}  // namespace varve::catalog
