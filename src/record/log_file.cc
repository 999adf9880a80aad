#include <parquet/api/writer.h>

#include <algorithm>
#include <memory>

#include "parquet/sink_stream.h"
#include "parquet/try_parquet.h"
#include "record/log_row.h"

namespace varve::record {

namespace {

namespace pq = ::parquet;

constexpr size_t kRowGroupRows = 5'000;
constexpr int kTimestampColumn = 3;

pq::Compression::type CodecOf(LogCodec codec) {
  switch (codec) {
    case LogCodec::kNone:
      return pq::Compression::UNCOMPRESSED;
    case LogCodec::kSnappy:
      return pq::Compression::SNAPPY;
    case LogCodec::kGzip:
      return pq::Compression::GZIP;
    case LogCodec::kZstd:
      return pq::Compression::ZSTD;
    case LogCodec::kLz4:
      break;
  }
  return pq::Compression::LZ4;  // which libparquet writes as LZ4_RAW
}

// A column of the file: its name, type, and how a row group's values are written. The template
// parameter picks the member; an optional member makes an optional column.
class Column {
 public:
  virtual ~Column() = default;
  virtual pq::schema::NodePtr Node(std::string_view name) const = 0;
  virtual void Write(pq::ColumnWriter* writer, const LogRow* rows, size_t count) = 0;
  virtual bool HasValue(const LogRow* rows, size_t count) const = 0;
};

template <typename T>
struct Physical;
template <>
struct Physical<std::string> {
  using Writer = pq::ByteArrayWriter;
  using Value = pq::ByteArray;
  static constexpr pq::Type::type kType = pq::Type::BYTE_ARRAY;
  static Value Of(const std::string& text) {
    return {static_cast<uint32_t>(text.size()), reinterpret_cast<const uint8_t*>(text.data())};
  }
};
template <>
struct Physical<int64_t> {
  using Writer = pq::Int64Writer;
  using Value = int64_t;
  static constexpr pq::Type::type kType = pq::Type::INT64;
  static Value Of(int64_t value) { return value; }
};
template <>
struct Physical<int32_t> {
  using Writer = pq::Int32Writer;
  using Value = int32_t;
  static constexpr pq::Type::type kType = pq::Type::INT32;
  static Value Of(int32_t value) { return value; }
};
template <>
struct Physical<bool> {
  using Writer = pq::BoolWriter;
  using Value = bool;
  static constexpr pq::Type::type kType = pq::Type::BOOLEAN;
  static Value Of(bool value) { return value; }
};

template <typename T>
const T* Present(const T& value) {
  return &value;
}
template <typename T>
const T* Present(const std::optional<T>& value) {
  return value ? &*value : nullptr;
}

template <typename T, typename Member>
class MemberColumn : public Column {
 public:
  explicit MemberColumn(Member LogRow::*member) : member_(member) {}

  pq::schema::NodePtr Node(std::string_view name) const override {
    const auto type =
        std::is_same_v<T, std::string> ? pq::LogicalType::String() : pq::LogicalType::None();
    const auto repetition = kOptional ? pq::Repetition::OPTIONAL : pq::Repetition::REQUIRED;
    return pq::schema::PrimitiveNode::Make(std::string(name), repetition, type, Physical<T>::kType);
  }

  bool HasValue(const LogRow* rows, size_t count) const override {
    return std::any_of(rows, rows + count,
                       [&](const LogRow& row) { return Present(row.*member_) != nullptr; });
  }

  void Write(pq::ColumnWriter* writer, const LogRow* rows, size_t count) override {
    using Value = typename Physical<T>::Value;
    const auto values = std::make_unique<Value[]>(count);
    std::vector<int16_t> levels;
    size_t used = 0;
    for (size_t i = 0; i < count; ++i) {
      const T* value = Present(rows[i].*member_);
      if (kOptional) levels.push_back(value != nullptr ? 1 : 0);
      if (value != nullptr) values[used++] = Physical<T>::Of(*value);
    }
    static_cast<typename Physical<T>::Writer*>(writer)->WriteBatch(
        static_cast<int64_t>(count), kOptional ? levels.data() : nullptr, nullptr, values.get());
  }

 private:
  static constexpr bool kOptional = !std::is_same_v<T, Member>;
  Member LogRow::*member_;
};

template <typename T>
std::unique_ptr<Column> Required(T LogRow::*member) {
  return std::make_unique<MemberColumn<T, T>>(member);
}
template <typename T>
std::unique_ptr<Column> Optional(std::optional<T> LogRow::*member) {
  return std::make_unique<MemberColumn<T, std::optional<T>>>(member);
}

std::vector<std::unique_ptr<Column>> LogColumns() {
  std::vector<std::unique_ptr<Column>> columns;
  columns.push_back(Required(&LogRow::id));
  columns.push_back(Required(&LogRow::script_name));
  columns.push_back(Required(&LogRow::event_timestamp));
  columns.push_back(Required(&LogRow::timestamp));
  columns.push_back(Required(&LogRow::level));
  columns.push_back(Required(&LogRow::message));
  columns.push_back(Optional(&LogRow::http_method));
  columns.push_back(Optional(&LogRow::http_url));
  columns.push_back(Optional(&LogRow::http_status));
  columns.push_back(Required(&LogRow::outcome));
  columns.push_back(Required(&LogRow::is_exception));
  columns.push_back(Optional(&LogRow::exception_name));
  columns.push_back(Optional(&LogRow::colo));
  columns.push_back(Optional(&LogRow::country));
  columns.push_back(Optional(&LogRow::request_id));
  columns.push_back(Required(&LogRow::fetch_count));
  CHECK(columns.size() == std::size(kLogColumnNames));
  return columns;
}

using Columns = std::vector<std::unique_ptr<Column>>;

// A row group without a value would get a dictionary page without a byte, whose LZ4 block hyparquet
// cannot read: such a column goes without dictionary.
void DisableEmptyDictionaries(const Columns& columns, const std::vector<LogRow>& rows,
                              pq::WriterProperties::Builder* builder) {
  for (size_t i = 0; i < columns.size(); ++i) {
    for (size_t begin = 0; begin < rows.size(); begin += kRowGroupRows) {
      const size_t count = std::min(kRowGroupRows, rows.size() - begin);
      if (columns[i]->HasValue(rows.data() + begin, count)) continue;
      builder->disable_dictionary(std::string(kLogColumnNames[i]));
      break;
    }
  }
}

std::shared_ptr<pq::WriterProperties> LogProperties(LogCodec codec, const Columns& columns,
                                                    const std::vector<LogRow>& rows) {
  pq::WriterProperties::Builder builder;
  builder.created_by("varve")
      ->compression(CodecOf(codec))
      ->data_page_version(pq::ParquetDataPageVersion::V1)
      ->enable_write_page_index()
      ->enable_page_checksum()
      ->disable_dictionary("id")
      ->disable_dictionary("timestamp")
      ->set_sorting_columns({pq::SortingColumn{kTimestampColumn, false, false}});
  DisableEmptyDictionaries(columns, rows, &builder);
  return builder.build();
}

}  // namespace

Result<std::string> WriteLogFile(std::vector<LogRow> rows, LogCodec codec) {
  if (rows.empty()) return MakeError(ErrorKind::kInvalid, "a log file without rows");
  std::stable_sort(rows.begin(), rows.end(),
                   [](const LogRow& a, const LogRow& b) { return a.timestamp < b.timestamp; });
  std::string bytes;
  auto written = parquet::TryParquet("write a log file", [&] {
    const auto columns = LogColumns();
    pq::schema::NodeVector nodes;
    for (size_t i = 0; i < columns.size(); ++i) {
      nodes.push_back(columns[i]->Node(kLogColumnNames[i]));
    }
    auto schema = std::static_pointer_cast<pq::schema::GroupNode>(
        pq::schema::GroupNode::Make("log", pq::Repetition::REQUIRED, nodes));
    auto sink = std::make_shared<parquet::SinkStream>([&](std::string_view part) -> Status {
      bytes.append(part);
      return {};
    });
    auto file = pq::ParquetFileWriter::Open(sink, schema, LogProperties(codec, columns, rows));
    for (size_t begin = 0; begin < rows.size(); begin += kRowGroupRows) {
      const size_t count = std::min(kRowGroupRows, rows.size() - begin);
      pq::RowGroupWriter* group = file->AppendRowGroup();
      for (const auto& column : columns) {
        column->Write(group->NextColumn(), rows.data() + begin, count);
      }
      group->Close();
    }
    file->Close();
  });
  if (!written.ok()) return std::move(written).error();
  return bytes;
}

}  // namespace varve::record
