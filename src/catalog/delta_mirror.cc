#include "catalog/delta_mirror.h"

#include <fmt/format.h>

#include <charconv>
#include <unordered_set>

#include "catalog/delta_others.h"
#include "core/crash_point.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

const CrashPoint kDeltaBegun{"publication.delta_begun"};
const CrashPoint kLevel{"publication.delta_level"};

Error ColumnChanged(const std::string& what) {
  return MakeError(ErrorKind::kInvalid, "COLUMN_CHANGED",
                   what + ", which Delta's readers, who go by names, would get wrong");
}

// Every field of an older schema is still itself, or gone for good.
Status CheckFields(const std::vector<table::Field>& old, const std::string& parent,
                   const table::Schema& now) {
  for (const table::Field& field : old) {
    const std::string path = parent + field.name;
    const table::Field* same = table::FindField(now, field.id);
    const table::Field* named = table::FindField(now, path);
    if (named != nullptr && named->id != field.id) {
      return ColumnChanged(fmt::format("the column '{}' is another than it was", path));
    }
    if (same == nullptr) continue;
    if (same->name != field.name) {
      return ColumnChanged(fmt::format("the column '{}' was renamed to '{}'", path, same->name));
    }
    const bool nested = field.type.is_nested() && field.type.id == same->type.id;
    if (!nested && !table::SameType(field.type, same->type)) {
      return ColumnChanged(fmt::format("the column '{}' was {} and is {}", path,
                                       table::TypeName(field.type), table::TypeName(same->type)));
    }
    TRY(CheckFields(field.type.fields, path + ".", now));
  }
  return {};
}

// What the log lacks, and has too much, of an Iceberg snapshot.
class Difference {
 public:
  Difference(IcebergTables& iceberg, const std::string& name, const IcebergHead& head,
             const dl::State& base, int64_t now_ms)
      : iceberg_(iceberg),
        metadata_(head.metadata),
        place_(iceberg.Place(name)),
        base_(base),
        now_ms_(now_ms) {}

  Result<dl::Change> Make() {
    change_.commit_id = iceberg_.Nonce();
    TRY(Files());
    for (const auto& item : base_.files) {
      if (!live_.contains(item.first)) change_.removes.push_back(item.first);
    }
    change_.operation = change_.removes.empty() ? "WRITE" : "MERGE";
    Marks();
    return std::move(change_);
  }

 private:
  Status Files() {
    const ice::Snapshot* snapshot = metadata_.current();
    if (snapshot == nullptr) return {};
    return ice::ForEachLive(
        metadata_, *snapshot, iceberg_.Reader(place_.name(), metadata_.location),
        ice::EntryDetail::kAll, [&](ice::ManifestEntry&& entry) { return Take(std::move(entry)); });
  }

  Status Take(ice::ManifestEntry&& entry) {
    if (entry.format != "PARQUET") {
      return MakeError(ErrorKind::kInvalid, "NOT_PARQUET",
                       fmt::format("'{}' is {}, not Parquet", entry.file.path, entry.format));
    }
    entry.file.path = TRY(place_.KeyOf(entry.file.path, metadata_.location));
    dl::Add add = TRY(AddOf(place_, entry.file, metadata_.schema(), now_ms_));
    live_.insert(add.path);
    if (base_.files.contains(add.path)) return {};
    stats_bytes_ += add.stats_json.size();
    if (stats_bytes_ > kMirrorStatsBytesMax) {
      add.stats_json = fmt::format(R"({{"numRecords":{}}})", entry.file.rows);
    }
    change_.adds.push_back(std::move(add));
    return {};
  }

  // Who repeats a commit finds it done, as he would in Iceberg.
  void Marks() {
    const std::string front = ice::MarkProperty("");
    for (const auto& [key, value] : metadata_.properties) {
      int64_t sequence = -1;
      std::from_chars(value.data(), value.data() + value.size(), sequence);
      if (!key.starts_with(front) || sequence < 0) continue;
      Bring(dl::kMarkTxnPrefix + key.substr(front.size()), sequence);
    }
    const int64_t oldest_ms = now_ms_ - dl::kTombstoneRetentionMs;
    for (const ice::Snapshot& snapshot : metadata_.snapshots) {
      const auto id = snapshot.summary.find(ice::kCommitIdKey);
      if (id == snapshot.summary.end() || snapshot.timestamp_ms < oldest_ms) continue;
      Bring(dl::kCommitTxnPrefix + id->second, 0);
    }
  }

  void Bring(std::string app_id, int64_t version) {
    const auto there = base_.txns.find(app_id);
    if (there != base_.txns.end() && there->second.version >= version) return;
    dl::Txn txn;
    txn.app_id = std::move(app_id);
    txn.version = version;
    txn.updated_ms = now_ms_;
    change_.brought.push_back(std::move(txn));
  }

  IcebergTables& iceberg_;
  const ice::TableMetadata& metadata_;
  const TablePlace place_;
  const dl::State& base_;
  const int64_t now_ms_;
  std::unordered_set<std::string> live_;
  size_t stats_bytes_ = 0;
  dl::Change change_;
};

dl::Txn PublicationTxn(int64_t version, int64_t now_ms) {
  dl::Txn txn;
  txn.app_id = kPublicationTxn;
  txn.version = version;
  txn.updated_ms = now_ms;
  return txn;
}

// It is not level with what was there before it.
bool IsBegun(const dl::State& state) {
  const auto there = state.txns.find(kPublicationTxn);
  return there != state.txns.end() && there->second.version < kPublicationLevel;
}

// New columns that Iceberg has got and the log has not.
Status LevelColumns(const table::Schema& schema, const dl::State& base, dl::Change& change) {
  const table::Schema now = TRY(dl::SchemaFromJson(base.table.schema_json));
  const table::Evolution evolution = TRY(table::EvolveSchema(now, schema, INT32_MAX / 2));
  if (!evolution.changed) return {};
  if (evolution.widened) return ColumnChanged("a column has become wider");
  change.table = base.table;
  change.table->schema_json = TRY(dl::SchemaToJson(evolution.schema));
  return {};
}

}  // namespace

bool IsBehind(const dl::State& state, const ice::TableMetadata& metadata) {
  if (IsBegun(state)) return true;
  const ice::Snapshot* current = metadata.current();
  if (current == nullptr) return !state.files.empty();
  int64_t bytes = 0;
  for (const auto& item : state.files) bytes += item.second.bytes;
  const auto says = [&](const char* key, int64_t number) {
    const auto found = current->summary.find(key);
    return found != current->summary.end() && found->second == std::to_string(number);
  };
  return !says("total-data-files", static_cast<int64_t>(state.files.size())) ||
         !says("total-files-size", bytes);
}

Status CheckInside(const TablePlace& place, const std::string& key) {
  const std::string root = place.key() + "/";
  if (key.starts_with(root)) return {};
  return MakeError(
      ErrorKind::kInvalid, "OUTSIDE_TABLE",
      fmt::format("'{}' is not under '{}', as a Delta table's files must be", key, root));
}

Result<dl::Add> AddOf(const TablePlace& place, const table::DataFile& file,
                      const table::Schema& schema, int64_t now_ms) {
  TRY(CheckInside(place, file.path));
  dl::Add add;
  add.path = dl::EncodePath(std::string_view(file.path).substr(place.key().size() + 1));
  add.bytes = static_cast<int64_t>(file.bytes);
  add.modified_ms = now_ms;
  add.stats_json = dl::StatsJson(file, schema);
  return add;
}

Status CheckFitsDelta(const ice::TableMetadata& metadata) {
  TRY(dl::SchemaToJson(metadata.schema()));
  for (const table::Schema& old : metadata.schemas) {
    TRY(CheckFields(old.fields, "", metadata.schema()));
  }
  return {};
}

Status BeginDelta(IcebergTables& iceberg, DeltaTables& delta, const std::string& name) {
  const IcebergHead head = TRY(iceberg.Load(name));
  TRY(CheckFitsDelta(head.metadata));
  const int64_t now_ms = delta.clock().NowMs();
  const dl::State nothing;
  dl::Change first = TRY(Difference(iceberg, name, head, nothing, now_ms).Make());
  first.txn = PublicationTxn(kPublicationBegun, now_ms);
  TRY(delta.Create(name, head.metadata.uuid, head.metadata.schema(), {}, first));
  kDeltaBegun.Hit();
  return {};
}

Status LevelDelta(IcebergTables& iceberg, DeltaTables& delta, const std::string& name) {
  TRY(delta.Update(name, [&](const dl::State& base) -> Result<std::optional<dl::Change>> {
    TRY(CheckNoOthers(iceberg, delta, name, base));
    const IcebergHead head = TRY(iceberg.Load(name));  // after the log's head
    TRY(CheckFitsDelta(head.metadata));
    const int64_t now_ms = delta.clock().NowMs();
    dl::Change change = TRY(Difference(iceberg, name, head, base, now_ms).Make());
    TRY(LevelColumns(head.metadata.schema(), base, change));
    change.informed = true;
    if (IsBegun(base)) change.txn = PublicationTxn(kPublicationLevel, now_ms);
    const bool any = change.txn || change.table || !change.adds.empty() ||
                     !change.removes.empty() || !change.brought.empty();
    return any ? std::optional<dl::Change>(std::move(change)) : std::nullopt;
  }));
  kLevel.Hit();
  return {};
}

}  // namespace varve::catalog
