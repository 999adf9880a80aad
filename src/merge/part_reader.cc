#include "merge/part_reader.h"

#include <arrow/compute/cast.h>
#include <arrow/io/file.h>

namespace varve::merge {

namespace pq = ::parquet;

namespace {

constexpr int64_t kBatchRows = 4096;

pq::ArrowReaderProperties Properties() {
  pq::ArrowReaderProperties properties = pq::default_arrow_reader_properties();
  properties.set_batch_size(kBatchRows);
  properties.set_pre_buffer(false);
  return properties;
}

// Whether values of the one type lie in memory as those of the other: names and what may be null
// may differ.
bool SameLayout(const arrow::DataType& a, const arrow::DataType& b) {
  if (a.num_fields() == 0) return a.Equals(b);
  if (a.id() != b.id() || a.num_fields() != b.num_fields()) return false;
  for (int i = 0; i < a.num_fields(); ++i) {
    if (!SameLayout(*a.field(i)->type(), *b.field(i)->type())) return false;
  }
  return true;
}

std::shared_ptr<arrow::ArrayData> Retyped(const arrow::ArrayData& data,
                                          const std::shared_ptr<arrow::DataType>& type) {
  auto out = data.Copy();
  out->type = type;
  for (size_t i = 0; i < out->child_data.size(); ++i) {
    out->child_data[i] = Retyped(*data.child_data[i], type->field(static_cast<int>(i))->type());
  }
  return out;
}

}  // namespace

Status PartReader::Open() {
  auto file = arrow::io::ReadableFile::Open(inputs_.path(part_));
  if (!file.ok()) return Bad(file.status());
  pq::arrow::FileReaderBuilder builder;
  pq::ReaderProperties properties = pq::default_reader_properties();
  properties.enable_buffered_stream();
  properties.set_page_checksum_verification(true);
  auto status = builder.Open(*file, properties);
  if (!status.ok()) return Bad(status);
  builder.properties(Properties());
  status = builder.Build(&reader_);
  if (!status.ok()) return Bad(status);
  auto batches = reader_->GetRecordBatchReader({static_cast<int>(part_.group)});
  if (!batches.ok()) return Bad(batches.status());
  batches_ = std::move(*batches);
  return {};
}

Result<std::shared_ptr<arrow::RecordBatch>> PartReader::Next(uint32_t from, uint32_t rows) {
  while (batch_ == nullptr || from >= begin_ + static_cast<uint32_t>(batch_->num_rows())) {
    begin_ += batch_ == nullptr ? 0 : static_cast<uint32_t>(batch_->num_rows());
    std::shared_ptr<arrow::RecordBatch> next;
    const auto status = batches_->ReadNext(&next);
    if (!status.ok()) return Bad(status);
    if (next == nullptr) {
      return MakeError(ErrorKind::kCorrupt, inputs_.path(part_) + ": row group " +
                                                std::to_string(part_.group) +
                                                " has fewer rows than the footer says");
    }
    batch_ = TRY(AsOutput(*next));
  }
  return batch_->Slice(from - begin_, rows);
}

Error PartReader::Bad(const arrow::Status& status) const {
  return MakeError(ErrorKind::kCorrupt, inputs_.path(part_) + ": row group " +
                                            std::to_string(part_.group) + ": " + status.message());
}

Result<std::shared_ptr<arrow::RecordBatch>> PartReader::AsOutput(
    const arrow::RecordBatch& batch) const {
  std::vector<std::shared_ptr<arrow::Array>> columns;
  for (const auto& field : schema_.fields()) {
    auto column = batch.GetColumnByName(field->name());
    if (column == nullptr) {
      auto nulls = arrow::MakeArrayOfNull(field->type(), batch.num_rows());
      if (!nulls.ok()) return Bad(nulls.status());
      column = std::move(*nulls);
    } else if (!column->type()->Equals(field->type()) &&
               SameLayout(*column->type(), *field->type())) {
      column = arrow::MakeArray(Retyped(*column->data(), field->type()));
    } else if (!column->type()->Equals(field->type())) {
      auto cast = arrow::compute::Cast(*column, field->type());
      if (!cast.ok()) return Bad(cast.status());
      column = std::move(*cast);
    }
    columns.push_back(std::move(column));
  }
  return arrow::RecordBatch::Make(arrow::schema(schema_.fields()), batch.num_rows(), columns);
}

}  // namespace varve::merge
