#include <algorithm>

#include "query/duck_handles.h"
#include "query/value_text.h"

namespace varve::query {

namespace {

void AddChild(CellType& type, duckdb_logical_type child) {
  const LogicalType owned(child);
  type.children.push_back(ResolveType(owned.get()));
}

void ResolveStruct(CellType& type, duckdb_logical_type logical) {
  const idx_t count = duckdb_struct_type_child_count(logical);
  for (idx_t i = 0; i < count; ++i) {
    type.labels.emplace_back(OwnedText(duckdb_struct_type_child_name(logical, i)).view());
    AddChild(type, duckdb_struct_type_child_type(logical, i));
  }
}

// A map is a list of {key, value}.
void ResolveMap(CellType& type, duckdb_logical_type logical) {
  CellType entry;
  entry.id = DUCKDB_TYPE_STRUCT;
  entry.labels = {"key", "value"};
  AddChild(entry, duckdb_map_type_key_type(logical));
  AddChild(entry, duckdb_map_type_value_type(logical));
  type.children.push_back(std::move(entry));
}

struct TypeName {
  duckdb_type type;
  const char* name;
};

constexpr TypeName kTypeNames[] = {
    {DUCKDB_TYPE_BOOLEAN, "BOOLEAN"},
    {DUCKDB_TYPE_TINYINT, "TINYINT"},
    {DUCKDB_TYPE_SMALLINT, "SMALLINT"},
    {DUCKDB_TYPE_INTEGER, "INTEGER"},
    {DUCKDB_TYPE_BIGINT, "BIGINT"},
    {DUCKDB_TYPE_UTINYINT, "UTINYINT"},
    {DUCKDB_TYPE_USMALLINT, "USMALLINT"},
    {DUCKDB_TYPE_UINTEGER, "UINTEGER"},
    {DUCKDB_TYPE_UBIGINT, "UBIGINT"},
    {DUCKDB_TYPE_HUGEINT, "HUGEINT"},
    {DUCKDB_TYPE_UHUGEINT, "UHUGEINT"},
    {DUCKDB_TYPE_FLOAT, "FLOAT"},
    {DUCKDB_TYPE_DOUBLE, "DOUBLE"},
    {DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP"},
    {DUCKDB_TYPE_DATE, "DATE"},
    {DUCKDB_TYPE_TIME, "TIME"},
    {DUCKDB_TYPE_INTERVAL, "INTERVAL"},
    {DUCKDB_TYPE_VARCHAR, "VARCHAR"},
    {DUCKDB_TYPE_BLOB, "BLOB"},
    {DUCKDB_TYPE_TIMESTAMP_S, "TIMESTAMP_S"},
    {DUCKDB_TYPE_TIMESTAMP_MS, "TIMESTAMP_MS"},
    {DUCKDB_TYPE_TIMESTAMP_NS, "TIMESTAMP_NS"},
    {DUCKDB_TYPE_UUID, "UUID"},
    {DUCKDB_TYPE_TIMESTAMP_TZ, "TIMESTAMP WITH TIME ZONE"},
    {DUCKDB_TYPE_SQLNULL, "NULL"},
};

const char* NameOf(duckdb_type type) {
  const auto* it = std::ranges::find(kTypeNames, type, &TypeName::type);
  return it != std::end(kTypeNames) ? it->name : nullptr;
}

std::string StructName(const CellType& type) {
  std::string name = "STRUCT(";
  for (size_t i = 0; i < type.children.size(); ++i) {
    if (i > 0) name += ", ";
    name += type.labels[i] + " " + type.children[i].name;
  }
  return name + ")";
}

std::string FullName(const CellType& type, uint8_t width) {
  if (const char* simple = NameOf(type.id)) return simple;
  switch (type.id) {
    case DUCKDB_TYPE_DECIMAL:
      return "DECIMAL(" + std::to_string(width) + "," + std::to_string(type.scale) + ")";
    case DUCKDB_TYPE_ENUM:
      return "ENUM";
    case DUCKDB_TYPE_LIST:
      return type.children[0].name + "[]";
    case DUCKDB_TYPE_ARRAY:
      return type.children[0].name + "[" + std::to_string(type.array_size) + "]";
    case DUCKDB_TYPE_STRUCT:
      return StructName(type);
    case DUCKDB_TYPE_MAP:
      return "MAP(" + type.children[0].children[0].name + ", " + type.children[0].children[1].name +
             ")";
    default:
      return "";
  }
}

}  // namespace

CellType ResolveType(duckdb_logical_type logical) {
  CellType type;
  type.id = duckdb_get_type_id(logical);
  uint8_t width = 0;
  switch (type.id) {
    case DUCKDB_TYPE_DECIMAL:
      width = duckdb_decimal_width(logical);
      type.scale = duckdb_decimal_scale(logical);
      type.internal = duckdb_decimal_internal_type(logical);
      break;
    case DUCKDB_TYPE_ENUM:
      type.internal = duckdb_enum_internal_type(logical);
      for (uint32_t i = 0; i < duckdb_enum_dictionary_size(logical); ++i) {
        type.labels.emplace_back(OwnedText(duckdb_enum_dictionary_value(logical, i)).view());
      }
      break;
    case DUCKDB_TYPE_LIST:
      AddChild(type, duckdb_list_type_child_type(logical));
      break;
    case DUCKDB_TYPE_ARRAY:
      type.array_size = duckdb_array_type_array_size(logical);
      AddChild(type, duckdb_array_type_child_type(logical));
      break;
    case DUCKDB_TYPE_STRUCT:
      ResolveStruct(type, logical);
      break;
    case DUCKDB_TYPE_MAP:
      ResolveMap(type, logical);
      break;
    default:
      break;
  }
  type.name = FullName(type, width);
  const OwnedText alias(duckdb_logical_type_get_alias(logical));
  if (!alias.view().empty()) type.name = alias.view();
  return type;
}

bool IsRendered(const CellType& type) {
  switch (type.id) {
    case DUCKDB_TYPE_DECIMAL:
    case DUCKDB_TYPE_ENUM:
      return true;
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_ARRAY:
    case DUCKDB_TYPE_STRUCT:
    case DUCKDB_TYPE_MAP:
      return std::ranges::all_of(type.children, IsRendered);
    default:
      return NameOf(type.id) != nullptr;
  }
}

}  // namespace varve::query
