#include "catalog/snapshot_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

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
  if (snapshot == nullptr) return out;
  out.snapshot_id = snapshot->id;
  out.timestamp_ms = snapshot->timestamp_ms;
  if (snapshot->schema_id) {
    if (const table::Schema* schema = metadata.FindSchema(*snapshot->schema_id)) {
      out.schema = *schema;
    }
  }
  const TablePlace place = tables.Place(name);
  TRY(ice::ForEachLive(metadata, *snapshot, tables.Reader(name, metadata.location), detail,
                       [&](ice::ManifestEntry&& entry) -> Status {
                         entry.file.path = TRY(place.KeyOf(entry.file.path, metadata.location));
                         out.files.push_back(std::move(entry.file));
                         return {};
                       }));
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
  for (const auto& item : state.files) {
    const auto path = dl::DecodePath(item.first);
    if (!path || path->find("://") != std::string::npos || path->starts_with("/")) {
      return MakeError(ErrorKind::kInvalid, "FOREIGN_LOCATION",
                       fmt::format("'{}' is not under the table's root", item.first));
    }
    table::DataFile file;
    file.path = place.Key(*path);
    file.bytes = static_cast<uint64_t>(item.second.bytes);
    file.rows = dl::RowsOf(item.second).value_or(-1);
    out.files.push_back(std::move(file));
  }
  std::sort(out.files.begin(), out.files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

}  // namespace

Result<SnapshotFiles> FilesAsOf(LakeTables& tables, const std::string& name, const AsOf& as_of,
                                ice::EntryDetail detail) {
  if (TRY(tables.IsDeltaFirst(name))) return OfDelta(tables.delta(), name, as_of);
  return OfIceberg(tables.iceberg(), name, as_of, detail);
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
