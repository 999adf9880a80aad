#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/bytes.h"
#include "table/bounds.h"
#include "table/iceberg/avro_schemas.h"
#include "table/iceberg/manifest.h"

namespace varve::table::iceberg {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Avro's type of a partition value; what is not here is not written.
Result<OrderedJson> AvroTypeOf(const Type& type, std::string_view transform) {
  switch (type.id) {
    case TypeId::kBoolean:
      return OrderedJson("boolean");
    case TypeId::kInt:
      return OrderedJson("int");
    case TypeId::kDate:
      return OrderedJson{{"type", "int"}, {"logicalType", "date"}};
    case TypeId::kLong:
      return OrderedJson("long");
    case TypeId::kTimestamp:
    case TypeId::kTimestamptz:
      return OrderedJson{{"type", "long"},
                         {"logicalType", "timestamp-micros"},
                         {"adjust-to-utc", type.id == TypeId::kTimestamptz}};
    case TypeId::kString:
      return OrderedJson("string");
    default:
      return MakeError(
          ErrorKind::kInvalid, "UNSUPPORTED_PARTITION",
          fmt::format("partitions by {} of a {} are not written", transform, TypeName(type)));
  }
}

template <typename Get>
void EncodeNumbers(const DataFile& file, Get get, AvroEncoder& out) {
  int64_t count = 0;
  for (const ColumnStats& column : file.columns) count += get(column) ? 1 : 0;
  out.Branch(count > 0);
  if (count == 0) return;
  out.Long(count);
  for (const ColumnStats& column : file.columns) {
    const auto& value = get(column);
    if (!value) continue;
    out.Long(column.field_id);
    if constexpr (std::is_same_v<std::decay_t<decltype(*value)>, std::string>) {
      out.Bytes(*value);
    } else {
      out.Long(*value);
    }
  }
  out.Long(0);
}

void EncodeFile(const ManifestEntry& entry, const std::string& partition, AvroEncoder& out) {
  const DataFile& file = entry.file;
  out.Long(entry.content);
  out.Bytes(file.path);
  out.Bytes(entry.format);
  out.Raw(partition);
  out.Long(file.rows);
  out.Long(static_cast<int64_t>(file.bytes));
  using Stats = const ColumnStats&;
  EncodeNumbers(
      file, [](Stats c) -> auto& { return c.bytes; }, out);
  EncodeNumbers(
      file, [](Stats c) -> auto& { return c.values; }, out);
  EncodeNumbers(
      file, [](Stats c) -> auto& { return c.nulls; }, out);
  EncodeNumbers(
      file, [](Stats c) -> auto& { return c.nans; }, out);
  EncodeNumbers(
      file, [](Stats c) -> auto& { return c.lower; }, out);
  EncodeNumbers(
      file, [](Stats c) -> auto& { return c.upper; }, out);
  out.Branch(false);  // key_metadata
  out.Branch(!file.split_offsets.empty());
  if (!file.split_offsets.empty()) {
    out.Long(static_cast<int64_t>(file.split_offsets.size()));
    for (const int64_t offset : file.split_offsets) out.Long(offset);
    out.Long(0);
  }
  out.Branch(false);  // equality_ids
  out.Branch(file.sort_order_id.has_value());
  if (file.sort_order_id) out.Long(*file.sort_order_id);
  out.Branch(false);  // referenced_data_file
}

void EncodeOptional(const std::optional<int64_t>& value, AvroEncoder& out) {
  out.Branch(value.has_value());
  if (value) out.Long(*value);
}

void EncodeOptional(const std::optional<std::string>& value, AvroEncoder& out) {
  out.Branch(value.has_value());
  if (value) out.Bytes(*value);
}

}  // namespace

ManifestWriter::ManifestWriter(AvroWriter avro, std::vector<PartitionColumn> columns,
                               int32_t spec_id)
    : avro_(std::move(avro)), columns_(std::move(columns)) {
  file_.spec_id = spec_id;
}

Result<ManifestWriter> ManifestWriter::Begin(const Schema& schema, const PartitionSpec& spec,
                                             std::string_view sync) {
  OrderedJson record;
  record["type"] = "record";
  record["name"] = "r102";
  record["fields"] = OrderedJson::array();
  std::vector<PartitionColumn> columns;
  for (const PartitionField& field : spec.fields) {
    const Field* source = FindField(schema, field.source_id);
    if (source == nullptr) {
      return MakeError(ErrorKind::kInvalid, "NO_SUCH_COLUMN",
                       fmt::format("the partition '{}' has no column", field.name));
    }
    PartitionColumn column;
    column.type = TRY(TransformResult(field.transform, source->type));
    OrderedJson one;
    one["name"] = field.name;
    one["type"] = {"null", TRY(AvroTypeOf(column.type, field.transform))};
    one["default"] = nullptr;
    one["field-id"] = field.field_id;
    record["fields"].push_back(std::move(one));
    columns.push_back(std::move(column));
  }
  std::string avro_schema(kManifestSchemaHead);
  avro_schema += record.dump();
  avro_schema += kManifestSchemaTail;
  const std::map<std::string, std::string> metadata = {
      {"schema", SchemaJson(schema)},
      {"schema-id", std::to_string(schema.id)},
      {"partition-spec", SpecFieldsJson(spec)},
      {"partition-spec-id", std::to_string(spec.id)},
      {"format-version", "2"},
      {"content", "data"},
  };
  return ManifestWriter(AvroWriter(avro_schema, metadata, AvroCodec::kDeflate, sync),
                        std::move(columns), spec.id);
}

Status ManifestWriter::EncodePartition(const PartitionTuple& tuple, AvroEncoder& out) {
  if (tuple.size() != columns_.size()) {
    return MakeError(ErrorKind::kInvalid, "BAD_PARTITION",
                     "a partition has too few or many values");
  }
  for (size_t i = 0; i < tuple.size(); ++i) {
    PartitionColumn& column = columns_[i];
    out.Branch(tuple[i].has_value());
    if (!tuple[i]) {
      column.summary.contains_null = true;
      continue;
    }
    const std::string& value = *tuple[i];
    if (!IsValue(column.type, value)) {
      return MakeError(ErrorKind::kInvalid, "BAD_PARTITION", "a partition value of another type");
    }
    switch (column.type.id) {
      case TypeId::kBoolean:
        out.Bool(value[0] != 0);
        break;
      case TypeId::kInt:
      case TypeId::kDate:
        out.Long(GetLe<int32_t>(value.data()));
        break;
      case TypeId::kString:
        out.Bytes(value);
        break;
      default:
        out.Long(GetLe<int64_t>(value.data()));
    }
    FieldSummary& summary = column.summary;
    if (!summary.lower || CompareValues(column.type, value, *summary.lower) < 0) {
      summary.lower = value;
    }
    if (!summary.upper || CompareValues(column.type, value, *summary.upper) > 0) {
      summary.upper = value;
    }
  }
  return {};
}

void ManifestWriter::Count(const ManifestEntry& entry) {
  switch (entry.status) {
    case EntryStatus::kAdded:
      ++file_.added_files;
      file_.added_rows += entry.file.rows;
      has_added_ = has_added_ || !entry.sequence_number;
      break;
    case EntryStatus::kExisting:
      ++file_.existing_files;
      file_.existing_rows += entry.file.rows;
      break;
    case EntryStatus::kDeleted:
      ++file_.deleted_files;
      file_.deleted_rows += entry.file.rows;
  }
  if (entry.is_live() && entry.sequence_number) {
    min_sequence_number_ =
        std::min(min_sequence_number_.value_or(INT64_MAX), *entry.sequence_number);
  }
}

Status ManifestWriter::Add(const ManifestEntry& entry) {
  // Only what is added by this very commit may leave its numbers to be inherited.
  CHECK(entry.snapshot_id.has_value());
  CHECK(entry.status == EntryStatus::kAdded ||
        (entry.sequence_number && entry.file_sequence_number));
  AvroEncoder partition, record;
  TRY(EncodePartition(entry.file.partition, partition));
  record.Long(static_cast<int64_t>(entry.status));
  EncodeOptional(entry.snapshot_id, record);
  EncodeOptional(entry.sequence_number, record);
  EncodeOptional(entry.file_sequence_number, record);
  EncodeFile(entry, partition.bytes(), record);
  avro_.Add(record.bytes());
  Count(entry);
  return {};
}

Result<ManifestWriter::Finished> ManifestWriter::Finish(int64_t sequence_number) && {
  Finished done;
  done.bytes = TRY(std::move(avro_).Finish());
  file_.length = static_cast<int64_t>(done.bytes.size());
  file_.sequence_number = sequence_number;
  file_.min_sequence_number = min_sequence_number_.value_or(sequence_number);
  if (has_added_) file_.min_sequence_number = std::min(file_.min_sequence_number, sequence_number);
  for (PartitionColumn& column : columns_) {
    column.summary.contains_nan = false;
    file_.partitions.push_back(std::move(column.summary));
  }
  done.file = std::move(file_);
  return done;
}

Result<std::string> WriteManifestList(const std::vector<ManifestFile>& files,
                                      const Snapshot& snapshot, std::string_view sync) {
  const std::map<std::string, std::string> metadata = {
      {"snapshot-id", std::to_string(snapshot.id)},
      {"parent-snapshot-id", snapshot.parent_id ? std::to_string(*snapshot.parent_id) : "null"},
      {"sequence-number", std::to_string(snapshot.sequence_number)},
      {"format-version", "2"},
  };
  AvroWriter avro(kManifestListSchema, metadata, AvroCodec::kDeflate, sync);
  for (const ManifestFile& file : files) {
    AvroEncoder row;
    row.Bytes(file.path);
    for (const int64_t number :
         {file.length, int64_t{file.spec_id}, int64_t{file.content}, file.sequence_number,
          file.min_sequence_number, file.added_snapshot_id, int64_t{file.added_files},
          int64_t{file.existing_files}, int64_t{file.deleted_files}, file.added_rows,
          file.existing_rows, file.deleted_rows}) {
      row.Long(number);
    }
    row.Branch(true);
    if (!file.partitions.empty()) row.Long(static_cast<int64_t>(file.partitions.size()));
    for (const FieldSummary& summary : file.partitions) {
      row.Bool(summary.contains_null);
      row.Branch(summary.contains_nan.has_value());
      if (summary.contains_nan) row.Bool(*summary.contains_nan);
      EncodeOptional(summary.lower, row);
      EncodeOptional(summary.upper, row);
    }
    row.Long(0);
    EncodeOptional(file.key_metadata, row);
    avro.Add(row.bytes());
  }
  return std::move(avro).Finish();
}

}  // namespace varve::table::iceberg
