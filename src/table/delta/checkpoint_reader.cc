// Checkpoints of any writer: columns are known by their names; those that are missing are null.
#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>

#include "table/delta/checkpoint.h"

namespace varve::table::delta {
namespace {

Error BadCheckpoint(std::string_view what) {
  return MakeError(ErrorKind::kCorrupt, "BAD_CHECKPOINT", "Delta checkpoint: " + std::string(what));
}

// A struct column of the batch, and its children by name.
class ReadColumn {
 public:
  explicit ReadColumn(const std::shared_ptr<arrow::Array>& array)
      : array_(std::dynamic_pointer_cast<arrow::StructArray>(array)) {}

  bool Has(int64_t row) const { return array_ != nullptr && array_->IsValid(row); }
  ReadColumn Child(const char* name) const { return ReadColumn(At(name)); }

  std::optional<std::string> Text(const char* name, int64_t row) const {
    return TextAt(At(name).get(), row);
  }
  std::optional<int64_t> Number(const char* name, int64_t row) const {
    const auto child = At(name);
    if (child == nullptr || child->IsNull(row)) return std::nullopt;
    if (const auto* wide = dynamic_cast<const arrow::Int64Array*>(child.get())) {
      return wide->Value(row);
    }
    const auto* narrow = dynamic_cast<const arrow::Int32Array*>(child.get());
    return narrow == nullptr ? std::nullopt : std::optional<int64_t>(narrow->Value(row));
  }
  bool Flag(const char* name, int64_t row, bool otherwise) const {
    const auto child = At(name);
    const auto* flags = dynamic_cast<const arrow::BooleanArray*>(child.get());
    return flags == nullptr || flags->IsNull(row) ? otherwise : flags->Value(row);
  }
  PartitionValues Values(const char* name, int64_t row) const {
    PartitionValues out;
    const auto child = At(name);
    const auto* map = dynamic_cast<const arrow::MapArray*>(child.get());
    if (map == nullptr || map->IsNull(row)) return out;
    for (int64_t i = map->value_offset(row); i < map->value_offset(row + 1); ++i) {
      out[TextAt(map->keys().get(), i).value_or("")] = TextAt(map->items().get(), i);
    }
    return out;
  }
  std::vector<std::string> Names(const char* name, int64_t row) const {
    std::vector<std::string> out;
    const auto child = At(name);
    const auto* list = dynamic_cast<const arrow::ListArray*>(child.get());
    if (list == nullptr || list->IsNull(row)) return out;
    for (int64_t i = list->value_offset(row); i < list->value_offset(row + 1); ++i) {
      out.push_back(TextAt(list->values().get(), i).value_or(""));
    }
    return out;
  }

 private:
  static std::optional<std::string> TextAt(const arrow::Array* array, int64_t row) {
    if (array == nullptr || array->IsNull(row)) return std::nullopt;
    if (const auto* text = dynamic_cast<const arrow::StringArray*>(array)) {
      return text->GetString(row);
    }
    const auto* large = dynamic_cast<const arrow::LargeStringArray*>(array);
    return large == nullptr ? std::nullopt : std::optional<std::string>(large->GetString(row));
  }
  std::shared_ptr<arrow::Array> At(const char* name) const {
    return array_ == nullptr ? nullptr : array_->GetFieldByName(name);
  }

  std::shared_ptr<arrow::StructArray> array_;
};

Status TakeFiles(const ReadColumn& add, const ReadColumn& remove, int64_t row, State& state) {
  if (add.Has(row)) {
    if (add.Child("deletionVector").Has(row)) return BadCheckpoint("it has deletion vectors");
    Add one;
    one.path = add.Text("path", row).value_or("");
    one.partition = add.Values("partitionValues", row);
    one.bytes = add.Number("size", row).value_or(0);
    one.modified_ms = add.Number("modificationTime", row).value_or(0);
    one.data_change = add.Flag("dataChange", row, false);
    one.stats_json = add.Text("stats", row).value_or("");
    if (one.path.empty()) return BadCheckpoint("an add has no path");
    state.files[one.path] = std::move(one);
  }
  if (remove.Has(row)) {
    Remove one;
    one.path = remove.Text("path", row).value_or("");
    one.partition = remove.Values("partitionValues", row);
    one.deleted_ms = remove.Number("deletionTimestamp", row);
    one.bytes = remove.Number("size", row);
    one.data_change = remove.Flag("dataChange", row, false);
    state.tombstones[one.path] = std::move(one);
  }
  return {};
}

void TakeTable(const ReadColumn& table, int64_t row, State& state) {
  TableInfo& info = state.table;
  info.id = table.Text("id", row).value_or("");
  info.name = table.Text("name", row).value_or("");
  info.description = table.Text("description", row).value_or("");
  info.schema_json = table.Text("schemaString", row).value_or("");
  info.partition_columns = table.Names("partitionColumns", row);
  for (const auto& [key, value] : table.Values("configuration", row)) {
    info.configuration[key] = value.value_or("");
  }
  info.created_ms = table.Number("createdTime", row);
}

Status TakeBatch(const arrow::RecordBatch& batch, State& state, bool* has_protocol) {
  const ReadColumn txn(batch.GetColumnByName("txn")), add(batch.GetColumnByName("add")),
      remove(batch.GetColumnByName("remove")), table(batch.GetColumnByName("metaData")),
      protocol(batch.GetColumnByName("protocol")), sidecar(batch.GetColumnByName("sidecar"));
  for (int64_t row = 0; row < batch.num_rows(); ++row) {
    TRY(TakeFiles(add, remove, row, state));
    if (sidecar.Has(row)) return BadCheckpoint("it is a v2 one");
    if (txn.Has(row)) {
      Txn one;
      one.app_id = txn.Text("appId", row).value_or("");
      one.version = txn.Number("version", row).value_or(0);
      one.updated_ms = txn.Number("lastUpdated", row);
      state.txns[one.app_id] = std::move(one);
    }
    if (table.Has(row)) TakeTable(table, row, state);
    if (!protocol.Has(row)) continue;
    *has_protocol = true;
    state.protocol.reader =
        static_cast<int32_t>(protocol.Number("minReaderVersion", row).value_or(1));
    state.protocol.writer =
        static_cast<int32_t>(protocol.Number("minWriterVersion", row).value_or(2));
    state.protocol.reader_features = protocol.Names("readerFeatures", row);
    state.protocol.writer_features = protocol.Names("writerFeatures", row);
  }
  return {};
}

Result<State> Read(std::string_view bytes, int64_t version) {
  const auto fail = [](const arrow::Status& status) { return BadCheckpoint(status.ToString()); };
  auto source = std::make_shared<arrow::io::BufferReader>(std::make_shared<arrow::Buffer>(
      reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int64_t>(bytes.size())));
  auto opened = ::parquet::arrow::OpenFile(source, arrow::default_memory_pool());
  if (!opened.ok()) return fail(opened.status());
  auto batches = (*opened)->GetRecordBatchReader();
  if (!batches.ok()) return fail(batches.status());
  State state;
  bool has_protocol = false;
  while (true) {
    auto batch = (*batches)->Next();
    if (!batch.ok()) return fail(batch.status());
    if (*batch == nullptr) break;
    if (const auto valid = (*batch)->ValidateFull(); !valid.ok()) return fail(valid);
    TRY(TakeBatch(**batch, state, &has_protocol));
  }
  if (!has_protocol || state.table.id.empty()) return BadCheckpoint("no protocol or no metaData");
  TRY(CheckReaderProtocol(state.protocol));
  state.version = version;
  return state;
}

}  // namespace

Result<State> ReadCheckpoint(std::string_view bytes, int64_t version) {
  try {
    return Read(bytes, version);
  } catch (const std::exception& e) {
    return BadCheckpoint(e.what());
  }
}

}  // namespace varve::table::delta
