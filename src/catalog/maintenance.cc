#include "catalog/maintenance.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/checked_store.h"
#include "catalog/lease.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "table/iceberg/manifest_merge.h"
#include "table/iceberg/update.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

const CrashPoint kAfterExpire{"catalog.after_expire"};
const CrashPoint kAfterDelete{"catalog.after_delete"};

// Below the head, so many metadata files are never taken for orphans, whatever the log says.
constexpr int64_t kMetadataVersionsKept = 100;

}  // namespace

Status Maintenance::AddIcebergReferences(const std::string& name, std::set<std::string>& keys) {
  const IcebergHead head = TRY(tables_.iceberg().Load(name));
  const TablePlace place = tables_.iceberg().Place(name);
  const ice::TableMetadata& metadata = head.metadata;
  const auto read = tables_.iceberg().Reader(name, metadata.location);
  const auto add = [&](const std::string& location) -> Result<bool> {
    return keys.insert(TRY(place.KeyOf(location, metadata.location))).second;
  };
  for (int64_t v = std::max<int64_t>(1, head.version - kMetadataVersionsKept); v <= head.version;
       ++v) {
    keys.insert(MetadataKey(place, v));
  }
  for (const auto& entry : metadata.metadata_log) TRY(add(entry.file));
  std::vector<std::string> more = ice::StatisticsFiles(metadata);
  more.push_back(head.location);
  for (const std::string& file : more) {
    // One that lies elsewhere is not ours to delete.
    if (auto key = place.KeyOf(file, metadata.location); key.ok()) keys.insert(std::move(*key));
  }
  for (const ice::Snapshot& snapshot : metadata.snapshots) {
    TRY(add(snapshot.manifest_list));
    for (const ice::ManifestFile& row : TRY(ice::ReadManifestsOf(snapshot, read))) {
      if (!TRY(add(row.path))) continue;
      TRY(ice::ReadEntries(metadata, row, read, ice::EntryDetail::kPathsOnly,
                           [&](ice::ManifestEntry&& entry) -> Status {
                             // Only a live file is needed: a deleted one by older snapshots.
                             if (entry.is_live()) TRY(add(entry.file.path));
                             return {};
                           }));
    }
  }
  return {};
}

Status Maintenance::AddDeltaReferences(const std::string& name, std::set<std::string>& keys) {
  const dl::State state = TRY(tables_.delta().LoadToChange(name));
  const TablePlace place = tables_.delta().Place(name);
  const int64_t oldest_ms = tables_.delta().clock().NowMs() - dl::TombstoneRetentionMs(state.table);
  const auto add = [&](const std::string& path) {
    if (const auto decoded = dl::DecodePath(path)) keys.insert(place.Key(*decoded));
  };
  for (const auto& item : state.files) add(item.first);
  for (const auto& item : state.tombstones) {
    if (item.second.deleted_ms.value_or(0) > oldest_ms) add(item.first);
  }
  return {};
}

Result<std::set<std::string>> Maintenance::References(const std::string& name) {
  const Formats formats = TRY(tables_.FormatsOf(name));
  std::set<std::string> keys;
  if (formats.iceberg) TRY(AddIcebergReferences(name, keys));
  if (formats.delta) TRY(AddDeltaReferences(name, keys));
  return keys;
}

Status Maintenance::Delete(const std::string& name, const std::vector<std::string>& keys,
                           bool dry_run, Cleaned& cleaned) {
  const std::string root = tables_.iceberg().Place(name).key() + "/";
  store::ObjectStore& store = tables_.iceberg().store();
  for (const std::string& key : keys) {
    if (!key.starts_with(root)) {
      cleaned.released.push_back(key);
      continue;
    }
    if (const auto head = store.Head(key); head.ok()) cleaned.bytes += head->size;
    if (!dry_run) {
      TRY(store.Delete(key));
      kAfterDelete.Hit();
    }
    cleaned.deleted.push_back(key);
  }
  return {};
}

Result<Cleaned> Maintenance::Expire(const std::string& name, const CleanOptions& options) {
  IcebergTables& iceberg = tables_.iceberg();
  const TablePlace place = iceberg.Place(name);
  const Lease lease = TRY(TakeMaintenanceLease(iceberg, name));
  ice::ExpireRule rule;
  rule.older_than_ms = options.older_than_ms;
  rule.keep_last = std::max<size_t>(options.keep_last, 1);
  ice::Expiry expiry;
  const auto build = [&](const IcebergHead& head) -> Status {
    expiry = TRY(ice::ExpireSnapshots(head.metadata, head.location, rule, iceberg.clock().NowMs()));
    return {};
  };
  std::set<std::string> needless;
  const auto find = [&]() -> Status {
    const std::string& base = expiry.next.location;
    const auto unreferenced = TRY(ice::FindUnreferenced(expiry, iceberg.Reader(name, base)));
    needless.clear();
    for (const auto* list :
         {&unreferenced.data_files, &unreferenced.manifests, &unreferenced.manifest_lists}) {
      for (const std::string& location : *list) needless.insert(TRY(place.KeyOf(location, base)));
    }
    return {};
  };
  if (options.dry_run) {
    TRY(build(TRY(iceberg.Load(name))));
    TRY(find());
  } else {
    const IcebergHead head = TRY(iceberg.Update(
        name, [&](const IcebergHead& now) -> Result<std::optional<ice::TableMetadata>> {
          TRY(build(now));
          TRY(find());
          if (expiry.expired.empty()) return std::optional<ice::TableMetadata>();
          return std::optional<ice::TableMetadata>(expiry.next);
        }));
    if (!expiry.expired.empty()) kAfterExpire.Hit();
  }
  Cleaned cleaned;
  for (const ice::Snapshot& snapshot : expiry.expired) cleaned.expired.push_back(snapshot.id);
  // What Delta has, or a commit that has come meanwhile, stays.
  std::vector<std::string> keys;
  if (!expiry.expired.empty()) {
    std::set<std::string> needed;
    if (TRY(tables_.FormatsOf(name)).delta) TRY(AddDeltaReferences(name, needed));
    if (!options.dry_run) TRY(AddIcebergReferences(name, needed));
    std::set_difference(needless.begin(), needless.end(), needed.begin(), needed.end(),
                        std::back_inserter(keys));
  }
  TRY(Delete(name, keys, options.dry_run, cleaned));
  return cleaned;
}

Result<Cleaned> Maintenance::Vacuum(const std::string& name, const CleanOptions& options) {
  DeltaTables& delta = tables_.delta();
  const TablePlace place = delta.Place(name);
  const Lease lease = TRY(TakeMaintenanceLease(tables_.iceberg(), name));
  const dl::State state = TRY(delta.LoadToChange(name));
  const std::set<std::string> needed = TRY(References(name));
  std::vector<std::string> keys;
  for (const auto& item : state.tombstones) {
    const auto key = DeltaFileKey(place, item.first);
    if (key && !needed.contains(*key) && delta.store().Head(*key).ok()) keys.push_back(*key);
  }
  // The log: only below a checkpoint that is there and can be read, whose own commit stays.
  std::vector<store::ObjectMeta> log = TRY(store::ListAll(delta.store(), place.Key("_delta_log/")));
  std::set<int64_t> checkpoints;
  for (const auto& object : log) {
    const auto version = DeltaVersionOf(object.key, ".checkpoint.parquet");
    if (version && object.modified_ms < options.older_than_ms) checkpoints.insert(*version);
  }
  const int64_t checkpoint = TRY(delta.NewestSound(place, checkpoints)).version;
  for (const auto& object : log) {
    const auto commit = DeltaVersionOf(object.key, ".json");
    const auto older = DeltaVersionOf(object.key, ".checkpoint.parquet");
    const int64_t version = commit ? *commit : older.value_or(INT64_MAX);
    if (version < checkpoint && object.modified_ms < options.older_than_ms) {
      keys.push_back(object.key);
    }
  }
  Cleaned cleaned;
  TRY(Delete(name, keys, options.dry_run, cleaned));
  return cleaned;
}

Result<Cleaned> Maintenance::RemoveOrphans(const std::string& name, const CleanOptions& options) {
  IcebergTables& iceberg = tables_.iceberg();
  const TablePlace place = iceberg.Place(name);
  const Lease lease = TRY(TakeMaintenanceLease(iceberg, name));
  std::vector<std::string> candidates;
  int64_t last_version = 0;
  bool was_dropped = false;
  for (const char* folder : {"data/", "manifests/", "metadata/"}) {
    for (const auto& object : TRY(store::ListAll(iceberg.store(), place.Key(folder)))) {
      const bool hint = object.key.ends_with("/version-hint.text");
      const bool dropped = object.key == DroppedKey(place);
      last_version = std::max(last_version, MetadataVersion(object.key).value_or(0));
      was_dropped = was_dropped || dropped;
      if (!hint && !dropped && object.modified_ms < options.older_than_ms) {
        candidates.push_back(object.key);
      }
    }
  }
  const Formats formats = TRY(tables_.FormatsOf(name));
  if (!formats.any() && !was_dropped) {
    return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE",
                     fmt::format("there is no table '{}'", name));
  }
  std::set<std::string> needed = TRY(References(name));
  needed.insert(MetadataKey(place, last_version));  // it says that the table was dropped
  std::erase_if(candidates, [&](const std::string& key) { return needed.contains(key); });
  Cleaned cleaned;
  TRY(Delete(name, candidates, options.dry_run, cleaned));
  return cleaned;
}

Result<IcebergCommit> Maintenance::RewriteManifests(const std::string& name) {
  ice::Change change = tables_.iceberg().NewChange(ice::Operation::kReplace);
  change.merge_manifests = true;
  return tables_.iceberg().Commit(name, change);
}

}  // namespace varve::catalog
