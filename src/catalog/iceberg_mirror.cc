#include "catalog/iceberg_mirror.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/file_footers.h"
#include "catalog/mirrored_files.h"
#include "core/crash_point.h"
#include "core/log.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

const CrashPoint kChunkPut{"publication.iceberg_chunk"};
const CrashPoint kIcebergBegun{"publication.iceberg_begun"};

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
    for (const auto& item : log_.files) files_.push_back(TRY(MirroredFile(place_, item.second)));
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
    const std::string root = MirrorRoot(metadata_, place_);
    TRY(ForEachFooter(iceberg_.store(), chunk, wanted_.stopped,
                      [&](size_t i, table::FileFooter&& footer) -> Status {
                        if (!footer.problems.empty() && !wanted_.accept_problems) {
                          return MakeError(ErrorKind::kInvalid, "UNREADABLE_COLUMN",
                                           fmt::format("'{}': {}; some readers would get it wrong",
                                                       chunk[i].key, footer.problems[0].text));
                        }
                        change.added[i] = TRY(DescribeMirrored(metadata_, footer, chunk[i], root));
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
  MirroredObjects objects_;
  const std::string run_;
  std::vector<StoredFile> files_;
  std::vector<std::string> lists_;  // locations
  ice::TableMetadata metadata_;
};

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
  const dl::State log = TRY(delta.LoadToChange(name));
  TRY(FirstMetadata(iceberg, log, name, wanted).Make());
  kIcebergBegun.Hit();
  return {};
}

}  // namespace varve::catalog
