#include "table/bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/bytes.h"
#include "core/clock.h"

namespace varve::table {
namespace {

template <typename T>
int Compare(T a, T b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

template <typename T>
int CompareLe(std::string_view a, std::string_view b) {
  return Compare(GetLe<T>(a.data()), GetLe<T>(b.data()));
}

bool IsNegative(std::string_view big_endian) {
  return !big_endian.empty() && (static_cast<uint8_t>(big_endian[0]) & 0x80) != 0;
}

// Two's complement, of any lengths.
int CompareBigEndian(std::string_view a, std::string_view b) {
  if (IsNegative(a) != IsNegative(b)) return IsNegative(a) ? -1 : 1;
  const size_t size = std::max(a.size(), b.size());
  const char fill = IsNegative(a) ? '\xff' : '\0';
  const std::string x = std::string(size - a.size(), fill) + std::string(a);
  const std::string y = std::string(size - b.size(), fill) + std::string(b);
  return Compare(x.compare(y), 0);
}

// Bytes of the first count code points; text need not be UTF-8.
size_t PrefixBytes(std::string_view text, size_t count) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    const bool begins = (static_cast<uint8_t>(text[at]) & 0xc0) != 0x80;
    if (begins && count-- == 0) break;
  }
  return at;
}

struct LastPoint {
  size_t begin;
  uint32_t value;
};

// The last code point of text that is UTF-8; nothing if it does not end in one.
std::optional<LastPoint> LastCodePoint(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0 && text.size() - begin < 4) {
    --begin;
    if ((static_cast<uint8_t>(text[begin]) & 0xc0) != 0x80) break;
  }
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(begin);
  const size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (begin + length != text.size() || (lead >= 0x80 && (lead < 0xc2 || lead > 0xf4))) {
    return std::nullopt;
  }
  uint32_t value = length == 1 ? lead : lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) value = value << 6 | (byte(begin + i) & 0x3f);
  return LastPoint{begin, value};
}

void AppendUtf8(std::string& out, uint32_t point) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xc0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
  }
  put(0x80 | (point & 0x3f));
}

// The last code point that has a next one is made that one, what follows it is cut.
std::optional<std::string> NextString(std::string text) {
  while (!text.empty()) {
    const std::optional<LastPoint> last = LastCodePoint(text);
    if (!last) return std::nullopt;
    text.resize(last->begin);
    if (last->value >= 0x10ffff) continue;
    AppendUtf8(text, last->value == 0xd7ff ? 0xe000 : last->value + 1);
    return text;
  }
  return std::nullopt;
}

std::optional<std::string> NextBytes(std::string bytes) {
  while (!bytes.empty()) {
    if (bytes.back() != '\xff') {
      bytes.back() = static_cast<char>(bytes.back() + 1);
      return bytes;
    }
    bytes.pop_back();
  }
  return std::nullopt;
}

}  // namespace

int CompareValues(const Type& type, std::string_view a, std::string_view b) {
  switch (type.id) {
    case TypeId::kBoolean:
      return Compare(a[0], b[0]);
    case TypeId::kInt:
    case TypeId::kDate:
      return CompareLe<int32_t>(a, b);
    case TypeId::kLong:
    case TypeId::kTime:
    case TypeId::kTimestamp:
    case TypeId::kTimestamptz:
      return CompareLe<int64_t>(a, b);
    case TypeId::kFloat:
      return CompareLe<float>(a, b);
    case TypeId::kDouble:
      return CompareLe<double>(a, b);
    case TypeId::kDecimal:
      return CompareBigEndian(a, b);
    default:
      return Compare(a.compare(b), 0);
  }
}

bool IsValue(const Type& type, std::string_view bytes) {
  switch (type.id) {
    case TypeId::kBoolean:
      return bytes.size() == 1;
    case TypeId::kInt:
    case TypeId::kDate:
      return bytes.size() == 4;
    case TypeId::kLong:
    case TypeId::kTime:
    case TypeId::kTimestamp:
    case TypeId::kTimestamptz:
      return bytes.size() == 8;
    case TypeId::kFloat:
      return bytes.size() == 4 && !std::isnan(GetLe<float>(bytes.data()));
    case TypeId::kDouble:
      return bytes.size() == 8 && !std::isnan(GetLe<double>(bytes.data()));
    case TypeId::kDecimal:
      return !bytes.empty() && bytes.size() <= 16;
    case TypeId::kUuid:
      return bytes.size() == 16;
    case TypeId::kFixed:
      return bytes.size() == static_cast<size_t>(type.length);
    default:
      return !type.is_nested();
  }
}

std::string TruncateLower(const Type& type, std::string_view value) {
  if (type.id == TypeId::kString) {
    return std::string(value.substr(0, PrefixBytes(value, kBoundCodePointsMax)));
  }
  if (type.id == TypeId::kBinary) return std::string(value.substr(0, kBoundCodePointsMax));
  return std::string(value);
}

std::optional<std::string> TruncateUpper(const Type& type, std::string_view value) {
  std::string prefix = TruncateLower(type, value);
  if (prefix.size() == value.size()) return prefix;
  return type.id == TypeId::kString ? NextString(std::move(prefix)) : NextBytes(std::move(prefix));
}

std::string MinimalBigEndian(std::string_view big_endian) {
  const char fill = IsNegative(big_endian) ? '\xff' : '\0';
  while (big_endian.size() > 1 && big_endian[0] == fill &&
         IsNegative(big_endian.substr(1)) == IsNegative(big_endian)) {
    big_endian.remove_prefix(1);
  }
  return std::string(big_endian);
}

std::string BigEndianOf(int64_t number) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(number >> shift));
  return MinimalBigEndian(bytes);
}

std::string WidenValue(const Type& from, const Type& to, std::string_view value) {
  std::string out;
  if (from.id == TypeId::kInt && to.id == TypeId::kLong) {
    AppendLe<int64_t>(out, GetLe<int32_t>(value.data()));
  } else if (from.id == TypeId::kFloat && to.id == TypeId::kDouble) {
    AppendLe<double>(out, GetLe<float>(value.data()));
  } else {
    out = value;
  }
  return out;
}

int64_t FloorDiv(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::string ValueText(const Type& type, std::string_view value) {
  switch (type.id) {
    case TypeId::kBoolean:
      return value[0] != 0 ? "true" : "false";
    case TypeId::kInt:
      return fmt::format("{}", GetLe<int32_t>(value.data()));
    case TypeId::kDate:
      return FormatIso(int64_t{GetLe<int32_t>(value.data())} * 86'400'000).substr(0, 10);
    case TypeId::kLong:
    case TypeId::kTime:
      return fmt::format("{}", GetLe<int64_t>(value.data()));
    case TypeId::kTimestamp:
    case TypeId::kTimestamptz: {
      const int64_t micros = GetLe<int64_t>(value.data());
      const int64_t ms = FloorDiv(micros, 1000);
      std::string text = FormatIso(ms);
      text.insert(text.size() - 1, fmt::format("{:03}", micros - ms * 1000));
      if (type.id == TypeId::kTimestamp) text.pop_back();
      return text;
    }
    case TypeId::kFloat:
      return fmt::format("{}", GetLe<float>(value.data()));
    case TypeId::kDouble:
      return fmt::format("{}", GetLe<double>(value.data()));
    case TypeId::kString:
      return std::string(value);
    default:
      return HexEncode(value);
  }
}

}  // namespace varve::table
