#include "catalog/iceberg_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "catalog/checked_store.h"
#include "core/bytes.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "table/iceberg/manifest_merge.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;

const CrashPoint kAfterObjects{"iceberg.after_manifests"};

constexpr const char* kAvro = "application/avro";

bool IsNotFound(const Error& error) { return error.kind == ErrorKind::kNotFound; }

}  // namespace

IcebergTables::IcebergTables(store::ObjectStore& store, const Clock& clock, Random& random,
                             CatalogOptions options, IcebergHeads* heads)
    : store_(store),
      clock_(clock),
      options_([&] {
        if (options.root.empty()) options.root = LocalRoot(store);
        return std::move(options);
      }()),
      own_heads_(store, clock),
      heads_(heads != nullptr ? heads : &own_heads_),
      random_(random) {}

TablePlace IcebergTables::Place(const std::string& name) const {
  return {options_.root, options_.prefix, name};
}

std::string IcebergTables::Nonce() {
  const std::lock_guard lock(mutex_);
  std::string bytes;
  AppendLe(bytes, random_.Next());
  return HexEncode(bytes);
}

std::string IcebergTables::NewUuid() {
  const std::string hex = Nonce() + Nonce();
  return fmt::format("{}-{}-4{}-a{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(13, 3),
                     hex.substr(17, 3), hex.substr(20));
}

ice::Change IcebergTables::NewChange(ice::Operation operation) {
  ice::Change change;
  change.operation = operation;
  change.commit_id = Nonce();
  const std::lock_guard lock(mutex_);
  change.snapshot_id = ice::NewSnapshotId(random_.Next());
  return change;
}

ice::ReadObject IcebergTables::Reader(const std::string& name, const std::string& base) {
  return [this, place = Place(name), base](const std::string& location) -> Result<std::string> {
    const std::string key = TRY(place.KeyOf(location, base));
    auto bytes = ReadChecked(store_, key);
    if (!bytes.ok() && IsNotFound(bytes.error())) return Missing(place, key, location);
    return bytes;
  };
}

// A list or manifest. What the newest metadata names still is damage; what it does not has gone
// with its snapshot since the caller looked.
Error IcebergTables::Missing(const TablePlace& place, const std::string& key,
                             const std::string& location) {
  const Error damage = MakeError(ErrorKind::kCorrupt, "MISSING_OBJECT", "'" + key + "' is missing");
  const auto head = heads_->Load(place);
  if (!head.ok()) return damage;
  const ice::ReadObject read = [&](const std::string& list) -> Result<std::string> {
    return ReadChecked(store_, TRY(place.KeyOf(list, head->metadata.location)));
  };
  for (const ice::Snapshot& snapshot : head->metadata.snapshots) {
    if (snapshot.manifest_list == location) return damage;
    const auto manifests = ice::ReadManifestsOf(snapshot, read);
    if (!manifests.ok()) return damage;
    const bool named = std::any_of(manifests->begin(), manifests->end(),
                                   [&](const auto& manifest) { return manifest.path == location; });
    if (named) return damage;
  }
  return MakeError(ErrorKind::kRetryable, "SNAPSHOT_EXPIRED",
                   "'" + key + "' has gone with its snapshot, which was expired meanwhile");
}

Result<IcebergHead> IcebergTables::Load(const std::string& name) {
  TRY(CheckTableName(name));
  return heads_->Load(Place(name));
}

Result<IcebergHead> IcebergTables::Create(const std::string& name, ice::NewTable table) {
  TRY(CheckTableName(name));
  const TablePlace place = Place(name);
  if (table.uuid.empty()) table.uuid = NewUuid();
  table.location = place.location();
  table.now_ms = clock_.NowMs();
  auto there = heads_->Load(place);
  if (there.ok() && there->metadata.uuid != table.uuid) {
    return MakeError(ErrorKind::kConflict, "TABLE_EXISTS",
                     fmt::format("the Iceberg table '{}' exists", name));
  }
  if (there.ok() || !IsNotFound(there.error())) return there;
  return heads_->Create(place, ice::CreateMetadata(std::move(table)));
}

Result<IcebergHead> IcebergTables::CreateAs(const std::string& name,
                                            const ice::TableMetadata& first) {
  TRY(CheckTableName(name));
  return heads_->Create(Place(name), first);
}

Status IcebergTables::Drop(const std::string& name) {
  TRY(CheckTableName(name));
  return heads_->Drop(Place(name));
}

Result<bool> IcebergTables::Exists(const std::string& name) {
  TRY(CheckTableName(name));
  return heads_->Exists(Place(name));
}

// One commit over its attempts: what it has put, and what of it is in vain in the end.
class IcebergTables::CommitRun {
 public:
  CommitRun(IcebergTables& tables, const TablePlace& place, const ice::Change& change)
      : tables_(tables), place_(place), change_(change), run_(tables.Nonce()) {}

  Result<IcebergCommit> Run() {
    for (uint32_t i = 0; i < tables_.options_.commit_attempts_max; ++i) {
      const IcebergHead head = TRY(tables_.heads_->Load(place_));
      tables_.heads_->Settle(place_, head);
      auto built = ice::BuildCommit(head.metadata, head.location, change_, Now(i),
                                    tables_.Reader(place_.name(), head.metadata.location));
      if (!built.ok() && built.error().code == "SNAPSHOT_EXPIRED") continue;
      if (!built.ok()) {
        Sweep(nullptr);  // the head has been read, whole, and we are not in it
        return std::move(built).error();
      }
      if (built->already_done) {
        Sweep(head.metadata.FindSnapshot(change_.snapshot_id));
        return Done(head.version, i + 1, true);
      }
      TRY(PutObjects(*built, head.metadata.location));
      kAfterObjects.Hit();
      IcebergHead done;
      const PutOutcome put = TRY(tables_.heads_->Swap(place_, head, built->next, &done));
      if (put == PutOutcome::kRejected) continue;
      Sweep(built->next.current());
      return Done(done.version, i + 1, false);
    }
    return MakeError(ErrorKind::kConflict, "TOO_MANY_CONFLICTS",
                     fmt::format("'{}': {} commits of others came first", place_.name(),
                                 tables_.options_.commit_attempts_max));
  }

 private:
  ice::Attempt Now(uint32_t number) const {
    ice::Attempt attempt;
    attempt.now_ms = tables_.clock_.NowMs();
    attempt.number = number;
    attempt.run = run_;
    return attempt;
  }

  IcebergCommit Done(int64_t version, uint32_t attempts, bool already) const {
    IcebergCommit done;
    done.snapshot_id = change_.snapshot_id;
    done.version = version;
    done.attempts = attempts;
    done.already_done = already;
    return done;
  }

  Status PutObjects(const ice::Built& built, const std::string& base) {
    std::vector<std::string> keys;
    for (const ice::NewObject& object : built.objects) {
      std::string key = TRY(place_.KeyOf(object.path, base));
      keys.push_back(key);
      if (object.same_in_every_attempt && shared_.contains(key)) continue;
      put_.insert(key);
      const PutOutcome put = TRY(PutNew(tables_.store_, key, object.bytes, kAvro));
      if (put == PutOutcome::kRejected) {
        return MakeError(ErrorKind::kInternal, "'" + key + "' is another's, which cannot be");
      }
      if (object.same_in_every_attempt) shared_.insert(key);
    }
    by_list_[built.objects.back().path] = std::move(keys);
    return {};
  }

  // Deletes what was put in vain. won: our snapshot in a head that was read or written, whose list
  // tells which attempt it is; nullptr: none of them is.
  void Sweep(const ice::Snapshot* won) {
    if (won != nullptr) {
      const auto kept = by_list_.find(won->manifest_list);
      if (kept == by_list_.end()) return;  // an earlier run's, whose names are not ours
      for (const std::string& key : kept->second) put_.erase(key);
    }
    for (const std::string& key : put_) {
      if (const auto deleted = tables_.store_.Delete(key); !deleted.ok()) {
        Log(LogLevel::kDebug, "catalog.orphan_left",
            {{"key", key}, {"error", deleted.error().message}});
      }
    }
    put_.clear();
  }

  IcebergTables& tables_;
  const TablePlace& place_;
  const ice::Change& change_;
  const std::string run_;
  std::set<std::string> put_, shared_;
  std::map<std::string, std::vector<std::string>> by_list_;  // an attempt's keys
};

Result<IcebergCommit> IcebergTables::Commit(const std::string& name, const ice::Change& change) {
  TRY(CheckTableName(name));
  const TablePlace place = Place(name);
  return CommitRun(*this, place, change).Run();
}

Result<IcebergHead> IcebergTables::Update(const std::string& name, const NextMetadata& next) {
  TRY(CheckTableName(name));
  const TablePlace place = Place(name);
  for (uint32_t i = 0; i < options_.commit_attempts_max; ++i) {
    const IcebergHead head = TRY(heads_->Load(place));
    heads_->Settle(place, head);
    std::optional<ice::TableMetadata> metadata = TRY(next(head));
    if (!metadata) return head;
    IcebergHead done;
    if (TRY(heads_->Swap(place, head, *metadata, &done)) == PutOutcome::kDone) return done;
  }
  return MakeError(ErrorKind::kConflict, "TOO_MANY_CONFLICTS",
                   fmt::format("'{}': others' commits came first", name));
}

Result<IcebergHead> IcebergTables::Evolve(const std::string& name, const table::Schema& file,
                                          NewIds ids) {
  return Update(name, [&](const IcebergHead& head) -> Result<std::optional<ice::TableMetadata>> {
    const table::Evolution evolution =
        TRY(table::EvolveSchema(head.metadata.schema(), file, head.metadata.last_column_id));
    if (ids == NewIds::kAsGiven) TRY(table::CheckSameIds(evolution.schema, file));
    if (!evolution.changed) return std::optional<ice::TableMetadata>();
    return std::optional<ice::TableMetadata>(
        TRY(ice::WithSchema(head.metadata, head.location, evolution, clock_.NowMs())));
  });
}

}  // namespace varve::catalog
