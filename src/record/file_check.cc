#include <arrow/buffer.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/record_batch.h>
#include <parquet/api/reader.h>
#include <parquet/arrow/reader.h>
#include <parquet/statistics.h>

#include <cerrno>
#include <filesystem>

#include "parquet/try_parquet.h"
#include "record/event_reader.h"
#include "record/log_row.h"

namespace varve::record {

namespace {

namespace pq = ::parquet;

constexpr int kLogTimestamp = 3;
constexpr uint64_t kMagicBytes = 4, kTailBytes = 8;
constexpr int64_t kVerifyBatchRows = 8'192;

template <size_t N>
bool HasColumns(const pq::SchemaDescriptor& schema, const std::string_view (&names)[N]) {
  if (schema.num_columns() != static_cast<int>(N)) return false;
  for (size_t i = 0; i < N; ++i) {
    const pq::ColumnDescriptor* column = schema.Column(static_cast<int>(i));
    if (column->name() != names[i] || column->max_repetition_level() != 0) return false;
  }
  return true;
}

bool HasTypes(const pq::SchemaDescriptor& schema, FileSchema kind) {
  for (int i = 0; i < schema.num_columns(); ++i) {
    pq::Type::type expected = pq::Type::BYTE_ARRAY;
    if (kind == FileSchema::kEvents) {
      if (i == kTs) expected = pq::Type::INT64;
      if (i == kVerified) expected = pq::Type::BOOLEAN;
      if (i == kStatusCode) expected = pq::Type::INT32;
      if (i == kDurationMs) expected = pq::Type::DOUBLE;
    } else {
      if (i == 2 || i == kLogTimestamp) expected = pq::Type::INT64;
      if (i == 8 || i == 15) expected = pq::Type::INT32;
      if (i == 10) expected = pq::Type::BOOLEAN;
    }
    if (schema.Column(i)->physical_type() != expected) return false;
  }
  return true;
}

FileSchema SchemaOf(const pq::SchemaDescriptor& schema) {
  if (HasColumns(schema, kEventColumnNames) && HasTypes(schema, FileSchema::kEvents)) {
    return FileSchema::kEvents;
  }
  if (HasColumns(schema, kLogColumnNames) && HasTypes(schema, FileSchema::kLogs)) {
    return FileSchema::kLogs;
  }
  return FileSchema::kOther;
}

// Does every column chunk lie within the file, and have as many values as its group has rows.
bool Fits(const pq::RowGroupMetaData& group, uint64_t file_bytes, bool flat) {
  if (group.num_rows() < 0) return false;
  for (int i = 0; i < group.num_columns(); ++i) {
    const auto chunk = group.ColumnChunk(i);
    if (group.num_rows() == 0 && chunk->num_values() == 0) continue;  // some have no place then
    int64_t begin = chunk->data_page_offset();
    if (chunk->has_dictionary_page() && chunk->dictionary_page_offset() > 0) {
      begin = std::min(begin, chunk->dictionary_page_offset());
    }
    const int64_t size = chunk->total_compressed_size();
    if (begin < static_cast<int64_t>(kMagicBytes) || size < 0) return false;
    if (static_cast<uint64_t>(begin) > file_bytes - kTailBytes ||
        static_cast<uint64_t>(size) > file_bytes - kTailBytes - static_cast<uint64_t>(begin)) {
      return false;
    }
    if (flat && chunk->num_values() != group.num_rows()) return false;
  }
  return true;
}

void Widen(const pq::RowGroupMetaData& group, int column, FileCheck* check) {
  const auto statistics = group.ColumnChunk(column)->statistics();
  if (statistics == nullptr || !statistics->HasMinMax()) {
    check->ts_min = check->ts_max = std::nullopt;
    return;
  }
  const auto& typed = static_cast<const pq::Int64Statistics&>(*statistics);
  check->ts_min = std::min(check->ts_min.value_or(INT64_MAX), typed.min());
  check->ts_max = std::max(check->ts_max.value_or(INT64_MIN), typed.max());
}

Error Corrupt(std::string_view what) {
  return MakeError(ErrorKind::kCorrupt, "CORRUPT_PARQUET", std::string(what));
}

Result<FileCheck> Check(const pq::FileMetaData& footer, uint64_t bytes) {
  FileCheck check;
  check.bytes = bytes;
  check.schema = SchemaOf(*footer.schema());
  const int time_column = check.schema == FileSchema::kEvents ? static_cast<int>(kTs)
                          : check.schema == FileSchema::kLogs ? kLogTimestamp
                                                              : -1;
  bool times_known = time_column >= 0;
  for (int i = 0; i < footer.num_row_groups(); ++i) {
    const auto group = footer.RowGroup(i);
    if (!Fits(*group, bytes, check.schema != FileSchema::kOther)) {
      return Corrupt("the footer does not fit the file");
    }
    check.rows += static_cast<uint64_t>(group->num_rows());
    if (times_known) {
      Widen(*group, time_column, &check);
      times_known = check.ts_min.has_value();
    }
  }
  check.row_groups = static_cast<uint64_t>(footer.num_row_groups());
  if (footer.num_rows() < 0 || check.rows != static_cast<uint64_t>(footer.num_rows())) {
    return Corrupt("the row groups do not add up to the file's rows");
  }
  return check;
}

Result<FileCheck> CheckFile(std::shared_ptr<arrow::io::RandomAccessFile> file, uint64_t bytes) {
  Result<FileCheck> check = Corrupt("not a Parquet file");
  auto read = parquet::TryParquet(
      "read a Parquet footer",
      [&] {
        const auto reader = pq::ParquetFileReader::Open(std::move(file));
        check = Check(*reader->metadata(), bytes);
      },
      ErrorKind::kCorrupt);
  if (!read.ok()) return Corrupt(read.error().message);
  return check;
}

pq::ReaderProperties VerifyingProperties() {
  pq::ReaderProperties properties;
  properties.set_page_checksum_verification(true);
  properties.enable_buffered_stream();  // a page in memory, not a column chunk
  return properties;
}

// Checksums and compression only: for types that Arrow has no values for.
void ReadPages(const std::string& path) {
  const auto reader = pq::ParquetFileReader::OpenFile(path, false, VerifyingProperties());
  for (int i = 0; i < reader->metadata()->num_row_groups(); ++i) {
    const auto group = reader->RowGroup(i);
    for (int column = 0; column < group->metadata()->num_columns(); ++column) {
      const auto pages = group->GetColumnPageReader(column);
      while (pages->NextPage() != nullptr) {
      }
    }
  }
}

// False: on_rows ended it.
arrow::Result<bool> ReadValues(const std::string& path,
                               const std::function<bool(uint64_t)>& on_rows) {
  pq::ArrowReaderProperties properties(/*use_threads=*/false);
  properties.set_pre_buffer(false);
  properties.set_batch_size(kVerifyBatchRows);
  pq::arrow::FileReaderBuilder builder;
  ARROW_RETURN_NOT_OK(builder.OpenFile(path, /*memory_map=*/false, VerifyingProperties()));
  builder.properties(properties);
  ARROW_ASSIGN_OR_RAISE(const auto reader, builder.Build());
  ARROW_ASSIGN_OR_RAISE(const auto batches, reader->GetRecordBatchReader());
  uint64_t rows = 0;
  for (std::shared_ptr<arrow::RecordBatch> batch;;) {
    ARROW_RETURN_NOT_OK(batches->ReadNext(&batch));
    if (batch == nullptr) return true;
    rows += static_cast<uint64_t>(batch->num_rows());
    if (!on_rows(rows)) return false;
  }
}

}  // namespace

Status VerifyParquetFile(const std::string& path, const std::function<bool(uint64_t)>& on_rows) {
  TRY(CheckParquetFile(path));
  bool ended = false;
  auto read = parquet::TryParquet(
      path,
      [&] {
        const arrow::Result<bool> values = ReadValues(path, on_rows);
        if (values.status().IsNotImplemented()) return ReadPages(path);
        if (!values.ok()) throw pq::ParquetException(values.status().message());
        ended = !*values;
      },
      ErrorKind::kCorrupt);
  if (!read.ok()) {
    Error error = std::move(read).error();
    if (error.kind == ErrorKind::kCorrupt) error.code = "CORRUPT_PARQUET";
    return error;
  }
  if (ended) return MakeError(ErrorKind::kCancelled, "CANCELLED", path + ": not read to its end");
  return {};
}

Result<FileCheck> CheckParquetFile(const std::string& path) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  if (error == std::errc::no_such_file_or_directory) {
    return MakeError(ErrorKind::kNotFound, path + ": no such file");
  }
  if (error) return ErrnoError(error.value(), "stat " + path);
  auto file = arrow::io::ReadableFile::Open(path);
  if (!file.ok()) return MakeError(ErrorKind::kInternal, file.status().ToString());
  auto check = CheckFile(*file, bytes);
  if (!check.ok()) return std::move(check).error().Context(path);
  return check;
}

Result<FileCheck> CheckParquetBytes(std::string_view bytes) {
  auto buffer = std::make_shared<arrow::Buffer>(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int64_t>(bytes.size()));
  return CheckFile(std::make_shared<arrow::io::BufferReader>(std::move(buffer)), bytes.size());
}

}  // namespace varve::record
