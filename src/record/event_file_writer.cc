// 1. Rows come sorted. A row group is open at a time, "buffered": its 13 column writers take values
//    in any order and keep their finished, compressed pages in memory until the group is closed.
// 2. The payload is nine tenths of the bytes and needs no decoding, so one thread writes it while
//    another decodes the events and writes the other twelve columns: both take about as long.
// 3. Values are pointers into the events' own JSON text; libparquet copies them once, into the
//    page (or looks them up in the dictionary).
// 4. Blocks of kBlockRows rows keep the decoded columns within the cache.
#include "record/event_file_writer.h"

#include <arrow/util/key_value_metadata.h>
#include <parquet/api/writer.h>

#include <algorithm>
#include <array>
#include <future>

#include "core/check.h"
#include "parquet/page_pool.h"
#include "parquet/sink_stream.h"
#include "parquet/try_parquet.h"
#include "record/event_columns.h"

namespace varve::record {

namespace {

constexpr size_t kBlockRows = 1024;
constexpr size_t kTypesMax = 10;
constexpr int64_t kDictionaryBytesMax = 1 << 20;

namespace pq = ::parquet;

pq::schema::NodePtr TextNode(EventColumn column, pq::Repetition::type repetition) {
  return pq::schema::PrimitiveNode::Make(std::string(kEventColumnNames[column]), repetition,
                                         pq::LogicalType::String(), pq::Type::BYTE_ARRAY);
}

pq::schema::NodePtr PlainNode(EventColumn column, pq::Type::type type) {
  return pq::schema::PrimitiveNode::Make(std::string(kEventColumnNames[column]),
                                         pq::Repetition::OPTIONAL, pq::LogicalType::None(), type);
}

std::shared_ptr<pq::schema::GroupNode> EventSchema() {
  const auto ts_type = pq::LogicalType::Timestamp(true, pq::LogicalType::TimeUnit::MILLIS);
  pq::schema::NodeVector nodes;
  for (uint8_t i = 0; i < kEventColumnCount; ++i) {
    const auto column = static_cast<EventColumn>(i);
    switch (column) {
      case kTs:
        nodes.push_back(pq::schema::PrimitiveNode::Make("ts", pq::Repetition::REQUIRED, ts_type,
                                                        pq::Type::INT64));
        break;
      case kType:
        nodes.push_back(TextNode(column, pq::Repetition::REQUIRED));
        break;
      case kVerified:
        nodes.push_back(PlainNode(column, pq::Type::BOOLEAN));
        break;
      case kStatusCode:
        nodes.push_back(PlainNode(column, pq::Type::INT32));
        break;
      case kDurationMs:
        nodes.push_back(PlainNode(column, pq::Type::DOUBLE));
        break;
      default:
        nodes.push_back(TextNode(column, pq::Repetition::OPTIONAL));
    }
  }
  return std::static_pointer_cast<pq::schema::GroupNode>(
      pq::schema::GroupNode::Make("event", pq::Repetition::REQUIRED, nodes));
}

std::shared_ptr<pq::WriterProperties> EventProperties(arrow::MemoryPool* pool) {
  pq::WriterProperties::Builder builder;
  builder.memory_pool(pool)
      ->created_by("varve")
      ->compression(pq::Compression::SNAPPY)
      ->version(pq::ParquetVersion::PARQUET_2_6)
      ->data_page_version(pq::ParquetDataPageVersion::V1)
      ->dictionary_pagesize_limit(kDictionaryBytesMax)
      ->enable_write_page_index()
      ->enable_page_checksum()
      ->set_size_statistics_level(pq::SizeStatisticsLevel::None)
      ->set_sorting_columns({pq::SortingColumn{kTs, false, false}});
  for (const EventColumn column : {kTs, kDurationMs, kPayload}) {
    builder.disable_dictionary(std::string(kEventColumnNames[column]));
  }
  builder.disable_statistics(std::string(kEventColumnNames[kPayload]));
  return builder.build();
}

// A block's values of one column: those that are there, and which rows they are in.
template <typename T>
struct ColumnBlock {
  std::array<T, kBlockRows> values;
  std::array<int16_t, kBlockRows> levels;
  uint32_t count = 0, rows = 0;

  void Add(const T& value) {
    values[count++] = value;
    levels[rows++] = 1;
  }
  void AddNull() { levels[rows++] = 0; }
  template <typename Writer>
  void WriteTo(pq::ColumnWriter* writer) {
    static_cast<Writer*>(writer)->WriteBatch(rows, levels.data(), nullptr, values.data());
    count = rows = 0;
  }
};

// Rows come in the order of time, not of memory: their lines are asked for ahead.
constexpr size_t kRowsAhead = 6;

void Prefetch(std::span<const EventSlice> rows, size_t i) {
  if (i + kRowsAhead >= rows.size()) return;
  const EventSlice& slice = rows[i + kRowsAhead];
  const uint32_t bytes = std::min<uint32_t>(slice.size, 1024);
  for (uint32_t at = 0; at < bytes; at += 64) __builtin_prefetch(slice.data + at);
}

pq::ByteArray Bytes(std::string_view text) {
  return {static_cast<uint32_t>(text.size()), reinterpret_cast<const uint8_t*>(text.data())};
}

constexpr EventColumn kTextColumns[] = {kSource,  kProvider, kEventType, kScriptName,
                                        kOutcome, kMethod,   kUrl};
constexpr size_t kTextColumnCount = std::size(kTextColumns);

const std::optional<std::string_view>& TextOf(const EventRow& row, size_t i) {
  const std::optional<std::string_view>* const texts[kTextColumnCount] = {
      &row.source,  &row.provider, &row.event_type, &row.script_name,
      &row.outcome, &row.method,   &row.url};
  return *texts[i];
}

// The first types that differ.
class TypeList {
 public:
  void See(std::string_view type) {
    if (type == last_ || types_.size() >= kTypesMax) return;
    if (std::find(types_.begin(), types_.end(), type) == types_.end()) types_.emplace_back(type);
    last_ = *std::find(types_.begin(), types_.end(), type);
  }
  std::vector<std::string> Sorted() const {
    std::vector<std::string> sorted = types_;
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }

 private:
  std::vector<std::string> types_;
  std::string last_;
};

class Writer : public EventFileWriter {
 public:
  Writer(std::function<Status(std::string_view)> sink, const EventFileOptions& options)
      : options_(options), sink_(std::make_shared<parquet::SinkStream>(std::move(sink))) {
    file_ = pq::ParquetFileWriter::Open(sink_, EventSchema(), EventProperties(&pool_));
  }

  Status Write(std::span<const EventSlice> rows) override;
  Result<EventFileSummary> Close() override;

 private:
  void WriteGroupPart(std::span<const EventSlice> rows);
  void WritePayloads(std::span<const EventSlice> rows);
  void WriteColumns(std::span<const EventSlice> rows);
  void WriteBlock(std::span<const EventSlice> rows);
  void AddRow(const EventRow& row);
  void CloseGroup();
  Error SinkErrorOr(Error error) const {
    if (!sink_->error().ok()) return sink_->error().error();
    return error;
  }

  const EventFileOptions options_;
  parquet::PagePool pool_;  // outlives the file
  std::shared_ptr<parquet::SinkStream> sink_;
  std::unique_ptr<pq::ParquetFileWriter> file_;
  pq::RowGroupWriter* group_ = nullptr;
  uint64_t group_rows_ = 0;
  EventFileSummary summary_;

  EventDecoder decoder_;  // of the twelve columns
  EventRow row_;
  TypeList types_;
  Status decode_error_;
  std::array<int64_t, kBlockRows> ts_;
  ColumnBlock<pq::ByteArray> type_;
  ColumnBlock<pq::ByteArray> text_[kTextColumnCount];
  ColumnBlock<bool> verified_;
  ColumnBlock<int32_t> status_code_;
  ColumnBlock<double> duration_ms_;

  EventDecoder payload_decoder_;  // on the payload thread
  ColumnBlock<pq::ByteArray> payload_;
  Status payload_error_;
};

void Writer::AddRow(const EventRow& row) {
  type_.Add(Bytes(row.type));
  types_.See(row.type);
  for (size_t i = 0; i < kTextColumnCount; ++i) {
    const auto& text = TextOf(row, i);
    text ? text_[i].Add(Bytes(*text)) : text_[i].AddNull();
  }
  row.verified ? verified_.Add(*row.verified) : verified_.AddNull();
  row.status_code ? status_code_.Add(*row.status_code) : status_code_.AddNull();
  row.duration_ms ? duration_ms_.Add(*row.duration_ms) : duration_ms_.AddNull();
}

void Writer::WriteBlock(std::span<const EventSlice> rows) {
  constexpr ColumnMask kMask = kAllEventColumns & ~(1u << kPayload) & ~(1u << kTs);
  decoder_.ResetArena();
  for (size_t i = 0; i < rows.size(); ++i) {
    const EventSlice& slice = rows[i];
    Prefetch(rows, i);
    ts_[i] = slice.ts_ms;
    auto decoded = decoder_.Decode({slice.data, slice.size}, slice.kind, slice.ts_ms, kMask, &row_);
    if (!decoded.ok() && decode_error_.ok()) decode_error_ = std::move(decoded);
    AddRow(row_);
  }
  static_cast<pq::Int64Writer*>(group_->column(kTs))
      ->WriteBatch(static_cast<int64_t>(rows.size()), nullptr, nullptr, ts_.data());
  type_.WriteTo<pq::ByteArrayWriter>(group_->column(kType));
  for (size_t i = 0; i < kTextColumnCount; ++i) {
    text_[i].WriteTo<pq::ByteArrayWriter>(group_->column(kTextColumns[i]));
  }
  verified_.WriteTo<pq::BoolWriter>(group_->column(kVerified));
  status_code_.WriteTo<pq::Int32Writer>(group_->column(kStatusCode));
  duration_ms_.WriteTo<pq::DoubleWriter>(group_->column(kDurationMs));
}

void Writer::WriteColumns(std::span<const EventSlice> rows) {
  for (size_t begin = 0; begin < rows.size(); begin += kBlockRows) {
    WriteBlock(rows.subspan(begin, std::min(kBlockRows, rows.size() - begin)));
  }
}

void Writer::WritePayloads(std::span<const EventSlice> rows) {
  pq::ColumnWriter* writer = group_->column(kPayload);
  EventRow row;
  for (const EventSlice& slice : rows) {
    std::string_view payload(slice.data, slice.size);
    if (slice.kind != RecordKind::kEvents) {
      auto decoded =
          payload_decoder_.Decode(payload, slice.kind, slice.ts_ms, 1u << kPayload, &row);
      if (!decoded.ok() && payload_error_.ok()) payload_error_ = std::move(decoded);
      payload = row.payload;
    }
    payload_.Add(Bytes(payload));
    if (payload_.rows == kBlockRows) payload_.WriteTo<pq::ByteArrayWriter>(writer);
  }
  if (payload_.rows > 0) payload_.WriteTo<pq::ByteArrayWriter>(writer);
}

void Writer::WriteGroupPart(std::span<const EventSlice> rows) {
  if (group_ == nullptr) {
    group_ = file_->AppendBufferedRowGroup();
    group_rows_ = 0;
  }
  if (options_.threads > 1 && rows.size() > kBlockRows) {
    auto payloads = std::async(std::launch::async, [&] { WritePayloads(rows); });
    WriteColumns(rows);
    payloads.get();
  } else {
    WriteColumns(rows);
    WritePayloads(rows);
  }
  group_rows_ += rows.size();
  if (group_rows_ >= options_.row_group_rows_max) CloseGroup();
}

void Writer::CloseGroup() {
  if (group_ != nullptr) group_->Close();
  group_ = nullptr;
}

Status Writer::Write(std::span<const EventSlice> rows) {
  while (!rows.empty()) {
    if (summary_.rows == 0) summary_.ts_min = summary_.ts_max = rows.front().ts_ms;
    CHECK(rows.front().ts_ms >= summary_.ts_max);
    const uint64_t used = group_ == nullptr ? 0 : group_rows_;
    const size_t count = std::min<uint64_t>(options_.row_group_rows_max - used, rows.size());
    auto written =
        parquet::TryParquet("write event rows", [&] { WriteGroupPart(rows.first(count)); });
    if (!written.ok()) return SinkErrorOr(std::move(written).error());
    if (!decode_error_.ok()) return decode_error_;
    if (!payload_error_.ok()) return payload_error_;
    summary_.rows += count;
    summary_.ts_max = rows[count - 1].ts_ms;
    rows = rows.subspan(count);
  }
  return {};
}

Result<EventFileSummary> Writer::Close() {
  summary_.types = types_.Sorted();
  std::string types;
  for (const std::string& type : summary_.types) types += (types.empty() ? "" : ",") + type;
  auto closed = parquet::TryParquet("close an event file", [&] {
    CloseGroup();
    file_->AddKeyValueMetadata(
        arrow::key_value_metadata({"events", "minTs", "maxTs", "types", "format"},
                                  {std::to_string(summary_.rows), std::to_string(summary_.ts_min),
                                   std::to_string(summary_.ts_max), types, "parquet-v1"}));
    file_->Close();
  });
  if (!closed.ok()) return SinkErrorOr(std::move(closed).error());
  summary_.bytes = static_cast<uint64_t>(*sink_->Tell());
  return summary_;
}

}  // namespace

Result<std::unique_ptr<EventFileWriter>> EventFileWriter::Open(
    std::function<Status(std::string_view)> sink, const EventFileOptions& options) {
  CHECK(options.row_group_rows_max > 0);
  std::unique_ptr<EventFileWriter> writer;
  auto opened = parquet::TryParquet(
      "open an event file", [&] { writer = std::make_unique<Writer>(std::move(sink), options); });
  if (!opened.ok()) return std::move(opened).error();
  return writer;
}

}  // namespace varve::record
