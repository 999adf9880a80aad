#include "parquet/decimal_form.h"

#include <gtest/gtest.h>
#include <parquet/types.h>

#include <cstring>
#include <random>

namespace varve::parquet {
namespace {

ColumnShape Integer(uint32_t width) {
  ColumnShape shape;
  shape.physical = width == 4 ? ::parquet::Type::INT32 : ::parquet::Type::INT64;
  shape.width = width;
  return shape;
}

ColumnShape Fixed(uint32_t width) {
  ColumnShape shape;
  shape.physical = ::parquet::Type::FIXED_LEN_BYTE_ARRAY;
  shape.width = width;
  return shape;
}

std::string Stored(int64_t value, const ColumnShape& shape) {
  std::string bytes;
  for (uint32_t i = 0; i < shape.width; ++i) {
    bytes.push_back(static_cast<char>(i < 8 ? value >> (8 * i) : value >> 63));
  }
  const bool integer = shape.physical != ::parquet::Type::FIXED_LEN_BYTE_ARRAY;
  return integer ? bytes : std::string(bytes.rbegin(), bytes.rend());
}

bool Fits(int64_t value, uint32_t width) {
  if (width >= 8) return true;
  const int64_t half = int64_t{1} << (8 * width - 1);
  return -half <= value && value < half;
}

IndexedPage PageOf(const std::string& bytes, uint32_t values) {
  IndexedPage page;
  page.rows = page.values = values;
  page.bytes.Append(bytes.data(), bytes.size());
  page.data = page.bytes.data();
  return page;
}

TEST(DecimalFormTest, EachFormBecomesEachOtherOrIsRefused) {
  const ColumnShape shapes[] = {Integer(4), Integer(8), Fixed(1),  Fixed(3),
                                Fixed(5),   Fixed(8),   Fixed(13), Fixed(16)};
  std::mt19937_64 engine(7);
  for (int round = 0; round < 2000; ++round) {
    const auto value = static_cast<int64_t>(engine()) >> (engine() % 64);
    for (const ColumnShape& from : shapes) {
      if (!Fits(value, from.width)) continue;
      for (const ColumnShape& to : shapes) {
        IndexedPage page = PageOf(Stored(value, from), 1);
        const auto done = ConvertDecimals(from, to, page);
        ASSERT_EQ(done.ok(), Fits(value, to.width)) << value << " " << from.width << to.width;
        if (done.ok()) {
          ASSERT_EQ(page.Plain(0, to), Stored(value, to));
        }
      }
    }
  }
}

}  // namespace
}  // namespace varve::parquet
