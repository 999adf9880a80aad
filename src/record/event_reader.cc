// A row group's columns are read side by side, kReadRows rows at a time. libparquet gives at most
// a page's values a call, which point into that page, so text is copied out before the next call.
#include "record/event_reader.h"

#include <parquet/api/reader.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "parquet/try_parquet.h"
#include "record/json_index.h"

namespace varve::record {

namespace {

namespace pq = ::parquet;

constexpr int64_t kReadRows = 1024;

// A block of one column: a value for each row, if the row has one.
class BlockColumn {
 public:
  virtual ~BlockColumn() = default;
  virtual void Read(pq::ColumnReader& reader, int64_t rows, bool optional) = 0;
  virtual void Fill(size_t row, EventRow* out) const = 0;
};

template <typename Reader, typename Value, typename Kept>
class TypedColumn : public BlockColumn {
 public:
  using Set = void (*)(const Kept& value, EventRow* out);
  explicit TypedColumn(Set set) : set_(set) {}

  void Read(pq::ColumnReader& reader, int64_t rows, bool optional) override {
    auto& typed = static_cast<Reader&>(reader);
    kept_.clear();
    const auto values = std::make_unique<Value[]>(static_cast<size_t>(rows));
    std::vector<int16_t> levels(static_cast<size_t>(rows));
    for (int64_t done = 0; done < rows;) {
      int64_t found = 0;
      const int64_t read = typed.ReadBatch(rows - done, optional ? levels.data() : nullptr, nullptr,
                                           values.get(), &found);
      if (read == 0) throw pq::ParquetException("a column is shorter than its row group");
      const Value* next = values.get();
      for (int64_t i = 0; i < read; ++i) {
        const bool present = !optional || levels[static_cast<size_t>(i)] == 1;
        kept_.push_back(present ? std::optional<Kept>(Keep(*next++)) : std::nullopt);
      }
      done += read;
    }
  }
  void Fill(size_t row, EventRow* out) const override {
    if (kept_[row]) set_(*kept_[row], out);
  }

 private:
  static Kept Keep(const Value& value) {
    if constexpr (std::is_same_v<Value, pq::ByteArray>) {
      return Kept(reinterpret_cast<const char*>(value.ptr), value.len);
    } else {
      return value;
    }
  }

  Set set_;
  std::vector<std::optional<Kept>> kept_;
};

using TextReader = TypedColumn<pq::ByteArrayReader, pq::ByteArray, std::string>;

template <auto Member>
std::unique_ptr<BlockColumn> Text() {
  return std::make_unique<TextReader>(
      [](const std::string& value, EventRow* out) { out->*Member = std::string_view(value); });
}

template <auto Member, typename Reader, typename T>
std::unique_ptr<BlockColumn> Plain() {
  return std::make_unique<TypedColumn<Reader, T, T>>(
      [](const T& value, EventRow* out) { out->*Member = value; });
}

std::unique_ptr<BlockColumn> MakeColumn(EventColumn column) {
  switch (column) {
    case kTs:
      return Plain<&EventRow::ts_ms, pq::Int64Reader, int64_t>();
    case kType:
      return Text<&EventRow::type>();
    case kSource:
      return Text<&EventRow::source>();
    case kProvider:
      return Text<&EventRow::provider>();
    case kEventType:
      return Text<&EventRow::event_type>();
    case kVerified:
      return Plain<&EventRow::verified, pq::BoolReader, bool>();
    case kScriptName:
      return Text<&EventRow::script_name>();
    case kOutcome:
      return Text<&EventRow::outcome>();
    case kMethod:
      return Text<&EventRow::method>();
    case kUrl:
      return Text<&EventRow::url>();
    case kStatusCode:
      return Plain<&EventRow::status_code, pq::Int32Reader, int32_t>();
    case kDurationMs:
      return Plain<&EventRow::duration_ms, pq::DoubleReader, double>();
    default:
      return Text<&EventRow::payload>();
  }
}

Status ReadGroup(pq::RowGroupReader& group, ColumnMask mask,
                 const std::function<Status(const EventRow&)>& on_row) {
  struct Open {
    std::unique_ptr<BlockColumn> block;
    std::shared_ptr<pq::ColumnReader> reader;
    bool optional;
  };
  std::vector<Open> columns;
  for (uint8_t i = 0; i < kEventColumnCount; ++i) {
    if ((mask >> i & 1) == 0) continue;
    auto reader = group.Column(i);
    const bool optional = reader->descr()->max_definition_level() > 0;
    columns.push_back({MakeColumn(static_cast<EventColumn>(i)), std::move(reader), optional});
  }
  const int64_t rows = group.metadata()->num_rows();
  for (int64_t begin = 0; begin < rows; begin += kReadRows) {
    const int64_t count = std::min(kReadRows, rows - begin);
    for (Open& column : columns) column.block->Read(*column.reader, count, column.optional);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      EventRow row;
      for (const Open& column : columns) column.block->Fill(i, &row);
      auto taken = on_row(row);
      if (!taken.ok()) return taken;
    }
  }
  return {};
}

}  // namespace

Status ReadEventRows(const std::string& path, ColumnMask mask,
                     const std::function<Status(const EventRow&)>& on_row) {
  const FileCheck check = TRY(CheckParquetFile(path));
  if (check.schema != FileSchema::kEvents) {
    return MakeError(ErrorKind::kCorrupt, "CORRUPT_PARQUET", path + ": not an event file");
  }
  Status outcome;
  auto read = parquet::TryParquet(
      "read " + path,
      [&] {
        pq::ReaderProperties properties;
        properties.set_page_checksum_verification(true);
        const auto reader = pq::ParquetFileReader::OpenFile(path, false, properties);
        for (int i = 0; i < reader->metadata()->num_row_groups() && outcome.ok(); ++i) {
          outcome = ReadGroup(*reader->RowGroup(i), mask, on_row);
        }
      },
      ErrorKind::kCorrupt);
  return read.ok() ? outcome : read;
}

Result<uint64_t> WriteNdjson(const std::string& path,
                             const std::function<Status(std::string_view)>& sink) {
  uint64_t rows = 0;
  JsonIndex index;
  std::string line;
  auto read = ReadEventRows(path, 1u << kPayload, [&](const EventRow& row) -> Status {
    ++rows;
    line.assign(row.payload);
    if (line.find_first_of("\r\n") != std::string::npos && index.Build(row.payload) == nullptr) {
      line = MinifyJson(row.payload, index);
    }
    line += '\n';
    return sink(line);
  });
  if (!read.ok()) return std::move(read).error();
  return rows;
}

}  // namespace varve::record
