#include "parquet/value_order.h"

#include <parquet/schema.h>
#include <parquet/types.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/bytes.h"

namespace varve::parquet {

namespace pq = ::parquet;

namespace {

template <typename T>
bool LessAs(std::string_view a, std::string_view b) {
  return GetLe<T>(a.data()) < GetLe<T>(b.data());
}

Half GetHalf(std::string_view value) { return {GetLe<uint16_t>(value.data())}; }

template <typename T>
constexpr bool kIsFloat = std::is_floating_point_v<T> || std::is_same_v<T, Half>;

bool DecimalLess(std::string_view a, std::string_view b) {
  auto negative = [](std::string_view v) { return !v.empty() && (v[0] & 0x80) != 0; };
  if (negative(a) != negative(b)) return negative(a);
  const char fill = negative(a) ? '\xff' : '\0';
  const size_t size = std::max(a.size(), b.size());
  for (size_t i = 0; i < size; ++i) {
    auto byte = [&](std::string_view v) {
      const size_t pad = size - v.size();
      return static_cast<uint8_t>(i < pad ? fill : v[i - pad]);
    };
    if (byte(a) != byte(b)) return byte(a) < byte(b);
  }
  return false;
}

ValueOrder BytesOrder(const pq::ColumnDescriptor& column) {
  const auto& logical = column.logical_type();
  if (logical != nullptr && logical->is_decimal()) return ValueOrder::kDecimal;
  if (logical != nullptr && logical->is_float16()) return ValueOrder::kHalf;
  if (column.sort_order() != pq::SortOrder::UNSIGNED) return ValueOrder::kNone;
  return ValueOrder::kBytes;
}

}  // namespace

Half::operator float() const {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
  if (exponent == 0) {  // zero, or less than the least with all bits
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return sign == 0 ? magnitude : -magnitude;
  }
  const uint32_t wide = exponent == 0x1f ? 0xff : exponent - 15 + 127;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

ValueOrder OrderOf(const pq::ColumnDescriptor& column) {
  const bool is_unsigned = column.sort_order() == pq::SortOrder::UNSIGNED;
  switch (column.physical_type()) {
    case pq::Type::BOOLEAN:
      return ValueOrder::kBool;
    case pq::Type::INT32:
      return is_unsigned ? ValueOrder::kUint32 : ValueOrder::kInt32;
    case pq::Type::INT64:
      return is_unsigned ? ValueOrder::kUint64 : ValueOrder::kInt64;
    case pq::Type::FLOAT:
      return ValueOrder::kFloat;
    case pq::Type::DOUBLE:
      return ValueOrder::kDouble;
    case pq::Type::BYTE_ARRAY:
    case pq::Type::FIXED_LEN_BYTE_ARRAY:
      return BytesOrder(column);
    default:
      return ValueOrder::kNone;
  }
}

bool ValueLess(ValueOrder order, std::string_view a, std::string_view b) {
  switch (order) {
    case ValueOrder::kNone:
      return false;
    case ValueOrder::kBool:
      return LessAs<uint8_t>(a, b);
    case ValueOrder::kInt32:
      return LessAs<int32_t>(a, b);
    case ValueOrder::kInt64:
      return LessAs<int64_t>(a, b);
    case ValueOrder::kUint32:
      return LessAs<uint32_t>(a, b);
    case ValueOrder::kUint64:
      return LessAs<uint64_t>(a, b);
    case ValueOrder::kFloat:
      return LessAs<float>(a, b);
    case ValueOrder::kDouble:
      return LessAs<double>(a, b);
    case ValueOrder::kHalf:
      return static_cast<float>(GetHalf(a)) < static_cast<float>(GetHalf(b));
    case ValueOrder::kBytes:
      return a < b;
    case ValueOrder::kDecimal:
      return DecimalLess(a, b);
  }
  return false;
}

// The first two are taken as they are: -0 and +0 are equal.
void ValueBounds::Widen(std::string_view low, std::string_view high) {
  if (order_ == ValueOrder::kNone) return;
  if (!has_ || ValueLess(order_, low, min_)) min_ = low;
  if (!has_ || ValueLess(order_, max_, high)) max_ = high;
  has_ = true;
}

template <typename T>
void ValueBounds::AddNumbers(const uint8_t* data, uint32_t values) {
  T low{}, high{};
  uint32_t i = 0;
  auto at = [&](uint32_t index) {
    T value;
    std::memcpy(&value, data + index * sizeof(T), sizeof value);
    return value;
  };
  if constexpr (kIsFloat<T>) {
    while (i < values && std::isnan(at(i))) ++i;
  }
  if (i == values) return;
  low = high = at(i);
  for (++i; i < values; ++i) {
    const T value = at(i);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if constexpr (std::is_same_v<T, Half>) {
    if (low == 0) low = Half{0x8000};
    if (high == 0) high = Half{0};
  } else if constexpr (kIsFloat<T>) {
    if (low == 0) low = -T{0};
    if (high == 0) high = T{0};
  }
  Widen({reinterpret_cast<const char*>(&low), sizeof low},
        {reinterpret_cast<const char*>(&high), sizeof high});
}

void ValueBounds::AddPlain(const ColumnShape& shape, const uint8_t* data, uint32_t values) {
  switch (order_) {
    case ValueOrder::kNone:
      return;
    case ValueOrder::kBool:
      return AddNumbers<uint8_t>(data, values);
    case ValueOrder::kInt32:
      return AddNumbers<int32_t>(data, values);
    case ValueOrder::kInt64:
      return AddNumbers<int64_t>(data, values);
    case ValueOrder::kUint32:
      return AddNumbers<uint32_t>(data, values);
    case ValueOrder::kUint64:
      return AddNumbers<uint64_t>(data, values);
    case ValueOrder::kFloat:
      return AddNumbers<float>(data, values);
    case ValueOrder::kDouble:
      return AddNumbers<double>(data, values);
    case ValueOrder::kHalf:
      return AddNumbers<Half>(data, values);
    case ValueOrder::kBytes:
    case ValueOrder::kDecimal:
      break;
  }
  if (values == 0) return;
  ByteArrayBounds bounds;
  std::string_view low, high;
  const auto* at = reinterpret_cast<const char*>(data);
  for (uint32_t i = 0; i < values; ++i) {
    const size_t size = shape.is_bytes() ? GetLe<uint32_t>(at) : shape.width;
    if (shape.is_bytes()) at += 4;
    const std::string_view value(at, size);
    at += size;
    if (order_ == ValueOrder::kBytes) {
      bounds.Add(value);
    } else {
      if (i == 0 || ValueLess(order_, value, low)) low = value;
      if (i == 0 || ValueLess(order_, high, value)) high = value;
    }
  }
  if (order_ == ValueOrder::kBytes) return Add(bounds);
  Widen(low, high);
}

void ValueBounds::Add(const ByteArrayBounds& bounds) {
  if (!bounds.has()) return;
  Widen(bounds.min(), bounds.max());
}

void ByteArrayBounds::Compare(std::string_view value) {
  if (!has_ || value < min_) min_ = value;
  if (!has_ || value > max_) max_ = value;
  has_ = true;
  const size_t most = std::min(min_.size(), max_.size());
  size_t prefix = 0;
  while (prefix < most && min_[prefix] == max_[prefix]) ++prefix;
  word_end_ = prefix + 8 <= most ? prefix + 8 : SIZE_MAX;
  if (word_end_ == SIZE_MAX) return;
  min_word_ = Word(min_.data() + prefix);
  max_word_ = Word(max_.data() + prefix);
}

void ValueBounds::Merge(const ValueBounds& other) {
  if (other.has_) Widen(other.min_, other.max_);
}

}  // namespace varve::parquet
