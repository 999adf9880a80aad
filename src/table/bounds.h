// Values as Iceberg writes them in bounds and partitions: little-endian numbers, UTF-8, big-endian
// decimals. Both formats' statistics are made from these.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "table/schema.h"

namespace varve::table {

inline constexpr size_t kBoundCodePointsMax = 16;  // of strings; bytes of binaries

// By the type's own order; both are of the type.
int CompareValues(const Type& type, std::string_view a, std::string_view b);
// Whether the bytes can be a value of the type: their number, and that no float is NaN.
bool IsValue(const Type& type, std::string_view bytes);

// A lower bound is a prefix; an upper one is a prefix that was made greater than the value, and
// nothing where no such prefix exists.
std::string TruncateLower(const Type& type, std::string_view value);
std::optional<std::string> TruncateUpper(const Type& type, std::string_view value);

// As few bytes as its two's complement needs, the first one first.
std::string MinimalBigEndian(std::string_view big_endian);
std::string BigEndianOf(int64_t number);

// The value in a wider type (int → long, float → double); as it is if they are the same.
std::string WidenValue(const Type& from, const Type& to, std::string_view value);

// Rounded down, before 1970 too.
int64_t FloorDiv(int64_t a, int64_t b);

std::string ValueText(const Type& type, std::string_view value);  // for people and paths

}  // namespace varve::table
