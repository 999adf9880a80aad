// Event rows in their order → a 13-column Parquet file, a part at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "record/event_file.h"

namespace varve::record {

struct EventFileSummary {
  uint64_t rows = 0;
  uint64_t bytes = 0;  // of the file
  int64_t ts_min = 0, ts_max = 0;
  std::vector<std::string> types;  // the first 10 that differ, sorted
};

// Not thread-safe; uses a second thread inside when options.threads > 1.
class EventFileWriter {
 public:
  // The sink gets the file's bytes in order; its error ends the file.
  static Result<std::unique_ptr<EventFileWriter>> Open(std::function<Status(std::string_view)> sink,
                                                       const EventFileOptions& options);
  virtual ~EventFileWriter() = default;
  // Appends rows, whose ts must not fall below the last one's. The slices' bytes are no longer
  // needed when it returns.
  virtual Status Write(std::span<const EventSlice> rows) = 0;
  virtual Result<EventFileSummary> Close() = 0;
};

}  // namespace varve::record
