// Timestamps in another unit. A finer one multiplies, which may be more than 64 bits hold; a
// coarser one divides and rounds towards negative infinity, so that the order stays: less is never
// greater afterwards, though it may be equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/result.h"

namespace parquet {
class ColumnDescriptor;
}

namespace varve::parquet {

// From coarse to fine.
enum class TimestampUnit : uint8_t { kNone, kMillis, kMicros, kNanos };

// Of an INT64 column that has the logical type TIMESTAMP; kNone: it is something else.
TimestampUnit UnitOf(const ::parquet::ColumnDescriptor& column);

// values: int64_t[count], as they are in PLAIN encoding; may be `out`. False: a value does not fit
// into 64 bits. Neither unit is kNone.
bool ConvertTimestamps(TimestampUnit from, TimestampUnit to, const uint8_t* values, size_t count,
                       int64_t* out);

// The same of INT96: nanoseconds of the day, then the Julian day.
bool ConvertInt96(TimestampUnit to, const uint8_t* values, size_t count, int64_t* out);

// What false of these two means: kInvalid, TIMESTAMP_RANGE.
Error TimestampRangeError(TimestampUnit to);

}  // namespace varve::parquet
