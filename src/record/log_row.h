// Tail items (what a worker's trace says) and the 16-column log rows made of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::record {

struct InvalidTraceItem {
  int64_t index;  // -1: the whole input was not an array
  std::vector<std::string> errors;
};

struct TraceBatch {
  std::vector<std::string> items;  // normalised items, one JSON object each, no newline inside
  std::vector<int64_t> event_ms;   // eventTimestamp of each, or the receive time
  std::vector<InvalidTraceItem> invalid;
  // Log entries and exceptions that valid items had to be freed of.
  std::vector<InvalidTraceItem> dropped;
  uint64_t total_count = 0;
};

// Validates and normalises a JSON array of trace items: origin-behaviours 1.1, lenient where it
// says so; an item without eventTimestamp happened at now_ms. kInvalid (INVALID_JSON) only when the
// text is not JSON.
Result<TraceBatch> ParseTraceItems(std::string_view json, int64_t now_ms);

struct LogRow {
  std::string id, script_name, level, message, outcome;
  int64_t event_timestamp = 0, timestamp = 0;  // ms
  std::optional<std::string> http_method, http_url, exception_name, colo, country, request_id;
  std::optional<int32_t> http_status;
  bool is_exception = false;
  int32_t fetch_count = 0;
};

extern const std::string_view kLogColumnNames[16];

// Rows of one normalised item: one a log, one an exception, or one synthetic row. Ids are
// deterministic in (origin, row number): a redelivery gives the same ids.
Result<std::vector<LogRow>> LogRowsOf(std::string_view item_json, std::string_view origin);

struct RawHeader {
  std::string do_id;
  int64_t created_at = 0;
  uint64_t batch_seq = 0;
};
struct RawFile {
  RawHeader header;
  std::vector<std::string_view> items;                // lines that hold an item
  std::vector<std::pair<uint64_t, std::string>> bad;  // line number (1 = header), reason
};
std::string WriteRawFile(const RawHeader& header, const std::vector<std::string_view>& items);
// kInvalid, BAD_RAW_HEADER: empty, or the header line is not {doId, createdAt, batchSeq}.
Result<RawFile> ReadRawFile(std::string_view bytes);

enum class LogCodec : uint8_t { kNone, kSnappy, kGzip, kLz4, kZstd };
// The 16-column Parquet file, rows sorted by timestamp, row groups of 5,000, page index, page CRCs.
Result<std::string> WriteLogFile(std::vector<LogRow> rows, LogCodec codec);

}  // namespace varve::record
