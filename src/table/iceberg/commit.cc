#include "table/iceberg/commit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_map>

#include "core/bytes.h"
#include "table/iceberg/manifest_merge.h"
#include "table/iceberg/name_mapping.h"

namespace varve::table::iceberg {
namespace {

constexpr size_t kMetadataLogMax = 100;
constexpr const char* kMinToMerge = "commit.manifest.min-count-to-merge";

Error Conflict(std::string code, std::string message) {
  return MakeError(ErrorKind::kConflict, std::move(code), std::move(message));
}

std::optional<int64_t> NumberOf(const std::map<std::string, std::string>& map,
                                const std::string& key) {
  const auto at = map.find(key);
  if (at == map.end()) return std::nullopt;
  int64_t number = 0;
  const char* const end = at->second.data() + at->second.size();
  const auto [stop, error] = std::from_chars(at->second.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

struct Totals {
  int64_t files = 0, rows = 0, bytes = 0;

  void Add(const DataFile& file) {
    ++files;
    rows += file.rows;
    bytes += static_cast<int64_t>(file.bytes);
  }
};

class Builder {
 public:
  Builder(const TableMetadata& base, const Change& change, const Attempt& attempt,
          const ReadObject& read)
      : base_(base),
        change_(change),
        attempt_(attempt),
        read_(read),
        sequence_number_(base.last_sequence_number + 1),
        sync_(Sha256(change.commit_id).substr(0, 16)),
        added_(base, change.snapshot_id, sequence_number_,
               Name(fmt::format("a{}-", base.current_schema_id)), sync_, true),
        rewritten_(base, change.snapshot_id, sequence_number_,
                   Name(fmt::format("r{}-", attempt.number)), sync_, false) {}

  Result<Built> Build(const std::string& base_location) {
    TRY(StillTheTable());
    TRY(LoadCarried());
    TRY(ScanCarried());
    TRY(AddFiles());
    if (change_.operation == Operation::kReplace && new_.rows != removed_.rows) {
      return MakeError(ErrorKind::kInvalid, "ROWS_NOT_KEPT",
                       fmt::format("a replace of {} rows by {}", removed_.rows, new_.rows));
    }
    TRY(rewritten_.Finish());
    const size_t merged = TRY(MergeSmall(base_, Limits(), read_, carried_, rewritten_));
    replaced_ += merged;
    Snapshot snapshot = MakeSnapshot();
    std::vector<ManifestFile> rows = added_.rows;
    rows.insert(rows.end(), rewritten_.rows.begin(), rewritten_.rows.end());
    const size_t created = rows.size();
    rows.insert(rows.end(), carried_.begin(), carried_.end());
    Summarize(rows, created, snapshot);
    Built built;
    NewObject list;
    list.path = snapshot.manifest_list;
    list.bytes = TRY(WriteManifestList(rows, snapshot, sync_));
    for (auto* output : {&added_, &rewritten_}) {
      for (NewObject& object : output->objects) built.objects.push_back(std::move(object));
    }
    built.objects.push_back(std::move(list));
    built.next = Next(base_location, std::move(snapshot));
    TRY(CheckMetadata(built.next, &base_));
    return built;
  }

 private:
  std::string Name(const std::string& kind) const {
    return fmt::format("{}/manifests/{}-{}-{}-{}", base_.location, change_.snapshot_id,
                       change_.commit_id, attempt_.run, kind);
  }

  Status StillTheTable() const {
    if (change_.uuid && *change_.uuid != base_.uuid) {
      return Conflict("TABLE_CHANGED", "the table was dropped and made anew");
    }
    if (change_.schema_id && *change_.schema_id != base_.current_schema_id) {
      return Conflict("TABLE_CHANGED", "the table's schema has changed");
    }
    if (change_.spec_id && *change_.spec_id != base_.default_spec_id) {
      return Conflict("TABLE_CHANGED", "the table's partitioning has changed");
    }
    return {};
  }

  Status LoadCarried() {
    const Snapshot* current = base_.current();
    if (current == nullptr) return {};
    for (ManifestFile& row : TRY(ReadManifestsOf(*current, read_))) {
      if (row.content != 0 && !change_.removed.empty()) {
        return Conflict("DELETE_FILES_PRESENT",
                        "the table has delete files, which a replace would lose");
      }
      if (row.has_live()) {
        carried_.push_back(std::move(row));
      } else {
        ++replaced_;
      }
    }
    return {};
  }

  bool NeedsScan(const ManifestFile& row) const {
    for (const RemovedFile& file : change_.removed) {
      if (!file.partition || MayHold(base_, row, file.spec_id, *file.partition)) return true;
    }
    if (change_.paths_are_new) return false;
    return std::any_of(change_.added.begin(), change_.added.end(), [&](const DataFile& file) {
      return MayHold(base_, row, file.spec_id, file.partition);
    });
  }

  Status ScanCarried() {
    for (const RemovedFile& file : change_.removed) waiting_.insert(file.path);
    if (waiting_.size() != change_.removed.size()) {
      return MakeError(ErrorKind::kInvalid, "a file is removed twice in one commit");
    }
    for (const DataFile& file : change_.added) {
      if (!paths_.insert(file.path).second || waiting_.contains(file.path)) {
        return MakeError(ErrorKind::kInvalid,
                         fmt::format("'{}' is added twice, or added and removed", file.path));
      }
    }
    std::vector<ManifestFile> kept;
    for (ManifestFile& row : carried_) {
      const bool hit = row.content == 0 && NeedsScan(row) && TRY(Holds(row));
      if (!hit) {
        kept.push_back(std::move(row));
        continue;
      }
      TRY(Rewrite(row));
      ++replaced_;
    }
    carried_ = std::move(kept);
    if (removed_.files != static_cast<int64_t>(change_.removed.size())) {
      for (const std::string& path : waiting_) {
        return Conflict("SOURCE_NOT_LIVE", fmt::format("'{}' is not live in the table", path));
      }
    }
    return {};
  }

  // Whether it has a file that is removed; an added path that it has already is a conflict.
  Result<bool> Holds(const ManifestFile& row) {
    bool hit = false;
    TRY(ReadEntries(base_, row, read_, EntryDetail::kPathsOnly,
                    [&](ManifestEntry&& entry) -> Status {
                      if (!entry.is_live()) return {};
                      if (paths_.contains(entry.file.path)) {
                        return Conflict("FILE_ALREADY_LIVE",
                                        fmt::format("'{}' is live already", entry.file.path));
                      }
                      hit = hit || waiting_.contains(entry.file.path);
                      return {};
                    }));
    return hit;
  }

  Status Rewrite(const ManifestFile& row) {
    if (row.key_metadata) return Conflict("TABLE_CHANGED", "an encrypted manifest");
    TRY(ReadEntries(base_, row, read_, EntryDetail::kAll, [&](ManifestEntry&& entry) -> Status {
      if (!entry.is_live()) return {};
      const auto waiting = waiting_.find(entry.file.path);
      if (waiting == waiting_.end()) return rewritten_.Add(AsExisting(std::move(entry)));
      waiting_.erase(waiting);
      removed_.Add(entry.file);
      partitions_.insert({entry.file.spec_id, entry.file.partition});
      entry.status = EntryStatus::kDeleted;
      entry.snapshot_id = change_.snapshot_id;
      return rewritten_.Add(entry);
    }));
    return rewritten_.Finish();
  }

  Status AddFiles() {
    for (const DataFile& file : change_.added) {
      ManifestEntry entry;
      entry.snapshot_id = change_.snapshot_id;
      entry.file = file;
      TRY(added_.Add(entry));
      new_.Add(file);
      partitions_.insert({file.spec_id, file.partition});
    }
    return added_.Finish();
  }

  MergeLimits Limits() const {
    MergeLimits limits;
    const auto wanted = NumberOf(base_.properties, kMinToMerge);
    if (wanted && *wanted > 1) limits.count_min = static_cast<size_t>(*wanted);
    if (change_.merge_manifests) limits.count_min = 2;
    return limits;
  }

  Snapshot MakeSnapshot() const {
    Snapshot snapshot;
    snapshot.id = change_.snapshot_id;
    snapshot.parent_id = base_.current_snapshot_id;
    snapshot.sequence_number = sequence_number_;
    snapshot.timestamp_ms = std::max(attempt_.now_ms, base_.last_updated_ms);
    snapshot.schema_id = base_.current_schema_id;
    snapshot.manifest_list =
        fmt::format("{}/metadata/snap-{}-{}-{}-{}.avro", base_.location, change_.snapshot_id,
                    attempt_.number, change_.commit_id, attempt_.run);
    return snapshot;
  }

  void Summarize(const std::vector<ManifestFile>& rows, size_t created, Snapshot& snapshot) const {
    std::map<std::string, std::string>& summary = snapshot.summary;
    summary = change_.summary;
    summary["operation"] = ToString(change_.operation);
    summary[kCommitIdKey] = change_.commit_id;
    const auto set = [&](const char* key, int64_t value) { summary[key] = std::to_string(value); };
    const auto set_if = [&](const char* key, int64_t value) {
      if (value != 0) set(key, value);
    };
    set("manifests-created", static_cast<int64_t>(created));
    set("manifests-kept", static_cast<int64_t>(rows.size() - created));
    set("manifests-replaced", static_cast<int64_t>(replaced_));
    set_if("added-data-files", new_.files);
    set_if("deleted-data-files", removed_.files);
    set_if("added-records", new_.rows);
    set_if("deleted-records", removed_.rows);
    set_if("added-files-size", new_.bytes);
    set_if("removed-files-size", removed_.bytes);
    set("changed-partition-count", static_cast<int64_t>(partitions_.size()));
    Totals live;
    for (const ManifestFile& row : rows) {
      if (row.content != 0) continue;
      live.files += row.added_files + row.existing_files;
      live.rows += row.added_rows + row.existing_rows;
    }
    set("total-data-files", live.files);
    set("total-records", live.rows);
    const Snapshot* parent = base_.current();
    const auto before = [&](const char* key) {
      return parent == nullptr ? std::optional<int64_t>(0) : NumberOf(parent->summary, key);
    };
    if (const auto bytes = before("total-files-size")) {
      set("total-files-size", *bytes + new_.bytes - removed_.bytes);
    }
    for (const char* key :
         {"total-delete-files", "total-position-deletes", "total-equality-deletes"}) {
      if (const auto count = before(key)) set(key, *count);
    }
  }

  TableMetadata Next(const std::string& base_location, Snapshot snapshot) const {
    TableMetadata next = Follow(base_, base_location, snapshot.timestamp_ms);
    next.last_sequence_number = snapshot.sequence_number;
    next.current_snapshot_id = snapshot.id;
    Ref& main = next.refs["main"];
    main.snapshot_id = snapshot.id;
    LogEntry entry;
    entry.timestamp_ms = snapshot.timestamp_ms;
    entry.snapshot_id = snapshot.id;
    next.snapshot_log.push_back(entry);
    next.snapshots.push_back(std::move(snapshot));
    if (change_.mark) {
      next.properties[MarkProperty(change_.mark->shard)] = std::to_string(change_.mark->sequence);
    }
    return next;
  }

  const TableMetadata& base_;
  const Change& change_;
  const Attempt attempt_;
  const ReadObject& read_;
  const int64_t sequence_number_;
  const std::string sync_;
  ManifestOutput added_, rewritten_;
  std::vector<ManifestFile> carried_;
  std::set<std::string> waiting_;  // to be removed, not yet found
  std::set<std::string> paths_;    // added
  std::set<std::pair<int32_t, PartitionTuple>> partitions_;
  Totals new_, removed_;
  size_t replaced_ = 0;
};

}  // namespace

std::string_view ToString(Operation operation) {
  switch (operation) {
    case Operation::kAppend:
      return "append";
    case Operation::kReplace:
      return "replace";
    case Operation::kOverwrite:
      return "overwrite";
    case Operation::kDelete:
      return "delete";
  }
  return "overwrite";
}

std::string MarkProperty(const std::string& shard) { return "varve.hwm." + shard; }

int64_t MarkOf(const TableMetadata& metadata, const std::string& shard) {
  return NumberOf(metadata.properties, MarkProperty(shard)).value_or(-1);
}

int64_t NewSnapshotId(uint64_t random) {
  const auto id = static_cast<int64_t>(random >> 1);
  return id > (int64_t{1} << 53) ? id : id + (int64_t{1} << 53);
}

Result<Built> BuildCommit(const TableMetadata& base, const std::string& base_location,
                          const Change& change, const Attempt& attempt, const ReadObject& read) {
  CHECK(change.snapshot_id > 0 && !change.commit_id.empty());
  Built done;
  done.already_done = base.FindSnapshot(change.snapshot_id) != nullptr ||
                      (change.mark && MarkOf(base, change.mark->shard) >= change.mark->sequence);
  if (done.already_done) return done;
  return Builder(base, change, attempt, read).Build(base_location);
}

TableMetadata Follow(const TableMetadata& base, const std::string& base_location, int64_t now_ms) {
  TableMetadata next = base;
  MetadataLogEntry entry;
  entry.timestamp_ms = base.last_updated_ms;
  entry.file = base_location;
  next.metadata_log.push_back(std::move(entry));
  if (next.metadata_log.size() > kMetadataLogMax) {
    next.metadata_log.erase(next.metadata_log.begin(),
                            next.metadata_log.end() - static_cast<ptrdiff_t>(kMetadataLogMax));
  }
  next.last_updated_ms = std::max(now_ms, base.last_updated_ms);
  return next;
}

Result<TableMetadata> WithSchema(const TableMetadata& base, const std::string& base_location,
                                 const Evolution& evolution, int64_t now_ms) {
  TableMetadata next = Follow(base, base_location, now_ms);
  Schema schema = evolution.schema;
  for (const Schema& old : base.schemas) schema.id = std::max(schema.id, old.id + 1);
  next.last_column_id = evolution.last_column_id;
  next.current_schema_id = schema.id;
  next.properties[kNameMapping] = NameMappingJson(schema, next.properties[kNameMapping]);
  next.schemas.push_back(std::move(schema));
  TRY(CheckMetadata(next, &base));
  return next;
}

Result<TableMetadata> WithProperties(const TableMetadata& base, const std::string& base_location,
                                     const std::map<std::string, std::string>& properties,
                                     int64_t now_ms) {
  TableMetadata next = Follow(base, base_location, now_ms);
  for (const auto& [key, value] : properties) next.properties[key] = value;
  TRY(CheckMetadata(next, &base));
  return next;
}

Status ForEachLive(const TableMetadata& metadata, const Snapshot& snapshot, const ReadObject& read,
                   EntryDetail detail, const std::function<Status(ManifestEntry&&)>& entry,
                   const std::function<Status(ManifestEntry&&)>& deletes) {
  for (const ManifestFile& row : TRY(ReadManifestsOf(snapshot, read))) {
    const bool is_data = row.content == 0;
    if (!is_data && !row.has_live()) continue;
    if (!is_data && !deletes) {
      return MakeError(ErrorKind::kInvalid, "DELETE_FILES_PRESENT",
                       "the table has delete files, which are not known here");
    }
    TRY(ReadEntries(metadata, row, read, is_data ? detail : EntryDetail::kPathsOnly,
                    [&](ManifestEntry&& one) -> Status {
                      if (!one.is_live()) return {};
                      return is_data ? entry(std::move(one)) : deletes(std::move(one));
                    }));
  }
  return {};
}

}  // namespace varve::table::iceberg
