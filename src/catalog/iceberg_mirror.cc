#include "catalog/iceberg_mirror.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include "catalog/checked_store.h"
#include "catalog/file_footers.h"
#include "core/crash_point.h"
#include "core/log.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

const CrashPoint kChunkPut{"publication.iceberg_chunk"};
const CrashPoint kBegun{"publication.iceberg_begun"};
const CrashPoint kLevel{"publication.iceberg_level"};

constexpr const char* kAvro = "application/avro";

Result<StoredFile> FileOf(const TablePlace& place, const dl::Add& add) {
  const auto path = dl::DecodePath(add.path);
  if (!path || path->find("://") != std::string::npos || path->starts_with("/")) {
    return MakeError(ErrorKind::kInvalid, "FOREIGN_LOCATION",
                     fmt::format("'{}' is not under the table's root", add.path));
  }
  if (!add.partition.empty()) {
    return MakeError(ErrorKind::kInvalid, "PARTITION_COLUMNS",
                     fmt::format("'{}' has columns in its path only, which Iceberg's readers would "
                                 "not find",
                                 add.path));
  }
  return StoredFile{place.Key(*path), static_cast<uint64_t>(std::max<int64_t>(add.bytes, 0))};
}

// "ts_hour" of "data/ts_hour=2026-02-02-14/a.parquet", where that is an hour of a column.
std::string PartitioningOf(const std::string& path, const table::Schema& schema) {
  const size_t equals = path.find('=');
  if (equals == std::string::npos || path.find('=', equals + 1) != std::string::npos) return {};
  const size_t slash = path.rfind('/', equals);
  const size_t from = slash == std::string::npos ? 0 : slash + 1;
  const std::string folder = path.substr(from, equals - from);
  for (const char* transform : {"hour", "day"}) {
    const std::string tail = std::string("_") + transform;
    if (!folder.ends_with(tail)) continue;
    const std::string text =
        fmt::format("{}({})", transform, folder.substr(0, folder.size() - tail.size()));
    if (table::ParsePartitioning(text, schema).ok()) return text;
  }
  return {};
}

void TakeIds(const std::vector<table::Field>& from, std::vector<table::Field>& to, int32_t& last) {
  for (table::Field& field : to) {
    const auto same = std::find_if(from.begin(), from.end(), [&](const table::Field& other) {
      return other.name == field.name;
    });
    field.id = same == from.end() ? ++last : same->id;
    static const std::vector<table::Field> kNone;
    TakeIds(same == from.end() ? kNone : same->type.fields, field.type.fields, last);
  }
}

int32_t HighestId(const std::vector<table::Field>& fields) {
  int32_t highest = 0;
  for (const table::Field& field : fields) {
    highest = std::max({highest, field.id, HighestId(field.type.fields)});
  }
  return highest;
}

// Objects of commits that may be in vain; what is not kept is deleted.
class PutObjects {
 public:
  PutObjects(IcebergTables& iceberg, const std::string& name)
      : iceberg_(iceberg), place_(iceberg.Place(name)) {}

  Status Put(const ice::Built& built) {
    for (const ice::NewObject& object : built.objects) {
      const std::string key = TRY(place_.KeyOf(object.path, built.next.location));
      put_.insert(key);
      if (TRY(PutNew(iceberg_.store(), key, object.bytes, kAvro)) == PutOutcome::kRejected) {
        return MakeError(ErrorKind::kInternal, "'" + key + "' is another's, which cannot be");
      }
    }
    return {};
  }
  // Only when it is certain that nothing refers to them.
  void Delete() {
    for (const std::string& key : put_) {
      if (const auto gone = iceberg_.store().Delete(key); !gone.ok()) {
        Log(LogLevel::kDebug, "catalog.orphan_left", {{"key", key}});
      }
    }
    put_.clear();
  }
  void Keep() { put_.clear(); }

 private:
  IcebergTables& iceberg_;
  const TablePlace place_;
  std::set<std::string> put_;
};

// By the table's own partitioning if its rows are of one partition, or else by none.
Result<table::DataFile> Describe(const ice::TableMetadata& metadata,
                                 const table::FileFooter& footer, const StoredFile& stored,
                                 const std::string& root) {
  auto file = table::DescribeFile(footer, metadata.schema(), metadata.spec());
  const bool spread = !file.ok() && (file.error().code == "PARTITION_SPANNED" ||
                                     file.error().code == "PARTITION_UNKNOWN");
  const auto none = std::find_if(metadata.specs.begin(), metadata.specs.end(),
                                 [](const auto& spec) { return spec.fields.empty(); });
  if (spread && none != metadata.specs.end()) {
    file = table::DescribeFile(footer, metadata.schema(), *none);
  }
  if (!file.ok()) return std::move(file).error().Context("'" + stored.key + "'");
  file->path = root + "/" + stored.key;
  return file;
}

std::string RootOf(const ice::TableMetadata& metadata, const TablePlace& place) {
  const std::string tail = "/" + place.key();
  const std::string& base = metadata.location;
  const std::string whole = base.ends_with(tail) ? base : place.location();
  return whole.substr(0, whole.size() - tail.size());
}

// The shape's fields know their columns by its own ids.
Status TakeShape(const TableShape& shape, ice::NewTable& table, table::PartitionSpec& spec) {
  spec = shape.spec;
  table.order = shape.order;
  table.properties = shape.properties;
  const auto take = [&](int32_t& id) -> Status {
    const table::Field* from = table::FindField(shape.schema, id);
    const table::Field* to = from == nullptr ? nullptr : table::FindField(table.schema, from->name);
    if (to == nullptr) {
      return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH",
                       "the table lacks a column that it is to be partitioned or sorted by");
    }
    id = to->id;
    return {};
  };
  for (table::PartitionField& field : spec.fields) TRY(take(field.source_id));
  for (table::SortField& field : table.order.fields) TRY(take(field.source_id));
  return {};
}

// A table that is put together before anybody sees it.
class FirstMetadata {
 public:
  FirstMetadata(IcebergTables& iceberg, const dl::State& log, const std::string& name,
                const NewMirror& wanted)
      : iceberg_(iceberg),
        log_(log),
        place_(iceberg.Place(name)),
        wanted_(wanted),
        objects_(iceberg, name),
        run_(iceberg.Nonce()) {}

  Status Make() {
    TRY(Files());
    TRY(Begin());
    for (size_t from = 0; from < files_.size(); from += kMirrorChunkFiles) {
      const Status added = AddChunk(from, std::min(from + kMirrorChunkFiles, files_.size()));
      if (!added.ok()) {
        objects_.Delete();  // no head names them
        return added;
      }
      kChunkPut.Hit();
    }
    KeepLastSnapshot();
    const auto made = iceberg_.CreateAs(place_.name(), metadata_);
    if (made.ok()) DeleteLists();
    if (!made.ok() && made.error().code == "TABLE_EXISTS") objects_.Delete();
    return made.ok() || made.error().code == "TABLE_EXISTS" ? Status() : Status(made.error());
  }

 private:
  Status Files() {
    if (!log_.table.partition_columns.empty()) {
      return MakeError(ErrorKind::kInvalid, "PARTITION_COLUMNS",
                       fmt::format("the column '{}' is in the files' paths only, where Iceberg's "
                                   "readers would not find it",
                                   log_.table.partition_columns[0]));
    }
    for (const auto& item : log_.files) files_.push_back(TRY(FileOf(place_, item.second)));
    std::sort(files_.begin(), files_.end(),
              [](const StoredFile& a, const StoredFile& b) { return a.key < b.key; });
    return {};
  }

  Status Begin() {
    ice::NewTable table;
    table.schema = TRY(dl::SchemaFromJson(log_.table.schema_json));
    if (!files_.empty()) {
      const auto footer = TRY(ReadFooter(iceberg_.store(), files_[0].key, files_[0].bytes));
      int32_t last = HighestId(footer.schema.fields);
      if (footer.has_field_ids) TakeIds(footer.schema.fields, table.schema.fields, last);
    }
    table::PartitionSpec spec;
    if (wanted_.shape) {
      TRY(TakeShape(*wanted_.shape, table, spec));
    } else {
      spec = TRY(table::ParsePartitioning(PartitioningByFolders(table.schema), table.schema));
    }
    table.properties[kFirstFormatProperty] = "delta";
    table.uuid = log_.table.id.size() == 36 ? log_.table.id : iceberg_.NewUuid();
    table.location = place_.location();
    table.now_ms = iceberg_.clock().NowMs();
    metadata_ = ice::CreateMetadata(std::move(table));
    if (spec.fields.empty()) return {};
    spec.id = metadata_.specs[0].id + 1;  // the first one is of files that are in no partition
    for (const table::PartitionField& field : spec.fields) {
      metadata_.last_partition_id = std::max(metadata_.last_partition_id, field.field_id);
    }
    metadata_.default_spec_id = spec.id;
    metadata_.specs.push_back(std::move(spec));
    return {};
  }

  // As the first file says that lies in a partition's folder.
  std::string PartitioningByFolders(const table::Schema& schema) const {
    for (const StoredFile& file : files_) {
      std::string text = PartitioningOf(file.key.substr(place_.key().size() + 1), schema);
      if (!text.empty()) return text;
    }
    return {};
  }

  Status AddChunk(size_t from, size_t to) {
    const auto at = [&](size_t i) { return files_.begin() + static_cast<ptrdiff_t>(i); };
    const std::vector<StoredFile> chunk(at(from), at(to));
    ice::Change change = iceberg_.NewChange(ice::Operation::kAppend);
    change.added.resize(chunk.size());
    change.paths_are_new = true;
    const std::string root = RootOf(metadata_, place_);
    TRY(ForEachFooter(iceberg_.store(), chunk, wanted_.stopped,
                      [&](size_t i, table::FileFooter&& footer) -> Status {
                        if (!footer.problems.empty() && !wanted_.accept_problems) {
                          return MakeError(ErrorKind::kInvalid, "UNREADABLE_COLUMN",
                                           fmt::format("'{}': {}; some readers would get it wrong",
                                                       chunk[i].key, footer.problems[0]));
                        }
                        change.added[i] = TRY(Describe(metadata_, footer, chunk[i], root));
                        return {};
                      }));
    std::stable_sort(change.added.begin(), change.added.end(),
                     [](const auto& a, const auto& b) { return a.spec_id < b.spec_id; });
    ice::Attempt attempt;
    attempt.now_ms = iceberg_.clock().NowMs();
    attempt.run = run_;
    ice::Built built = TRY(ice::BuildCommit(metadata_, place_.location(), change, attempt,
                                            iceberg_.Reader(place_.name(), metadata_.location)));
    TRY(objects_.Put(built));
    lists_.push_back(built.next.current()->manifest_list);
    metadata_ = std::move(built.next);
    return {};
  }

  // The others were never anybody's.
  void KeepLastSnapshot() {
    metadata_.metadata_log.clear();
    if (metadata_.snapshots.size() < 2) return;
    metadata_.snapshots.erase(metadata_.snapshots.begin(), metadata_.snapshots.end() - 1);
    metadata_.snapshot_log.erase(metadata_.snapshot_log.begin(), metadata_.snapshot_log.end() - 1);
    metadata_.snapshots[0].parent_id.reset();
    std::map<std::string, std::string>& summary = metadata_.snapshots[0].summary;
    for (const auto& [added, total] : {std::pair{"added-data-files", "total-data-files"},
                                       std::pair{"added-records", "total-records"},
                                       std::pair{"added-files-size", "total-files-size"}}) {
      if (summary.contains(total)) summary[added] = summary[total];
    }
  }

  void DeleteLists() {
    if (!lists_.empty()) lists_.pop_back();
    for (const std::string& list : lists_) {
      const auto key = place_.KeyOf(list, metadata_.location);
      if (key.ok() && !iceberg_.store().Delete(*key).ok()) {
        Log(LogLevel::kDebug, "catalog.orphan_left", {{"key", *key}});
      }
    }
  }

  IcebergTables& iceberg_;
  const dl::State& log_;
  const TablePlace place_;
  const NewMirror& wanted_;
  PutObjects objects_;
  const std::string run_;
  std::vector<StoredFile> files_;
  std::vector<std::string> lists_;  // locations
  ice::TableMetadata metadata_;
};

// One look at both sides: what Iceberg lacks, and has too much.
Result<ice::Change> Difference(IcebergTables& iceberg, const IcebergHead& head,
                               const ice::TableMetadata& base, const TablePlace& place,
                               const dl::State& log) {
  ice::Change change = iceberg.NewChange(ice::Operation::kAppend);
  std::unordered_set<std::string> live;
  if (const ice::Snapshot* snapshot = head.metadata.current(); snapshot != nullptr) {
    TRY(ice::ForEachLive(
        head.metadata, *snapshot, iceberg.Reader(place.name(), head.metadata.location),
        ice::EntryDetail::kPathsOnly, [&](ice::ManifestEntry&& entry) -> Status {
          const std::string key = TRY(place.KeyOf(entry.file.path, head.metadata.location));
          std::string path =
              key.starts_with(place.key() + "/")
                  ? dl::EncodePath(std::string_view(key).substr(place.key().size() + 1))
                  : key;
          if (!log.files.contains(path)) {
            ice::RemovedFile removed;
            removed.path = entry.file.path;
            removed.spec_id = entry.file.spec_id;
            removed.partition = entry.file.partition;
            change.removed.push_back(std::move(removed));
          }
          live.insert(std::move(path));
          return {};
        }));
  }
  std::vector<StoredFile> files;
  for (const auto& item : log.files) {
    if (!live.contains(item.first)) files.push_back(TRY(FileOf(place, item.second)));
  }
  change.added.resize(files.size());
  const std::string root = RootOf(base, place);
  TRY(ForEachFooter(iceberg.store(), files, nullptr,
                    [&](size_t i, table::FileFooter&& footer) -> Status {
                      change.added[i] = TRY(Describe(base, footer, files[i], root));
                      return {};
                    }));
  std::stable_sort(change.added.begin(), change.added.end(),
                   [](const auto& a, const auto& b) { return a.spec_id < b.spec_id; });
  if (!change.removed.empty()) {
    change.operation = change.added.empty() ? ice::Operation::kDelete : ice::Operation::kOverwrite;
  }
  return change;
}

}  // namespace

bool FollowsDelta(const ice::TableMetadata& metadata) {
  const auto first = metadata.properties.find(kFirstFormatProperty);
  return first != metadata.properties.end() && first->second == "delta";
}

Status BeginIceberg(IcebergTables& iceberg, DeltaTables& delta, const std::string& name,
                    const NewMirror& wanted) {
  if (iceberg.has_foreign_heads()) {
    return MakeError(ErrorKind::kInvalid, "FOREIGN_CATALOG",
                     "a Delta table is not published in another program's catalog, where others "
                     "could commit to it");
  }
  const dl::State log = TRY(delta.Load(name));
  TRY(FirstMetadata(iceberg, log, name, wanted).Make());
  kBegun.Hit();
  return {};
}

Result<IcebergCommit> LevelIceberg(IcebergTables& iceberg, DeltaTables& delta,
                                   const std::string& name) {
  const TablePlace place = iceberg.Place(name);
  PutObjects objects(iceberg, name);
  IcebergCommit done;
  done.attempts = 0;
  const IcebergHead head = TRY(iceberg.Update(
      name, [&](const IcebergHead& base) -> Result<std::optional<ice::TableMetadata>> {
        objects.Delete();  // an earlier attempt's, which was rejected
        ++done.attempts;
        const dl::State log = TRY(delta.Load(name));  // after Iceberg's head
        const table::Schema columns = TRY(dl::SchemaFromJson(log.table.schema_json));
        const int64_t now_ms = iceberg.clock().NowMs();
        const auto evolution =
            TRY(table::EvolveSchema(base.metadata.schema(), columns, base.metadata.last_column_id));
        ice::TableMetadata with = base.metadata;
        if (evolution.changed) {
          with = TRY(ice::WithSchema(base.metadata, base.location, evolution, now_ms));
        }
        const ice::Change change = TRY(Difference(iceberg, base, with, place, log));
        done.already_done = change.added.empty() && change.removed.empty();
        if (done.already_done) {
          return evolution.changed ? std::optional<ice::TableMetadata>(with) : std::nullopt;
        }
        ice::Attempt attempt;
        attempt.now_ms = now_ms;
        attempt.run = change.commit_id;
        ice::Built built = TRY(ice::BuildCommit(with, base.location, change, attempt,
                                                iceberg.Reader(name, base.metadata.location)));
        TRY(objects.Put(built));
        return std::optional<ice::TableMetadata>(std::move(built.next));
      }));
  objects.Keep();
  done.version = head.version;
  done.snapshot_id = head.metadata.current_snapshot_id.value_or(0);
  kLevel.Hit();
  return done;
}

}  // namespace varve::catalog
