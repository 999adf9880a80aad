#include "parquet/timestamp_unit.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace varve::parquet {
namespace {

constexpr TimestampUnit kUnits[] = {TimestampUnit::kMillis, TimestampUnit::kMicros,
                                    TimestampUnit::kNanos};
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

__extension__ using Wide = __int128;

Wide NanosOf(TimestampUnit unit) {
  return unit == TimestampUnit::kMillis ? 1'000'000 : unit == TimestampUnit::kMicros ? 1000 : 1;
}

Wide Floor(Wide value, Wide by) {
  const Wide down = value / by;
  return down * by > value ? down - 1 : down;
}

bool Fits(Wide value) { return value >= kLeast && value <= kMost; }

TEST(TimestampUnitTest, EveryPairOfUnitsRoundsDownOrSaysThatAValueDoesNotFit) {
  std::vector<int64_t> values = {0, 1, -1, 999, 1000, 1001, -999, -1000, -1001, 1'999'999};
  for (const int64_t limit : {kLeast, kMost}) {
    for (const int64_t by : {1, 1000, 1'000'000}) {
      for (const int64_t more : {-1, 0, 1}) values.push_back(limit / by + (by > 1 ? more : 0));
    }
  }
  for (const TimestampUnit from : kUnits) {
    for (const TimestampUnit to : kUnits) {
      for (const int64_t value : values) {
        const Wide wanted = Floor(value * NanosOf(from), NanosOf(to));
        int64_t got = 0;
        const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
        ASSERT_EQ(ConvertTimestamps(from, to, bytes, 1, &got), Fits(wanted)) << value;
        if (Fits(wanted)) {
          ASSERT_EQ(got, static_cast<int64_t>(wanted)) << value;
        }
      }
    }
  }
}

TEST(TimestampUnitTest, OneValueOfManyThatDoesNotFitIsSeen) {
  std::vector<int64_t> values(1000, 5), out(1000);
  values[777] = kMost / 1000 + 1;
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  EXPECT_FALSE(
      ConvertTimestamps(TimestampUnit::kMillis, TimestampUnit::kMicros, bytes, 1000, out.data()));
  EXPECT_TRUE(
      ConvertTimestamps(TimestampUnit::kMillis, TimestampUnit::kMicros, bytes, 777, out.data()));
}

TEST(TimestampUnitTest, Int96IsTheJulianDayAndItsNanoseconds) {
  struct Case {
    int32_t day;
    int64_t nanos;
  };
  const Case cases[] = {{2'440'588, 0},
                        {2'440'588, 1},
                        {2'440'587, 86'399'999'999'999},
                        {2'440'587, 1},
                        {2'440'588, -1},
                        {0, 0},
                        {2'933'000, 1'234'567},
                        {std::numeric_limits<int32_t>::max(), 0},
                        {std::numeric_limits<int32_t>::min(), 999'999}};
  for (const Case& at : cases) {
    uint8_t bytes[12];
    std::memcpy(bytes, &at.nanos, 8);
    std::memcpy(bytes + 8, &at.day, 4);
    const Wide nanos = (Wide{at.day} - 2'440'588) * 86'400 * 1'000'000'000 + at.nanos;
    for (const TimestampUnit to : kUnits) {
      const Wide wanted = Floor(nanos, NanosOf(to));
      int64_t got = 0;
      ASSERT_EQ(ConvertInt96(to, bytes, 1, &got), Fits(wanted)) << at.day;
      if (Fits(wanted)) {
        ASSERT_EQ(got, static_cast<int64_t>(wanted)) << at.day;
      }
    }
  }
}

}  // namespace
}  // namespace varve::parquet
