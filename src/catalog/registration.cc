#include "catalog/registration.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/delta_mirror.h"
#include "catalog/delta_partitions.h"
#include "table/file_footer.h"
#include "table/iceberg/name_mapping.h"

namespace varve::catalog {
namespace {

struct Input {
  std::string key;
  table::FileFooter footer;
};

Result<Input> ReadInput(store::ObjectStore& store, const std::string& key, bool accept_problems) {
  const store::ObjectMeta meta = TRY(store.Head(key));
  const auto read = [&](uint64_t offset, uint64_t size) {
    store::ByteRange range;
    range.offset = offset;
    range.size = size;
    return store.Get(key, range);
  };
  auto footer = table::ReadFileFooter(read, meta.size);
  if (!footer.ok()) return Error(footer.error()).Context("'" + key + "'");
  if (!footer->problems.empty() && !accept_problems) {
    return MakeError(ErrorKind::kInvalid, "UNREADABLE_COLUMN",
                     fmt::format("'{}': {}; some readers of the table would get it wrong", key,
                                 footer->problems[0].text));
  }
  Input input;
  input.key = key;
  input.footer = std::move(*footer);
  return input;
}

// The first file's columns, and what the others add. Field ids are the files' own if all have them.
Result<table::Schema> CommonSchema(const std::vector<Input>& inputs) {
  table::Schema schema = inputs[0].footer.schema;
  const bool own_ids = std::all_of(inputs.begin(), inputs.end(),
                                   [](const Input& one) { return one.footer.has_field_ids; });
  int32_t last = 0;
  if (!own_ids) last = table::AssignIds(schema, 0);
  if (own_ids) {
    for (const Input& input : inputs) {
      for (const table::LeafStats& leaf : input.footer.leaves) {
        last = std::max(last, leaf.stats.field_id);
      }
    }
    last += static_cast<int32_t>(table::kSchemaFieldsMax);
  }
  for (const Input& input : inputs) {
    auto evolution = table::EvolveSchema(schema, input.footer.schema, last);
    if (!evolution.ok()) return Error(evolution.error()).Context("'" + input.key + "'");
    last = evolution->last_column_id;
    schema = std::move(evolution->schema);
  }
  return schema;
}

// Readers go by the mapping where there are no ids, and it has the name for another column.
Status CheckNames(const TableShape& shape, const std::vector<Input>& inputs) {
  const auto mapping = shape.properties.find(table::iceberg::kNameMapping);
  if (mapping == shape.properties.end()) return {};
  for (const Input& input : inputs) {
    if (input.footer.has_field_ids) continue;
    const auto old = table::iceberg::OldNames(shape.schema, mapping->second, input.footer.schema);
    if (old.empty()) continue;
    const std::string became =
        old[0].now.empty() ? "dropped" : fmt::format("renamed to '{}'", old[0].now);
    return MakeError(ErrorKind::kInvalid, "OLD_COLUMN_NAME",
                     fmt::format("'{}': its column '{}' is by its name one that was {}, and it has "
                                 "no field ids to tell otherwise",
                                 input.key, old[0].column, became));
  }
  return {};
}

}  // namespace

Result<Registered> RegisterFiles(LakeTables& tables, const std::string& name,
                                 const std::vector<std::string>& keys,
                                 const RegisterOptions& options) {
  if (keys.empty() || keys.size() > kRegisterFilesMax) {
    return MakeError(ErrorKind::kInvalid, "BAD_FILE_COUNT",
                     fmt::format("1 to {} files are registered at once", kRegisterFilesMax));
  }
  std::vector<Input> inputs;
  std::set<std::string_view> once;
  for (const std::string& key : keys) {
    if (!once.insert(key).second) {
      return MakeError(ErrorKind::kInvalid, "NAMED_TWICE", "'" + key + "' is named twice");
    }
    inputs.push_back(TRY(ReadInput(tables.iceberg().store(), key, options.accept_problems)));
  }
  Registered out;
  const Formats there = TRY(tables.FormatsOf(name));
  if (there.any()) TRY(CheckTakesFiles(tables, name));
  const Formats formats = there.any() ? there : options.formats;
  const table::Schema columns = TRY(CommonSchema(inputs));
  if (!there.any()) {
    TableShape shape;
    shape.schema = columns;
    shape.spec = TRY(table::ParsePartitioning(options.partitioning, columns));
    shape.order = TRY(table::ParseSorting(options.sorting, columns));
    for (const Input& input : inputs) {  // before anything is made
      const auto fits = table::DescribeFile(input.footer, shape.schema, shape.spec);
      if (!fits.ok()) return Error(fits.error()).Context("'" + input.key + "'");
      if (formats.delta) TRY(CheckInside(tables.delta().Place(name), input.key));
    }
    TRY(tables.Create(name, shape, formats));
    out.created = true;
  } else {
    TRY(tables.Level(name));  // an earlier commit may have been cut short
    TRY(CheckNames(TRY(tables.Shape(name)), inputs));
    TRY(tables.Evolve(name, columns));
  }
  const TableShape shape = TRY(tables.Shape(name));
  FileChanges changes = tables.NewChanges();
  changes.mark = options.mark;
  changes.ids_of_iceberg = shape.ids_of_iceberg;
  const auto match =
      shape.ids_of_iceberg ? table::MatchColumns::kByFieldIdIfAll : table::MatchColumns::kByName;
  for (const Input& input : inputs) {
    auto file = table::DescribeFile(input.footer, shape.schema, shape.spec, match);
    if (!file.ok()) return Error(file.error()).Context("'" + input.key + "'");
    file->path = input.key;
    out.rows += file->rows;
    changes.added.push_back(std::move(*file));
  }
  out.files = changes.added.size();
  out.commit = TRY(tables.Commit(name, changes));
  return out;
}

}  // namespace varve::catalog
