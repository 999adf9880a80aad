// Units of work: one journal record, or one raw file. An item gives one row or several, so rows
// wait in the thread until a chunk has room for them.
#include "query/log_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <fstream>

#include "core/bytes.h"
#include "query/cell_output.h"
#include "record/event.h"
#include "record/log_row.h"

namespace varve::query {

namespace {

constexpr uint64_t kRawFileBytesMax = 256ull << 20;
constexpr uint64_t kItemBytesTypical = 400;

class LogRowSource : public RowSource {
 public:
  LogRowSource(const TableSnapshot& table, uint32_t threads, ScanWarnings* warnings)
      : table_(table), threads_(threads), warnings_(warnings) {}

  std::span<const TableColumn> columns() const override { return LogColumns(); }
  uint64_t rows_estimated() const override {
    uint64_t bytes = 0;
    for (const FileRef& file : table_.ndjson) bytes += file.size;
    uint64_t rows = bytes / kItemBytesTypical;
    for (const HotChunk& chunk : table_.hot) rows += chunk.events.size();
    return rows;
  }
  uint32_t threads_max() const override {
    return static_cast<uint32_t>(std::clamp<uint64_t>(units(), 1, threads_));
  }
  std::unique_ptr<Scan> Begin(Projection projection) const override;

  const TableSnapshot& table() const { return table_; }
  ScanWarnings* warnings() const { return warnings_; }
  uint64_t units() const { return table_.hot.size() + table_.ndjson.size(); }

 private:
  const TableSnapshot& table_;
  const uint32_t threads_;
  ScanWarnings* warnings_;
};

class LogScan : public Scan {
 public:
  LogScan(const LogRowSource* source, Projection projection)
      : source_(source), projection_(std::move(projection)) {}
  std::unique_ptr<ScanThread> NewThread() override;

  const LogRowSource& source() const { return *source_; }
  const Projection& projection() const { return projection_; }
  uint64_t TakeUnit() { return next_unit_.fetch_add(1, std::memory_order_relaxed); }

 private:
  const LogRowSource* source_;
  const Projection projection_;
  std::atomic<uint64_t> next_unit_{0};
};

void WriteOptional(ColumnOutput& out, idx_t at, const std::optional<std::string>& text) {
  text ? out.CopiedText(at, *text) : out.Null(at);
}

void WriteCell(ColumnOutput& out, idx_t at, const record::LogRow& row, int column) {
  switch (column) {
    case 0:
      return out.CopiedText(at, row.id);
    case 1:
      return out.CopiedText(at, row.script_name);
    case 2:
      return out.Number<int64_t>(at, row.event_timestamp);
    case 3:
      return out.Number<int64_t>(at, row.timestamp);
    case 4:
      return out.CopiedText(at, row.level);
    case 5:
      return out.CopiedText(at, row.message);
    case 6:
      return WriteOptional(out, at, row.http_method);
    case 7:
      return WriteOptional(out, at, row.http_url);
    case 8:
      return row.http_status ? out.Number<int32_t>(at, *row.http_status) : out.Null(at);
    case 9:
      return out.CopiedText(at, row.outcome);
    case 10:
      return out.Number<bool>(at, row.is_exception);
    case 11:
      return WriteOptional(out, at, row.exception_name);
    case 12:
      return WriteOptional(out, at, row.colo);
    case 13:
      return WriteOptional(out, at, row.country);
    case 14:
      return WriteOptional(out, at, row.request_id);
    case 15:
      return out.Number<int32_t>(at, row.fetch_count);
    default:
      return;  // a column nobody reads
  }
}

// An item's origin: where it lies, and its place there. Both stay the same from read to read.
std::string ItemOrigin(std::string_view where, size_t item) {
  return fmt::format("{}#{}", where, item);
}

class LogScanThread : public ScanThread {
 public:
  explicit LogScanThread(LogScan* scan) : scan_(scan) {}

  Result<idx_t> Fill(duckdb_data_chunk out) override {
    std::vector<ColumnOutput> columns;
    for (idx_t i = 0; i < scan_->projection().size(); ++i) {
      columns.emplace_back(duckdb_data_chunk_get_vector(out, i));
    }
    const idx_t capacity = duckdb_vector_size();
    idx_t filled = 0;
    while (filled < capacity && (next_ < rows_.size() || NextRows())) {
      const record::LogRow& row = rows_[next_++];
      for (size_t i = 0; i < columns.size(); ++i) {
        WriteCell(columns[i], filled, row, scan_->projection()[i]);
      }
      ++filled;
    }
    return filled;
  }

 private:
  bool NextRows() {
    while (true) {
      if (item_ < item_count()) {
        auto rows = record::LogRowsOf(Item(item_), ItemOrigin(origin_, item_));
        ++item_;
        if (!rows.ok()) {
          ++bad_items_;
          reason_ = rows.error().message;
        } else if (!rows->empty()) {
          rows_ = std::move(rows).value();
          next_ = 0;
          return true;
        }
      } else {
        ReportBad();
        if (!NextUnit()) return false;
      }
    }
  }

  size_t item_count() const { return chunk_ ? chunk_->events.size() : file_.items.size(); }
  std::string_view Item(size_t i) const {
    if (!chunk_) return file_.items[i];
    return chunk_->body.substr(chunk_->events[i].offset, chunk_->events[i].size);
  }

  void ReportBad() {
    if (bad_items_ > 0) scan_->source().warnings()->Add(origin_, bad_items_, reason_);
    bad_items_ = 0;
  }

  bool NextUnit() {
    const LogRowSource& source = scan_->source();
    const uint64_t unit = scan_->TakeUnit();
    if (unit >= source.units()) return false;
    item_ = 0;
    const auto& hot = source.table().hot;
    if (unit < hot.size()) {
      chunk_ = &hot[unit];
      // Made of the record itself, so that it stays the same while other records come and go.
      origin_ = fmt::format("journal/{}-{:08x}", chunk_->received_ms, Crc32c(chunk_->body));
    } else {
      chunk_ = nullptr;
      OpenFile(source.table().ndjson[unit - hot.size()]);
    }
    return true;
  }

  void OpenFile(const FileRef& file) {
    file_ = {};
    origin_ = file.key;
    if (file.size > kRawFileBytesMax) {
      scan_->source().warnings()->Add(file.key, 0,
                                      fmt::format("larger than {} bytes", kRawFileBytesMax));
      return;
    }
    std::ifstream input(file.path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(input), {});
    bytes_.reserve(bytes_.size() + record::kJsonPaddingBytes);
    auto raw = input.good() || input.eof()
                   ? record::ReadRawFile(bytes_)
                   : Result<record::RawFile>(
                         MakeError(ErrorKind::kNotFound, "the file could not be read"));
    if (!raw.ok()) {
      scan_->source().warnings()->Add(file.key, 0, raw.error().message);
      return;
    }
    file_ = std::move(raw).value();
    bad_items_ = file_.bad.size();
    if (bad_items_ > 0) reason_ = file_.bad.front().second;
  }

  LogScan* scan_;
  const HotChunk* chunk_ = nullptr;  // or the file
  std::string bytes_;
  record::RawFile file_;
  std::string origin_;
  size_t item_ = 0;
  std::vector<record::LogRow> rows_;
  size_t next_ = 0;
  uint64_t bad_items_ = 0;
  std::string reason_;
};

std::unique_ptr<ScanThread> LogScan::NewThread() { return std::make_unique<LogScanThread>(this); }

std::unique_ptr<Scan> LogRowSource::Begin(Projection projection) const {
  return std::make_unique<LogScan>(this, std::move(projection));
}

}  // namespace

std::unique_ptr<RowSource> MakeLogRows(const TableSnapshot& table, uint32_t threads,
                                       ScanWarnings* warnings) {
  return std::make_unique<LogRowSource>(table, threads, warnings);
}

}  // namespace varve::query
