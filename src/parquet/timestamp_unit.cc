#include "parquet/timestamp_unit.h"

#include <parquet/schema.h>
#include <parquet/types.h>

#include <cstring>
#include <limits>

#include "core/bytes.h"
#include "core/check.h"

namespace varve::parquet {

namespace pq = ::parquet;

namespace {

constexpr size_t kInt96Bytes = 12;
constexpr int64_t kUnixEpochJulianDay = 2'440'588;
constexpr int64_t kMillisPerDay = 86'400'000;

std::string_view ToString(TimestampUnit unit) {
  switch (unit) {
    case TimestampUnit::kMillis:
      return "milliseconds";
    case TimestampUnit::kMicros:
      return "microseconds";
    case TimestampUnit::kNanos:
      return "nanoseconds";
    case TimestampUnit::kNone:
      break;
  }
  return "no unit";
}

int64_t PerMilli(TimestampUnit unit) {
  CHECK(unit != TimestampUnit::kNone);
  return unit == TimestampUnit::kMillis ? 1 : unit == TimestampUnit::kMicros ? 1000 : 1'000'000;
}

int64_t At(const uint8_t* values, size_t i) {
  int64_t value;
  std::memcpy(&value, values + i * sizeof value, sizeof value);
  return value;
}

int64_t FloorDivide(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

template <int64_t kFactor>
bool Multiply(const uint8_t* values, size_t count, int64_t* out) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / kFactor;
  bool fits = true;
  for (size_t i = 0; i < count; ++i) {
    const int64_t value = At(values, i);
    fits &= (value <= kMost) & (value >= -kMost);
    out[i] = static_cast<int64_t>(static_cast<uint64_t>(value) * uint64_t{kFactor});
  }
  return fits;
}

template <int64_t kFactor>
bool Divide(const uint8_t* values, size_t count, int64_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = FloorDivide(At(values, i), kFactor);
  return true;
}

}  // namespace

TimestampUnit UnitOf(const pq::ColumnDescriptor& column) {
  const auto& type = column.logical_type();
  if (column.physical_type() != pq::Type::INT64 || type == nullptr || !type->is_timestamp()) {
    return TimestampUnit::kNone;
  }
  switch (static_cast<const pq::TimestampLogicalType&>(*type).time_unit()) {
    case pq::LogicalType::TimeUnit::MILLIS:
      return TimestampUnit::kMillis;
    case pq::LogicalType::TimeUnit::MICROS:
      return TimestampUnit::kMicros;
    case pq::LogicalType::TimeUnit::NANOS:
      return TimestampUnit::kNanos;
    default:
      return TimestampUnit::kNone;
  }
}

bool ConvertTimestamps(TimestampUnit from, TimestampUnit to, const uint8_t* values, size_t count,
                       int64_t* out) {
  const int64_t have = PerMilli(from), want = PerMilli(to);
  if (want == have * 1000) return Multiply<1000>(values, count, out);
  if (want == have * 1'000'000) return Multiply<1'000'000>(values, count, out);
  if (have == want * 1000) return Divide<1000>(values, count, out);
  if (have == want * 1'000'000) return Divide<1'000'000>(values, count, out);
  return Divide<1>(values, count, out);
}

bool ConvertInt96(TimestampUnit to, const uint8_t* values, size_t count, int64_t* out) {
  const int64_t per_milli = PerMilli(to);
  const int64_t nanos_each = 1'000'000 / per_milli;
  bool fits = true;
  for (size_t i = 0; i < count; ++i) {
    const char* at = reinterpret_cast<const char*>(values) + i * kInt96Bytes;
    const int64_t time = FloorDivide(GetLe<int64_t>(at), nanos_each);
    const int64_t day = GetLe<int32_t>(at + 8) - kUnixEpochJulianDay;
    int64_t begin = 0;
    fits &= !__builtin_mul_overflow(day, kMillisPerDay * per_milli, &begin);
    fits &= !__builtin_add_overflow(begin, time, &out[i]);
  }
  return fits;
}

Error TimestampRangeError(TimestampUnit to) {
  return MakeError(ErrorKind::kInvalid, "TIMESTAMP_RANGE",
                   "has a time that 64 bits of " + std::string(ToString(to)) + " do not hold");
}

}  // namespace varve::parquet
