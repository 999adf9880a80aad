// Manifests of any writer: fields are known by their ids, in whatever order and number the file's
// own schema has them. What a rewrite could not carry over (encryption keys, deletes' columns) is
// refused rather than dropped.
#include <algorithm>

#include "core/bytes.h"
#include "table/bounds.h"
#include "table/iceberg/manifest.h"

namespace varve::table::iceberg {
namespace {

Error Corrupt(std::string_view what) {
  return MakeError(ErrorKind::kCorrupt, "BAD_MANIFEST", std::string(what));
}

bool IsInteger(const AvroSchema& schema) {
  return schema.kind == AvroKind::kInt || schema.kind == AvroKind::kLong;
}

bool ReadLong(AvroDecoder& in, const AvroSchema& schema, int64_t* value) {
  const AvroSchema* type = in.Resolve(schema);
  return type != nullptr && IsInteger(*type) && in.Long(value);
}

template <typename T>
bool ReadNumber(AvroDecoder& in, const AvroSchema& schema, T* value) {
  int64_t number = 0;
  if (!ReadLong(in, schema, &number)) return false;
  *value = static_cast<T>(number);
  return int64_t{*value} == number;
}

bool ReadOptional(AvroDecoder& in, const AvroSchema& schema, std::optional<int64_t>* value) {
  const AvroSchema* type = in.Resolve(schema);
  if (type == nullptr) return false;
  value->reset();
  if (type->kind == AvroKind::kNull) return true;
  return IsInteger(*type) && in.Long(&value->emplace());
}

bool ReadText(AvroDecoder& in, const AvroSchema& schema, std::string* value) {
  const AvroSchema* type = in.Resolve(schema);
  if (type == nullptr || (type->kind != AvroKind::kString && type->kind != AvroKind::kBytes)) {
    return false;
  }
  std::string_view bytes;
  if (!in.Bytes(&bytes)) return false;
  *value = bytes;
  return true;
}

bool ReadOptional(AvroDecoder& in, const AvroSchema& schema, std::optional<std::string>* value) {
  const AvroSchema* type = in.Resolve(schema);
  if (type == nullptr) return false;
  value->reset();
  return type->kind == AvroKind::kNull || ReadText(in, *type, &value->emplace());
}

// Calls value(key, decoder, schema) for each entry of an int-keyed map, which is an array of
// records of a key and a value.
template <typename F>
bool ReadMap(AvroDecoder& in, const AvroSchema& schema, F value) {
  const AvroSchema* type = in.Resolve(schema);
  if (type == nullptr) return false;
  if (type->kind == AvroKind::kNull) return true;
  if (type->kind != AvroKind::kArray) return false;
  return in.Items(*type, [&](const AvroSchema& item) {
    int32_t key = 0;
    return item.kind == AvroKind::kRecord && item.fields.size() == 2 &&
           ReadNumber(in, *item.fields[0].type, &key) && value(key, *item.fields[1].type);
  });
}

ColumnStats& ColumnOf(DataFile& file, int32_t id) {
  auto at =
      std::lower_bound(file.columns.begin(), file.columns.end(), id,
                       [](const ColumnStats& c, int32_t wanted) { return c.field_id < wanted; });
  if (at == file.columns.end() || at->field_id != id) {
    at = file.columns.insert(at, ColumnStats());
    at->field_id = id;
  }
  return *at;
}

class EntryReader {
 public:
  EntryReader(const PartitionSpec& spec, const Schema& schema, EntryDetail detail)
      : spec_(spec), schema_(schema), detail_(detail) {}

  bool Entry(AvroDecoder& in, const AvroSchema& schema, ManifestEntry& entry) {
    if (schema.kind != AvroKind::kRecord) return false;
    int32_t status = 3;
    bool has_file = false;
    for (const AvroField& field : schema.fields) {
      bool read = true;
      switch (field.field_id) {
        case 0:
          read = ReadNumber(in, *field.type, &status);
          break;
        case 1:
          read = ReadOptional(in, *field.type, &entry.snapshot_id);
          break;
        case 3:
          read = ReadOptional(in, *field.type, &entry.sequence_number);
          break;
        case 4:
          read = ReadOptional(in, *field.type, &entry.file_sequence_number);
          break;
        case 2:
          has_file = read = field.type->kind == AvroKind::kRecord && File(in, *field.type, entry);
          break;
        default:
          read = in.Skip(*field.type);
      }
      if (!read) return false;
    }
    if (status < 0 || status > 2 || !has_file) return false;
    entry.status = static_cast<EntryStatus>(status);
    return true;
  }

 private:
  bool File(AvroDecoder& in, const AvroSchema& schema, ManifestEntry& entry) {
    entry.file.spec_id = spec_.id;
    return std::all_of(schema.fields.begin(), schema.fields.end(), [&](const AvroField& field) {
      switch (field.field_id) {
        case 134:
          return ReadNumber(in, *field.type, &entry.content);
        case 100:
          return ReadText(in, *field.type, &entry.file.path);
        case 101:
          return ReadText(in, *field.type, &entry.format);
        case 102:
          return Partition(in, *field.type, entry.file.partition);
        case 103:
          return ReadNumber(in, *field.type, &entry.file.rows) && entry.file.rows >= 0;
        case 104: {
          int64_t bytes = 0;
          if (!ReadNumber(in, *field.type, &bytes) || bytes < 0) return false;
          entry.file.bytes = static_cast<uint64_t>(bytes);
          return true;
        }
        default:
          return detail_ == EntryDetail::kPathsOnly ? in.Skip(*field.type)
                                                    : Detail(in, field, entry.file);
      }
    });
  }

  bool Numbers(AvroDecoder& in, const AvroSchema& schema, DataFile& file,
               std::optional<int64_t> ColumnStats::*member) {
    return ReadMap(in, schema, [&](int32_t id, const AvroSchema& value) {
      return ReadLong(in, value, &(ColumnOf(file, id).*member).emplace());
    });
  }

  bool Bounds(AvroDecoder& in, const AvroSchema& schema, DataFile& file,
              std::optional<std::string> ColumnStats::*member) {
    return ReadMap(in, schema, [&](int32_t id, const AvroSchema& value) {
      ColumnStats& column = ColumnOf(file, id);
      const Field* field = FindField(schema_, id);
      if (field == nullptr || field->type.id == TypeId::kString ||
          field->type.id == TypeId::kBinary) {
        column.lower_is_value = column.upper_is_value = false;  // it may have been cut
      }
      std::string& bound = (column.*member).emplace();
      if (!ReadText(in, value, &bound)) return false;
      if (field != nullptr && bound.size() == 4) {  // from before the column was widened
        Type narrow;
        narrow.id = field->type.id == TypeId::kLong ? TypeId::kInt : TypeId::kFloat;
        bound = WidenValue(narrow, field->type, bound);
      }
      return true;
    });
  }

  bool Detail(AvroDecoder& in, const AvroField& field, DataFile& file) {
    switch (field.field_id) {
      case 108:
        return Numbers(in, *field.type, file, &ColumnStats::bytes);
      case 109:
        return Numbers(in, *field.type, file, &ColumnStats::values);
      case 110:
        return Numbers(in, *field.type, file, &ColumnStats::nulls);
      case 137:
        return Numbers(in, *field.type, file, &ColumnStats::nans);
      case 125:
        return Bounds(in, *field.type, file, &ColumnStats::lower);
      case 128:
        return Bounds(in, *field.type, file, &ColumnStats::upper);
      case 132: {
        const AvroSchema* type = in.Resolve(*field.type);
        if (type == nullptr) return false;
        if (type->kind == AvroKind::kNull) return true;
        return type->kind == AvroKind::kArray && in.Items(*type, [&](const AvroSchema& item) {
          return ReadLong(in, item, &file.split_offsets.emplace_back());
        });
      }
      case 140: {
        std::optional<int64_t> order;
        if (!ReadOptional(in, *field.type, &order)) return false;
        if (order) file.sort_order_id = static_cast<int32_t>(*order);
        return true;
      }
      case 131:
      case 135:
      case 143: {  // nothing that we could write again
        const AvroSchema* type = in.Resolve(*field.type);
        return type != nullptr && type->kind == AvroKind::kNull;
      }
      default:
        return in.Skip(*field.type);
    }
  }

  bool Partition(AvroDecoder& in, const AvroSchema& schema, PartitionTuple& tuple) {
    if (schema.kind != AvroKind::kRecord) return false;
    tuple.assign(spec_.fields.size(), std::nullopt);
    return std::all_of(schema.fields.begin(), schema.fields.end(), [&](const AvroField& field) {
      for (size_t i = 0; i < spec_.fields.size(); ++i) {
        if (spec_.fields[i].field_id == field.field_id) return Value(in, *field.type, i, tuple[i]);
      }
      return in.Skip(*field.type);
    });
  }

  bool Value(AvroDecoder& in, const AvroSchema& schema, size_t i,
             std::optional<std::string>& value) {
    const AvroSchema* type = in.Resolve(schema);
    if (type == nullptr) return false;
    if (type->kind == AvroKind::kNull) return true;
    const Field* source = FindField(schema_, spec_.fields[i].source_id);
    if (source == nullptr) return in.Skip(*type);
    const auto result = TransformResult(spec_.fields[i].transform, source->type);
    if (!result.ok()) return false;
    std::string bytes;
    if (type->kind == AvroKind::kBoolean) {
      bool flag = false;
      if (!in.Bool(&flag)) return false;
      bytes.push_back(flag ? '\1' : '\0');
    } else if (IsInteger(*type)) {
      int64_t number = 0;
      if (!in.Long(&number)) return false;
      const bool narrow = result->id == TypeId::kInt || result->id == TypeId::kDate;
      if (narrow) AppendLe<int32_t>(bytes, static_cast<int32_t>(number));
      if (!narrow) AppendLe<int64_t>(bytes, number);
    } else if (type->kind == AvroKind::kString) {
      if (!ReadText(in, *type, &bytes)) return false;
    } else {
      return false;
    }
    if (!IsValue(*result, bytes)) return false;
    value = std::move(bytes);
    return true;
  }

  const PartitionSpec& spec_;
  const Schema& schema_;
  const EntryDetail detail_;
};

bool ReadSummary(AvroDecoder& in, const AvroSchema& schema, FieldSummary& out) {
  if (schema.kind != AvroKind::kRecord) return false;
  return std::all_of(schema.fields.begin(), schema.fields.end(), [&](const AvroField& field) {
    const AvroSchema* type = nullptr;
    switch (field.field_id) {
      case 509:
        type = in.Resolve(*field.type);
        return type != nullptr && type->kind == AvroKind::kBoolean && in.Bool(&out.contains_null);
      case 518:
        type = in.Resolve(*field.type);
        if (type == nullptr) return false;
        if (type->kind == AvroKind::kNull) return true;
        return type->kind == AvroKind::kBoolean && in.Bool(&out.contains_nan.emplace());
      case 510:
        return ReadOptional(in, *field.type, &out.lower);
      case 511:
        return ReadOptional(in, *field.type, &out.upper);
      default:
        return in.Skip(*field.type);
    }
  });
}

bool ReadSummaries(AvroDecoder& in, const AvroSchema& schema, std::vector<FieldSummary>& out) {
  const AvroSchema* type = in.Resolve(schema);
  if (type == nullptr) return false;
  if (type->kind == AvroKind::kNull) return true;
  return type->kind == AvroKind::kArray && in.Items(*type, [&](const AvroSchema& item) {
    return ReadSummary(in, item, out.emplace_back());
  });
}

bool ReadRow(AvroDecoder& in, const AvroSchema& schema, ManifestFile& row) {
  return std::all_of(schema.fields.begin(), schema.fields.end(), [&](const AvroField& field) {
    const AvroSchema& type = *field.type;
    switch (field.field_id) {
      case 500:
        return ReadText(in, type, &row.path);
      case 501:
        return ReadNumber(in, type, &row.length);
      case 502:
        return ReadNumber(in, type, &row.spec_id);
      case 517:
        return ReadNumber(in, type, &row.content);
      case 515:
        return ReadNumber(in, type, &row.sequence_number);
      case 516:
        return ReadNumber(in, type, &row.min_sequence_number);
      case 503:
        return ReadNumber(in, type, &row.added_snapshot_id);
      case 504:
        return ReadNumber(in, type, &row.added_files);
      case 505:
        return ReadNumber(in, type, &row.existing_files);
      case 506:
        return ReadNumber(in, type, &row.deleted_files);
      case 512:
        return ReadNumber(in, type, &row.added_rows);
      case 513:
        return ReadNumber(in, type, &row.existing_rows);
      case 514:
        return ReadNumber(in, type, &row.deleted_rows);
      case 507:
        return ReadSummaries(in, type, row.partitions);
      case 519:
        return ReadOptional(in, type, &row.key_metadata);
      default:
        return in.Skip(type);
    }
  });
}

}  // namespace

Status ReadManifest(std::string_view bytes, const ManifestFile& row, const PartitionSpec& spec,
                    const Schema& schema, EntryDetail detail,
                    const std::function<Status(ManifestEntry&&)>& entry) {
  const AvroReader avro = TRY(AvroReader::Open(bytes));
  EntryReader reader(spec, schema, detail);
  return avro.ForEach([&](AvroDecoder& in) -> Status {
    ManifestEntry one;
    if (!reader.Entry(in, avro.schema(), one)) return Corrupt("an entry is cut short or wrong");
    if (!one.snapshot_id) one.snapshot_id = row.added_snapshot_id;
    if (one.status == EntryStatus::kAdded) {
      if (!one.sequence_number) one.sequence_number = row.sequence_number;
      if (!one.file_sequence_number) one.file_sequence_number = row.sequence_number;
    } else if (!one.sequence_number || !one.file_sequence_number) {
      return Corrupt("an entry that was not added here has no sequence number");
    }
    return entry(std::move(one));
  });
}

Result<std::vector<ManifestFile>> ReadManifestList(std::string_view bytes) {
  const AvroReader avro = TRY(AvroReader::Open(bytes));
  if (avro.schema().kind != AvroKind::kRecord) return Corrupt("a manifest list of no records");
  std::vector<ManifestFile> rows;
  TRY(avro.ForEach([&](AvroDecoder& in) -> Status {
    if (!ReadRow(in, avro.schema(), rows.emplace_back())) {
      return Corrupt("a manifest list's row is cut short or wrong");
    }
    return {};
  }));
  return rows;
}

}  // namespace varve::table::iceberg
