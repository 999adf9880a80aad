#include "table/iceberg/json_types.h"

#include "table/iceberg/metadata.h"

namespace varve::table::iceberg {
namespace {

OrderedJson TypeToJson(const Type& type);

OrderedJson FieldToJson(const Field& field) {
  OrderedJson json;
  json["id"] = field.id;
  json["name"] = field.name;
  json["required"] = field.required;
  json["type"] = TypeToJson(field.type);
  if (!field.doc.empty()) json["doc"] = field.doc;
  return json;
}

OrderedJson TypeToJson(const Type& type) {
  OrderedJson json;
  switch (type.id) {
    case TypeId::kStruct:
      json["type"] = "struct";
      json["fields"] = OrderedJson::array();
      for (const Field& field : type.fields) json["fields"].push_back(FieldToJson(field));
      return json;
    case TypeId::kList:
      json["type"] = "list";
      json["element-id"] = type.fields[0].id;
      json["element"] = TypeToJson(type.fields[0].type);
      json["element-required"] = type.fields[0].required;
      return json;
    case TypeId::kMap:
      json["type"] = "map";
      json["key-id"] = type.fields[0].id;
      json["key"] = TypeToJson(type.fields[0].type);
      json["value-id"] = type.fields[1].id;
      json["value"] = TypeToJson(type.fields[1].type);
      json["value-required"] = type.fields[1].required;
      return json;
    default:
      if (type.id == TypeId::kDecimal) {  // with the space that Java writes
        return "decimal(" + std::to_string(type.precision) + ", " + std::to_string(type.scale) +
               ")";
      }
      return TypeName(type);
  }
}

Result<Type> TypeFrom(const Json& json, int depth);

Result<std::vector<Field>> FieldsFrom(const Json& json, int depth) {
  const Json* fields = TRY(Array(json, "fields", true));
  if (fields->size() > kSchemaFieldsMax) return BadMember("fields");
  std::vector<Field> out;
  for (const Json& one : *fields) {
    if (!one.is_object() || !one.contains("type")) return BadMember("fields");
    Field field;
    field.id = TRY(Need<int32_t>(one, "id"));
    field.name = TRY(Need<std::string>(one, "name"));
    field.required = TRY(Need<bool>(one, "required"));
    field.type = TRY(TypeFrom(one["type"], depth + 1));
    field.doc = TRY(Optional<std::string>(one, "doc")).value_or("");
    out.push_back(std::move(field));
  }
  return out;
}

Result<Field> InnerFrom(const Json& json, const char* name, const char* id, const char* required,
                        int depth) {
  if (!json.contains(name)) return BadMember(name);
  Field field;
  field.name = name;
  field.id = TRY(Need<int32_t>(json, id));
  field.required = required == nullptr || TRY(Need<bool>(json, required));
  field.type = TRY(TypeFrom(json[name], depth + 1));
  return field;
}

Result<Type> TypeFrom(const Json& json, int depth) {
  if (depth > kSchemaDepthMax) return BadMember("type");
  if (json.is_string()) return ParsePrimitive(json.get_ref<const std::string&>());
  if (!json.is_object()) return BadMember("type");
  const std::string kind = TRY(Need<std::string>(json, "type"));
  Type type;
  if (kind == "struct") {
    type.id = TypeId::kStruct;
    type.fields = TRY(FieldsFrom(json, depth));
  } else if (kind == "list") {
    type.id = TypeId::kList;
    type.fields.push_back(TRY(InnerFrom(json, "element", "element-id", "element-required", depth)));
  } else if (kind == "map") {
    type.id = TypeId::kMap;
    type.fields.push_back(TRY(InnerFrom(json, "key", "key-id", nullptr, depth)));
    type.fields.push_back(TRY(InnerFrom(json, "value", "value-id", "value-required", depth)));
  } else {
    return BadMember("type");
  }
  return type;
}

}  // namespace

OrderedJson ToJson(const Schema& schema) {
  OrderedJson json;
  json["type"] = "struct";
  json["schema-id"] = schema.id;
  if (!schema.identifier_ids.empty()) json["identifier-field-ids"] = schema.identifier_ids;
  json["fields"] = OrderedJson::array();
  for (const Field& field : schema.fields) json["fields"].push_back(FieldToJson(field));
  return json;
}

OrderedJson FieldsToJson(const PartitionSpec& spec) {
  OrderedJson json = OrderedJson::array();
  for (const PartitionField& field : spec.fields) {
    OrderedJson one;
    one["name"] = field.name;
    one["transform"] = field.transform;
    one["source-id"] = field.source_id;
    one["field-id"] = field.field_id;
    json.push_back(std::move(one));
  }
  return json;
}

OrderedJson ToJson(const PartitionSpec& spec) {
  OrderedJson json;
  json["spec-id"] = spec.id;
  json["fields"] = FieldsToJson(spec);
  return json;
}

OrderedJson ToJson(const SortOrder& order) {
  OrderedJson json;
  json["order-id"] = order.id;
  json["fields"] = OrderedJson::array();
  for (const SortField& field : order.fields) {
    OrderedJson one;
    one["transform"] = field.transform;
    one["source-id"] = field.source_id;
    one["direction"] = field.descending ? "desc" : "asc";
    one["null-order"] = field.nulls_first ? "nulls-first" : "nulls-last";
    json["fields"].push_back(std::move(one));
  }
  return json;
}

Result<Schema> SchemaFrom(const Json& json) {
  if (!json.is_object()) return BadMember("schemas");
  Schema schema;
  schema.id = TRY(Need<int32_t>(json, "schema-id"));
  schema.fields = TRY(FieldsFrom(json, 0));
  for (const Json& id : *TRY(Array(json, "identifier-field-ids", false))) {
    if (!Holds<int32_t>(id)) return BadMember("identifier-field-ids");
    schema.identifier_ids.push_back(id.get<int32_t>());
  }
  return schema;
}

Result<PartitionSpec> SpecFrom(const Json& json) {
  if (!json.is_object()) return BadMember("partition-specs");
  PartitionSpec spec;
  spec.id = TRY(Need<int32_t>(json, "spec-id"));
  for (const Json& one : *TRY(Array(json, "fields", true))) {
    if (!one.is_object()) return BadMember("partition-specs");
    PartitionField field;
    field.source_id = TRY(Need<int32_t>(one, "source-id"));
    field.field_id = TRY(Need<int32_t>(one, "field-id"));
    field.name = TRY(Need<std::string>(one, "name"));
    field.transform = TRY(Need<std::string>(one, "transform"));
    spec.fields.push_back(std::move(field));
  }
  return spec;
}

Result<SortOrder> OrderFrom(const Json& json) {
  if (!json.is_object()) return BadMember("sort-orders");
  SortOrder order;
  order.id = TRY(Need<int32_t>(json, "order-id"));
  for (const Json& one : *TRY(Array(json, "fields", true))) {
    if (!one.is_object()) return BadMember("sort-orders");
    SortField field;
    field.source_id = TRY(Need<int32_t>(one, "source-id"));
    field.transform = TRY(Need<std::string>(one, "transform"));
    field.descending = TRY(Need<std::string>(one, "direction")) == "desc";
    field.nulls_first = TRY(Need<std::string>(one, "null-order")) == "nulls-first";
    order.fields.push_back(std::move(field));
  }
  return order;
}

std::string SchemaJson(const Schema& schema) { return ToJson(schema).dump(); }
std::string SpecFieldsJson(const PartitionSpec& spec) { return FieldsToJson(spec).dump(); }

}  // namespace varve::table::iceberg
