#include "record/utf8.h"

#include <cstdint>
#include <cstring>

namespace varve::record {

namespace {

bool Continues(const uint8_t* p, int count) {
  for (int i = 1; i <= count; ++i) {
    if ((p[i] & 0xC0) != 0x80) return false;
  }
  return true;
}

// The length of the sequence at p, which has `left` bytes; 0: it is none. The second byte's range
// tells overlong forms, surrogates and what lies above U+10FFFF (Unicode, table 3-7).
size_t SequenceAt(const uint8_t* p, size_t left) {
  const uint8_t lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  if (lead < 0xE0) return left >= 2 && Continues(p, 1) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !Continues(p, 2)) return 0;
    return (lead == 0xE0 && p[1] < 0xA0) || (lead == 0xED && p[1] > 0x9F) ? 0 : 3;
  }
  if (left < 4 || !Continues(p, 3)) return 0;
  return (lead == 0xF0 && p[1] < 0x90) || (lead == 0xF4 && p[1] > 0x8F) ? 0 : 4;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  size_t left = text.size();
  while (left > 0) {
    uint64_t eight = 0;
    if (left >= 8) {
      std::memcpy(&eight, p, 8);
      if ((eight & 0x8080808080808080) == 0) {
        p += 8;
        left -= 8;
        continue;
      }
    }
    const size_t length = SequenceAt(p, left);
    if (length == 0) return false;
    p += length;
    left -= length;
  }
  return true;
}

}  // namespace varve::record
