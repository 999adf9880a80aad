#include "query/lake_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "query/sql_text.h"

namespace varve::query {

using table::Field;
using table::TypeId;

namespace {

std::string StructType(const table::Type& type) {
  std::string fields;
  for (const Field& field : type.fields) {
    fields += fmt::format("{}{} {}", fields.empty() ? "" : ", ", SqlName(field.name),
                          SqlTypeOf(field.type));
  }
  return fmt::format("STRUCT({})", fields);
}

const Field* ColumnIn(const LakeColumns& columns, const Field& wanted, bool by_id) {
  const auto found = std::ranges::find_if(columns.schema.fields, [&](const Field& field) {
    return by_id ? field.id == wanted.id : field.name == wanted.name;
  });
  return found == columns.schema.fields.end() ? nullptr : &*found;
}

// A file's columns as the table's.
std::string SelectList(const table::Schema& schema, const LakeColumns& columns, bool by_id) {
  std::string list;
  for (const Field& wanted : schema.fields) {
    const Field* column = ColumnIn(columns, wanted, by_id);
    list += fmt::format("{}CAST({} AS {}) AS {}", list.empty() ? "" : ", ",
                        column == nullptr ? "NULL" : SqlName(column->name), SqlTypeOf(wanted.type),
                        SqlName(wanted.name));
  }
  return list;
}

// The table's columns, then those that only sources have.
class UnitedColumns {
 public:
  explicit UnitedColumns(const table::Schema& schema) : schema_(schema) {
    for (const Field& field : schema.fields) last_id_ = std::max(last_id_, field.id);
  }
  // Why such a source does not fit; empty: it does.
  const std::string& Add(const LakeShape& source) {
    if (source.columns == nullptr) return source.problem;
    const auto [known, is_new] = problems_.try_emplace(source.columns.get());
    if (!is_new) return known->second;
    auto evolved = table::EvolveSchema(schema_, source.columns->schema, last_id_);
    if (!evolved.ok()) return known->second = evolved.error().message;
    schema_ = std::move(evolved->schema);
    last_id_ = evolved->last_column_id;
    return known->second;
  }
  const table::Schema& schema() const { return schema_; }

 private:
  table::Schema schema_;
  int32_t last_id_ = 0;
  std::map<const LakeColumns*, std::string> problems_;
};

// Files of one schema are one read_parquet; those of several would all have the first one's types.
class ViewText {
 public:
  explicit ViewText(const table::Schema& schema) : schema_(schema) {}

  void Add(const FileRef& file, const LakeColumns& columns, bool by_id) {
    paths_[{&columns, by_id}].push_back(file.path);
  }
  std::string Text() const {
    std::vector<std::string> parts;
    for (const auto& [how, paths] : paths_) {
      parts.push_back(fmt::format("SELECT {} FROM read_parquet({}, hive_partitioning = false)",
                                  SelectList(schema_, *how.first, how.second),
                                  SqlStringList(paths)));
    }
    if (parts.empty()) {
      parts.push_back(fmt::format("SELECT {} WHERE false", SelectList(schema_, {}, false)));
    }
    return fmt::format("{}", fmt::join(parts, " UNION ALL "));
  }

 private:
  const table::Schema& schema_;
  std::map<std::pair<const LakeColumns*, bool>, std::vector<std::string>> paths_;
};

}  // namespace

std::string TableRef::ViewName() const {
  if (at == At::kNow) return name;
  return fmt::format("{}@{}{}", name, at == At::kVersion ? 'v' : 't', value);
}

std::string SqlTypeOf(const table::Type& type) {
  switch (type.id) {
    case TypeId::kBoolean:
      return "BOOLEAN";
    case TypeId::kInt:
      return "INTEGER";
    case TypeId::kLong:
      return "BIGINT";
    case TypeId::kFloat:
      return "FLOAT";
    case TypeId::kDouble:
      return "DOUBLE";
    case TypeId::kDecimal:
      return fmt::format("DECIMAL({}, {})", type.precision, type.scale);
    case TypeId::kDate:
      return "DATE";
    case TypeId::kTime:
      return "TIME";
    case TypeId::kTimestamp:
      return "TIMESTAMP";
    case TypeId::kTimestamptz:
      return "TIMESTAMP WITH TIME ZONE";
    case TypeId::kString:
      return "VARCHAR";
    case TypeId::kUuid:
      return "UUID";
    case TypeId::kFixed:
    case TypeId::kBinary:
      return "BLOB";
    case TypeId::kStruct:
      return StructType(type);
    case TypeId::kList:
      return SqlTypeOf(type.fields[0].type) + "[]";
    case TypeId::kMap:
      return fmt::format("MAP({}, {})", SqlTypeOf(type.fields[0].type),
                         SqlTypeOf(type.fields[1].type));
  }
  return "VARCHAR";
}

Result<TableView> MakeLakeView(const LakeTable& table, std::span<const LakeShape> files,
                               std::span<const LakeShape> sources) {
  TableView view;
  UnitedColumns united(table.schema);
  std::vector<std::string> problems;
  for (const LakeShape& source : sources) problems.push_back(united.Add(source));
  if (united.schema().fields.empty()) {
    const std::string why = problems.empty() ? "" : ": " + problems.front();
    return MakeError(ErrorKind::kCorrupt, "CORRUPT_OBJECT",
                     fmt::format("table {}: no column of it can be read{}", table.ref.name, why));
  }
  ViewText text(united.schema());
  const auto is_read = [&](const FileRef& file) {
    return !table.only || table.only->contains(file.key);
  };
  for (size_t i = 0; i < files.size(); ++i) {
    if (files[i].columns == nullptr) {
      return MakeError(ErrorKind::kCorrupt, "CORRUPT_OBJECT",
                       fmt::format("{}: {}", table.files[i].key, files[i].problem));
    }
    if (!is_read(table.files[i])) continue;
    text.Add(table.files[i], *files[i].columns, files[i].columns->has_field_ids);
    view.paths.push_back(table.files[i].path);
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!problems[i].empty()) {
      view.warnings.push_back(fmt::format("{}: left out: {}", table.sources[i].key, problems[i]));
      continue;
    }
    if (!is_read(table.sources[i])) continue;
    text.Add(table.sources[i], *sources[i].columns, false);
    view.paths.push_back(table.sources[i].path);
  }
  view.select = text.Text();
  return view;
}

}  // namespace varve::query
