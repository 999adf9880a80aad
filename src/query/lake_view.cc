#include "query/lake_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "core/check.h"
#include "core/letter_case.h"
#include "query/sql_text.h"

namespace varve::query {

using table::ConstantColumn;
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

// How a file's columns are told to be the table's.
enum class Match : uint8_t { kById, kByMapping, kByName };

using Names = std::map<int32_t, std::vector<std::string>>;

const Field* ColumnIn(const LakeColumns& columns, const Field& wanted, Match match,
                      const Names& names) {
  const auto mapped = match == Match::kByMapping ? names.find(wanted.id) : names.end();
  const auto found = std::ranges::find_if(columns.schema.fields, [&](const Field& field) {
    if (match == Match::kById) return field.id == wanted.id;
    if (mapped == names.end()) return field.name == wanted.name;
    return std::ranges::find(mapped->second, field.name) != mapped->second.end();
  });
  return found == columns.schema.fields.end() ? nullptr : &*found;
}

// DuckDB's own column of read_parquet, unless the file has one of that name.
bool HasFileIndex(const LakeColumns& columns) {
  return std::ranges::any_of(columns.schema.fields, [](const Field& field) {
    return FoldCase(field.name) == "file_index";
  });
}

std::string Constant(const std::optional<std::string>& value) {
  return value && !value->empty() ? SqlString(*value) : "NULL";  // Delta's log has nulls as both
}

// Files that one read_parquet reads.
struct ReadTogether {
  std::vector<std::string> paths;
  std::vector<size_t> at;  // of the table's files
};

// The column's value in each of the files.
std::string ConstantIn(const ReadTogether& files, const ConstantColumn& column,
                       const std::string& type) {
  bool same = true;
  for (const size_t at : files.at) same = same && column.values[at] == column.values[files.at[0]];
  if (same) return fmt::format("CAST({} AS {})", Constant(column.values[files.at[0]]), type);
  std::vector<std::string> values;
  for (const size_t at : files.at) values.push_back(Constant(column.values[at]));
  return fmt::format("(CAST([{}] AS {}[]))[CAST(file_index AS BIGINT) + 1]",
                     fmt::join(values, ", "), type);
}

// A file's columns as the table's, but for those that are constants.
std::string SelectList(const table::Schema& schema, const LakeColumns& columns, Match match,
                       const Names& names, const std::map<std::string, std::string>& constants) {
  std::string list;
  for (const Field& wanted : schema.fields) {
    const Field* column = ColumnIn(columns, wanted, match, names);
    const auto constant = constants.find(wanted.name);
    const std::string type = SqlTypeOf(wanted.type);
    const std::string value = constant != constants.end() ? constant->second
                              : column == nullptr
                                  ? fmt::format("CAST(NULL AS {})", type)
                                  : fmt::format("CAST({} AS {})", SqlName(column->name), type);
    list += fmt::format("{}{} AS {}", list.empty() ? "" : ", ", value, SqlName(wanted.name));
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

constexpr const char* kFileColumn = "varve_file";

// Files of one schema are one read_parquet; those of several would all have the first one's types.
class ViewText {
 public:
  // deleted: rows of the table's own files that are gone, as DeletedRows has them; or empty.
  ViewText(const table::Schema& schema, const LakeTable& table, std::string deleted)
      : schema_(schema), table_(table), deleted_(std::move(deleted)) {}

  void AddFile(const FileRef& file, size_t at, const LakeColumns& columns) {
    // Where the files cannot be told from each other, each is read by itself.
    const bool alone = !table_.constants.empty() && HasFileIndex(columns);
    const Match match = table_.by_id && columns.has_field_ids ? Match::kById : Match::kByMapping;
    ReadTogether& files = parts_[{&columns, match, true, alone ? at : 0}];
    files.paths.push_back(file.path);
    files.at.push_back(at);
  }
  void AddSource(const FileRef& file, const LakeColumns& columns) {
    parts_[{&columns, Match::kByName, false, 0}].paths.push_back(file.path);
  }
  std::string Text() const {
    std::vector<std::string> selects;
    for (const auto& [how, files] : parts_) {
      const auto& [columns, match, of_table, at] = how;
      const std::string list =
          SelectList(schema_, *columns, match, table_.names, ConstantsOf(files, of_table));
      selects.push_back(fmt::format("SELECT {} FROM {}", list, Rows(files.paths, of_table)));
    }
    if (selects.empty()) {
      selects.push_back(
          fmt::format("SELECT {} WHERE false", SelectList(schema_, {}, Match::kByName, {}, {})));
    }
    return fmt::format("{}", fmt::join(selects, " UNION ALL "));
  }

 private:
  // Columns, how they are matched, whether it is the table's own, which file if it is alone.
  using Part = std::tuple<const LakeColumns*, Match, bool, size_t>;

  std::string Rows(const std::vector<std::string>& paths, bool of_table) const {
    const std::string files = SqlStringList(paths);
    if (!of_table || deleted_.empty()) {
      return fmt::format("read_parquet({}, hive_partitioning = false)", files);
    }
    return fmt::format(
        "read_parquet({}, hive_partitioning = false, filename = '{}', file_row_number = true) AS f "
        "WHERE NOT EXISTS (SELECT 1 FROM ({}) AS d WHERE d.file = f.{} AND d.pos = "
        "f.file_row_number)",
        files, kFileColumn, deleted_, kFileColumn);
  }

  std::map<std::string, std::string> ConstantsOf(const ReadTogether& files, bool of_table) const {
    std::map<std::string, std::string> out;
    if (!of_table) return out;
    for (const ConstantColumn& column : table_.constants) {
      const Field* field = table::FindField(schema_, std::vector{column.name});
      if (field == nullptr) continue;
      out[column.name] = ConstantIn(files, column, SqlTypeOf(field->type));
    }
    return out;
  }

  const table::Schema& schema_;
  const LakeTable& table_;
  const std::string deleted_;
  std::map<Part, ReadTogether> parts_;
};

// Iceberg's position deletes as (file, pos), file being a path as read_parquet was given it: what
// stands before the key is another there than in the table's locations.
std::string DeletedRows(const LakeTable& table) {
  if (table.deletes.empty() || table.files.empty()) return "";
  const FileRef& any = table.files.front();
  const std::string root = any.path.substr(0, any.path.size() - any.key.size());
  std::vector<std::string> paths, parts;
  for (const FileRef& file : table.deletes) paths.push_back(file.path);
  for (const std::string& from : table.delete_roots) {
    parts.push_back(fmt::format(
        "SELECT {0} || substr(file_path, length({1}) + 1) AS file, pos FROM read_parquet({2}, "
        "hive_partitioning = false) WHERE starts_with(file_path, {1})",
        SqlString(root), SqlString(from), SqlStringList(paths)));
  }
  return fmt::format("{}", fmt::join(parts, " UNION ALL "));
}

Status CheckConstants(const LakeTable& table) {
  for (const ConstantColumn& column : table.constants) {
    CHECK(column.values.size() == table.files.size());
    const Field* field = table::FindField(table.schema, std::vector{column.name});
    if (field == nullptr || field->type.id != TypeId::kBinary) continue;
    return MakeError(ErrorKind::kInvalid, "PARTITIONING_UNSUPPORTED",
                     fmt::format("table {}: its partition column '{}' is of bytes, which engines "
                                 "write into Delta's log in different ways",
                                 table.ref.name, column.name));
  }
  return {};
}

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
  TRY(CheckConstants(table));
  ViewText text(united.schema(), table, DeletedRows(table));
  for (const FileRef& file : table.deletes) view.paths.push_back(file.path);
  const auto is_read = [&](const FileRef& file) {
    return !table.only || table.only->contains(file.key);
  };
  for (size_t i = 0; i < files.size(); ++i) {
    if (files[i].columns == nullptr) {
      return MakeError(ErrorKind::kCorrupt, "CORRUPT_OBJECT",
                       fmt::format("{}: {}", table.files[i].key, files[i].problem));
    }
    if (!is_read(table.files[i])) continue;
    text.AddFile(table.files[i], i, *files[i].columns);
    view.paths.push_back(table.files[i].path);
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!problems[i].empty()) {
      view.warnings.push_back(fmt::format("{}: left out: {}", table.sources[i].key, problems[i]));
      continue;
    }
    if (!is_read(table.sources[i])) continue;
    text.AddSource(table.sources[i], *sources[i].columns);
    view.paths.push_back(table.sources[i].path);
  }
  view.select = text.Text();
  return view;
}

}  // namespace varve::query
