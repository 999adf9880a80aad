#include "catalog/rest_catalog.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/delta_mirror.h"
#include "catalog/iceberg_mirror.h"
#include "core/log.h"
#include "table/json_reading.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
using table::Json;
using Kind = ice::Update::Kind;

Error BadRequest(std::string message) {
  return MakeError(ErrorKind::kInvalid, "BAD_REQUEST", std::move(message));
}

Error NoSuchTable(const Identifier& identifier) {
  return MakeError(
      ErrorKind::kNotFound, "NO_SUCH_TABLE",
      fmt::format("there is no table '{}.{}'", JoinLevels(identifier.levels), identifier.name));
}

std::string StagedKey(const TablePlace& place) { return place.Key("metadata/staged"); }

std::string_view WithoutSlash(std::string_view location) {
  while (location.ends_with('/')) location.remove_suffix(1);
  return location;
}

bool ConcernsDelta(const ice::Update& update) {
  switch (update.kind) {
    case Kind::kSetRef:
    case Kind::kRemoveRef:
      return update.text == "main";
    case Kind::kAddSnapshot:
    case Kind::kAddSchema:
    case Kind::kSetCurrentSchema:
    case Kind::kAddSpec:
    case Kind::kSetDefaultSpec:
      return true;
    case Kind::kSetProperties:
      return update.properties.contains(kFirstFormatProperty);
    case Kind::kRemoveProperties:
      return std::find(update.names.begin(), update.names.end(), kFirstFormatProperty) !=
             update.names.end();
    default:
      return false;
  }
}

Result<std::string> Text(const Json& json, const char* name) {
  const auto at = json.find(name);
  if (at != json.end() && at->is_string()) return at->get<std::string>();
  return BadRequest(fmt::format("the request's '{}' is missing or no text", name));
}

Result<Json> Parse(std::string_view text) {
  auto json = table::ParseObject(text, ice::kRequestBytesMax);
  if (json.ok()) return json;
  return BadRequest("the request " + json.error().message);
}

}  // namespace

Result<IcebergHead> RestCatalog::Load(const Identifier& identifier) {
  const auto name = TableNameOf(identifier);
  if (!name.ok()) return NoSuchTable(identifier);  // none can have this name
  auto head = tables_.iceberg().Load(*name);
  if (!head.ok() && head.error().code == "NO_SUCH_TABLE") return NoSuchTable(identifier);
  return head;
}

Result<std::string> RestCatalog::NewTableName(const Levels& levels, const std::string& name) {
  TRY(namespaces_.Load(levels));  // is there
  std::string out = TRY(TableNameOf({levels, name}));
  const Formats formats = TRY(tables_.FormatsOf(out));
  if (!formats.any()) return out;
  return MakeError(ErrorKind::kConflict, "TABLE_EXISTS",
                   fmt::format("the {}table '{}' exists", formats.iceberg ? "" : "Delta ", out));
}

Result<IcebergHead> RestCatalog::Create(const Levels& levels, std::string_view text) {
  ice::CreateRequest request = TRY(ice::ParseCreateRequest(text));
  const std::string name = TRY(NewTableName(levels, request.name));
  IcebergTables& iceberg = tables_.iceberg();
  const std::string location = iceberg.Place(name).location();
  const std::string_view asked = WithoutSlash(request.table.location);
  if (!asked.empty() && asked != location) {
    return BadRequest(
        fmt::format("a table cannot be at '{}': this one's place is '{}'", asked, location));
  }
  if (!request.stage_only) return iceberg.Create(name, std::move(request.table));
  request.table.location = location;
  request.table.uuid = iceberg.NewUuid();
  request.table.now_ms = iceberg.clock().NowMs();
  IcebergHead staged;
  staged.metadata = ice::CreateMetadata(std::move(request.table));
  TRY(ice::CheckMetadata(staged.metadata, nullptr));
  TRY(MakeFolder(iceberg.Place(name)));
  return staged;
}

Status RestCatalog::CheckForDelta(const std::string& name, const ice::CommitRequest& request) {
  const bool changes = std::any_of(request.updates.begin(), request.updates.end(), ConcernsDelta);
  if (!changes || !TRY(tables_.FormatsOf(name)).delta) return {};
  return MakeError(ErrorKind::kInvalid, "ALSO_DELTA",
                   fmt::format("'{}' is a Delta table too, whose log a commit to this catalog "
                               "would leave behind: change it with varve",
                               name));
}

Status RestCatalog::CheckOwn(const std::string& name, const std::string& location,
                             const std::string& base) {
  const TablePlace place = tables_.iceberg().Place(name);
  const std::string key = TRY(place.KeyOf(location, base));
  const auto tenant = [](std::string_view text) {
    constexpr std::string_view kTenants = "ns/";
    if (!text.starts_with(kTenants)) return std::string_view();
    return text.substr(0, text.find('/', kTenants.size()));
  };
  if (tenant(key) == tenant(place.key())) return {};
  return MakeError(ErrorKind::kInvalid, "FOREIGN_LOCATION",
                   fmt::format("'{}' is not this namespace's", location));
}

// DuckDB makes no folders: that of a table's first files is there before the table is.
Status RestCatalog::MakeFolder(const TablePlace& place) {
  IcebergTables& iceberg = tables_.iceberg();
  store::PutOptions options;
  options.content_type = "text/plain";
  TRY(iceberg.store().Put(StagedKey(place), FormatIso(iceberg.clock().NowMs()), options));
  return {};
}

// A snapshot whose list cannot be read would be found out by the table's readers.
Status RestCatalog::CheckNewSnapshots(const std::string& name, const std::string& base,
                                      const ice::CommitRequest& request) {
  const ice::ReadObject read = tables_.iceberg().Reader(name, base);
  for (const ice::Update& update : request.updates) {
    if (update.kind != Kind::kAddSnapshot) continue;
    const std::string& list = update.snapshot.manifest_list;
    TRY(CheckOwn(name, list, base));
    auto bytes = read(list);
    if (!bytes.ok() && bytes.error().kind != ErrorKind::kCorrupt &&
        bytes.error().kind != ErrorKind::kInvalid) {
      return std::move(bytes).error();
    }
    if (bytes.ok()) {
      const auto rows = ice::ReadManifestList(*bytes);
      if (rows.ok()) continue;
      return BadRequest(fmt::format("manifest list '{}': {}", list, rows.error().message));
    }
    return BadRequest(fmt::format("manifest list '{}': {}", list, bytes.error().message));
  }
  return {};
}

Result<IcebergHead> RestCatalog::CommitTo(const std::string& name,
                                          const ice::CommitRequest& request) {
  IcebergTables& iceberg = tables_.iceberg();
  TRY(CheckForDelta(name, request));
  if (request.creates()) {
    const std::string location = iceberg.Place(name).location();
    const auto there = iceberg.Load(name);
    if (there.ok()) TRY(ice::CheckRequirements(request.requirements, &there->metadata));
    if (!there.ok() && there.error().kind != ErrorKind::kNotFound) return there;
    TRY(CheckNewSnapshots(name, location, request));
    const ice::TableMetadata first = TRY(ice::ApplyUpdates(
        ice::NewPlace{location, iceberg.NewUuid()}, request.updates, iceberg.clock().NowMs()));
    auto made = iceberg.CreateAs(name, first);
    if (!made.ok()) return made;
    if (const auto gone = iceberg.store().Delete(StagedKey(iceberg.Place(name))); !gone.ok()) {
      LogInfo("catalog.staged_left", {{"table", name}});  // until orphans are removed
    }
    return made;
  }
  bool checked = false;
  auto done = iceberg.Update(
      name, [&](const IcebergHead& head) -> Result<std::optional<ice::TableMetadata>> {
        TRY(ice::CheckRequirements(request.requirements, &head.metadata));
        if (!checked) TRY(CheckNewSnapshots(name, head.metadata.location, request));
        checked = true;
        if (request.updates.empty()) return std::optional<ice::TableMetadata>();
        return std::optional<ice::TableMetadata>(TRY(ice::ApplyUpdates(
            head.metadata, head.location, request.updates, iceberg.clock().NowMs())));
      });
  if (done.ok() && !CheckForDelta(name, request).ok()) {  // published meanwhile
    const Status level = LevelDelta(iceberg, tables_.delta(), name);
    if (!level.ok()) {  // the commit is done all the same
      LogWarn("catalog.delta_behind", {{"table", name}, {"error", level.error().message}});
    }
  }
  return done;
}

Result<IcebergHead> RestCatalog::Commit(const Identifier& identifier, std::string_view text) {
  const ice::CommitRequest request = TRY(ice::ParseCommitRequest(text));
  auto name = TableNameOf(identifier);
  if (!request.creates()) {
    if (!name.ok()) return NoSuchTable(identifier);
    auto done = CommitTo(*name, request);
    if (!done.ok() && done.error().code == "NO_SUCH_TABLE") return NoSuchTable(identifier);
    return done;
  }
  TRY(namespaces_.Load(identifier.levels));
  return CommitTo(TRY(std::move(name)), request);
}

Status RestCatalog::CommitTransaction(std::string_view text) {
  const Json json = TRY(Parse(text));
  const auto changes = json.find("table-changes");
  if (changes == json.end() || !changes->is_array() || changes->empty()) {
    return BadRequest("the request's 'table-changes' is missing or empty");
  }
  if (changes->size() > 1) {
    return MakeError(ErrorKind::kInvalid, "UNSUPPORTED",
                     "tables change one by one: there is no commit of several at once");
  }
  const Json& change = (*changes)[0];
  const auto at = change.is_object() ? change.find("identifier") : change.end();
  if (at == change.end() || !at->is_object()) return BadRequest("a change without 'identifier'");
  Identifier identifier;
  identifier.name = TRY(Text(*at, "name"));
  const auto levels = at->find("namespace");
  if (levels == at->end() || !levels->is_array()) return BadRequest("a change without 'namespace'");
  for (const Json& level : *levels) {
    if (!level.is_string()) return BadRequest("a namespace's level is no text");
    identifier.levels.push_back(level.get<std::string>());
  }
  TRY(Commit(identifier, change.dump(-1, ' ', false, Json::error_handler_t::replace)));
  return {};
}

Result<IcebergHead> RestCatalog::Register(const Levels& levels, std::string_view text) {
  const Json json = TRY(Parse(text));
  const std::string table = TRY(Text(json, "name"));
  const std::string file = TRY(Text(json, "metadata-location"));
  const auto overwrite = json.find("overwrite");
  if (overwrite != json.end() && *overwrite == true) {
    return MakeError(ErrorKind::kInvalid, "UNSUPPORTED", "a table is not registered over another");
  }
  const std::string name = TRY(NewTableName(levels, table));
  IcebergTables& iceberg = tables_.iceberg();
  const TablePlace place = iceberg.Place(name);
  TRY(CheckOwn(name, file, place.location()));
  auto bytes = iceberg.Reader(name, place.location())(file);
  if (!bytes.ok() &&
      (bytes.error().code == "MISSING_OBJECT" || bytes.error().code == "FOREIGN_LOCATION")) {
    return BadRequest(bytes.error().message);
  }
  auto parsed = ice::ParseMetadata(TRY(std::move(bytes)));
  if (!parsed.ok()) return BadRequest(fmt::format("'{}': {}", file, parsed.error().message));
  ice::TableMetadata metadata = std::move(*parsed);
  // Whoever cleans up another table would take this one's files for orphans.
  const std::string key = TRY(place.KeyOf(metadata.location, place.location()));
  const std::string others = iceberg.Place("").key();
  if (key != place.key() && (key + "/").starts_with(others)) {
    return BadRequest(fmt::format("its files are in '{}', which is another table's place", key));
  }
  TRY(CheckOwn(name, metadata.location, place.location()));
  for (const ice::Snapshot& snapshot : metadata.snapshots) {
    TRY(CheckOwn(name, snapshot.manifest_list, metadata.location));
  }
  metadata.properties.erase(kDroppedProperty);
  return iceberg.CreateAs(name, metadata);
}

Status RestCatalog::Drop(const Identifier& identifier) {
  const auto name = TableNameOf(identifier);
  if (!name.ok()) return NoSuchTable(identifier);
  const Formats formats = TRY(tables_.FormatsOf(*name));
  if (!formats.iceberg) return NoSuchTable(identifier);
  if (formats.delta) {
    return MakeError(ErrorKind::kInvalid, "ALSO_DELTA",
                     fmt::format("'{}' is a Delta table too and is not dropped here", *name));
  }
  return tables_.iceberg().Drop(*name);
}

}  // namespace varve::catalog
