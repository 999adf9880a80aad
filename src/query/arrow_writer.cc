// Arrow IPC streams and Parquet, both through Arrow's C++ writers, straight into the sink: Parquet
// needs no way back, so no file of ours is in between. Row groups are cut by bytes held, so that
// memory stays bounded whatever the rows' width.
#include <arrow/array.h>
#include <arrow/c/bridge.h>
#include <arrow/io/interfaces.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <fmt/format.h>
#include <parquet/arrow/writer.h>

#include "query/result_writer.h"

namespace varve::query {

namespace {

constexpr int64_t kRowGroupRows = 122'880;
constexpr int64_t kRowGroupBytes = 32 << 20;

Error FromArrow(const arrow::Status& status) {
  return MakeError(ErrorKind::kInternal, "QUERY_FAILED",
                   fmt::format("write the result: {}", status.message()));
}

// Arrow's output is ours; a refusal of ours is kept, because Arrow's Status cannot carry it.
class OutputBridge : public arrow::io::OutputStream {
 public:
  explicit OutputBridge(Output* output) : output_(output) {}

  arrow::Status Write(const void* data, int64_t size) override {
    output_->buffer().append(static_cast<const char*>(data), static_cast<size_t>(size));
    position_ += size;
    Status flushed = output_->FlushIfFull();
    if (flushed.ok()) return arrow::Status::OK();
    refusal_ = std::move(flushed).error();
    return arrow::Status::Cancelled("the result is not taken");
  }
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> Tell() const override { return position_; }
  bool closed() const override { return closed_; }

  Status Check(const arrow::Status& status) const {
    if (refusal_) return *refusal_;
    if (!status.ok()) return FromArrow(status);
    return {};
  }

 private:
  Output* output_;
  int64_t position_ = 0;
  bool closed_ = false;
  std::optional<Error> refusal_;
};

class ArrowBatches {
 public:
  explicit ArrowBatches(const ResultColumns& columns) : columns_(columns) {}

  Result<std::shared_ptr<arrow::Schema>> Schema() {
    std::vector<duckdb_logical_type> types;
    std::vector<const char*> names;
    for (size_t i = 0; i < columns_.names.size(); ++i) {
      types.push_back(columns_.logical[i].get());
      names.push_back(columns_.names[i].c_str());
    }
    ArrowSchema exported{};
    const ErrorData failed(duckdb_to_arrow_schema(columns_.arrow.get(), types.data(), names.data(),
                                                  types.size(), &exported));
    if (failed) return FromDuckError(duckdb_error_data_message(failed.get()));
    auto imported = arrow::ImportSchema(&exported);
    if (!imported.ok()) return FromArrow(imported.status());
    schema_ = *imported;
    return schema_;
  }

  Result<std::shared_ptr<arrow::RecordBatch>> Batch(duckdb_data_chunk chunk, idx_t first,
                                                    idx_t count) {
    ArrowArray exported{};
    const ErrorData failed(duckdb_data_chunk_to_arrow(columns_.arrow.get(), chunk, &exported));
    if (failed) return FromDuckError(duckdb_error_data_message(failed.get()));
    auto imported = arrow::ImportRecordBatch(&exported, schema_);
    if (!imported.ok()) return FromArrow(imported.status());
    return (*imported)->Slice(static_cast<int64_t>(first), static_cast<int64_t>(count));
  }

 private:
  const ResultColumns& columns_;
  std::shared_ptr<arrow::Schema> schema_;
};

class ArrowWriter : public ResultWriter {
 public:
  ArrowWriter(const ResultColumns& columns, Output* output)
      : batches_(columns), output_(output), bridge_(std::make_shared<OutputBridge>(output)) {}

  Status Begin() override {
    auto made = arrow::ipc::MakeStreamWriter(bridge_, TRY(batches_.Schema()));
    TRY(bridge_->Check(made.status()));
    writer_ = *made;
    return {};
  }
  Status Rows(duckdb_data_chunk chunk, idx_t first, idx_t count) override {
    return bridge_->Check(writer_->WriteRecordBatch(*TRY(batches_.Batch(chunk, first, count))));
  }
  Status End(const PageEnd&) override {
    TRY(bridge_->Check(writer_->Close()));
    return output_->Flush();
  }

 private:
  ArrowBatches batches_;
  Output* output_;
  std::shared_ptr<OutputBridge> bridge_;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

class ParquetWriter : public ResultWriter {
 public:
  ParquetWriter(const ResultColumns& columns, Output* output)
      : batches_(columns), output_(output), bridge_(std::make_shared<OutputBridge>(output)) {}

  Status Begin() override {
    parquet::WriterProperties::Builder properties;
    properties.created_by("varve")
        ->compression(parquet::Compression::SNAPPY)
        ->max_row_group_length(kRowGroupRows);
    auto made = parquet::arrow::FileWriter::Open(
        *TRY(batches_.Schema()), arrow::default_memory_pool(), bridge_, properties.build());
    TRY(bridge_->Check(made.status()));
    writer_ = std::move(*made);
    return {};
  }

  Status Rows(duckdb_data_chunk chunk, idx_t first, idx_t count) override {
    const auto batch = TRY(batches_.Batch(chunk, first, count));
    if (held_bytes_ > kRowGroupBytes) {
      TRY(bridge_->Check(writer_->NewBufferedRowGroup()));
      held_bytes_ = 0;
    }
    for (const auto& column : batch->columns()) {
      for (const auto& buffer : column->data()->buffers) held_bytes_ += buffer ? buffer->size() : 0;
    }
    return bridge_->Check(writer_->WriteRecordBatch(*batch));
  }

  Status End(const PageEnd&) override {
    TRY(bridge_->Check(writer_->Close()));
    return output_->Flush();
  }

 private:
  ArrowBatches batches_;
  Output* output_;
  std::shared_ptr<OutputBridge> bridge_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  int64_t held_bytes_ = 0;  // about what the open row group holds
};

}  // namespace

std::unique_ptr<ResultWriter> MakeArrowWriter(const ResultColumns& columns, Output* output) {
  return std::make_unique<ArrowWriter>(columns, output);
}
std::unique_ptr<ResultWriter> MakeParquetWriter(const ResultColumns& columns, Output* output) {
  return std::make_unique<ParquetWriter>(columns, output);
}

}  // namespace varve::query
