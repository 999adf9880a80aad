// Parquet event files back to rows, and what a file says of itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "record/event_columns.h"

namespace varve::record {

enum class FileSchema : uint8_t { kEvents, kLogs, kOther };

struct FileCheck {
  FileSchema schema = FileSchema::kOther;  // the 13 columns, the 16 log columns, or neither
  uint64_t bytes = 0, rows = 0, row_groups = 0;
  std::optional<int64_t> ts_min, ts_max;  // of `ts` or `timestamp`, if all row groups have them
};

// Reads the footer only. kCorrupt: not a whole Parquet file, or a footer whose parts do not fit the
// file or each other; kNotFound.
Result<FileCheck> CheckParquetFile(const std::string& path);
// The same for a file that is in memory.
Result<FileCheck> CheckParquetBytes(std::string_view bytes);

// Reads every page of any Parquet file: its checksum where it has one, its compression, its values.
// Told how many rows it has read, on_rows goes on with true. kCorrupt: a page that does not check
// out. kCancelled: on_rows said false.
Status VerifyParquetFile(const std::string& path, const std::function<bool(uint64_t)>& on_rows);

// Rows of an event file in their order, those columns of each that are in the mask. The row's text
// lives during the call; an error from on_row ends the reading. kCorrupt: not an event file, or a
// page that does not check out.
Status ReadEventRows(const std::string& path, ColumnMask mask,
                     const std::function<Status(const EventRow&)>& on_row);

// The payloads as NDJSON, one a line; white space between tokens is left out of a payload that has
// a line end in it. Returns the number of rows.
Result<uint64_t> WriteNdjson(const std::string& path,
                             const std::function<Status(std::string_view)>& sink);

}  // namespace varve::record
