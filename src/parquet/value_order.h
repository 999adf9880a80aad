// How the values of a column are ordered, by physical and logical type, and the least and greatest
// of them: statistics, page index and sort keys agree on it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/bytes.h"
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
  kHalf,     // a Half
  kBytes,    // unsigned, byte by byte, shorter first
  kDecimal,  // big-endian two's complement
};

// IEEE 754's binary16, which C++20 has no type for.
struct Half {
  uint16_t bits = 0;
  operator float() const;  // exact
};

ValueOrder OrderOf(const ::parquet::ColumnDescriptor& column);

// Values without a length in front.
bool ValueLess(ValueOrder order, std::string_view a, std::string_view b);

// The least and the greatest of byte arrays that stay where they are, in kBytes' order.
class ByteArrayBounds {
 public:
  void Add(std::string_view value) {
    if (!IsBetween(value)) Compare(value);
  }
  bool has() const { return has_; }
  std::string_view min() const { return min_; }
  std::string_view max() const { return max_; }

 private:
  // What the two have in front in common, all between them have; then eight bytes decide nearly
  // always. False: it is to be compared.
  bool IsBetween(std::string_view value) const {
    if (value.size() < word_end_) return false;
    const uint64_t word = Word(value.data() + word_end_ - 8);
    return min_word_ < word && word < max_word_ &&
           std::memcmp(value.data(), min_.data(), word_end_ - 8) == 0;
  }
  static uint64_t Word(const char* at) { return __builtin_bswap64(GetLe<uint64_t>(at)); }
  void Compare(std::string_view value);

  std::string_view min_, max_;
  bool has_ = false;
  size_t word_end_ = SIZE_MAX;  // of the eight bytes
  uint64_t min_word_ = 0, max_word_ = 0;
};

// The bounds of what was added. NaN has no place in them, zero is -0 below and +0 above.
class ValueBounds {
 public:
  explicit ValueBounds(ValueOrder order) : order_(order) {}

  void AddPlain(const ColumnShape& shape, const uint8_t* data, uint32_t values);
  void Add(const ByteArrayBounds& bounds);
  void Merge(const ValueBounds& other);

  bool has() const { return has_; }
  ValueOrder order() const { return order_; }
  const std::string& min() const { return min_; }
  const std::string& max() const { return max_; }

 private:
  void Widen(std::string_view low, std::string_view high);
  template <typename T>
  void AddNumbers(const uint8_t* data, uint32_t values);

  ValueOrder order_;
  bool has_ = false;
  std::string min_, max_;
};

}  // namespace varve::parquet
