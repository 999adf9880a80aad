#include "merge/part_reader.h"

#include <parquet/column_reader.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <optional>

#include "merge/arrow_input.h"
#include "merge/row_types.h"
#include "parquet/timestamp_unit.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace pq = ::parquet;

using parquet::TimestampUnit;

namespace {

constexpr int64_t kBatchRows = 4096;

pq::ArrowReaderProperties Properties() {
  pq::ArrowReaderProperties properties = pq::default_arrow_reader_properties();
  properties.set_batch_size(kBatchRows);
  properties.set_pre_buffer(false);
  properties.set_convert_flba_timestamps(false);
  return properties;
}

// Arrow reads INT96 in a unit, that of the output or nanoseconds, and lets it wrap around.
std::optional<TimestampUnit> Int96Unit(const InputSet& inputs, const Part& part, size_t column) {
  const int chunk = inputs.layout(part).chunk_of[column];
  if (chunk < 0) return std::nullopt;
  const auto& from = inputs.layout(part).shapes[static_cast<size_t>(chunk)];
  if (from.physical != pq::Type::INT96) return std::nullopt;
  const TimestampUnit to = inputs.columns[column].shape.unit;
  return to == TimestampUnit::kNone ? TimestampUnit::kNanos : to;
}

arrow::TimeUnit::type ArrowUnit(TimestampUnit unit) {
  if (unit == TimestampUnit::kMillis) return arrow::TimeUnit::MILLI;
  return unit == TimestampUnit::kMicros ? arrow::TimeUnit::MICRO : arrow::TimeUnit::NANO;
}

Status CheckInt96(pq::ColumnReader& column, TimestampUnit unit) {
  auto& reader = static_cast<pq::Int96Reader&>(column);
  std::vector<pq::Int96> values(kBatchRows);
  std::vector<int16_t> levels(2 * kBatchRows);
  std::vector<int64_t> out(kBatchRows);
  while (reader.HasNext()) {
    int64_t got = 0;
    reader.ReadBatch(kBatchRows, levels.data(), levels.data() + kBatchRows, values.data(), &got);
    const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
    if (!parquet::ConvertInt96(unit, bytes, static_cast<size_t>(got), out.data())) {
      return parquet::TimestampRangeError(unit);
    }
  }
  return {};
}

}  // namespace

Status PartReader::Open() {
  input_ = std::make_shared<ArrowInput>(*inputs_.files, part_.file);
  pq::arrow::FileReaderBuilder builder;
  pq::ReaderProperties properties(RowMemory());
  properties.enable_buffered_stream();
  properties.set_page_checksum_verification(true);
  auto status = builder.Open(input_, properties);
  if (!status.ok()) return Bad(status);
  pq::ArrowReaderProperties arrow_properties = Properties();
  std::vector<size_t> int96;
  for (size_t i = 0; i < inputs_.columns.size(); ++i) {
    const auto unit = Int96Unit(inputs_, part_, i);
    if (!unit) continue;
    arrow_properties.set_coerce_int96_timestamp_unit(ArrowUnit(*unit));
    int96.push_back(i);
  }
  builder.properties(arrow_properties)->memory_pool(RowMemory());
  status = builder.Build(&reader_);
  if (!status.ok()) return Bad(status);
  for (const size_t column : int96) TRY(CheckTimes(column));
  auto batches = reader_->GetRecordBatchReader({static_cast<int>(part_.group)});
  if (!batches.ok()) return Bad(batches.status());
  batches_ = std::move(*batches);
  return {};
}

Status PartReader::CheckTimes(size_t column) const {
  const int chunk = inputs_.layout(part_).chunk_of[column];
  Status checked;
  auto read = parquet::TryParquet(
      "read its times",
      [&] {
        const auto group = reader_->parquet_reader()->RowGroup(static_cast<int>(part_.group));
        checked = CheckInt96(*group->Column(chunk), *Int96Unit(inputs_, part_, column));
      },
      ErrorKind::kCorrupt);
  if (read.ok()) read = std::move(checked);
  if (read.ok()) return {};
  return InPlace(inputs_, part_, inputs_.columns[column].name, read.error());
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

// A column by itself has as many rows as the part; if all have, it is not known.
std::optional<std::string> PartReader::BadColumn() const {
  if (batches_ == nullptr) return std::nullopt;
  const auto& schema = *reader_->parquet_reader()->metadata()->schema();
  for (int column = 0; column < schema.num_columns(); ++column) {
    int64_t rows = 0;
    const auto alone = reader_->GetRecordBatchReader({static_cast<int>(part_.group)}, {column});
    for (auto status = alone.status(); status.ok();) {
      std::shared_ptr<arrow::RecordBatch> batch;
      status = (*alone)->ReadNext(&batch);
      if (!status.ok() || batch == nullptr) break;
      rows += batch->num_rows();
    }
    if (rows != part_.rows) return schema.Column(column)->path()->ToDotString();
  }
  return std::nullopt;
}

Error PartReader::Bad(const arrow::Status& status) const {
  if (input_ != nullptr && !input_->error().ok()) return input_->error().error();
  Error error = MakeError(ErrorKind::kCorrupt, status.message());
  if (const auto column = BadColumn()) return InPlace(inputs_, part_, *column, std::move(error));
  return std::move(error).Context(inputs_.path(part_) + ": row group " +
                                  std::to_string(part_.group));
}

Result<std::shared_ptr<arrow::RecordBatch>> PartReader::AsOutput(
    const arrow::RecordBatch& batch) const {
  std::vector<std::shared_ptr<arrow::Array>> columns;
  for (const auto& field : schema_.fields()) {
    auto column = batch.GetColumnByName(field->name());
    if (column == nullptr) {
      column = arrow::MakeArray(TRY(NullRows(field->type(), batch.num_rows())));
    } else {
      auto retyped = Retyped(*column->data(), field->type());
      if (!retyped.ok()) return InPlace(inputs_, part_, field->name(), retyped.error());
      column = arrow::MakeArray(*retyped);
    }
    columns.push_back(std::move(column));
  }
  return arrow::RecordBatch::Make(arrow::schema(schema_.fields()), batch.num_rows(), columns);
}

}  // namespace varve::merge
