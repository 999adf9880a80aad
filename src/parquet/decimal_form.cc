#include "parquet/decimal_form.h"

#include <parquet/types.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace varve::parquet {

namespace {

bool IsInteger(const ColumnShape& shape) {
  return shape.physical == ::parquet::Type::INT32 || shape.physical == ::parquet::Type::INT64;
}

// Of big-endian bytes; false: the number needs more than width.
bool PutBytes(std::string_view number, uint8_t* to, size_t width) {
  const uint8_t sign = !number.empty() && (number[0] & 0x80) != 0 ? 0xff : 0;
  const size_t pad = width - std::min(width, number.size());
  const std::string_view dropped = number.substr(0, number.size() - (width - pad));
  number.remove_prefix(dropped.size());
  const bool signs = std::all_of(dropped.begin(), dropped.end(),
                                 [&](char c) { return static_cast<uint8_t>(c) == sign; });
  if (!dropped.empty() && (!signs || ((number[0] ^ sign) & 0x80) != 0)) return false;
  std::memset(to, sign, pad);
  std::memcpy(to + pad, number.data(), number.size());
  return true;
}

}  // namespace

Status ConvertDecimals(const ColumnShape& from, const ColumnShape& to, IndexedPage& page) {
  Buffer out;
  out.Resize(size_t{page.values} * to.width);
  std::string number;
  for (uint32_t i = 0; i < page.values; ++i) {
    number = page.Plain(i, from);
    if (from.is_bytes()) number.erase(0, sizeof(uint32_t));
    if (IsInteger(from)) std::reverse(number.begin(), number.end());
    uint8_t* at = out.data() + size_t{i} * to.width;
    if (!PutBytes(number, at, to.width)) {
      return MakeError(ErrorKind::kCorrupt, "has a decimal that is more than its precision allows");
    }
    if (IsInteger(to)) std::reverse(at, at + to.width);
  }
  page.offsets.Free();
  page.bytes = std::move(out);
  page.data = page.bytes.data();
  return {};
}

}  // namespace varve::parquet
