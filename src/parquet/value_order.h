// How the values of a column are ordered, by physical and logical type, and the least and greatest
// of them: statistics, page index and sort keys agree on it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "parquet/indexed_page.h"

namespace varve::parquet {

enum class ValueOrder : uint8_t {
  kNone,  // the type has no order
  kBool,
  kInt32,
  kInt64,
  kUint32,
  kUint64,
  kFloat,
  kDouble,
  kBytes,    // unsigned, byte by byte, shorter first
  kDecimal,  // big-endian two's complement
};

ValueOrder OrderOf(const ::parquet::ColumnDescriptor& column);

// Values without a length in front.
bool ValueLess(ValueOrder order, std::string_view a, std::string_view b);

// The bounds of what was added. NaN has no place in them, zero is -0 below and +0 above.
class ValueBounds {
 public:
  explicit ValueBounds(ValueOrder order) : order_(order) {}

  void Add(std::string_view value);  // without a length in front
  void AddPlain(const ColumnShape& shape, const uint8_t* data, uint32_t values);
  void Merge(const ValueBounds& other);

  bool has() const { return has_; }
  ValueOrder order() const { return order_; }
  const std::string& min() const { return min_; }
  const std::string& max() const { return max_; }

 private:
  template <typename T>
  void AddNumbers(const uint8_t* data, uint32_t values);

  ValueOrder order_;
  bool has_ = false;
  std::string min_, max_;
};

}  // namespace varve::parquet
