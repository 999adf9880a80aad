// Commit and create requests: JSON to values, and back.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "table/iceberg/json_types.h"
#include "table/iceberg/snapshot_json.h"
#include "table/iceberg/update.h"

namespace varve::table::iceberg {
namespace {

using Kind = Update::Kind;

Error BadRequest(std::string message) {
  return MakeError(ErrorKind::kInvalid, "BAD_REQUEST", std::move(message));
}

// The readers of metadata speak of stored bytes; here it is the sender's words that are wrong.
template <typename T>
Result<T> AsRequest(Result<T> read) {
  if (read.ok() || read.error().kind != ErrorKind::kCorrupt) return read;
  return BadRequest("the request's " + read.error().message);
}

template <typename K>
struct Named {
  std::string_view name;
  K kind;
  const char* member = nullptr;  // of requirements: the number; of updates: what it is about
};

constexpr std::array<Named<Requirement::Kind>, 8> kRequirements = {{
    {"assert-create", Requirement::Kind::kCreate},
    {"assert-table-uuid", Requirement::Kind::kUuid},
    {"assert-ref-snapshot-id", Requirement::Kind::kRef, "snapshot-id"},
    {"assert-last-assigned-field-id", Requirement::Kind::kLastFieldId, "last-assigned-field-id"},
    {"assert-current-schema-id", Requirement::Kind::kCurrentSchemaId, "current-schema-id"},
    {"assert-last-assigned-partition-id", Requirement::Kind::kLastPartitionId,
     "last-assigned-partition-id"},
    {"assert-default-spec-id", Requirement::Kind::kDefaultSpecId, "default-spec-id"},
    {"assert-default-sort-order-id", Requirement::Kind::kDefaultOrderId, "default-sort-order-id"},
}};

constexpr std::array<Named<Kind>, 21> kUpdates = {{
    {"assign-uuid", Kind::kAssignUuid, "uuid"},
    {"upgrade-format-version", Kind::kUpgradeFormat, "format-version"},
    {"add-schema", Kind::kAddSchema, "schema"},
    {"set-current-schema", Kind::kSetCurrentSchema, "schema-id"},
    {"add-spec", Kind::kAddSpec, "spec"},
    {"set-default-spec", Kind::kSetDefaultSpec, "spec-id"},
    {"add-sort-order", Kind::kAddOrder, "sort-order"},
    {"set-default-sort-order", Kind::kSetDefaultOrder, "sort-order-id"},
    {"add-snapshot", Kind::kAddSnapshot, "snapshot"},
    {"set-snapshot-ref", Kind::kSetRef, "ref-name"},
    {"remove-snapshots", Kind::kRemoveSnapshots, "snapshot-ids"},
    {"remove-snapshot-ref", Kind::kRemoveRef, "ref-name"},
    {"set-location", Kind::kSetLocation, "location"},
    {"set-properties", Kind::kSetProperties, "updates"},
    {"remove-properties", Kind::kRemoveProperties, "removals"},
    {"set-statistics", Kind::kSetStatistics, "statistics"},
    {"remove-statistics", Kind::kRemoveStatistics, "snapshot-id"},
    {"set-partition-statistics", Kind::kSetPartitionStatistics, "partition-statistics"},
    {"remove-partition-statistics", Kind::kRemovePartitionStatistics, "snapshot-id"},
    {"remove-partition-specs", Kind::kRemoveSpecs, "spec-ids"},
    {"remove-schemas", Kind::kRemoveSchemas, "schema-ids"},
}};

template <typename Table>
auto FindNamed(const Table& table, std::string_view name) {
  return std::find_if(table.begin(), table.end(),
                      [name](const auto& one) { return one.name == name; });
}

template <typename Table, typename K>
auto FindKind(const Table& table, K kind) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [kind](const auto& one) { return one.kind == kind; });
  CHECK(found != table.end());
  return found;
}

Result<Requirement> RequirementFrom(const Json& json) {
  if (!json.is_object()) return BadMember("requirements");
  const std::string type = TRY(Need<std::string>(json, "type"));
  const auto known = FindNamed(kRequirements, type);
  if (known == kRequirements.end()) return BadRequest("unknown requirement '" + type + "'");
  Requirement out;
  out.kind = known->kind;
  if (out.kind == Requirement::Kind::kUuid) out.text = TRY(Need<std::string>(json, "uuid"));
  if (out.kind == Requirement::Kind::kRef) {
    out.text = TRY(Need<std::string>(json, "ref"));
    out.number = TRY(Optional<int64_t>(json, "snapshot-id"));
  } else if (known->member != nullptr) {
    out.number = TRY(Need<int64_t>(json, known->member));
  }
  return out;
}

Result<Json> Member(const Json& json, const char* name) {
  const auto at = json.find(name);
  if (at == json.end() || !at->is_object()) return BadMember(name);
  return *at;
}

// Ids that the catalog gives may be left out.
Result<Schema> SchemaIn(const Json& json, const char* name) {
  Json schema = TRY(Member(json, name));
  if (!schema.contains("schema-id")) schema["schema-id"] = 0;
  return SchemaFrom(schema);
}

Result<PartitionSpec> SpecIn(const Json& json, const char* name) {
  Json spec = TRY(Member(json, name));
  if (!spec.contains("spec-id")) spec["spec-id"] = 0;
  if (!spec.contains("fields") || !spec["fields"].is_array()) return BadMember("fields");
  for (Json& field : spec["fields"]) {
    if (field.is_object() && (!field.contains("field-id") || field["field-id"].is_null())) {
      field["field-id"] = -1;
    }
  }
  return SpecFrom(spec);
}

Result<SortOrder> OrderIn(const Json& json, const char* name) {
  Json order = TRY(Member(json, name));
  if (!order.contains("order-id")) order["order-id"] = 1;
  return OrderFrom(order);
}

Result<std::vector<int64_t>> Ids(const Json& json, const char* name) {
  std::vector<int64_t> out;
  for (const Json& id : *TRY(Array(json, name, true))) {
    if (!Holds<int64_t>(id)) return BadMember(name);
    out.push_back(id.get<int64_t>());
  }
  return out;
}

Result<std::vector<std::string>> Names(const Json& json, const char* name) {
  std::vector<std::string> out;
  for (const Json& one : *TRY(Array(json, name, true))) {
    if (!one.is_string()) return BadMember(name);
    out.push_back(one.get<std::string>());
  }
  return out;
}

Status ReadStatistics(const Json& json, const char* name, const char* path, Update& out) {
  const Json file = TRY(Member(json, name));
  out.number = TRY(Need<int64_t>(file, "snapshot-id"));
  TRY(Need<std::string>(file, path));
  out.text = file.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {};
}

// What kind it is has been read.
Status ReadUpdate(const Json& json, const char* member, Update& out) {
  switch (out.kind) {
    case Kind::kAddSchema:
      out.schema = TRY(SchemaIn(json, member));
      break;
    case Kind::kAddSpec:
      out.spec = TRY(SpecIn(json, member));
      break;
    case Kind::kAddOrder:
      out.order = TRY(OrderIn(json, member));
      break;
    case Kind::kAddSnapshot:
      out.snapshot = TRY(SnapshotFrom(TRY(Member(json, member))));
      break;
    case Kind::kSetRef:
      out.text = TRY(Need<std::string>(json, member));
      out.ref = TRY(RefFrom(json));
      if (!out.ref.is_branch && json["type"] != "tag") return BadMember("type");
      break;
    case Kind::kRemoveSnapshots:
    case Kind::kRemoveSpecs:
    case Kind::kRemoveSchemas:
      out.ids = TRY(Ids(json, member));
      break;
    case Kind::kSetProperties:
      out.properties = TRY(Strings(json, member));
      break;
    case Kind::kRemoveProperties:
      out.names = TRY(Names(json, member));
      break;
    case Kind::kSetStatistics:
    case Kind::kSetPartitionStatistics:
      TRY(ReadStatistics(json, member, "statistics-path", out));
      break;
    case Kind::kAssignUuid:
    case Kind::kRemoveRef:
    case Kind::kSetLocation:
      out.text = TRY(Need<std::string>(json, member));
      break;
    default:
      out.number = TRY(Need<int64_t>(json, member));
  }
  return {};
}

Result<CommitRequest> CommitFrom(const Json& json) {
  CommitRequest out;
  const Json* requirements = TRY(Array(json, "requirements", true));
  const Json* updates = TRY(Array(json, "updates", true));
  if (requirements->size() > kUpdatesMax || updates->size() > kUpdatesMax) {
    return BadRequest(fmt::format("more than {} requirements or updates", kUpdatesMax));
  }
  for (const Json& one : *requirements) out.requirements.push_back(TRY(RequirementFrom(one)));
  for (const Json& one : *updates) {
    if (!one.is_object()) return BadMember("updates");
    const std::string action = TRY(Need<std::string>(one, "action"));
    const auto known = FindNamed(kUpdates, action);
    if (known == kUpdates.end()) {
      return BadRequest("'" + action.substr(0, 64) + "' is no update of a v2 table");
    }
    Update update;
    update.kind = known->kind;
    TRY(ReadUpdate(one, known->member, update));
    out.updates.push_back(std::move(update));
  }
  return out;
}

OrderedJson RequirementJson(const Requirement& requirement) {
  const auto known = FindKind(kRequirements, requirement.kind);
  OrderedJson json;
  json["type"] = known->name;
  if (requirement.kind == Requirement::Kind::kUuid) json["uuid"] = requirement.text;
  if (requirement.kind == Requirement::Kind::kRef) json["ref"] = requirement.text;
  if (known->member != nullptr) {
    json[known->member] = requirement.number ? OrderedJson(*requirement.number) : OrderedJson();
  }
  return json;
}

OrderedJson UpdateJson(const Update& update) {
  const auto known = FindKind(kUpdates, update.kind);
  OrderedJson json;
  json["action"] = known->name;
  OrderedJson& about = json[known->member];
  switch (update.kind) {
    case Kind::kAddSchema:
      about = ToJson(update.schema);
      break;
    case Kind::kAddSpec:
      about = ToJson(update.spec);
      break;
    case Kind::kAddOrder:
      about = ToJson(update.order);
      break;
    case Kind::kAddSnapshot:
      about = SnapshotJson(update.snapshot);
      break;
    case Kind::kSetRef:
      about = update.text;
      json.update(RefJson(update.ref));
      break;
    case Kind::kRemoveSnapshots:
    case Kind::kRemoveSpecs:
    case Kind::kRemoveSchemas:
      about = update.ids;
      break;
    case Kind::kSetProperties:
      about = update.properties;
      break;
    case Kind::kRemoveProperties:
      about = update.names;
      break;
    case Kind::kSetStatistics:
    case Kind::kSetPartitionStatistics:
      about = OrderedJson::parse(update.text, nullptr, false);
      break;
    case Kind::kAssignUuid:
    case Kind::kRemoveRef:
    case Kind::kSetLocation:
      about = update.text;
      break;
    default:
      about = update.number;
  }
  return json;
}

using NewIds = std::map<int32_t, int32_t>;

void CollectIds(const std::vector<Field>& before, const std::vector<Field>& after, NewIds& ids) {
  for (size_t i = 0; i < before.size(); ++i) {
    ids[before[i].id] = after[i].id;
    CollectIds(before[i].type.fields, after[i].type.fields, ids);
  }
}

// A new table's columns are numbered from 1, whatever its maker's numbers were.
Status NumberAnew(NewTable& table) {
  const Schema asked = table.schema;
  AssignIds(table.schema, 0);
  NewIds ids;
  CollectIds(asked.fields, table.schema.fields, ids);
  const auto move = [&](int32_t& id) -> Status {
    const auto found = ids.find(id);
    if (found == ids.end()) return BadRequest(fmt::format("there is no column with id {}", id));
    id = found->second;
    return {};
  };
  for (int32_t& id : table.schema.identifier_ids) TRY(move(id));
  int32_t next_field = kFirstPartitionFieldId;
  for (PartitionField& field : table.spec.fields) {
    TRY(move(field.source_id));
    field.field_id = next_field++;
  }
  for (SortField& field : table.order.fields) TRY(move(field.source_id));
  table.schema.id = 0;
  table.spec.id = 0;
  table.order.id = table.order.fields.empty() ? 0 : 1;
  return {};
}

Result<CreateRequest> CreateFrom(const Json& json) {
  CreateRequest out;
  out.name = TRY(Need<std::string>(json, "name"));
  out.table.location = TRY(Optional<std::string>(json, "location")).value_or("");
  out.table.schema = TRY(SchemaIn(json, "schema"));
  const auto given = [&](const char* name) { return json.contains(name) && !json[name].is_null(); };
  if (given("partition-spec")) out.table.spec = TRY(SpecIn(json, "partition-spec"));
  if (given("write-order")) out.table.order = TRY(OrderIn(json, "write-order"));
  out.stage_only = TRY(Optional<bool>(json, "stage-create")).value_or(false);
  out.table.properties = TRY(Strings(json, "properties"));
  const auto version = out.table.properties.find("format-version");
  if (version != out.table.properties.end()) {
    if (version->second != "2") return BadRequest("only tables of format version 2 are made");
    out.table.properties.erase(version);
  }
  TRY(NumberAnew(out.table));
  return out;
}

}  // namespace

bool CommitRequest::creates() const {
  return std::any_of(requirements.begin(), requirements.end(),
                     [](const Requirement& one) { return one.kind == Requirement::Kind::kCreate; });
}

bool CommitRequest::Has(Update::Kind kind) const {
  return std::any_of(updates.begin(), updates.end(),
                     [kind](const Update& one) { return one.kind == kind; });
}

Result<CommitRequest> ParseCommitRequest(std::string_view text) {
  const Json json = TRY(AsRequest(ParseObject(text, kRequestBytesMax)));
  return AsRequest(CommitFrom(json));
}

Result<CreateRequest> ParseCreateRequest(std::string_view text) {
  const Json json = TRY(AsRequest(ParseObject(text, kRequestBytesMax)));
  return AsRequest(CreateFrom(json));
}

std::string WriteCommitRequest(const CommitRequest& request) {
  OrderedJson json;
  json["requirements"] = OrderedJson::array();
  for (const Requirement& one : request.requirements) {
    json["requirements"].push_back(RequirementJson(one));
  }
  json["updates"] = OrderedJson::array();
  for (const Update& one : request.updates) json["updates"].push_back(UpdateJson(one));
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string WriteCreateRequest(const CreateRequest& request) {
  OrderedJson json;
  json["name"] = request.name;
  if (!request.table.location.empty()) json["location"] = request.table.location;
  json["schema"] = ToJson(request.table.schema);
  json["partition-spec"] = ToJson(request.table.spec);
  json["write-order"] = ToJson(request.table.order);
  json["stage-create"] = request.stage_only;
  json["properties"] = request.table.properties;
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace varve::table::iceberg
