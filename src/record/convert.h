// NDJSON files of any size → one sorted 13-column Parquet file, in bounded memory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/result.h"
#include "record/event.h"

namespace varve::record {

struct ConvertProgress {
  uint64_t bytes_read = 0, bytes_total = 0;  // total 0: an input's size is not known (a pipe)
  uint64_t events_read = 0, events_written = 0;
};

struct ConvertOptions {
  uint32_t threads = 0;                    // 0: one a core
  uint64_t memory_bytes_max = 1ull << 30;  // input beyond it is sorted through temporary files
  uint32_t row_group_rows_max = 122'880;
  bool skip_bad_lines = false;  // else the first one ends the conversion
  bool sync = true;             // the file is on the disk before it gets its name
  int64_t now_ms = 0;           // the time of events that have none
  std::string temp_directory;   // for sorted runs; empty: the output's
  EventLimits limits{.events_max = UINT32_MAX, .event_bytes_max = 64u << 20, .depth_max = 256};
  std::function<void(const ConvertProgress&)> progress;  // on the calling thread
};

struct ConvertSummary {
  uint64_t events = 0, bytes_read = 0, bytes_written = 0;
  uint64_t bad_lines = 0;
  std::vector<std::string> first_bad_lines;  // "file:line: reason", at most 10
  int64_t ts_min = 0, ts_max = 0;
  uint64_t sorted_runs = 0;  // spilled to temporary files
};

// Inputs are taken in their order; events of one time keep it. A name may be a pipe; blank lines,
// CRLF, a byte order mark and a last line without its end are fine. The output appears whole, under
// its name, or not at all. kInvalid: BAD_LINE (file, line and reason), NO_EVENTS; kNotFound.
// A regular input must not be cut short by others meanwhile: it is mapped.
Result<ConvertSummary> ConvertNdjson(const std::vector<std::string>& inputs,
                                     const std::string& output, const ConvertOptions& options);

}  // namespace varve::record
