// Avro schemas in JSON. A name that was defined before is taken again as a copy of its definition;
// one that names itself while it is being defined is refused, for Iceberg has no such types.
#include <map>
#include <nlohmann/json.hpp>

#include "table/avro.h"

namespace varve::table {
namespace {

using Json = nlohmann::json;

constexpr int kNestingMax = 64;
constexpr size_t kSchemaBytesMax = size_t{16} << 20, kNodesMax = 100'000;

Error BadSchema(std::string_view what) {
  return MakeError(ErrorKind::kCorrupt, "BAD_AVRO", "Avro schema: " + std::string(what));
}

constexpr std::pair<std::string_view, AvroKind> kPrimitives[] = {
    {"null", AvroKind::kNull},   {"boolean", AvroKind::kBoolean}, {"int", AvroKind::kInt},
    {"long", AvroKind::kLong},   {"float", AvroKind::kFloat},     {"double", AvroKind::kDouble},
    {"bytes", AvroKind::kBytes}, {"string", AvroKind::kString},
};

class Parser {
 public:
  Result<std::unique_ptr<AvroSchema>> Parse(const Json& json, int depth) {
    if (depth > kNestingMax || ++nodes_ > kNodesMax) return BadSchema("is too deep or too large");
    if (json.is_string()) return Named(json.get_ref<const std::string&>(), depth);
    if (json.is_array()) return Union(json, depth);
    if (!json.is_object()) return BadSchema("a type is neither text, list nor object");
    const auto type = json.find("type");
    if (type == json.end()) return BadSchema("a type has no 'type'");
    if (!type->is_string()) return Parse(*type, depth + 1);
    const std::string& kind = type->get_ref<const std::string&>();
    if (kind == "record") return Record(json, depth);
    if (kind == "array") return Of(AvroKind::kArray, json, "items", depth);
    if (kind == "map") return Of(AvroKind::kMap, json, "values", depth);
    auto schema = std::make_unique<AvroSchema>();
    if (kind == "fixed") {
      const auto size = json.find("size");
      if (size == json.end() || !size->is_number_unsigned())
        return BadSchema("a fixed has no size");
      schema->kind = AvroKind::kFixed;
      schema->fixed_bytes = size->get<size_t>();
    } else if (kind == "enum") {
      schema->kind = AvroKind::kEnum;
    } else {
      return Named(kind, depth);
    }
    Define(json);
    return schema;
  }

 private:
  Result<std::unique_ptr<AvroSchema>> Named(const std::string& name, int depth) {
    for (const auto& [text, kind] : kPrimitives) {
      if (text != name) continue;
      auto schema = std::make_unique<AvroSchema>();
      schema->kind = kind;
      return schema;
    }
    const auto defined = defined_.find(name);
    if (defined == defined_.end()) return BadSchema("an unknown type");
    return Parse(*defined->second, depth + 1);
  }

  Result<std::unique_ptr<AvroSchema>> Union(const Json& json, int depth) {
    auto schema = std::make_unique<AvroSchema>();
    schema->kind = AvroKind::kUnion;
    for (const Json& branch : json) schema->branches.push_back(TRY(Parse(branch, depth + 1)));
    return schema;
  }

  Result<std::unique_ptr<AvroSchema>> Of(AvroKind kind, const Json& json, const char* items,
                                         int depth) {
    const auto item = json.find(items);
    if (item == json.end()) return BadSchema("a list or map has no item type");
    auto schema = std::make_unique<AvroSchema>();
    schema->kind = kind;
    schema->branches.push_back(TRY(Parse(*item, depth + 1)));
    return schema;
  }

  Result<std::unique_ptr<AvroSchema>> Record(const Json& json, int depth) {
    const auto fields = json.find("fields");
    if (fields == json.end() || !fields->is_array()) return BadSchema("a record has no fields");
    auto schema = std::make_unique<AvroSchema>();
    schema->kind = AvroKind::kRecord;
    for (const Json& field : *fields) {
      if (!field.is_object() || !field.contains("type")) return BadSchema("a field has no type");
      AvroField parsed;
      const auto id = field.find("field-id");
      if (id != field.end() && id->is_number_integer()) parsed.field_id = id->get<int32_t>();
      const auto name = field.find("name");
      if (name != field.end() && name->is_string()) parsed.name = name->get<std::string>();
      parsed.type = TRY(Parse(field["type"], depth + 1));
      schema->fields.push_back(std::move(parsed));
    }
    Define(json);
    return schema;
  }

  void Define(const Json& json) {
    const auto name = json.find("name");
    if (name != json.end() && name->is_string()) defined_[name->get<std::string>()] = &json;
  }

  std::map<std::string, const Json*> defined_;
  size_t nodes_ = 0;
};

}  // namespace

Result<std::unique_ptr<AvroSchema>> ParseAvroSchema(std::string_view json) {
  if (json.size() > kSchemaBytesMax) return BadSchema("is too large");
  const Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return BadSchema("is not JSON");
  return Parser().Parse(parsed, 0);
}

}  // namespace varve::table
