#include "parquet/value_order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace varve::parquet {
namespace {

template <typename T>
ValueBounds BoundsOf(ValueOrder order, const std::vector<std::vector<T>>& pages) {
  ValueBounds bounds(order);
  for (const std::vector<T>& page : pages) {
    ValueBounds own(order);
    own.AddPlain({}, reinterpret_cast<const uint8_t*>(page.data()),
                 static_cast<uint32_t>(page.size()));
    bounds.Merge(own);
  }
  return bounds;
}

template <typename T>
std::string Bytes(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// As the format wants it: a reader that tells -0 from +0 finds both between the bounds.
TEST(ValueBoundsTest, ZeroIsMinusZeroBelowAndPlusZeroAbove) {
  for (const double zero : {0.0, -0.0}) {
    for (const auto& pages : {std::vector<std::vector<double>>{{zero}},
                              {{zero}, {zero, zero}},
                              {{zero}, {std::nan("")}},
                              {{std::nan(""), zero}}}) {
      const auto bounds = BoundsOf(ValueOrder::kDouble, pages);
      EXPECT_EQ(bounds.min(), Bytes(-0.0));
      EXPECT_EQ(bounds.max(), Bytes(0.0));
    }
    const auto below = BoundsOf<double>(ValueOrder::kDouble, {{zero}, {-1, zero}, {-3}});
    EXPECT_EQ(below.min(), Bytes(-3.0));
    EXPECT_EQ(below.max(), Bytes(0.0));
    const auto above = BoundsOf<double>(ValueOrder::kDouble, {{zero, 2}, {1}, {zero}});
    EXPECT_EQ(above.min(), Bytes(-0.0));
    EXPECT_EQ(above.max(), Bytes(2.0));
  }
  const auto half = BoundsOf<uint16_t>(ValueOrder::kHalf, {{0x8000}, {0}});
  EXPECT_EQ(half.min(), Bytes(uint16_t{0x8000}));
  EXPECT_EQ(half.max(), Bytes(uint16_t{0}));
  const auto narrow = BoundsOf<float>(ValueOrder::kFloat, {{0}, {-1}});
  EXPECT_EQ(narrow.min(), Bytes(-1.0f));
  EXPECT_EQ(narrow.max(), Bytes(0.0f));
}

TEST(ValueBoundsTest, NanHasNoPlaceInThem) {
  const double nan = std::nan("");
  EXPECT_FALSE(BoundsOf<double>(ValueOrder::kDouble, {{nan}, {nan, nan}}).has());
  const auto bounds = BoundsOf<double>(ValueOrder::kDouble, {{nan, 4, nan, 5}, {nan}});
  EXPECT_EQ(bounds.min(), Bytes(4.0));
  EXPECT_EQ(bounds.max(), Bytes(5.0));
}

}  // namespace
}  // namespace varve::parquet
