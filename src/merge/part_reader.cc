#include "merge/part_reader.h"

#include <arrow/compute/cast.h>
#include <arrow/io/file.h>
#include <parquet/column_reader.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <optional>

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
  return properties;
}

TimestampUnit UnitOf(const arrow::DataType& type) {
  if (type.id() != arrow::Type::TIMESTAMP) return TimestampUnit::kNone;
  switch (static_cast<const arrow::TimestampType&>(type).unit()) {
    case arrow::TimeUnit::MILLI:
      return TimestampUnit::kMillis;
    case arrow::TimeUnit::MICRO:
      return TimestampUnit::kMicros;
    case arrow::TimeUnit::NANO:
      return TimestampUnit::kNanos;
    default:
      return TimestampUnit::kNone;
  }
}

// Whether values of the one type lie in memory as those of the other, but for the unit of times:
// names and what may be null may differ.
bool SameLayout(const arrow::DataType& a, const arrow::DataType& b) {
  if (UnitOf(a) != TimestampUnit::kNone) return UnitOf(b) != TimestampUnit::kNone;
  if (a.num_fields() == 0) return a.Equals(b);
  if (a.id() != b.id() || a.num_fields() != b.num_fields()) return false;
  for (int i = 0; i < a.num_fields(); ++i) {
    if (!SameLayout(*a.field(i)->type(), *b.field(i)->type())) return false;
  }
  return true;
}

// Rounds down, which Arrow's cast does not.
Result<std::shared_ptr<arrow::Buffer>> InUnit(const arrow::ArrayData& data, TimestampUnit from,
                                              TimestampUnit to) {
  const int64_t end = data.offset + data.length;
  auto made = arrow::AllocateBuffer(end * int64_t{sizeof(int64_t)});
  if (!made.ok()) return MakeError(ErrorKind::kExhausted, made.status().message());
  std::shared_ptr<arrow::Buffer> buffer = std::move(*made);
  auto* out = reinterpret_cast<int64_t*>(buffer->mutable_data());
  std::fill(out, out + end, 0);
  const auto* values = data.GetValues<int64_t>(1);
  for (int64_t i = 0; i < data.length; ++i) {
    if (!data.IsValid(i)) continue;
    const auto* value = reinterpret_cast<const uint8_t*>(values + i);
    if (parquet::ConvertTimestamps(from, to, value, 1, out + data.offset + i)) continue;
    return parquet::TimestampRangeError(to);
  }
  return buffer;
}

Result<std::shared_ptr<arrow::ArrayData>> Retyped(const arrow::ArrayData& data,
                                                  const std::shared_ptr<arrow::DataType>& type) {
  auto out = data.Copy();
  out->type = type;
  const TimestampUnit from = UnitOf(*data.type), to = UnitOf(*type);
  if (from != to) out->buffers[1] = TRY(InUnit(data, from, to));
  for (size_t i = 0; i < out->child_data.size(); ++i) {
    const auto& child = type->field(static_cast<int>(i))->type();
    out->child_data[i] = TRY(Retyped(*data.child_data[i], child));
  }
  return out;
}

// Arrow reads INT96 in the unit that the output has, and lets it wrap around.
std::optional<TimestampUnit> Int96Unit(const InputSet& inputs, const Part& part, size_t column) {
  const int chunk = inputs.layout(part).chunk_of[column];
  if (chunk < 0) return std::nullopt;
  const auto& from = inputs.layout(part).shapes[static_cast<size_t>(chunk)];
  const auto& to = inputs.columns[column].shape;
  if (from.physical != pq::Type::INT96 || to.unit == TimestampUnit::kNone) return std::nullopt;
  return to.unit;
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
  auto file = arrow::io::ReadableFile::Open(inputs_.path(part_));
  if (!file.ok()) return Bad(file.status());
  pq::arrow::FileReaderBuilder builder;
  pq::ReaderProperties properties = pq::default_reader_properties();
  properties.enable_buffered_stream();
  properties.set_page_checksum_verification(true);
  auto status = builder.Open(*file, properties);
  if (!status.ok()) return Bad(status);
  pq::ArrowReaderProperties arrow_properties = Properties();
  std::vector<size_t> int96;
  for (size_t i = 0; i < inputs_.columns.size(); ++i) {
    const auto unit = Int96Unit(inputs_, part_, i);
    if (!unit) continue;
    const bool millis = *unit == TimestampUnit::kMillis;
    arrow_properties.set_coerce_int96_timestamp_unit(millis ? arrow::TimeUnit::MILLI
                                                            : arrow::TimeUnit::MICRO);
    int96.push_back(i);
  }
  builder.properties(arrow_properties);
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
      auto retyped = Retyped(*column->data(), field->type());
      if (!retyped.ok()) return InPlace(inputs_, part_, field->name(), retyped.error());
      column = arrow::MakeArray(*retyped);
    } else if (!column->type()->Equals(field->type())) {
      auto cast = arrow::compute::Cast(*column, field->type());
      if (!cast.ok()) {
        return InPlace(inputs_, part_, field->name(),
                       MakeError(ErrorKind::kInvalid, cast.status().message()));
      }
      column = std::move(*cast);
    }
    columns.push_back(std::move(column));
  }
  return arrow::RecordBatch::Make(arrow::schema(schema_.fields()), batch.num_rows(), columns);
}

}  // namespace varve::merge
