#include "parquet/crc32.h"

#include <arrow/util/crc32.h>
#include <gtest/gtest.h>

#include <vector>

namespace varve::parquet {
namespace {

TEST(Crc32Test, IsThatOfAnyLength) {
  std::vector<uint8_t> bytes(1000);
  uint32_t state = 1;
  for (uint8_t& byte : bytes)
    byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  for (size_t begin = 0; begin < 17; ++begin) {
    for (size_t size = 0; begin + size <= bytes.size(); ++size) {
      ASSERT_EQ(PageCrc32(bytes.data() + begin, size),
                arrow::internal::crc32(0, bytes.data() + begin, size))
          << size << " bytes from " << begin;
    }
  }
}

TEST(Crc32Test, IsThatOfTheStandardsExample) {
  const uint8_t digits[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
  EXPECT_EQ(PageCrc32(digits, sizeof digits), 0xcbf43926u);
}

}  // namespace
}  // namespace varve::parquet
