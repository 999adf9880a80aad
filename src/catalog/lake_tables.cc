#include "catalog/lake_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/delta_mirror.h"
#include "catalog/iceberg_mirror.h"
#include "catalog/mirrored_files.h"
#include "core/crash_point.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

const CrashPoint kBetween{"catalog.between_formats"};

}  // namespace

std::string_view ToString(Formats formats) {
  if (formats.iceberg && formats.delta) return "iceberg+delta";
  return formats.delta ? "delta" : "iceberg";
}

Formats ParseFormats(std::string_view text) {
  const bool both = text == "iceberg+delta";
  return {.iceberg = both || text == "iceberg", .delta = both || text == "delta"};
}

Result<Formats> LakeTables::FormatsOf(const std::string& name) {
  TRY(CheckTableName(name));
  Formats formats;
  // Delta first: where Iceberg was before it, it is found too. A table that has just got its first
  // format is never taken for one that has the other only.
  formats.delta = TRY(HasDelta(name));
  formats.iceberg = TRY(iceberg_.Exists(name));
  return formats;
}

Result<bool> LakeTables::HasDelta(const std::string& name) {
  const std::string key = delta_.Place(name).Key("_delta_log/0");
  return !TRY(delta_.store().List(key, "", 1)).objects.empty();
}

Result<bool> LakeTables::IsDeltaFirst(const std::string& name) {
  const Formats formats = TRY(FormatsOf(name));
  if (!formats.iceberg || !formats.delta) return formats.delta;
  return FollowsDelta(TRY(iceberg_.Load(name)).metadata);
}

Status LakeTables::Level(const std::string& name) {
  const Formats formats = TRY(FormatsOf(name));
  if (!formats.iceberg || !formats.delta) return {};
  if (TRY(IsDeltaFirst(name))) {
    TRY(LevelIceberg(iceberg_, delta_, name));
    return {};
  }
  TRY(TakeFromDelta(iceberg_, delta_, name));
  const dl::State log = TRY(delta_.Load(name));  // before Iceberg's head
  const IcebergHead head = TRY(iceberg_.Load(name));
  return IsBehind(log, head.metadata) ? LevelDelta(iceberg_, delta_, name) : Status();
}

Result<OthersCommits> LakeTables::OthersInDelta(const std::string& name) {
  const Formats formats = TRY(FormatsOf(name));
  if (!formats.iceberg || !formats.delta) return OthersCommits();
  const IcebergHead head = TRY(iceberg_.Load(name));
  if (FollowsDelta(head.metadata)) return OthersCommits();
  const dl::State log = TRY(delta_.Load(name));
  return FindOthersCommits(delta_, name, log, TakenFromDelta(head.metadata));
}

Result<std::vector<std::string>> LakeTables::List() {
  std::vector<std::string> names;
  for (std::string& name : TRY(store::ListFolders(iceberg_.store(), iceberg_.Place("").key()))) {
    if (CheckTableName(name).ok() && TRY(FormatsOf(name)).any()) names.push_back(std::move(name));
  }
  for (std::string& name : TRY(iceberg_.heads().List())) {
    if (CheckTableName(name).ok()) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Status LakeTables::Create(const std::string& name, const TableShape& shape, Formats formats) {
  const Formats there = TRY(FormatsOf(name));
  if (!there.any()) return CreateNew(name, shape, formats);
  if (formats.delta && !there.delta) {
    TRY(BeginDelta(iceberg_, delta_, name));
  } else if (formats.iceberg && !there.iceberg) {
    NewMirror wanted;
    wanted.shape = shape;
    TRY(BeginIceberg(iceberg_, delta_, name, wanted));
  }
  return Level(name);
}

Status LakeTables::CreateNew(const std::string& name, const TableShape& shape, Formats formats) {
  if (formats.delta) TRY(dl::SchemaToJson(shape.schema));  // before Iceberg has it
  std::string id;
  if (formats.iceberg) {
    ice::NewTable table;
    table.schema = shape.schema;
    table.spec = shape.spec;
    table.order = shape.order;
    table.properties = shape.properties;
    id = TRY(iceberg_.Create(name, std::move(table))).metadata.uuid;
  } else {
    id = iceberg_.NewUuid();
  }
  if (formats.delta) TRY(delta_.Create(name, id, shape.schema, {}));
  return {};
}

Result<TableShape> LakeTables::Shape(const std::string& name) {
  const Formats formats = TRY(FormatsOf(name));
  TableShape shape;
  if (formats.iceberg) {
    IcebergHead head = TRY(iceberg_.Load(name));
    shape.schema = head.metadata.schema();
    shape.spec = head.metadata.spec();
    shape.order = head.metadata.order();
    shape.properties = std::move(head.metadata.properties);
    shape.ids_of_iceberg = true;
    shape.last_column_id = head.metadata.last_column_id;
    return shape;
  }
  const dl::State state = TRY(delta_.Load(name));
  shape.schema = TRY(dl::SchemaFromJson(state.table.schema_json));
  return shape;
}

Status LakeTables::Evolve(const std::string& name, const table::Schema& file, NewIds ids) {
  Formats done;
  for (Formats formats = TRY(FormatsOf(name)); formats != done; formats = TRY(FormatsOf(name))) {
    if (formats.iceberg && formats.delta && ids == NewIds::kAsGiven) {
      const TableShape shape = TRY(Shape(name));
      const auto next = TRY(table::EvolveSchema(shape.schema, file, shape.last_column_id));
      TRY(table::CheckSameIds(next.schema, file));
    }
    // Delta first: what it cannot take, the other one shall not have either.
    if (formats.delta) TRY(delta_.Evolve(name, file));
    if (formats.iceberg) TRY(iceberg_.Evolve(name, file, ids));
    done = formats;
  }
  return {};
}

FileChanges LakeTables::NewChanges() {
  const ice::Change ids = iceberg_.NewChange(ice::Operation::kAppend);
  FileChanges changes;
  changes.snapshot_id = ids.snapshot_id;
  changes.commit_id = ids.commit_id;
  return changes;
}

Result<IcebergCommit> LakeTables::CommitIceberg(const std::string& name,
                                                const FileChanges& changes) {
  const IcebergHead head = TRY(iceberg_.Load(name));
  const TablePlace place = iceberg_.Place(name);
  ice::Change change;
  change.operation = changes.removed.empty() ? ice::Operation::kAppend
                     : changes.same_rows     ? ice::Operation::kReplace
                     : changes.added.empty() ? ice::Operation::kDelete
                                             : ice::Operation::kOverwrite;
  change.uuid = head.metadata.uuid;
  change.snapshot_id = changes.snapshot_id;
  change.commit_id = changes.commit_id;
  change.mark = changes.mark;
  change.summary = changes.summary;
  change.paths_are_new = changes.paths_are_new;
  // Locations as the table has them, which may have been made where the store lay before.
  const std::string root = MirrorRoot(head.metadata, place);
  change.added = changes.added;
  for (table::DataFile& file : change.added) file.path = root + "/" + file.path;
  change.removed = changes.removed;
  for (ice::RemovedFile& file : change.removed) file.path = root + "/" + file.path;
  return iceberg_.Commit(name, change);
}

Result<DeltaCommit> LakeTables::CommitDelta(const std::string& name, const table::Schema& schema,
                                            const FileChanges& changes, bool is_first) {
  const TablePlace place = delta_.Place(name);
  const std::string root = place.key() + "/";
  dl::Change change;
  change.commit_id = changes.commit_id;
  for (const table::DataFile& file : changes.added) {
    change.adds.push_back(TRY(AddOf(place, file, schema, delta_.clock().NowMs())));
  }
  for (const ice::RemovedFile& file : changes.removed) {
    // Raw files that were registered where they lie are not Delta's.
    if (!file.path.starts_with(root)) continue;
    change.removes.push_back(dl::EncodePath(std::string_view(file.path).substr(root.size())));
  }
  const bool all_were_here = change.removes.size() == changes.removed.size();
  change.data_change = !changes.same_rows || !all_were_here;
  change.operation = !change.data_change ? "OPTIMIZE" : change.removes.empty() ? "WRITE" : "MERGE";
  dl::Txn txn;
  txn.app_id = changes.mark ? dl::kMarkTxnPrefix + changes.mark->shard
                            : dl::kCommitTxnPrefix + changes.commit_id;
  txn.version = changes.mark ? changes.mark->sequence : 0;
  txn.updated_ms = delta_.clock().NowMs();
  change.txn = std::move(txn);
  change.informed = true;
  return delta_.Update(name, [&](const dl::State& head) -> Result<std::optional<dl::Change>> {
    // A second format does not follow where others came in between: they would be passed over.
    if (!is_first) TRY(CheckNoOthers(iceberg_, delta_, name, head));
    return std::optional<dl::Change>(change);
  });
}

Result<DeltaCommit> LakeTables::FollowIceberg(const std::string& name, const table::Schema& schema,
                                              const FileChanges& changes) {
  auto delta = CommitDelta(name, schema, changes, false);
  const auto is_apart = [&] {
    return !delta.ok() &&
           (delta.error().code == "SOURCE_NOT_LIVE" || delta.error().code == "DELTA_CHANGED");
  };
  if (!is_apart()) return delta;
  TRY(Level(name));  // with what was there before Delta was, or what others have done to it
  delta = CommitDelta(name, schema, changes, false);
  if (!is_apart() || delta.error().code == "DELTA_CHANGED") return delta;
  // Iceberg has the sources' own commit, whose writer has yet to do it to Delta.
  return MakeError(ErrorKind::kRetryable, "DELTA_BEHIND", delta.error().message);
}

Result<Published> LakeTables::Commit(const std::string& name, const FileChanges& changes) {
  const Formats formats = TRY(FormatsOf(name));
  if (!formats.any()) {
    return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE",
                     fmt::format("there is no table '{}'", name));
  }
  const TableShape shape = TRY(Shape(name));
  if (changes.ids_of_iceberg.value_or(shape.ids_of_iceberg) != shape.ids_of_iceberg) {
    return MakeError(ErrorKind::kConflict, "TABLE_CHANGED",
                     fmt::format("'{}' has just been published in another format", name));
  }
  for (const table::DataFile& file : changes.added) {  // before Iceberg has it
    if (formats.delta) TRY(CheckInside(delta_.Place(name), file.path));
  }
  Published done;
  const auto first = shape.properties.find(kFirstFormatProperty);
  const bool delta_first = !formats.iceberg || first != shape.properties.end();
  if (formats.delta && delta_first) {
    done.delta = TRY(CommitDelta(name, shape.schema, changes, true));
    kBetween.Hit();
    if (TRY(iceberg_.Exists(name))) done.iceberg = TRY(LevelIceberg(iceberg_, delta_, name));
    return done;
  }
  done.iceberg = TRY(CommitIceberg(name, changes));
  kBetween.Hit();
  if (!formats.delta && !TRY(HasDelta(name))) return done;
  done.delta = TRY(FollowIceberg(name, shape.schema, changes));
  return done;
}

Result<std::string> LakeTables::DataKey(const std::string& name, const TableShape& shape,
                                        const table::PartitionTuple& partition,
                                        const std::string& file) {
  const std::string folders = TRY(table::PartitionPath(shape.spec, shape.schema, partition));
  const TablePlace place = iceberg_.Place(name);
  return place.Key(folders.empty() ? "data/" + file : "data/" + folders + "/" + file);
}

}  // namespace varve::catalog
