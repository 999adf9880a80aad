#include "table/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "core/letter_case.h"

namespace varve::table {
namespace {

struct Named {
  TypeId id;
  std::string_view name;
};

constexpr Named kNames[] = {
    {TypeId::kBoolean, "boolean"},
    {TypeId::kInt, "int"},
    {TypeId::kLong, "long"},
    {TypeId::kFloat, "float"},
    {TypeId::kDouble, "double"},
    {TypeId::kDate, "date"},
    {TypeId::kTime, "time"},
    {TypeId::kTimestamp, "timestamp"},
    {TypeId::kTimestamptz, "timestamptz"},
    {TypeId::kString, "string"},
    {TypeId::kUuid, "uuid"},
    {TypeId::kBinary, "binary"},
    {TypeId::kStruct, "struct"},
    {TypeId::kList, "list"},
    {TypeId::kMap, "map"},
};

// "10, 2" → the numbers, no more than two.
std::vector<int32_t> Numbers(std::string_view text) {
  std::vector<int32_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end && numbers.size() < 3) {
    while (at < end && (*at == ' ' || *at == ',')) ++at;
    int32_t number = 0;
    const auto [stop, error] = std::from_chars(at, end, number);
    if (error != std::errc() || stop == at) return {};
    numbers.push_back(number);
    at = stop;
  }
  return numbers;
}

const Field* FindIn(const std::vector<Field>& fields, int32_t id) {
  for (const Field& field : fields) {
    if (field.id == id) return &field;
    if (const Field* inner = FindIn(field.type.fields, id)) return inner;
  }
  return nullptr;
}

void AssignIn(std::vector<Field>& fields, int32_t& last) {
  for (Field& field : fields) field.id = ++last;
  for (Field& field : fields) AssignIn(field.type.fields, last);
}

std::optional<std::string> RepeatedIn(const std::vector<Field>& fields, const std::string& parent,
                                      std::set<std::string>& seen) {
  for (const Field& field : fields) {
    const std::string name = parent + field.name;
    if (!seen.insert(name).second) return name;
    if (auto inner = RepeatedIn(field.type.fields, name + ".", seen)) return inner;
  }
  return std::nullopt;
}

Error Mismatch(const std::string& path, const Type& table, const Type& file) {
  return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH",
                   fmt::format("the column '{}' is {} in the table and {} in the file", path,
                               TypeName(table), TypeName(file)));
}

bool IsWider(const Type& wide, const Type& narrow) {
  if (wide.id == TypeId::kLong && narrow.id == TypeId::kInt) return true;
  if (wide.id == TypeId::kDouble && narrow.id == TypeId::kFloat) return true;
  return wide.id == TypeId::kDecimal && narrow.id == TypeId::kDecimal &&
         wide.scale == narrow.scale && wide.precision > narrow.precision;
}

Status CheckNewName(const std::vector<Field>& fields, const std::string& name,
                    const std::string& path) {
  const std::string folded = FoldCase(name);
  for (const Field& field : fields) {
    if (FoldCase(field.name) != folded) continue;
    return MakeError(
        ErrorKind::kInvalid, "SCHEMA_MISMATCH",
        fmt::format("the column '{}' differs from '{}' only in case", path, field.name));
  }
  return {};
}

class Evolver {
 public:
  Evolver(const Schema& current, int32_t last)
      : identifiers_(current.identifier_ids.begin(), current.identifier_ids.end()) {
    out_.last_column_id = last;
  }

  // by_position: a list's element, a map's key and value.
  Status Fields(std::vector<Field>& table, const std::vector<Field>& file,
                const std::string& parent, bool by_position) {
    for (size_t i = 0; i < table.size(); ++i) {
      const Field* other = nullptr;
      for (size_t j = 0; j < file.size(); ++j) {
        if (by_position ? i == j : file[j].name == table[i].name) other = &file[j];
      }
      const bool may_be_missing = other == nullptr || !other->required;
      const bool is_key = by_position && table.size() == 2 && i == 0;
      if (table[i].required && may_be_missing && !is_key) {
        if (identifiers_.contains(table[i].id)) return NeedsValues(parent + table[i].name);
        table[i].required = false;
        out_.changed = true;
      }
      if (other != nullptr) TRY(Types(table[i].type, other->type, parent + table[i].name));
    }
    if (by_position) return {};
    for (const Field& field : file) {
      const bool known = std::any_of(table.begin(), table.end(),
                                     [&](const Field& one) { return one.name == field.name; });
      if (known) continue;
      TRY(CheckNewName(table, field.name, parent + field.name));
      std::vector<Field> added = {field};
      added[0].required = false;
      AssignIn(added, out_.last_column_id);
      table.push_back(std::move(added[0]));
      out_.changed = true;
    }
    return {};
  }

  Evolution out_;

 private:
  static Error NeedsValues(const std::string& path) {
    return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH",
                     fmt::format("the column '{}' tells the table's rows apart: a file that lacks "
                                 "it, or has nulls in it, does not fit",
                                 path));
  }

  Status Types(Type& table, const Type& file, const std::string& path) {
    if (table.is_nested() || file.is_nested()) {
      if (table.id != file.id) return Mismatch(path, table, file);
      return Fields(table.fields, file.fields, path + ".", table.id != TypeId::kStruct);
    }
    if (TypeName(table) == TypeName(file) || IsWider(table, file)) return {};
    if (!IsWider(file, table)) return Mismatch(path, table, file);
    table = file;
    out_.changed = out_.widened = true;
    return {};
  }

  const std::set<int32_t> identifiers_;
};

// by_position: a list's element, a map's key and value.
Status CheckIdsIn(const std::vector<Field>& table, const std::vector<Field>& file,
                  const std::string& parent, bool by_position) {
  for (size_t i = 0; i < file.size(); ++i) {
    const Field* same = nullptr;
    for (size_t j = 0; j < table.size(); ++j) {
      if (by_position ? i == j : table[j].name == file[i].name) same = &table[j];
    }
    if (same == nullptr || same->id != file[i].id) {
      return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH",
                       fmt::format("the column '{}{}' has another field id than the table's",
                                   parent, file[i].name));
    }
    TRY(CheckIdsIn(same->type.fields, file[i].type.fields, parent + file[i].name + ".",
                   same->type.id != TypeId::kStruct));
  }
  return {};
}

}  // namespace

bool SameType(const Type& a, const Type& b) {
  if (a.id != b.id || a.precision != b.precision || a.scale != b.scale || a.length != b.length ||
      a.fields.size() != b.fields.size()) {
    return false;
  }
  for (size_t i = 0; i < a.fields.size(); ++i) {
    const Field &x = a.fields[i], &y = b.fields[i];
    if (x.id != y.id || x.name != y.name || x.required != y.required || !SameType(x.type, y.type)) {
      return false;
    }
  }
  return true;
}

std::string TypeName(const Type& type) {
  if (type.id == TypeId::kDecimal) return fmt::format("decimal({},{})", type.precision, type.scale);
  if (type.id == TypeId::kFixed) return fmt::format("fixed[{}]", type.length);
  for (const Named& named : kNames) {
    if (named.id == type.id) return std::string(named.name);
  }
  CHECK(false);
}

Result<Type> ParsePrimitive(std::string_view name) {
  Type type;
  for (const Named& named : kNames) {
    if (named.name != name || named.id >= TypeId::kStruct) continue;
    type.id = named.id;
    return type;
  }
  const bool decimal = name.starts_with("decimal(") && name.ends_with(")");
  const bool fixed = name.starts_with("fixed[") && name.ends_with("]");
  if (decimal || fixed) {
    const size_t begin = decimal ? 8 : 6;
    const std::vector<int32_t> n = Numbers(name.substr(begin, name.size() - begin - 1));
    if (decimal && n.size() == 2 && n[0] >= 1 && n[0] <= 38 && n[1] >= 0 && n[1] <= n[0]) {
      type.id = TypeId::kDecimal;
      type.precision = n[0], type.scale = n[1];
      return type;
    }
    if (fixed && n.size() == 1 && n[0] > 0) {
      type.id = TypeId::kFixed;
      type.length = n[0];
      return type;
    }
  }
  return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_TYPE",
                   fmt::format("'{}' is no type of Iceberg v2", name.substr(0, 64)));
}

const Field* FindField(const Schema& schema, int32_t id) { return FindIn(schema.fields, id); }

const Field* FindField(const Schema& schema, std::string_view path) {
  const std::vector<Field>* fields = &schema.fields;
  const Field* found = nullptr;
  // A column's own name may have dots: the whole rest is tried first.
  while (fields != nullptr && !path.empty()) {
    found = nullptr;
    size_t used = 0;
    for (const Field& field : *fields) {
      const bool whole = path == field.name;
      const bool first = path.size() > field.name.size() && path.starts_with(field.name) &&
                         path[field.name.size()] == '.';
      if (!whole && !first) continue;
      if (field.name.size() + (whole ? 0 : 1) > used) found = &field;
      used = std::max(used, field.name.size() + (whole ? 0 : 1));
    }
    if (found == nullptr) return nullptr;
    path.remove_prefix(used);
    fields = &found->type.fields;
  }
  return found;
}

const Field* FindField(const Schema& schema, const std::vector<std::string>& names) {
  const std::vector<Field>* fields = &schema.fields;
  const Field* found = nullptr;
  for (const std::string& name : names) {
    const auto at = std::find_if(fields->begin(), fields->end(),
                                 [&](const Field& field) { return field.name == name; });
    if (at == fields->end()) return nullptr;
    found = &*at;
    fields = &found->type.fields;
  }
  return found;
}

int32_t AssignIds(Schema& schema, int32_t last) {
  AssignIn(schema.fields, last);
  return last;
}

std::optional<std::string> AmbiguousName(const Schema& schema) {
  std::set<std::string> seen;
  return RepeatedIn(schema.fields, "", seen);
}

Result<Evolution> EvolveSchema(const Schema& current, const Schema& file, int32_t last_column_id) {
  Evolver evolver(current, last_column_id);
  Schema schema = current;
  TRY(evolver.Fields(schema.fields, file.fields, "", false));
  if (const auto name = evolver.out_.changed ? AmbiguousName(schema) : std::nullopt; name) {
    return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH",
                     fmt::format("'{}' would be the name of two columns", *name));
  }
  evolver.out_.schema = std::move(schema);
  return std::move(evolver.out_);
}

Status CheckSameIds(const Schema& table, const Schema& file) {
  return CheckIdsIn(table.fields, file.fields, "", false);
}

}  // namespace varve::table
