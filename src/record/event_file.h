// Event rows as a sorted 13-column Parquet file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "record/event.h"

namespace varve::record {

// One event to be written: its bytes stay where they are until the file is done.
struct EventSlice {
  int64_t ts_ms;
  const char* data;  // kJsonPaddingBytes readable behind it
  uint32_t size;
  RecordKind kind;
};

struct EventFile {
  std::string bytes;                            // the Parquet file
  std::map<std::string, std::string> metadata;  // events, bytes, bytesPerEvent, cpuMs, minTs,
                                                // maxTs, types (first 10, sorted), format
  uint64_t rows = 0;
};

struct EventFileOptions {
  uint32_t row_group_rows_max = 122'880;
  uint32_t threads = 1;
};

// Sorts by ts (stable), writes ts REQUIRED TIMESTAMP_MILLIS(UTC), type REQUIRED, the rest OPTIONAL;
// SNAPPY, statistics, page index, page CRCs, sorting_columns. Empty input is kInvalid.
// Deterministic but for metadata cpuMs: the same slices give the same bytes.
Result<EventFile> WriteEventFile(std::span<const EventSlice> events,
                                 const EventFileOptions& options);

}  // namespace varve::record
