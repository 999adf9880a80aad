// Work is cut into units: runs of hot rows, so many that the threads share them evenly, then the
// NDJSON files, one a unit. Only wanted columns are decoded; a query that wants `ts` alone, or
// counts, touches no JSON at all. Text that lies in a journal record is not copied: the snapshot
// pins it for longer than the query lives.
#include "query/event_rows.h"

#include <algorithm>
#include <atomic>

#include "query/cell_output.h"
#include "query/ndjson_lines.h"
#include "record/event_columns.h"

namespace varve::query {

namespace {

using record::EventRef;
using record::RecordKind;

constexpr uint64_t kUnitRows = 16'384;
constexpr record::EventLimits kFileLimits{.events_max = UINT32_MAX,
                                          .event_bytes_max = 64u << 20,
                                          .type_bytes_max = 1024,
                                          .depth_max = 256};

// Rows that lie side by side in one body.
struct RowRun {
  RecordKind kind = RecordKind::kEvents;
  std::span<const EventRef> events;
  std::string_view body;
  bool pinned = false;
};

class EventRowSource : public RowSource {
 public:
  EventRowSource(const TableSnapshot& table, uint32_t threads, ScanWarnings* warnings)
      : table_(table), threads_(threads), warnings_(warnings) {
    starts_.reserve(table.hot.size() + 1);
    starts_.push_back(0);
    for (const HotChunk& chunk : table.hot) starts_.push_back(starts_.back() + chunk.events.size());
  }

  std::span<const TableColumn> columns() const override { return EventColumns(); }
  uint64_t rows_estimated() const override {
    uint64_t bytes = 0;
    for (const FileRef& file : table_.ndjson) bytes += file.size;
    return hot_rows() + bytes / 400;
  }
  uint32_t threads_max() const override {
    return static_cast<uint32_t>(std::clamp<uint64_t>(units(), 1, threads_));
  }
  std::unique_ptr<Scan> Begin(Projection projection) const override;

  const TableSnapshot& table() const { return table_; }
  ScanWarnings* warnings() const { return warnings_; }
  uint64_t hot_rows() const { return starts_.back(); }
  uint64_t hot_units() const { return (hot_rows() + kUnitRows - 1) / kUnitRows; }
  uint64_t units() const { return hot_units() + table_.ndjson.size(); }

  // The longest run of one record that starts at a row.
  RowRun RunAt(uint64_t row, uint64_t rows_max) const {
    const auto next = std::ranges::upper_bound(starts_, row);
    const HotChunk& chunk = table_.hot[static_cast<size_t>(next - starts_.begin()) - 1];
    const uint64_t skip = row - *(next - 1);
    const uint64_t count = std::min<uint64_t>(chunk.events.size() - skip, rows_max);
    return {chunk.kind, chunk.events.subspan(skip, count), chunk.body, true};
  }

 private:
  const TableSnapshot& table_;
  const uint32_t threads_;
  ScanWarnings* warnings_;
  std::vector<uint64_t> starts_;  // of each hot chunk's rows; the last is their count
};

// An NDJSON file's events, a block of lines at a time.
class EventFileReader {
 public:
  explicit EventFileReader(ScanWarnings* warnings) : warnings_(warnings) {}

  void Open(const FileRef& file) {
    file_ = &file;
    bad_lines_ = 0;
    reason_.clear();
    Status opened = lines_.Open(file.path);
    open_ = opened.ok();
    if (!open_) warnings_->Add(file.key, 0, opened.error().message);
  }

  // The next events; empty at the file's end.
  RowRun Next() {
    while (open_) {
      auto block = lines_.Next();
      if (!block.ok()) {
        warnings_->Add(file_->key, 0, block.error().message);
        open_ = false;
      } else if (block->empty()) {
        bad_lines_ += lines_.long_lines();
        if (bad_lines_ > 0) {
          warnings_->Add(file_->key, bad_lines_, reason_.empty() ? "line too long" : reason_);
        }
        open_ = false;
      } else if (Parse(*block); !batch_.events.empty()) {
        return {RecordKind::kEvents, batch_.events, *block, false};
      }
    }
    return {};
  }

 private:
  // Whole first; a block with a bad line in it is read again line by line.
  void Parse(std::string_view block) {
    if (ParseInto(block, &batch_).ok()) return;
    std::vector<EventRef> good;
    for (size_t at = 0; at < block.size();) {
      const size_t newline = std::min(block.find('\n', at), block.size());
      const std::string_view line = block.substr(at, newline - at);
      const Status parsed = ParseInto(line, &line_);
      if (!parsed.ok()) {
        ++bad_lines_;
        if (reason_.empty()) reason_ = parsed.error().message;
      } else {
        for (EventRef event : line_.events) {
          event.offset += static_cast<uint32_t>(at);
          good.push_back(event);
        }
      }
      at = newline + 1;
    }
    batch_.events = std::move(good);
  }

  Status ParseInto(std::string_view text, record::EventBatch* batch) {
    batch->events.clear();
    return parser_.Parse(text, record::BodyFormat::kNdjson, file_->modified_ms, kFileLimits, batch);
  }

  ScanWarnings* warnings_;
  const FileRef* file_ = nullptr;
  LineBlocks lines_;
  record::BatchParser parser_;
  record::EventBatch batch_, line_;
  uint64_t bad_lines_ = 0;
  std::string reason_;
  bool open_ = false;
};

class EventScan : public Scan {
 public:
  EventScan(const EventRowSource* source, Projection projection)
      : source_(source), projection_(std::move(projection)) {
    for (int column : projection_) {
      if (column >= 0) mask_ |= 1u << column;
    }
  }
  std::unique_ptr<ScanThread> NewThread() override;

  const EventRowSource& source() const { return *source_; }
  const Projection& projection() const { return projection_; }
  record::ColumnMask mask() const { return mask_; }
  uint64_t TakeUnit() { return next_unit_.fetch_add(1, std::memory_order_relaxed); }

 private:
  const EventRowSource* source_;
  const Projection projection_;
  record::ColumnMask mask_ = 0;
  std::atomic<uint64_t> next_unit_{0};
};

class EventScanThread : public ScanThread {
 public:
  explicit EventScanThread(EventScan* scan)
      : scan_(scan),
        needs_json_((scan->mask() & ~(1u << record::kTs)) != 0),
        file_(scan->source().warnings()) {}

  Result<idx_t> Fill(duckdb_data_chunk out) override {
    decoder_.ResetArena();
    columns_.clear();
    for (idx_t i = 0; i < scan_->projection().size(); ++i) {
      columns_.emplace_back(duckdb_data_chunk_get_vector(out, i));
    }
    const idx_t capacity = duckdb_vector_size();
    idx_t filled = 0;
    while (filled < capacity) {
      if (run_.events.empty() && !NextRun()) break;
      const size_t count = std::min<size_t>(capacity - filled, run_.events.size());
      for (const EventRef& event : run_.events.first(count)) {
        filled += WriteRow(event, filled) ? 1 : 0;
      }
      run_.events = run_.events.subspan(count);
    }
    return filled;
  }

 private:
  bool NextRun() {
    while (true) {
      if (row_ < unit_end_) {
        run_ = scan_->source().RunAt(row_, unit_end_ - row_);
        row_ += run_.events.size();
        if (!run_.events.empty()) return true;
      } else if (reading_file_) {
        run_ = file_.Next();
        if (!run_.events.empty()) return true;
        reading_file_ = false;
      } else if (!NextUnit()) {
        return false;
      }
    }
  }

  bool NextUnit() {
    const EventRowSource& source = scan_->source();
    const uint64_t unit = scan_->TakeUnit();
    if (unit >= source.units()) return false;
    if (unit < source.hot_units()) {
      row_ = unit * kUnitRows;
      unit_end_ = std::min(row_ + kUnitRows, source.hot_rows());
    } else {
      file_.Open(source.table().ndjson[unit - source.hot_units()]);
      reading_file_ = true;
    }
    return true;
  }

  bool WriteRow(const EventRef& event, idx_t at) {
    record::EventRow row;
    row.ts_ms = event.ts_ms;
    if (needs_json_) {
      const Status decoded = decoder_.Decode(run_.body.substr(event.offset, event.size), run_.kind,
                                             event.ts_ms, scan_->mask(), &row);
      if (!decoded.ok()) return false;  // checked when it was taken in: cannot be
    }
    for (size_t i = 0; i < columns_.size(); ++i) WriteCell(row, scan_->projection()[i], i, at);
    return true;
  }

  void WriteCell(const record::EventRow& row, int column, size_t i, idx_t at) {
    switch (column) {
      case -1:
        break;
      case record::kTs:
        columns_[i].Number<int64_t>(at, row.ts_ms * 1000);
        break;
      case record::kType:
        WriteText(row.type, i, at);
        break;
      case record::kVerified:
        row.verified ? columns_[i].Number<bool>(at, *row.verified) : columns_[i].Null(at);
        break;
      case record::kStatusCode:
        row.status_code ? columns_[i].Number<int32_t>(at, *row.status_code) : columns_[i].Null(at);
        break;
      case record::kDurationMs:
        row.duration_ms ? columns_[i].Number<double>(at, *row.duration_ms) : columns_[i].Null(at);
        break;
      case record::kPayload:
        WriteText(row.payload, i, at);
        break;
      default: {
        const auto& text = OptionalText(row, column);
        text ? WriteText(*text, i, at) : columns_[i].Null(at);
      }
    }
  }

  static const std::optional<std::string_view>& OptionalText(const record::EventRow& row,
                                                             int column) {
    switch (column) {
      case record::kSource:
        return row.source;
      case record::kProvider:
        return row.provider;
      case record::kEventType:
        return row.event_type;
      case record::kScriptName:
        return row.script_name;
      case record::kOutcome:
        return row.outcome;
      case record::kMethod:
        return row.method;
      default:
        return row.url;
    }
  }

  void WriteText(std::string_view text, size_t i, idx_t at) {
    const bool in_body = text.data() >= run_.body.data() &&
                         text.data() + text.size() <= run_.body.data() + run_.body.size();
    if (run_.pinned && in_body) {
      columns_[i].PinnedText(at, text);
    } else {
      columns_[i].CopiedText(at, text);
    }
  }

  EventScan* scan_;
  const bool needs_json_;
  record::EventDecoder decoder_;
  std::vector<ColumnOutput> columns_;
  RowRun run_;
  uint64_t row_ = 0, unit_end_ = 0;  // of the hot unit in hand
  EventFileReader file_;
  bool reading_file_ = false;
};

std::unique_ptr<ScanThread> EventScan::NewThread() {
  return std::make_unique<EventScanThread>(this);
}

std::unique_ptr<Scan> EventRowSource::Begin(Projection projection) const {
  return std::make_unique<EventScan>(this, std::move(projection));
}

}  // namespace

std::unique_ptr<RowSource> MakeEventRows(const TableSnapshot& table, uint32_t threads,
                                         ScanWarnings* warnings) {
  return std::make_unique<EventRowSource>(table, threads, warnings);
}

}  // namespace varve::query
