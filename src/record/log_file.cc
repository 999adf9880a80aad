// Log rows as a 16-column Parquet file.
#include <parquet/file_writer.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

#include <algorithm>
#include <functional>
#include <span>

#include "record/log_row.h"
#include "record/parquet_sink.h"
#include "record/parquet_try.h"

namespace varve::record {
namespace {

using parquet::schema::GroupNode;
using parquet::schema::NodePtr;
using parquet::schema::PrimitiveNode;
using Rows = std::span<const LogRow>;

constexpr size_t kRowGroupRows = 5'000;
constexpr int kTimestampColumn = 3;

NodePtr Column(size_t index, parquet::Repetition::type repetition, parquet::Type::type type) {
  std::string name(kLogColumnNames[index]);
  auto logical = type == parquet::Type::BYTE_ARRAY ? parquet::LogicalType::String()
                                                   : parquet::LogicalType::None();
  return PrimitiveNode::Make(name, repetition, logical, type);
}

std::shared_ptr<GroupNode> LogSchema() {
  using parquet::Type;
  constexpr auto kRequired = parquet::Repetition::REQUIRED;
  constexpr auto kOptional = parquet::Repetition::OPTIONAL;
  const std::pair<parquet::Repetition::type, Type::type> columns[16] = {
      {kRequired, Type::BYTE_ARRAY}, {kRequired, Type::BYTE_ARRAY}, {kRequired, Type::INT64},
      {kRequired, Type::INT64},      {kRequired, Type::BYTE_ARRAY}, {kRequired, Type::BYTE_ARRAY},
      {kOptional, Type::BYTE_ARRAY}, {kOptional, Type::BYTE_ARRAY}, {kOptional, Type::INT32},
      {kRequired, Type::BYTE_ARRAY}, {kRequired, Type::BOOLEAN},    {kOptional, Type::BYTE_ARRAY},
      {kOptional, Type::BYTE_ARRAY}, {kOptional, Type::BYTE_ARRAY}, {kOptional, Type::BYTE_ARRAY},
      {kRequired, Type::INT32}};
  parquet::schema::NodeVector nodes;
  for (size_t i = 0; i < 16; ++i) {
    nodes.push_back(Column(i, columns[i].first, columns[i].second));
  }
  return std::static_pointer_cast<GroupNode>(
      GroupNode::Make("schema", parquet::Repetition::REQUIRED, nodes));
}

parquet::Compression::type CodecOf(LogCodec codec) {
  switch (codec) {
    case LogCodec::kNone:
      return parquet::Compression::UNCOMPRESSED;
    case LogCodec::kSnappy:
      return parquet::Compression::SNAPPY;
    case LogCodec::kGzip:
      return parquet::Compression::GZIP;
    case LogCodec::kLz4:
      return parquet::Compression::LZ4;  // written as LZ4_RAW
    case LogCodec::kZstd:
      return parquet::Compression::ZSTD;
  }
  return parquet::Compression::UNCOMPRESSED;
}

// value(row) → T for a required column, std::optional<T> for an optional one; T as libparquet's.
template <typename Writer, typename F>
void WriteColumn(parquet::RowGroupWriter& group, Rows rows, F value) {
  using T = typename Writer::T;
  auto* writer = static_cast<Writer*>(group.NextColumn());
  std::unique_ptr<T[]> values(new T[rows.size()]);
  std::vector<int16_t> levels;
  size_t count = 0;
  for (const LogRow& row : rows) {
    auto one = value(row);
    if constexpr (std::is_same_v<decltype(one), T>) {
      values[count++] = one;
    } else {
      levels.push_back(one.has_value() ? 1 : 0);
      if (one.has_value()) values[count++] = *one;
    }
  }
  const auto size = static_cast<int64_t>(rows.size());
  writer->WriteBatch(size, levels.empty() ? nullptr : levels.data(), nullptr, values.get());
  writer->Close();
}

parquet::ByteArray Bytes(const std::string& text) {
  return {static_cast<uint32_t>(text.size()), reinterpret_cast<const uint8_t*>(text.data())};
}

void WriteText(parquet::RowGroupWriter& group, Rows rows, std::string LogRow::*member) {
  WriteColumn<parquet::ByteArrayWriter>(group, rows,
                                        [&](const LogRow& row) { return Bytes(row.*member); });
}

void WriteText(parquet::RowGroupWriter& group, Rows rows,
               std::optional<std::string> LogRow::*member) {
  WriteColumn<parquet::ByteArrayWriter>(group, rows, [&](const LogRow& row) {
    const std::optional<std::string>& text = row.*member;
    return text ? std::optional(Bytes(*text)) : std::nullopt;
  });
}

template <typename Writer, typename M>
void WriteNumber(parquet::RowGroupWriter& group, Rows rows, M LogRow::*member) {
  WriteColumn<Writer>(group, rows, [&](const LogRow& row) { return row.*member; });
}

void WriteRowGroup(parquet::RowGroupWriter& group, Rows rows) {
  using parquet::Int32Writer;
  using parquet::Int64Writer;
  WriteText(group, rows, &LogRow::id);
  WriteText(group, rows, &LogRow::script_name);
  WriteNumber<Int64Writer>(group, rows, &LogRow::event_timestamp);
  WriteNumber<Int64Writer>(group, rows, &LogRow::timestamp);
  WriteText(group, rows, &LogRow::level);
  WriteText(group, rows, &LogRow::message);
  WriteText(group, rows, &LogRow::http_method);
  WriteText(group, rows, &LogRow::http_url);
  WriteNumber<Int32Writer>(group, rows, &LogRow::http_status);
  WriteText(group, rows, &LogRow::outcome);
  WriteNumber<parquet::BoolWriter>(group, rows, &LogRow::is_exception);
  WriteText(group, rows, &LogRow::exception_name);
  WriteText(group, rows, &LogRow::colo);
  WriteText(group, rows, &LogRow::country);
  WriteText(group, rows, &LogRow::request_id);
  WriteNumber<Int32Writer>(group, rows, &LogRow::fetch_count);
  group.Close();
}

std::shared_ptr<parquet::WriterProperties> PropertiesOf(LogCodec codec) {
  parquet::WriterProperties::Builder builder;
  builder.compression(CodecOf(codec));
  builder.disable_dictionary("id");
  builder.disable_dictionary("message");
  builder.enable_write_page_index();
  builder.enable_page_checksum();
  builder.set_sorting_columns({{kTimestampColumn, false, false}});
  builder.created_by("varve");
  return builder.build();
}

}  // namespace

Result<std::string> WriteLogFile(std::vector<LogRow> rows, LogCodec codec) {
  if (rows.empty()) return MakeError(ErrorKind::kInvalid, "log file: there are no rows");
  std::stable_sort(rows.begin(), rows.end(),
                   [](const LogRow& a, const LogRow& b) { return a.timestamp < b.timestamp; });
  std::string bytes;
  auto sink = std::make_shared<SinkStream>([&bytes](std::string_view part) -> Status {
    bytes += part;
    return {};
  });
  TRY(TryParquet("write log file", [&] {
    auto file = parquet::ParquetFileWriter::Open(sink, LogSchema(), PropertiesOf(codec));
    for (size_t start = 0; start < rows.size(); start += kRowGroupRows) {
      Rows part = Rows(rows).subspan(start, std::min(kRowGroupRows, rows.size() - start));
      WriteRowGroup(*file->AppendRowGroup(), part);
    }
    file->Close();
  }));
  return bytes;
}

}  // namespace varve::record
