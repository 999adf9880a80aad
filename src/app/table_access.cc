#include "app/table_access.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/compaction.h"
#include "app/data_dir.h"
#include "app/rest_transport.h"
#include "catalog/publication.h"
#include "catalog/registration.h"
#include "catalog/snapshot_files.h"
#include "core/clock.h"
#include "query/table_names.h"
#include "store/local_store.h"
#include "table/bounds.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;
namespace ice = table::iceberg;

Error Usage(std::string message) {
  return MakeError(ErrorKind::kInvalid, "INVALID_ARGUMENT", std::move(message));
}

// A snapshot id, or a time; nothing: the current one.
Result<catalog::AsOf> ParseAsOf(const std::string& text) {
  catalog::AsOf as_of;
  if (text.empty()) return as_of;
  int64_t id = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && stop == text.data() + text.size()) {
    as_of.snapshot_id = id;
  } else {
    as_of.time_ms = TRY(ParseIso(text));
  }
  return as_of;
}

// "7d" → milliseconds.
Result<int64_t> ParseAge(const std::string& text, int64_t otherwise) {
  if (text.empty()) return otherwise;
  int64_t number = 0;
  const auto [unit, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest(unit, static_cast<size_t>(text.data() + text.size() - unit));
  const int64_t ms = rest == "d"   ? 86'400'000
                     : rest == "h" ? 3'600'000
                     : rest == "m" ? 60'000
                     : rest == "s" ? 1000
                                   : 0;
  if (error != std::errc() || number < 0 || number > 1'000'000 || ms == 0) {
    return Usage("--older-than '" + text + "' is no age such as 7d, 12h, 30m or 0s");
  }
  return number * ms;
}

// A commit that takes longer than this has lost its files to whoever removes orphans.
constexpr int64_t kCommitMsMax = 3'600'000;

Json ColumnsJson(const table::Schema& schema) {
  Json out = Json::array();
  for (const table::Field& field : schema.fields) {
    out.push_back({{"id", field.id},
                   {"name", field.name},
                   {"type", table::TypeName(field.type)},
                   {"required", field.required}});
  }
  return out;
}

Json FileJson(const table::DataFile& file) {
  return {{"key", file.path}, {"bytes", file.bytes}, {"rows", file.rows}};
}

std::string CleanedText(const TableOptions& options, const catalog::Cleaned& cleaned) {
  if (options.json) {
    Json json = {{"dryRun", !options.yes},
                 {"deleted", cleaned.deleted},
                 {"bytes", cleaned.bytes},
                 {"expiredSnapshots", cleaned.expired},
                 {"released", cleaned.released}};
    return json.dump() + "\n";
  }
  std::string text;
  for (const int64_t id : cleaned.expired) text += fmt::format("snapshot  {}\n", id);
  for (const std::string& key : cleaned.deleted) text += fmt::format("file      {}\n", key);
  for (const std::string& key : cleaned.released) text += fmt::format("released  {}\n", key);
  return text + fmt::format("{} {} files, {} bytes\n", options.yes ? "deleted" : "would delete",
                            cleaned.deleted.size(), cleaned.bytes);
}

Result<catalog::CleanOptions> CleanOptionsOf(const TableOptions& options, TableAccess& access,
                                             int64_t age_ms) {
  catalog::CleanOptions clean;
  const int64_t now_ms = access.tables().iceberg().clock().NowMs();
  clean.older_than_ms = now_ms - TRY(ParseAge(options.older_than, age_ms));
  clean.keep_last = options.keep_last;
  clean.dry_run = !options.yes;
  return clean;
}

}  // namespace

std::unique_ptr<catalog::TenantTables> OpenTenantTables(store::ObjectStore& store,
                                                        const Config& config,
                                                        const DataDirPaths& paths, TablesUse use) {
  catalog::DeltaOptions options = config.table.formats;
  std::error_code ignored;
  options.catalog.root = std::filesystem::canonical(paths.root, ignored).string();
  if (use == TablesUse::kAlone) {
    options.catalog.run = std::to_string(SystemClock().NowMs()) + "-" + std::to_string(getpid());
  }
  return std::make_unique<catalog::TenantTables>(
      store, SystemClock(), SystemRandom(), std::move(options), OpenRestHeads(config.table.rest));
}

Result<std::unique_ptr<TableAccess>> TableAccess::Open(const TableOptions& options, bool writes) {
  std::vector<std::pair<std::string, std::string>> flags;
  if (!options.data.empty()) flags.emplace_back("data_dir", options.data);
  const LoadedConfig loaded = TRY(LoadForCommand(options.config, std::move(flags)));
  const DataDirPaths paths(loaded.config.data_dir);
  std::error_code ignored;
  if (!std::filesystem::is_directory(paths.root, ignored)) {
    return MakeError(ErrorKind::kNotFound, "there is no data directory '" + paths.root + "'");
  }
  store::LocalStoreOptions store_options = StoreOptionsOf(loaded.config, paths);
  store_options.read_only = !writes;
  auto store = TRY(store::OpenLocalStore(std::move(store_options), SystemClock()));
  return std::unique_ptr<TableAccess>(new TableAccess(std::move(store), loaded.config, paths));
}

Result<std::string> ListTables(const TableOptions& options, TableAccess& access) {
  std::string text;
  for (const std::string& name : TRY(access.tables().List())) {
    const std::string_view formats = ToString(TRY(access.tables().FormatsOf(name)));
    const std::string in_sql = query::NameInSql(name);
    const std::string hint = in_sql == name ? "" : "  (in SQL: " + in_sql + ")";
    text += options.json
                ? Json({{"name", name}, {"formats", formats}, {"sql", in_sql}}).dump() + "\n"
                : fmt::format("{:<14} {}{}\n", formats, name, hint);
  }
  return text;
}

Result<std::string> ShowTable(const TableOptions& options, TableAccess& access) {
  const catalog::Formats formats = TRY(access.tables().FormatsOf(options.name));
  const auto snapshot = TRY(catalog::FilesAsOf(access.tables(), options.name, {}));
  const catalog::TableShape shape = TRY(access.tables().Shape(options.name));
  Json json = {{"name", options.name}, {"formats", ToString(formats)}};
  json["snapshotId"] = snapshot.snapshot_id;
  json["time"] = snapshot.timestamp_ms == 0 ? "" : FormatIso(snapshot.timestamp_ms);
  json["files"] = snapshot.files.size();
  int64_t rows = 0;
  uint64_t bytes = 0;
  for (const table::DataFile& file : snapshot.files) rows += file.rows, bytes += file.bytes;
  json["rows"] = rows;
  json["bytes"] = bytes;
  if (snapshot.deleted.any()) {  // whose rows are counted above
    json["deleteFiles"] = snapshot.deleted.positions.size() + snapshot.deleted.others;
  }
  if (formats.iceberg) {
    const auto head = TRY(access.tables().iceberg().Load(options.name));
    json["metadata"] = head.location;
    json["snapshots"] = head.metadata.snapshots.size();
  }
  if (const auto others = TRY(access.tables().OthersInDelta(options.name)); others.count > 0) {
    json["notice"] = fmt::format(
        "another program has committed to the Delta log (versions {} to {}), which Iceberg and SQL "
        "do not have yet: the next compaction takes it over, or: varve table publish {} --to "
        "iceberg+delta",
        others.first, others.last, options.name);
  }
  json["partitioning"] = Json::array();
  for (const auto& field : shape.spec.fields) json["partitioning"].push_back(field.name);
  json["columns"] = ColumnsJson(shape.schema);
  if (options.json) return json.dump() + "\n";
  std::string text;
  for (const auto& item : json.items()) {
    if (item.key() == "columns") continue;
    text += fmt::format(
        "{:<13} {}\n", item.key(),
        item.value().is_string() ? item.value().get<std::string>() : item.value().dump());
  }
  for (const Json& column : json["columns"]) {
    text += fmt::format("  {:>3} {} {}{}\n", column["id"].get<int>(),
                        column["name"].get<std::string>(), column["type"].get<std::string>(),
                        column["required"].get<bool>() ? " required" : "");
  }
  return text;
}

Result<std::string> TableHistory(const TableOptions& options, TableAccess& access) {
  const catalog::Formats formats = TRY(access.tables().FormatsOf(options.name));
  // A table of both formats is read, at any moment, by its first one.
  const std::string_view read =
      TRY(access.tables().IsDeltaFirst(options.name)) ? "delta" : "iceberg";
  std::vector<Json> rows;
  if (formats.iceberg || !formats.delta) {
    const auto head = TRY(access.tables().iceberg().Load(options.name));
    for (const ice::Snapshot& snapshot : head.metadata.snapshots) {
      Json row = {{"format", "iceberg"},
                  {"snapshotId", snapshot.id},
                  {"time", FormatIso(snapshot.timestamp_ms)},
                  {"current", snapshot.id == head.metadata.current_snapshot_id}};
      for (const auto& [key, value] : snapshot.summary) row[key] = value;
      rows.push_back(std::move(row));
    }
  }
  if (formats.delta) {
    for (const auto& entry : TRY(access.tables().delta().History(options.name))) {
      rows.push_back({{"format", "delta"},
                      {"version", entry.version},
                      {"time", FormatIso(entry.timestamp_ms)},
                      {"operation", entry.operation},
                      {"added-data-files", std::to_string(entry.adds)},
                      {"deleted-data-files", std::to_string(entry.removes)}});
    }
  }
  std::string text;
  for (Json& row : rows) {
    const bool is_read = row["format"] == read;
    row["asOf"] = is_read;
    if (options.json) {
      text += row.dump() + "\n";
      continue;
    }
    const auto id = row.contains("version") ? row["version"] : row["snapshotId"];
    text += fmt::format("{} {:<8} {:>19} {:<9} +{} -{} files{}\n", row["time"].get<std::string>(),
                        row["format"].get<std::string>(), id.get<int64_t>(),
                        row["operation"].get<std::string>(), row.value("added-data-files", "0"),
                        row.value("deleted-data-files", "0"), is_read ? "" : "  (not for --as-of)");
  }
  return text;
}

Result<std::string> TableFiles(const TableOptions& options, TableAccess& access) {
  const auto as_of = TRY(ParseAsOf(options.as_of));
  const auto snapshot = TRY(catalog::FilesAsOf(access.tables(), options.name, as_of));
  std::string text;
  for (const table::DataFile& file : snapshot.files) {
    text += options.json ? FileJson(file).dump() + "\n"
                         : fmt::format("{:>12} {:>12}  {}\n", file.bytes, file.rows, file.path);
  }
  return text;
}

Result<std::string> TableChanges(const TableOptions& options, TableAccess& access) {
  const auto from =
      TRY(catalog::FilesAsOf(access.tables(), options.name, TRY(ParseAsOf(options.from))));
  const auto to =
      TRY(catalog::FilesAsOf(access.tables(), options.name, TRY(ParseAsOf(options.to))));
  const catalog::TableDiff diff = catalog::DiffFiles(from, to);
  if (options.json) {
    return Json({{"from", from.snapshot_id},
                 {"to", to.snapshot_id},
                 {"added", diff.added},
                 {"removed", diff.removed},
                 {"rowsAdded", diff.rows_added},
                 {"rowsRemoved", diff.rows_removed}})
               .dump() +
           "\n";
  }
  std::string text;
  for (const std::string& key : diff.added) text += "+ " + key + "\n";
  for (const std::string& key : diff.removed) text += "- " + key + "\n";
  return text + fmt::format("rows +{} -{}\n", diff.rows_added, diff.rows_removed);
}

Result<std::string> RegisterTableFiles(const TableOptions& options, TableAccess& access) {
  catalog::RegisterOptions registration;
  registration.formats = catalog::ParseFormats(options.format);
  if (!registration.formats.any()) return Usage("--format is iceberg, delta or iceberg+delta");
  registration.partitioning = options.partitioning;
  registration.sorting = options.sorting;
  registration.accept_problems = options.accept_problems;
  std::vector<std::string> keys = options.files;
  if (!options.prefix.empty()) {
    for (const auto& object : TRY(store::ListAll(access.store(), options.prefix))) {
      if (object.key.ends_with(".parquet")) keys.push_back(object.key);
    }
  }
  const auto done = TRY(catalog::RegisterFiles(access.tables(), options.name, keys, registration));
  Json json = {{"table", options.name},
               {"created", done.created},
               {"files", done.files},
               {"rows", done.rows}};
  if (done.commit.iceberg) json["snapshotId"] = done.commit.iceberg->snapshot_id;
  if (done.commit.delta) json["deltaVersion"] = done.commit.delta->version;
  if (options.json) return json.dump() + "\n";
  return fmt::format("{}: {} files, {} rows registered\n", options.name, done.files, done.rows);
}

Result<std::string> PublishTableAs(const TableOptions& options, TableAccess& access) {
  const catalog::Formats wanted = catalog::ParseFormats(options.to);
  if (!wanted.any()) return Usage("--to is iceberg, delta or iceberg+delta");
  catalog::PublishOptions publication;
  publication.accept_problems = options.accept_problems;
  const catalog::Formats now =
      TRY(catalog::PublishTable(access.tables(), options.name, wanted, publication));
  if (options.json) {
    return Json({{"table", options.name}, {"formats", catalog::ToString(now)}}).dump() + "\n";
  }
  return fmt::format("{}: {}\n", options.name, catalog::ToString(now));
}

Result<std::string> ExpireTable(const TableOptions& options, TableAccess& access) {
  const auto clean = TRY(CleanOptionsOf(options, access, int64_t{5} * 86'400'000));
  return CleanedText(options,
                     TRY(catalog::Maintenance(access.tables()).Expire(options.name, clean)));
}

Result<std::string> VacuumTable(const TableOptions& options, TableAccess& access) {
  const auto clean = TRY(CleanOptionsOf(options, access, int64_t{30} * 86'400'000));
  return CleanedText(options,
                     TRY(catalog::Maintenance(access.tables()).Vacuum(options.name, clean)));
}

Result<std::string> RemoveTableOrphans(const TableOptions& options, TableAccess& access) {
  const auto clean =
      TRY(CleanOptionsOf(options, access, static_cast<int64_t>(access.config().orphan_age_ms)));
  std::optional<DataDirLock> alone;
  const int64_t age_ms = access.tables().iceberg().clock().NowMs() - clean.older_than_ms;
  if (options.yes && age_ms < kCommitMsMax) {
    auto lock = DataDirLock::Take(access.paths(), DataDirLock::Mode::kExclusive);
    if (!lock.ok() && lock.error().code == "DATA_DIR_BUSY") {
      return MakeError(ErrorKind::kConflict, "DATA_DIR_BUSY",
                       fmt::format("files younger than an hour may be those of a commit under way: "
                                   "give --older-than 1h or more, or stop the process that has "
                                   "the data directory {}",
                                   access.paths().root));
    }
    alone.emplace(TRY(std::move(lock)));
  }
  return CleanedText(options,
                     TRY(catalog::Maintenance(access.tables()).RemoveOrphans(options.name, clean)));
}

Result<std::string> RewriteTableManifests(const TableOptions& options, TableAccess& access) {
  const auto done = TRY(catalog::Maintenance(access.tables()).RewriteManifests(options.name));
  return fmt::format("{}: snapshot {}\n", options.name, done.snapshot_id);
}

}  // namespace varve::app
