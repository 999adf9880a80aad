#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/writer.h>

#include <algorithm>

#include "table/delta/checkpoint.h"

namespace varve::table::delta {
namespace {

constexpr int64_t kGroupRows = 50'000;

std::shared_ptr<arrow::DataType> TextMap() { return arrow::map(arrow::utf8(), arrow::utf8()); }

std::shared_ptr<arrow::Schema> CheckpointSchema() {
  using arrow::field;
  const auto& text = arrow::utf8();
  const auto& number = arrow::int64();
  const auto& flag = arrow::boolean();
  const auto names = arrow::list(field("element", text, false));
  const auto format =
      arrow::struct_({field("provider", text, false), field("options", TextMap(), false)});
  return arrow::schema({
      field("txn", arrow::struct_({field("appId", text, false), field("version", number, false),
                                   field("lastUpdated", number)})),
      field("add",
            arrow::struct_({field("path", text, false), field("partitionValues", TextMap(), false),
                            field("size", number, false), field("modificationTime", number, false),
                            field("dataChange", flag, false), field("stats", text)})),
      field("remove",
            arrow::struct_({field("path", text, false), field("deletionTimestamp", number),
                            field("dataChange", flag, false), field("extendedFileMetadata", flag),
                            field("partitionValues", TextMap()), field("size", number)})),
      field(
          "metaData",
          arrow::struct_({field("id", text, false), field("name", text), field("description", text),
                          field("format", format, false), field("schemaString", text, false),
                          field("partitionColumns", names, false),
                          field("configuration", TextMap(), false), field("createdTime", number)})),
      field("protocol",
            arrow::struct_({field("minReaderVersion", arrow::int32(), false),
                            field("minWriterVersion", arrow::int32(), false),
                            field("readerFeatures", names), field("writerFeatures", names)})),
  });
}

// A column's builder, and calls that append to its children; an error is kept until the end.
class WrittenColumn {
 public:
  WrittenColumn(arrow::RecordBatchBuilder& batch, int index)
      : builder_(static_cast<arrow::StructBuilder*>(batch.GetField(index))) {}

  arrow::StructBuilder* builder() { return builder_; }
  void Text(int child, const std::string& value) {
    Keep(static_cast<arrow::StringBuilder*>(At(child))->Append(value));
  }
  void TextOrNull(int child, const std::string& value) {
    value.empty() ? Keep(At(child)->AppendNull()) : Text(child, value);
  }
  void Number(int child, std::optional<int64_t> value) {
    Keep(value ? static_cast<arrow::Int64Builder*>(At(child))->Append(*value)
               : At(child)->AppendNull());
  }
  void Number32(int child, int32_t value) {
    Keep(static_cast<arrow::Int32Builder*>(At(child))->Append(value));
  }
  void Flag(int child, bool value) {
    Keep(static_cast<arrow::BooleanBuilder*>(At(child))->Append(value));
  }
  void Values(int child, const PartitionValues& values) {
    auto* map = static_cast<arrow::MapBuilder*>(At(child));
    Keep(map->Append());
    for (const auto& [key, value] : values) {
      Keep(static_cast<arrow::StringBuilder*>(map->key_builder())->Append(key));
      auto* item = static_cast<arrow::StringBuilder*>(map->item_builder());
      Keep(value ? item->Append(*value) : item->AppendNull());
    }
  }
  void Names(int child, const std::vector<std::string>& names) {
    auto* list = static_cast<arrow::ListBuilder*>(At(child));
    Keep(list->Append());
    for (const std::string& name : names) {
      Keep(static_cast<arrow::StringBuilder*>(list->value_builder())->Append(name));
    }
  }
  void Keep(arrow::Status status) {
    if (error_.ok()) error_ = std::move(status);
  }
  arrow::ArrayBuilder* At(int child) { return builder_->field_builder(child); }
  const arrow::Status& error() const { return error_; }

 private:
  arrow::StructBuilder* builder_;
  arrow::Status error_;
};

class Writer {
 public:
  explicit Writer(arrow::RecordBatchBuilder& batch) {
    for (int i = 0; i < 5; ++i) columns_.emplace_back(batch, i);
  }

  int64_t rows() const { return rows_; }
  arrow::Status error() const {
    for (const WrittenColumn& column : columns_) ARROW_RETURN_NOT_OK(column.error());
    return arrow::Status::OK();
  }

  void Take(const Txn& txn) {
    WrittenColumn& column = Row(0);
    column.Text(0, txn.app_id);
    column.Number(1, txn.version);
    column.Number(2, txn.updated_ms);
  }
  void Take(const Add& add) {
    WrittenColumn& column = Row(1);
    column.Text(0, add.path);
    column.Values(1, add.partition);
    column.Number(2, add.bytes);
    column.Number(3, add.modified_ms);
    column.Flag(4, false);
    column.TextOrNull(5, add.stats_json);
  }
  void Take(const Remove& remove) {
    WrittenColumn& column = Row(2);
    column.Text(0, remove.path);
    column.Number(1, remove.deleted_ms);
    column.Flag(2, false);
    column.Flag(3, true);
    column.Values(4, remove.partition);
    column.Number(5, remove.bytes);
  }
  void Take(const TableInfo& table) {
    WrittenColumn& column = Row(3);
    column.Text(0, table.id);
    column.TextOrNull(1, table.name);
    column.TextOrNull(2, table.description);
    auto* format = static_cast<arrow::StructBuilder*>(column.At(3));
    column.Keep(format->Append());
    column.Keep(static_cast<arrow::StringBuilder*>(format->field_builder(0))->Append("parquet"));
    column.Keep(static_cast<arrow::MapBuilder*>(format->field_builder(1))->Append());
    column.Text(4, table.schema_json);
    column.Names(5, table.partition_columns);
    PartitionValues configuration;
    for (const auto& [key, value] : table.configuration) configuration[key] = value;
    column.Values(6, configuration);
    column.Number(7, table.created_ms);
  }
  void Take(const Protocol& protocol) {
    WrittenColumn& column = Row(4);
    column.Number32(0, protocol.reader);
    column.Number32(1, protocol.writer);
    if (protocol.reader >= 3) {
      column.Names(2, protocol.reader_features);
    } else {
      column.Keep(column.At(2)->AppendNull());
    }
    if (protocol.writer >= 7) {
      column.Names(3, protocol.writer_features);
    } else {
      column.Keep(column.At(3)->AppendNull());
    }
  }

 private:
  // A row of this action: the others are null in it.
  WrittenColumn& Row(size_t action) {
    ++rows_;
    for (size_t i = 0; i < columns_.size(); ++i) {
      arrow::StructBuilder* builder = columns_[i].builder();
      columns_[i].Keep(i == action ? builder->Append() : builder->AppendNull());
    }
    return columns_[action];
  }

  std::vector<WrittenColumn> columns_;
  int64_t rows_ = 0;
};

template <typename T>
std::vector<const T*> Sorted(const std::unordered_map<std::string, T>& map) {
  std::vector<const T*> out;
  for (const auto& item : map) out.push_back(&item.second);
  std::sort(out.begin(), out.end(), [](const T* a, const T* b) { return a->path < b->path; });
  return out;
}

arrow::Result<Checkpoint> Write(const State& state, int64_t now_ms) {
  const auto schema = CheckpointSchema();
  ARROW_ASSIGN_OR_RAISE(auto batch,
                        arrow::RecordBatchBuilder::Make(schema, arrow::default_memory_pool()));
  Writer writer(*batch);
  writer.Take(state.protocol);
  writer.Take(state.table);
  const int64_t oldest_ms = now_ms - TombstoneRetentionMs(state.table);
  for (const auto& [app_id, txn] : state.txns) {
    const bool spent =
        app_id.starts_with(kCommitTxnPrefix) && txn.updated_ms.value_or(0) < oldest_ms;
    if (!spent) writer.Take(txn);
  }
  for (const Remove* remove : Sorted(state.tombstones)) {
    if (remove->deleted_ms.value_or(0) > oldest_ms) writer.Take(*remove);
  }
  for (const Add* add : Sorted(state.files)) writer.Take(*add);
  ARROW_RETURN_NOT_OK(writer.error());
  ARROW_ASSIGN_OR_RAISE(auto rows, batch->Flush());
  ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches({rows}));
  ARROW_ASSIGN_OR_RAISE(auto sink, arrow::io::BufferOutputStream::Create());
  const auto properties =
      parquet::WriterProperties::Builder().compression(arrow::Compression::SNAPPY)->build();
  ARROW_RETURN_NOT_OK(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), sink,
                                                 kGroupRows, properties));
  ARROW_ASSIGN_OR_RAISE(auto buffer, sink->Finish());
  Checkpoint out;
  out.bytes = buffer->ToString();
  out.actions = writer.rows();
  return out;
}

}  // namespace

Result<Checkpoint> WriteCheckpoint(const State& state, int64_t now_ms) {
  try {
    auto written = Write(state, now_ms);
    if (written.ok()) return std::move(*written);
    return MakeError(ErrorKind::kInternal, "checkpoint: " + written.status().ToString());
  } catch (const std::exception& e) {
    return MakeError(ErrorKind::kInternal, std::string("checkpoint: ") + e.what());
  }
}

}  // namespace varve::table::delta
