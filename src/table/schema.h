// A table's columns: the types and field ids that Iceberg, Delta and Parquet files are matched by.
// Values only; nothing here touches a store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::table {

enum class TypeId : uint8_t {
  kBoolean,
  kInt,
  kLong,
  kFloat,
  kDouble,
  kDecimal,
  kDate,
  kTime,
  kTimestamp,    // micros, of no zone
  kTimestamptz,  // micros, UTC
  kString,
  kUuid,
  kFixed,
  kBinary,
  kStruct,
  kList,
  kMap,
};

struct Field;

struct Type {
  TypeId id = TypeId::kString;
  int32_t precision = 0, scale = 0;  // of a decimal
  int32_t length = 0;                // of a fixed
  std::vector<Field> fields;         // a struct's; a list's element; a map's key and value

  bool is_nested() const { return id >= TypeId::kStruct; }
};

struct Field {
  int32_t id = 0;
  std::string name;
  bool required = false;
  Type type;
  std::string doc = {};
};

struct Schema {
  int32_t id = 0;
  std::vector<Field> fields;
  std::vector<int32_t> identifier_ids = {};  // of the columns that tell rows apart, if any
};

inline constexpr int kSchemaDepthMax = 32;
inline constexpr size_t kSchemaFieldsMax = 10'000;

bool SameType(const Type& a, const Type& b);  // names and ids of nested fields included
std::string TypeName(const Type& type);       // "decimal(10,2)"; a nested one: "struct"
Result<Type> ParsePrimitive(std::string_view name);

const Field* FindField(const Schema& schema, int32_t id);
// A column by its name; a field of a struct as "a.b".
const Field* FindField(const Schema& schema, std::string_view path);
// The same, where names may have dots of their own.
const Field* FindField(const Schema& schema, const std::vector<std::string>& names);

// A name that two columns have, written with the names of the structs around them ("a.b", and a
// field b of a): Iceberg's libraries refuse such a schema. Nothing: there is none.
std::optional<std::string> AmbiguousName(const Schema& schema);

// Gives each field, nested ones too, the next id after last; returns the last one given.
int32_t AssignIds(Schema& schema, int32_t last);

struct Evolution {
  Schema schema;
  int32_t last_column_id = 0;
  bool changed = false;
  bool widened = false;  // a column's type has become a wider one
};

// What the table's schema must become so that a file with these columns (matched by name) fits:
// new columns are added as optional ones, int → long, float → double and more decimal digits are
// taken, a required column that the file lacks or may have as null becomes optional, unless it is
// one that tells rows apart. A column that the file has narrower stays as it is. kInvalid,
// SCHEMA_MISMATCH: the types cannot meet, or a new column's name is another's but for case, which
// many readers take for one.
Result<Evolution> EvolveSchema(const Schema& current, const Schema& file, int32_t last_column_id);

// Each of the file's fields has the id of the table's field of that name. kInvalid,
// SCHEMA_MISMATCH.
Status CheckSameIds(const Schema& table, const Schema& file);

}  // namespace varve::table
