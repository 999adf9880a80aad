// A Delta schema (Spark's JSON), and a file's statistics by the names of its columns.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/bytes.h"
#include "table/bounds.h"
#include "table/delta/actions.h"
#include "table/json_reading.h"

namespace varve::table::delta {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct Named {
  TypeId id;
  std::string_view name;
};

constexpr Named kNames[] = {
    {TypeId::kBoolean, "boolean"},
    {TypeId::kInt, "integer"},
    {TypeId::kLong, "long"},
    {TypeId::kFloat, "float"},
    {TypeId::kDouble, "double"},
    {TypeId::kDate, "date"},
    {TypeId::kTimestamptz, "timestamp"},
    {TypeId::kTimestamp, "timestamp_ntz"},
    {TypeId::kString, "string"},
    {TypeId::kBinary, "binary"},
};

Result<OrderedJson> TypeJson(const Type& type);

Result<OrderedJson> FieldsJson(const std::vector<Field>& fields) {
  OrderedJson out = OrderedJson::array();
  for (const Field& field : fields) {
    OrderedJson one;
    one["name"] = field.name;
    one["type"] = TRY(TypeJson(field.type));
    one["nullable"] = !field.required;
    one["metadata"] = OrderedJson::object();
    out.push_back(std::move(one));
  }
  return out;
}

Result<OrderedJson> TypeJson(const Type& type) {
  for (const Named& named : kNames) {
    if (named.id == type.id) return OrderedJson(named.name);
  }
  OrderedJson json;
  switch (type.id) {
    case TypeId::kDecimal:
      return OrderedJson(TypeName(type));
    case TypeId::kStruct:
      json["type"] = "struct";
      json["fields"] = TRY(FieldsJson(type.fields));
      return json;
    case TypeId::kList:
      json["type"] = "array";
      json["elementType"] = TRY(TypeJson(type.fields[0].type));
      json["containsNull"] = !type.fields[0].required;
      return json;
    case TypeId::kMap:
      json["type"] = "map";
      json["keyType"] = TRY(TypeJson(type.fields[0].type));
      json["valueType"] = TRY(TypeJson(type.fields[1].type));
      json["valueContainsNull"] = !type.fields[1].required;
      return json;
    default:
      return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_TYPE",
                       fmt::format("Delta has no type {}", TypeName(type)));
  }
}

Result<Type> TypeFrom(const Json& json, int depth);

Result<std::vector<Field>> FieldsFrom(const Json& json, int depth) {
  std::vector<Field> out;
  for (const Json& one : *TRY(Array(json, "fields", true))) {
    if (!one.is_object() || !one.contains("type")) return BadMember("fields");
    Field field;
    field.name = TRY(Need<std::string>(one, "name"));
    field.required = !TRY(Optional<bool>(one, "nullable")).value_or(true);
    field.type = TRY(TypeFrom(one["type"], depth + 1));
    out.push_back(std::move(field));
  }
  return out;
}

Result<Field> InnerFrom(const Json& json, const char* name, const char* type, const char* nullable,
                        int depth) {
  if (!json.contains(type)) return BadMember(type);
  Field field;
  field.name = name;
  field.required = nullable == nullptr || !TRY(Optional<bool>(json, nullable)).value_or(true);
  field.type = TRY(TypeFrom(json[type], depth + 1));
  return field;
}

Result<Type> TypeFrom(const Json& json, int depth) {
  if (depth > kSchemaDepthMax) return BadMember("type");
  Type type;
  if (json.is_string()) {
    const std::string& name = json.get_ref<const std::string&>();
    for (const Named& named : kNames) {
      if (named.name == name) type.id = named.id;
      if (named.name == name) return type;
    }
    if (name == "byte" || name == "short") {
      type.id = TypeId::kInt;
      return type;
    }
    return ParsePrimitive(name);
  }
  if (!json.is_object()) return BadMember("type");
  const std::string kind = TRY(Need<std::string>(json, "type"));
  if (kind == "struct") {
    type.id = TypeId::kStruct;
    type.fields = TRY(FieldsFrom(json, depth));
  } else if (kind == "array") {
    type.id = TypeId::kList;
    type.fields.push_back(TRY(InnerFrom(json, "element", "elementType", "containsNull", depth)));
  } else if (kind == "map") {
    type.id = TypeId::kMap;
    type.fields.push_back(TRY(InnerFrom(json, "key", "keyType", nullptr, depth)));
    type.fields.push_back(TRY(InnerFrom(json, "value", "valueType", "valueContainsNull", depth)));
  } else {
    return BadMember("type");
  }
  return type;
}

bool HasNtz(const std::vector<Field>& fields) {
  return std::any_of(fields.begin(), fields.end(), [](const Field& field) {
    return field.type.id == TypeId::kTimestamp || HasNtz(field.type.fields);
  });
}

// A decimal of at most 64 bits as digits; nothing if it has more.
std::optional<std::string> DecimalText(const Type& type, std::string_view value) {
  if (value.size() > 8) return std::nullopt;
  const bool negative = (static_cast<uint8_t>(value[0]) & 0x80) != 0;
  uint64_t bits = negative ? ~uint64_t{0} : 0;
  for (const char c : value) bits = bits << 8 | static_cast<uint8_t>(c);
  const uint64_t size = negative ? ~bits + 1 : bits;
  std::string digits = std::to_string(size);
  const auto scale = static_cast<size_t>(type.scale);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  if (scale > 0) digits.insert(digits.size() - scale, ".");
  return (negative ? "-" : "") + digits;
}

std::string MillisText(const Type& type, std::string_view value, bool up) {
  const int64_t micros = GetLe<int64_t>(value.data());
  const int64_t ms = FloorDiv(micros, 1000) + (up && FloorDiv(micros, 1000) * 1000 != micros);
  std::string bytes;
  AppendLe(bytes, ms * 1000);
  std::string text = ValueText(type, bytes);  // …:00.123000Z
  text.erase(text.find('.') + 4, 3);
  return text;
}

// As JSON text, so that decimals keep their digits; empty: not said.
std::string ValueJson(const Type& type, std::string_view value, bool up) {
  if (!IsValue(type, value)) return {};
  switch (type.id) {
    case TypeId::kInt:
    case TypeId::kLong:
      return ValueText(type, value);
    case TypeId::kFloat:
      if (!std::isfinite(GetLe<float>(value.data()))) return {};
      return Json(GetLe<float>(value.data())).dump();
    case TypeId::kDouble:
      if (!std::isfinite(GetLe<double>(value.data()))) return {};
      return Json(GetLe<double>(value.data())).dump();
    case TypeId::kDate:
    case TypeId::kString:
      return JsonQuote(ValueText(type, value));
    case TypeId::kTimestamp:
    case TypeId::kTimestamptz:
      return JsonQuote(MillisText(type, value, up));
    case TypeId::kDecimal:
      return DecimalText(type, value).value_or("");
    default:
      return {};
  }
}

enum class Stat : uint8_t { kMin, kMax, kNulls };

std::string StatJson(const DataFile& file, const Field& field, Stat stat) {
  const auto at =
      std::lower_bound(file.columns.begin(), file.columns.end(), field.id,
                       [](const ColumnStats& column, int32_t id) { return column.field_id < id; });
  if (at == file.columns.end() || at->field_id != field.id) return {};
  if (stat == Stat::kNulls) return at->nulls ? std::to_string(*at->nulls) : std::string();
  const bool min = stat == Stat::kMin;
  const auto& bound = min ? at->lower : at->upper;
  if (!bound || (field.type.id == TypeId::kString && !min && !at->upper_is_value)) return {};
  return ValueJson(field.type, *bound, !min);
}

std::string ObjectJson(const DataFile& file, const std::vector<Field>& fields, Stat stat) {
  std::string out;
  for (const Field& field : fields) {
    std::string value;
    if (field.type.id == TypeId::kStruct) {
      value = ObjectJson(file, field.type.fields, stat);
      if (value == "{}") value.clear();
    } else if (!field.type.is_nested()) {
      value = StatJson(file, field, stat);
    }
    if (value.empty()) continue;
    out += (out.empty() ? "" : ",") + JsonQuote(field.name) + ":" + value;
  }
  return "{" + out + "}";
}

}  // namespace

Protocol ProtocolFor(const Schema& schema) {
  Protocol protocol;
  if (!HasNtz(schema.fields)) return protocol;
  protocol.reader = 3;
  protocol.writer = 7;
  protocol.reader_features = protocol.writer_features = {"timestampNtz"};
  return protocol;
}

std::optional<Protocol> ProtocolChange(const Protocol& old, const Schema& schema) {
  Protocol out = ProtocolFor(schema);
  const auto add = [](const std::vector<std::string>& features, std::vector<std::string>& to) {
    for (const std::string& feature : features) {
      if (std::ranges::find(to, feature) == to.end()) to.push_back(feature);
    }
    return to.size() > features.size();  // some of `to` was not there
  };
  const bool reader_lacks = add(old.reader_features, out.reader_features);
  const bool writer_lacks = add(old.writer_features, out.writer_features);
  if (!reader_lacks && !writer_lacks) return std::nullopt;
  // Version 2 has these without naming them.
  if (old.writer == 2) add({"appendOnly", "invariants"}, out.writer_features);
  return out;
}

Result<std::string> SchemaToJson(const Schema& schema) {
  OrderedJson json;
  json["type"] = "struct";
  json["fields"] = TRY(FieldsJson(schema.fields));
  return json.dump();
}

Result<Schema> SchemaFromJson(std::string_view text) {
  const Json json = TRY(ParseObject(text, size_t{16} << 20));
  Schema schema;
  schema.fields = TRY(FieldsFrom(json, 0));
  AssignIds(schema, 0);
  return schema;
}

std::string StatsJson(const DataFile& file, const Schema& schema) {
  return fmt::format(R"({{"numRecords":{},"minValues":{},"maxValues":{},"nullCount":{}}})",
                     file.rows, ObjectJson(file, schema.fields, Stat::kMin),
                     ObjectJson(file, schema.fields, Stat::kMax),
                     ObjectJson(file, schema.fields, Stat::kNulls));
}

std::optional<int64_t> RowsOf(const Add& add) {
  const Json json = Json::parse(add.stats_json, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto rows = Optional<int64_t>(json, "numRecords");
  return rows.ok() ? *rows : std::nullopt;
}

}  // namespace varve::table::delta
