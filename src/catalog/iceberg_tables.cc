#include "catalog/iceberg_tables.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <set>

#include "catalog/checked_store.h"
#include "core/bytes.h"
#include "core/crash_point.h"
#include "core/log.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;

const CrashPoint kAfterObjects{"iceberg.after_manifests"};
const CrashPoint kAfterMetadata{"iceberg.after_metadata"};
const CrashPoint kAfterHint{"iceberg.after_hint"};

constexpr const char* kJson = "application/json";
constexpr const char* kAvro = "application/avro";
constexpr int kHintTries = 8;
constexpr int64_t kVersionMax = 1'000'000'000;

std::optional<int64_t> Digits(std::string_view text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < 1 || number > kVersionMax || text[0] == '0') {
    return std::nullopt;
  }
  return number;
}

bool IsNotFound(const Error& error) { return error.kind == ErrorKind::kNotFound; }

Error NoSuchTable(const TablePlace& place) {
  return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE",
                   fmt::format("there is no Iceberg table '{}'", place.name()));
}

std::string HintKey(const TablePlace& place) { return place.Key("metadata/version-hint.text"); }

}  // namespace

std::string MetadataKey(const TablePlace& place, int64_t version) {
  return place.Key(fmt::format("metadata/v{}.metadata.json", version));
}

std::optional<int64_t> MetadataVersion(std::string_view key) {
  constexpr std::string_view kTail = ".metadata.json";
  const size_t slash = key.rfind('/');
  if (slash != std::string_view::npos) key.remove_prefix(slash + 1);
  if (!key.starts_with("v") || !key.ends_with(kTail)) return std::nullopt;
  return Digits(key.substr(1, key.size() - 1 - kTail.size()));
}

IcebergTables::IcebergTables(store::ObjectStore& store, const Clock& clock, Random& random,
                             CatalogOptions options)
    : store_(store),
      clock_(clock),
      options_([&] {
        if (options.root.empty()) options.root = LocalRoot(store);
        return std::move(options);
      }()),
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
    if (!bytes.ok() && IsNotFound(bytes.error())) {
      return MakeError(ErrorKind::kCorrupt, "MISSING_OBJECT", "'" + key + "' is missing");
    }
    return bytes;
  };
}

Result<int64_t> IcebergTables::Hint(const TablePlace& place) {
  auto hint = store_.Get(HintKey(place));
  if (!hint.ok()) {
    if (IsNotFound(hint.error())) return 0;
    return std::move(hint).error();
  }
  return Digits(*hint).value_or(0);
}

Result<int64_t> IcebergTables::HighestListed(const TablePlace& place) {
  int64_t highest = 0;
  for (const auto& object : TRY(store::ListAll(store_, place.Key("metadata/v")))) {
    highest = std::max(highest, MetadataVersion(object.key).value_or(0));
  }
  return highest;
}

// The hint is a hint: what it names must be there, and later versions may be.
Result<IcebergHead> IcebergTables::Head(const TablePlace& place, int64_t* hinted) {
  int64_t version = TRY(Hint(place));
  *hinted = version;
  std::string bytes;
  bool listed = version == 0;
  if (listed) version = TRY(HighestListed(place));
  for (int64_t next = std::max<int64_t>(version, 1);; ++next) {
    auto read = ReadChecked(store_, MetadataKey(place, next));
    if (read.ok()) {
      bytes = std::move(*read);
      version = next;
      continue;
    }
    if (!IsNotFound(read.error())) return std::move(read).error();
    if (!bytes.empty()) break;
    // Neither the hint's version nor the first: old ones were cleaned up, or there is no table.
    if (listed) return NoSuchTable(place);
    listed = true;
    next = TRY(HighestListed(place)) - 1;
    if (next < 0) return NoSuchTable(place);
  }
  IcebergHead head;
  head.version = version;
  head.location = place.Location(MetadataKey(place, version));
  auto parsed = ice::ParseMetadata(bytes);
  if (!parsed.ok()) {
    return Error(parsed.error()).Context("'" + MetadataKey(place, version) + "'");
  }
  head.metadata = std::move(*parsed);
  return head;
}

Result<IcebergHead> IcebergTables::Load(const std::string& name) {
  TRY(CheckTableName(name));
  int64_t hinted = 0;
  return Head(Place(name), &hinted);
}

// Best effort: a reader that finds an old hint sees an old snapshot, whole. Never goes back.
void IcebergTables::MoveHint(const TablePlace& place, int64_t version) {
  const std::string key = HintKey(place);
  for (int i = 0; i < kHintTries; ++i) {
    const auto head = store_.Head(key);
    const auto now = Hint(place);
    if (now.ok() && *now >= version) return;
    store::PutOptions options;
    options.content_type = "text/plain";
    if (head.ok()) {
      options.precondition = store::Precondition::kIfMatch;
      options.if_match_etag = head->etag;
    } else {
      options.precondition = store::Precondition::kIfAbsent;
    }
    if (store_.Put(key, std::to_string(version), options).ok()) return;
  }
  LogWarn("catalog.hint_not_moved", {{"table", place.name()}, {"version", version}});
}

Result<IcebergHead> IcebergTables::Create(const std::string& name, ice::NewTable table) {
  TRY(CheckTableName(name));
  const TablePlace place = Place(name);
  if (table.uuid.empty()) {
    const std::string hex = Nonce() + Nonce();
    table.uuid = fmt::format("{}-{}-4{}-a{}-{}", hex.substr(0, 8), hex.substr(8, 4),
                             hex.substr(13, 3), hex.substr(17, 3), hex.substr(20));
  }
  table.location = place.location();
  table.now_ms = clock_.NowMs();
  int64_t hinted = 0;
  const auto there = Head(place, &hinted);
  const bool exists = there.ok() || !IsNotFound(there.error());
  if (there.ok() && there->metadata.uuid != table.uuid) {
    return MakeError(ErrorKind::kConflict, "TABLE_EXISTS",
                     fmt::format("the Iceberg table '{}' exists", name));
  }
  if (exists) return there;
  IcebergHead head;
  head.metadata = ice::CreateMetadata(std::move(table));
  head.version = 1;
  head.location = place.Location(MetadataKey(place, 1));
  TRY(ice::CheckMetadata(head.metadata, nullptr));
  const PutOutcome put =
      TRY(PutNew(store_, MetadataKey(place, 1), ice::WriteMetadata(head.metadata), kJson));
  if (put == PutOutcome::kRejected) {
    return MakeError(ErrorKind::kConflict, "TABLE_EXISTS",
                     fmt::format("the Iceberg table '{}' was just created by another", name));
  }
  MoveHint(place, 1);
  return head;
}

// One commit over its attempts: what it has put, and what of it is in vain in the end.
class IcebergTables::CommitRun {
 public:
  CommitRun(IcebergTables& tables, const TablePlace& place, const ice::Change& change)
      : tables_(tables), place_(place), change_(change), run_(tables.Nonce()) {}

  Result<IcebergCommit> Run() {
    for (uint32_t i = 0; i < tables_.options_.commit_attempts_max; ++i) {
      int64_t hinted = 0;
      const IcebergHead head = TRY(tables_.Head(place_, &hinted));
      auto built = ice::BuildCommit(head.metadata, head.location, change_, Now(i),
                                    tables_.Reader(place_.name(), head.metadata.location));
      if (!built.ok()) {
        Sweep(nullptr);  // the head has been read, whole, and we are not in it
        return std::move(built).error();
      }
      if (built->already_done) {
        if (hinted < head.version) tables_.MoveHint(place_, head.version);
        Sweep(head.metadata.FindSnapshot(change_.snapshot_id));
        return Done(head.version, i + 1, true);
      }
      TRY(PutObjects(*built, head.metadata.location));
      kAfterObjects.Hit();
      const int64_t version = head.version + 1;
      const std::string bytes = ice::WriteMetadata(built->next);
      if (bytes.size() > ice::kMetadataBytesMax) {
        return MakeError(ErrorKind::kExhausted, "METADATA_TOO_LARGE",
                         "the table's metadata is too large: expire snapshots");
      }
      const PutOutcome put =
          TRY(PutNew(tables_.store_, MetadataKey(place_, version), bytes, kJson));
      if (put == PutOutcome::kRejected) continue;
      kAfterMetadata.Hit();
      tables_.MoveHint(place_, version);
      kAfterHint.Hit();
      Sweep(built->next.current());
      return Done(version, i + 1, false);
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
    int64_t hinted = 0;
    IcebergHead head = TRY(Head(place, &hinted));
    std::optional<ice::TableMetadata> metadata = TRY(next(head));
    if (!metadata) return head;
    const int64_t version = head.version + 1;
    const PutOutcome put =
        TRY(PutNew(store_, MetadataKey(place, version), ice::WriteMetadata(*metadata), kJson));
    if (put == PutOutcome::kRejected) continue;
    kAfterMetadata.Hit();
    MoveHint(place, version);
    head.metadata = std::move(*metadata);
    head.version = version;
    head.location = place.Location(MetadataKey(place, version));
    return head;
  }
  return MakeError(ErrorKind::kConflict, "TOO_MANY_CONFLICTS",
                   fmt::format("'{}': others' commits came first", name));
}

Result<IcebergHead> IcebergTables::Evolve(const std::string& name, const table::Schema& file) {
  return Update(name, [&](const IcebergHead& head) -> Result<std::optional<ice::TableMetadata>> {
    const table::Evolution evolution =
        TRY(table::EvolveSchema(head.metadata.schema(), file, head.metadata.last_column_id));
    if (!evolution.changed) return std::optional<ice::TableMetadata>();
    return std::optional<ice::TableMetadata>(
        TRY(ice::WithSchema(head.metadata, head.location, evolution, clock_.NowMs())));
  });
}

}  // namespace varve::catalog
