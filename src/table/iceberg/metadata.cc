#include "table/iceberg/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "table/iceberg/name_mapping.h"
#include "table/iceberg/snapshot_json.h"

namespace varve::table::iceberg {
namespace {

constexpr const char* kOurs[] = {
    "format-version",
    "table-uuid",
    "location",
    "last-sequence-number",
    "last-updated-ms",
    "last-column-id",
    "schemas",
    "current-schema-id",
    "partition-specs",
    "default-spec-id",
    "last-partition-id",
    "sort-orders",
    "default-sort-order-id",
    "properties",
    "current-snapshot-id",
    "snapshots",
    "snapshot-log",
    "metadata-log",
    "refs",
};

template <typename T, typename Id>
const T* FindById(const std::vector<T>& items, Id id) {
  for (const T& item : items) {
    if (item.id == id) return &item;
  }
  return nullptr;
}

Status ReadHistory(const Json& json, TableMetadata& out) {
  for (const Json& one : *TRY(Array(json, "snapshots", false))) {
    out.snapshots.push_back(TRY(SnapshotFrom(one)));
  }
  for (const Json& one : *TRY(Array(json, "snapshot-log", false))) {
    if (!one.is_object()) return BadMember("snapshot-log");
    LogEntry entry;
    entry.timestamp_ms = TRY(Need<int64_t>(one, "timestamp-ms"));
    entry.snapshot_id = TRY(Need<int64_t>(one, "snapshot-id"));
    out.snapshot_log.push_back(entry);
  }
  for (const Json& one : *TRY(Array(json, "metadata-log", false))) {
    if (!one.is_object()) return BadMember("metadata-log");
    MetadataLogEntry entry;
    entry.timestamp_ms = TRY(Need<int64_t>(one, "timestamp-ms"));
    entry.file = TRY(Need<std::string>(one, "metadata-file"));
    out.metadata_log.push_back(std::move(entry));
  }
  const auto refs = json.find("refs");
  if (refs != json.end() && refs->is_object()) {
    for (const auto& item : refs->items()) out.refs[item.key()] = TRY(RefFrom(item.value()));
  }
  out.current_snapshot_id = TRY(Optional<int64_t>(json, "current-snapshot-id"));
  if (out.current_snapshot_id == -1) out.current_snapshot_id.reset();
  return {};
}

Status ReadShape(const Json& json, TableMetadata& out) {
  for (const Json& one : *TRY(Array(json, "schemas", true))) {
    out.schemas.push_back(TRY(SchemaFrom(one)));
  }
  for (const Json& one : *TRY(Array(json, "partition-specs", true))) {
    out.specs.push_back(TRY(SpecFrom(one)));
  }
  for (const Json& one : *TRY(Array(json, "sort-orders", true))) {
    out.orders.push_back(TRY(OrderFrom(one)));
  }
  out.current_schema_id = TRY(Need<int32_t>(json, "current-schema-id"));
  out.default_spec_id = TRY(Need<int32_t>(json, "default-spec-id"));
  out.default_order_id = TRY(Need<int32_t>(json, "default-sort-order-id"));
  if (out.FindSchema(out.current_schema_id) == nullptr) return BadMember("current-schema-id");
  if (out.FindSpec(out.default_spec_id) == nullptr) return BadMember("default-spec-id");
  if (out.default_order_id != 0 && FindById(out.orders, out.default_order_id) == nullptr) {
    return BadMember("default-sort-order-id");
  }
  return {};
}

void WriteHistory(const TableMetadata& metadata, OrderedJson& json) {
  if (metadata.current_snapshot_id) json["current-snapshot-id"] = *metadata.current_snapshot_id;
  if (!metadata.refs.empty()) {
    for (const auto& [name, ref] : metadata.refs) {
      json["refs"][name] = RefJson(ref);
    }
  }
  json["snapshots"] = OrderedJson::array();
  for (const Snapshot& one : metadata.snapshots) json["snapshots"].push_back(SnapshotJson(one));
  json["snapshot-log"] = OrderedJson::array();
  for (const LogEntry& entry : metadata.snapshot_log) {
    OrderedJson one;
    one["timestamp-ms"] = entry.timestamp_ms;
    one["snapshot-id"] = entry.snapshot_id;
    json["snapshot-log"].push_back(std::move(one));
  }
  json["metadata-log"] = OrderedJson::array();
  for (const MetadataLogEntry& entry : metadata.metadata_log) {
    OrderedJson one;
    one["timestamp-ms"] = entry.timestamp_ms;
    one["metadata-file"] = entry.file;
    json["metadata-log"].push_back(std::move(one));
  }
}

}  // namespace

Result<Snapshot> SnapshotFrom(const Json& json) {
  if (!json.is_object()) return BadMember("snapshots");
  Snapshot snapshot;
  snapshot.id = TRY(Need<int64_t>(json, "snapshot-id"));
  snapshot.parent_id = TRY(Optional<int64_t>(json, "parent-snapshot-id"));
  snapshot.sequence_number = TRY(Optional<int64_t>(json, "sequence-number")).value_or(0);
  snapshot.timestamp_ms = TRY(Need<int64_t>(json, "timestamp-ms"));
  snapshot.manifest_list = TRY(Need<std::string>(json, "manifest-list"));
  snapshot.schema_id = TRY(Optional<int32_t>(json, "schema-id"));
  snapshot.summary = TRY(Strings(json, "summary"));
  if (!snapshot.summary.contains("operation")) return BadMember("summary.operation");
  return snapshot;
}

Result<Ref> RefFrom(const Json& json) {
  if (!json.is_object()) return BadMember("refs");
  Ref ref;
  ref.snapshot_id = TRY(Need<int64_t>(json, "snapshot-id"));
  ref.is_branch = TRY(Need<std::string>(json, "type")) == "branch";
  for (const char* name : {"max-ref-age-ms", "max-snapshot-age-ms", "min-snapshots-to-keep"}) {
    if (const auto value = TRY(Optional<int64_t>(json, name))) ref.retention[name] = *value;
  }
  return ref;
}

OrderedJson SnapshotJson(const Snapshot& snapshot) {
  OrderedJson json;
  json["sequence-number"] = snapshot.sequence_number;
  json["snapshot-id"] = snapshot.id;
  if (snapshot.parent_id) json["parent-snapshot-id"] = *snapshot.parent_id;
  json["timestamp-ms"] = snapshot.timestamp_ms;
  OrderedJson& summary = json["summary"];
  summary["operation"] = snapshot.summary.at("operation");
  for (const auto& [key, value] : snapshot.summary) summary[key] = value;
  json["manifest-list"] = snapshot.manifest_list;
  if (snapshot.schema_id) json["schema-id"] = *snapshot.schema_id;
  return json;
}

OrderedJson RefJson(const Ref& ref) {
  OrderedJson json;
  json["snapshot-id"] = ref.snapshot_id;
  json["type"] = ref.is_branch ? "branch" : "tag";
  for (const auto& [key, value] : ref.retention) json[key] = value;
  return json;
}

const Schema* TableMetadata::FindSchema(int32_t id) const { return FindById(schemas, id); }
const PartitionSpec* TableMetadata::FindSpec(int32_t id) const { return FindById(specs, id); }
const Snapshot* TableMetadata::FindSnapshot(int64_t id) const { return FindById(snapshots, id); }

const Schema& TableMetadata::schema() const {
  const Schema* found = FindSchema(current_schema_id);
  CHECK(found != nullptr);
  return *found;
}

const PartitionSpec& TableMetadata::spec() const {
  const PartitionSpec* found = FindSpec(default_spec_id);
  CHECK(found != nullptr);
  return *found;
}

const SortOrder& TableMetadata::order() const {
  static const SortOrder unsorted;
  const SortOrder* found = FindById(orders, default_order_id);
  return found != nullptr ? *found : unsorted;
}

const Snapshot* TableMetadata::current() const {
  return current_snapshot_id ? FindSnapshot(*current_snapshot_id) : nullptr;
}

Result<TableMetadata> ParseMetadata(std::string_view text) {
  const Json json = TRY(ParseObject(text, kMetadataBytesMax));
  const int64_t version = TRY(Need<int64_t>(json, "format-version"));
  if (version != 2) {
    return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_FORMAT_VERSION",
                     fmt::format("the table's format version is {}, only 2 is known", version));
  }
  TableMetadata out;
  out.uuid = TRY(Need<std::string>(json, "table-uuid"));
  out.location = TRY(Need<std::string>(json, "location"));
  out.last_sequence_number = TRY(Need<int64_t>(json, "last-sequence-number"));
  out.last_updated_ms = TRY(Need<int64_t>(json, "last-updated-ms"));
  out.last_column_id = TRY(Need<int32_t>(json, "last-column-id"));
  out.last_partition_id = TRY(Need<int32_t>(json, "last-partition-id"));
  out.properties = TRY(Strings(json, "properties"));
  TRY(ReadShape(json, out));
  TRY(ReadHistory(json, out));
  if (out.current_snapshot_id && out.current() == nullptr) return BadMember("current-snapshot-id");
  Json other = json;
  for (const char* name : kOurs) other.erase(name);
  out.other_json = other.dump();
  return out;
}

std::string WriteMetadata(const TableMetadata& metadata) {
  OrderedJson json;
  json["format-version"] = 2;
  json["table-uuid"] = metadata.uuid;
  json["location"] = metadata.location;
  json["last-sequence-number"] = metadata.last_sequence_number;
  json["last-updated-ms"] = metadata.last_updated_ms;
  json["last-column-id"] = metadata.last_column_id;
  json["current-schema-id"] = metadata.current_schema_id;
  for (const Schema& schema : metadata.schemas) json["schemas"].push_back(ToJson(schema));
  json["default-spec-id"] = metadata.default_spec_id;
  for (const PartitionSpec& spec : metadata.specs) json["partition-specs"].push_back(ToJson(spec));
  json["last-partition-id"] = metadata.last_partition_id;
  json["default-sort-order-id"] = metadata.default_order_id;
  for (const SortOrder& order : metadata.orders) json["sort-orders"].push_back(ToJson(order));
  json["properties"] = OrderedJson::object();
  for (const auto& [key, value] : metadata.properties) json["properties"][key] = value;
  WriteHistory(metadata, json);
  const OrderedJson other = OrderedJson::parse(metadata.other_json, nullptr, false);
  if (other.is_object()) json.update(other);
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

TableMetadata CreateMetadata(NewTable table) {
  TableMetadata out;
  out.uuid = std::move(table.uuid);
  out.location = std::move(table.location);
  out.last_updated_ms = table.now_ms;
  out.properties = std::move(table.properties);
  out.properties[kNameMapping] = NameMappingJson(table.schema);
  std::vector<const std::vector<Field>*> waiting = {&table.schema.fields};
  while (!waiting.empty()) {
    const std::vector<Field>* fields = waiting.back();
    waiting.pop_back();
    for (const Field& field : *fields) {
      out.last_column_id = std::max(out.last_column_id, field.id);
      waiting.push_back(&field.type.fields);
    }
  }
  out.schemas.push_back(std::move(table.schema));
  out.current_schema_id = out.schemas[0].id;
  for (const PartitionField& field : table.spec.fields) {
    out.last_partition_id = std::max(out.last_partition_id, field.field_id);
  }
  out.specs.push_back(std::move(table.spec));
  out.default_spec_id = out.specs[0].id;
  out.default_order_id = table.order.id;
  out.orders.push_back(std::move(table.order));
  return out;
}

}  // namespace varve::table::iceberg
