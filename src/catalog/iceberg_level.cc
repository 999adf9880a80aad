// Iceberg follows Delta's log: all of it where Delta is first, what others have committed to it
// where Iceberg is.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "catalog/delta_others.h"
#include "catalog/iceberg_mirror.h"
#include "catalog/mirrored_files.h"
#include "core/crash_point.h"
#include "core/log.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

const CrashPoint kLevelled{"publication.iceberg_level"};
const CrashPoint kTaken{"publication.taken_from_delta"};

// The next metadata of Iceberg, and its snapshot if files change.
struct Mirrored {
  ice::TableMetadata base;  // with new columns and properties, before the snapshot
  bool changed = false;     // it is not the head's
  ice::Change change;
};

Result<IcebergCommit> CommitMirrored(
    IcebergTables& iceberg, const std::string& name,
    const std::function<Status(const IcebergHead& base, Mirrored& next)>& make) {
  MirroredObjects objects(iceberg, name);
  IcebergCommit done;
  done.attempts = 0;
  const IcebergHead head = TRY(iceberg.Update(
      name, [&](const IcebergHead& base) -> Result<std::optional<ice::TableMetadata>> {
        objects.Delete();  // an earlier attempt's, which was rejected
        ++done.attempts;
        Mirrored next{base.metadata, false, {}};
        TRY(make(base, next));
        done.already_done = next.change.added.empty() && next.change.removed.empty();
        const int64_t now_ms = iceberg.clock().NowMs();
        if (done.already_done) {
          if (!next.changed) return std::optional<ice::TableMetadata>();
          return std::optional(ice::Follow(next.base, base.location, now_ms));
        }
        ice::Attempt attempt;
        attempt.now_ms = now_ms;
        attempt.run = next.change.commit_id;
        ice::Built built = TRY(ice::BuildCommit(next.base, base.location, next.change, attempt,
                                                iceberg.Reader(name, base.metadata.location)));
        TRY(objects.Put(built));
        return std::optional<ice::TableMetadata>(std::move(built.next));
      }));
  objects.Keep();
  done.version = head.version;
  done.snapshot_id = head.metadata.current_snapshot_id.value_or(0);
  return done;
}

// New columns that the log has got and Iceberg has not.
Status LevelColumns(IcebergTables& iceberg, const IcebergHead& base, const dl::State& log,
                    Mirrored& next) {
  const table::Schema columns = TRY(dl::SchemaFromJson(log.table.schema_json));
  const auto evolution =
      TRY(table::EvolveSchema(base.metadata.schema(), columns, base.metadata.last_column_id));
  if (!evolution.changed) return {};
  next.base =
      TRY(ice::WithSchema(base.metadata, base.location, evolution, iceberg.clock().NowMs()));
  next.base.metadata_log = base.metadata.metadata_log;  // the head is followed once
  next.changed = true;
  return {};
}

// The live files' paths as the log would have them; those of `gone` are to be removed.
Result<std::unordered_set<std::string>> LivePaths(
    IcebergTables& iceberg, const IcebergHead& head, const TablePlace& place,
    const std::function<bool(const std::string& path)>& gone, ice::Change& change) {
  std::unordered_set<std::string> live;
  const ice::Snapshot* snapshot = head.metadata.current();
  if (snapshot == nullptr) return live;
  TRY(ice::ForEachLive(
      head.metadata, *snapshot, iceberg.Reader(place.name(), head.metadata.location),
      ice::EntryDetail::kPathsOnly, [&](ice::ManifestEntry&& entry) -> Status {
        const std::string key = TRY(place.KeyOf(entry.file.path, head.metadata.location));
        std::string path =
            key.starts_with(place.key() + "/")
                ? dl::EncodePath(std::string_view(key).substr(place.key().size() + 1))
                : key;
        if (gone(path)) {
          ice::RemovedFile removed;
          removed.path = entry.file.path;
          removed.spec_id = entry.file.spec_id;
          removed.partition = entry.file.partition;
          change.removed.push_back(std::move(removed));
        }
        live.insert(std::move(path));
        return {};
      }));
  return live;
}

Status DescribeAll(IcebergTables& iceberg, const ice::TableMetadata& base, const TablePlace& place,
                   const std::vector<StoredFile>& files, ice::Change& change) {
  change.added.assign(files.size(), {});
  const std::string root = MirrorRoot(base, place);
  TRY(ForEachFooter(iceberg.store(), files, nullptr,
                    [&](size_t i, table::FileFooter&& footer) -> Status {
                      change.added[i] = TRY(DescribeMirrored(base, footer, files[i], root));
                      return {};
                    }));
  std::stable_sort(change.added.begin(), change.added.end(),
                   [](const auto& a, const auto& b) { return a.spec_id < b.spec_id; });
  return {};
}

void ChooseOperation(ice::Change& change) {
  if (change.removed.empty()) return;
  change.operation = change.added.empty() ? ice::Operation::kDelete : ice::Operation::kOverwrite;
}

// One look at both sides: what Iceberg lacks, and has too much.
Result<ice::Change> Difference(IcebergTables& iceberg, const IcebergHead& head,
                               const ice::TableMetadata& base, const TablePlace& place,
                               const dl::State& log) {
  ice::Change change = iceberg.NewChange(ice::Operation::kAppend);
  const auto gone = [&](const std::string& path) { return !log.files.contains(path); };
  const auto live = TRY(LivePaths(iceberg, head, place, gone, change));
  std::vector<StoredFile> files;
  for (const auto& item : log.files) {
    if (!live.contains(item.first)) files.push_back(TRY(MirroredFile(place, item.second)));
  }
  TRY(DescribeAll(iceberg, base, place, files, change));
  ChooseOperation(change);
  return change;
}

// Rows of several partitions in one file are in none, for which there must be a spec.
void AddNoPartitioning(ice::TableMetadata& metadata) {
  table::PartitionSpec none;
  for (const table::PartitionSpec& spec : metadata.specs) {
    if (spec.fields.empty()) return;
    none.id = std::max(none.id, spec.id + 1);
  }
  metadata.specs.push_back(std::move(none));
}

// What others' commits add up to.
Status AddOthers(IcebergTables& iceberg, const IcebergHead& base, const dl::State& log,
                 const OthersCommits& others, const TablePlace& place, Mirrored& next) {
  if (!log.table.partition_columns.empty()) {
    return MakeError(
        ErrorKind::kInvalid, "PARTITION_COLUMNS",
        fmt::format("the column '{}' is in the files' paths only", log.table.partition_columns[0]));
  }
  const auto gone = [&](const std::string& path) { return others.removed.contains(path); };
  const auto live = TRY(LivePaths(iceberg, base, place, gone, next.change));
  std::vector<StoredFile> files;
  for (const auto& [path, add] : others.added) {
    if (!live.contains(path)) files.push_back(TRY(MirroredFile(place, add)));
  }
  Status described = DescribeAll(iceberg, next.base, place, files, next.change);
  if (!described.ok() && described.error().code.starts_with("PARTITION_")) {
    AddNoPartitioning(next.base);
    described = DescribeAll(iceberg, next.base, place, files, next.change);
  }
  if (!described.ok()) return described;
  ChooseOperation(next.change);
  return {};
}

}  // namespace

Result<IcebergCommit> LevelIceberg(IcebergTables& iceberg, DeltaTables& delta,
                                   const std::string& name) {
  const TablePlace place = iceberg.Place(name);
  const auto done =
      CommitMirrored(iceberg, name, [&](const IcebergHead& base, Mirrored& next) -> Status {
        const dl::State log = TRY(delta.LoadToChange(name));  // after Iceberg's head
        TRY(LevelColumns(iceberg, base, log, next));
        next.change = TRY(Difference(iceberg, base, next.base, place, log));
        return {};
      });
  if (done.ok()) kLevelled.Hit();
  return done;
}

Status TakeFromDelta(IcebergTables& iceberg, DeltaTables& delta, const std::string& name) {
  OthersCommits others;
  const auto take = [&](const IcebergHead& base, Mirrored& next) -> Status {
    const dl::State log = TRY(delta.LoadToChange(name));  // after Iceberg's head
    others = TRY(FindOthersCommits(delta, name, log, TakenFromDelta(base.metadata)));
    next.change = iceberg.NewChange(ice::Operation::kAppend);
    if (others.count == 0) return {};
    if (iceberg.has_foreign_heads()) {
      return MakeError(ErrorKind::kInvalid, "FOREIGN_CATALOG",
                       "the Iceberg table is in another program's catalog");
    }
    TRY(LevelColumns(iceberg, base, log, next));
    TRY(AddOthers(iceberg, base, log, others, iceberg.Place(name), next));
    next.base.properties[kTakenFromDeltaProperty] = std::to_string(log.version);
    next.changed = true;
    return {};
  };
  const auto done = CommitMirrored(iceberg, name, take);
  if (!done.ok() && others.count > 0 &&
      (done.error().kind == ErrorKind::kInvalid || done.error().kind == ErrorKind::kCorrupt)) {
    return MakeError(
        ErrorKind::kInvalid, "DELTA_CHANGED",
        fmt::format("another program has committed to the Delta log of '{}' (versions {} to {}) "
                    "what cannot be taken into Iceberg: {}. Restore version {} there, as a new "
                    "version, and go on",
                    name, others.first, others.last, done.error().message, others.first - 1));
  }
  if (!done.ok()) return done.error();
  if (others.count == 0) return {};
  LogInfo("catalog.taken_from_delta", {{"table", name},
                                       {"first", others.first},
                                       {"last", others.last},
                                       {"added", others.added.size()},
                                       {"removed", others.removed.size()}});
  kTaken.Hit();
  return {};
}

}  // namespace varve::catalog
