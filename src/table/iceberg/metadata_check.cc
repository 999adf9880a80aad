// The commit's invariants, by name. They hold of every metadata that leaves us, whatever made it.
#include <fmt/format.h>

#include <set>

#include "table/iceberg/metadata.h"

namespace varve::table::iceberg {
namespace {

Status Broken(std::string what) {
  return MakeError(ErrorKind::kInternal, "METADATA_INVARIANT", std::move(what));
}

constexpr int64_t kLogSlackMs = 60'000;

Status MainIsCurrent(const TableMetadata& m) {
  const auto main = m.refs.find("main");
  if (!m.current_snapshot_id) {
    return main == m.refs.end() ? Status() : Broken("a main without a current snapshot");
  }
  if (main == m.refs.end() || main->second.snapshot_id != *m.current_snapshot_id ||
      !main->second.is_branch) {
    return Broken("refs.main is not the current snapshot");
  }
  return {};
}

Status SnapshotsAreSound(const TableMetadata& m) {
  std::set<int64_t> ids;
  for (const Snapshot& snapshot : m.snapshots) {
    if (snapshot.id <= 0) return Broken("a snapshot id is not positive");
    if (!ids.insert(snapshot.id).second) return Broken("two snapshots have one id");
    if (snapshot.sequence_number > m.last_sequence_number) {
      return Broken("a snapshot's sequence number is above the table's last");
    }
    if (!snapshot.summary.contains("operation")) return Broken("a summary has no operation");
    if (snapshot.manifest_list.empty()) return Broken("a snapshot has no manifest list");
  }
  for (const auto& [name, ref] : m.refs) {
    if (!ids.contains(ref.snapshot_id)) return Broken("ref " + name + " has no snapshot");
  }
  for (const LogEntry& entry : m.snapshot_log) {
    if (!ids.contains(entry.snapshot_id)) return Broken("the snapshot log has one that is gone");
  }
  return {};
}

Status TimesAreOrdered(const TableMetadata& m) {
  int64_t last = INT64_MIN;
  for (const LogEntry& entry : m.snapshot_log) {
    if (last != INT64_MIN && entry.timestamp_ms < last - kLogSlackMs) {
      return Broken("the snapshot log goes back in time");
    }
    last = entry.timestamp_ms;
  }
  if (!m.snapshot_log.empty() && m.last_updated_ms < last - kLogSlackMs) {
    return Broken("last-updated-ms is before the snapshot log's end");
  }
  last = INT64_MIN;
  for (const MetadataLogEntry& entry : m.metadata_log) {
    if (last != INT64_MIN && entry.timestamp_ms < last - kLogSlackMs) {
      return Broken("the metadata log goes back in time");
    }
    last = entry.timestamp_ms;
  }
  return {};
}

Status ColumnsAreSound(const TableMetadata& m) {
  std::set<int32_t> schema_ids;
  for (const Schema& schema : m.schemas) {
    std::set<int32_t> ids;
    if (!schema_ids.insert(schema.id).second) return Broken("two schemas have one id");
    std::vector<const std::vector<Field>*> waiting = {&schema.fields};
    while (!waiting.empty()) {
      const std::vector<Field>* fields = waiting.back();
      waiting.pop_back();
      for (const Field& field : *fields) {
        if (field.id <= 0 || field.id > m.last_column_id || !ids.insert(field.id).second) {
          return Broken(fmt::format("field id {} of '{}'", field.id, field.name));
        }
        waiting.push_back(&field.type.fields);
      }
    }
  }
  for (const PartitionSpec& spec : m.specs) {
    for (const PartitionField& field : spec.fields) {
      if (field.field_id > m.last_partition_id) return Broken("a partition field id is too high");
    }
  }
  return {};
}

Status FollowsBase(const TableMetadata& next, const TableMetadata& base) {
  if (next.uuid != base.uuid) return Broken("the table's uuid has changed");
  if (next.last_sequence_number < base.last_sequence_number) {
    return Broken("the sequence number has gone back");
  }
  if (next.last_column_id < base.last_column_id) return Broken("last-column-id has gone back");
  if (next.last_updated_ms < base.last_updated_ms) return Broken("last-updated-ms has gone back");
  return {};
}

Status HasOneSnapshotMore(const TableMetadata& next, const TableMetadata& base) {
  const bool new_snapshot = next.current_snapshot_id != base.current_snapshot_id;
  if (new_snapshot && next.current_snapshot_id) {
    const Snapshot* current = next.current();
    if (current == nullptr) return Broken("the current snapshot is not listed");
    if (current->parent_id != base.current_snapshot_id) {
      return Broken("the new snapshot's parent is not the base's current one");
    }
    if (current->sequence_number != base.last_sequence_number + 1) {
      return Broken("the new snapshot's sequence number is not the next one");
    }
  }
  return {};
}

}  // namespace

Status CheckMetadata(const TableMetadata& next, const TableMetadata* base, Step step) {
  if (next.uuid.empty() || next.location.empty()) return Broken("no uuid or no location");
  if (next.FindSchema(next.current_schema_id) == nullptr) return Broken("no current schema");
  if (next.FindSpec(next.default_spec_id) == nullptr) return Broken("no default spec");
  if (next.orders.empty()) return Broken("no sort order");
  TRY(MainIsCurrent(next));
  TRY(SnapshotsAreSound(next));
  TRY(TimesAreOrdered(next));
  TRY(ColumnsAreSound(next));
  if (base == nullptr) return {};
  TRY(FollowsBase(next, *base));
  if (step == Step::kOneSnapshot) TRY(HasOneSnapshotMore(next, *base));
  return {};
}

}  // namespace varve::table::iceberg
