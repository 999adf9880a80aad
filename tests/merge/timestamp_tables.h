// Files of times in some unit and encoding, and what a merge makes of them, worked out slowly.
#pragma once

#include <arrow/api.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "merge/random_tables.h"

namespace varve::merge {

enum class TimeEncoding : uint8_t { kDictionary, kPlain, kDelta, kSplit };

struct TimeRow {
  int64_t ts = 0;             // adjusted to UTC
  std::optional<int64_t> at;  // local
  int64_t id = 0;

  bool operator==(const TimeRow&) const = default;
};
std::ostream& operator<<(std::ostream& out, const TimeRow& row);

struct TimeFile {
  arrow::TimeUnit::type unit = arrow::TimeUnit::MILLI;
  std::vector<TimeRow> rows;
  TimeEncoding encoding = TimeEncoding::kPlain;
  bool int96 = false;  // of nanoseconds
  int64_t group_rows = 100;
  bool arrow_schema = false;
};

// Sorted by ts. Some thousand milliseconds around 1970 in that unit, many equal, some null.
TimeFile RandomTimes(Dice& dice, arrow::TimeUnit::type unit, TimeEncoding encoding, size_t rows,
                     int64_t first_id);
void WriteTimes(const std::string& path, const TimeFile& file);
std::vector<TimeRow> ReadTimes(const std::string& path, arrow::TimeUnit::type unit);

// Rounds down.
int64_t InUnit(int64_t value, arrow::TimeUnit::type from, arrow::TimeUnit::type to);
// All rows in that unit, stably sorted by ts.
std::vector<TimeRow> MergedTimes(const std::vector<TimeFile>& files, arrow::TimeUnit::type unit,
                                 bool descending = false);

}  // namespace varve::merge
