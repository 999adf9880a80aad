#include "record/json_scan.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace varve::record {

namespace {

// The first byte of [p, end) that is one of four; end if there is none.
const char* FindOne(const char* p, const char* end, char a, char b, char c, char d) {
#ifdef __SSE2__
  const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b);
  const __m128i vc = _mm_set1_epi8(c), vd = _mm_set1_epi8(d);
  for (; end - p >= 16; p += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, va), _mm_cmpeq_epi8(block, vb)),
                     _mm_or_si128(_mm_cmpeq_epi8(block, vc), _mm_cmpeq_epi8(block, vd)));
    const int mask = _mm_movemask_epi8(hit);
    if (mask != 0) return p + std::countr_zero(static_cast<unsigned>(mask));
  }
#endif
  while (p < end && *p != a && *p != b && *p != c && *p != d) ++p;
  return p < end ? p : end;
}

// From an opening bracket to behind its closing one.
const char* SkipContainer(const char* p, const char* end) {
  const char open = *p;
  const char close = open == '{' ? '}' : ']';
  uint32_t depth = 1;
  ++p;
  while (true) {
    p = FindOne(p, end, '"', open, close, close);
    if (p == end) return nullptr;
    if (*p == '"') {
      bool escaped = false;
      p = FindStringEnd(p + 1, end, &escaped);
      if (p == nullptr) return nullptr;
    } else if (*p == open) {
      ++depth;
    } else if (--depth == 0) {
      return p + 1;
    }
    ++p;
  }
}

uint32_t Hex4(const char* p) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    value = value * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | code >> 6));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | code >> 12));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | code >> 18));
    out->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

// The escape \uXXXX at p (at its backslash); returns the number of bytes it took.
size_t AppendUnicodeEscape(const char* p, const char* end, std::string* out) {
  if (end - p < 6) return end - p;
  uint32_t code = Hex4(p + 2);
  if (code >= 0xD800 && code < 0xDC00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
    const uint32_t low = Hex4(p + 8);
    if (low >= 0xDC00 && low < 0xE000) {
      AppendUtf8(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), out);
      return 12;
    }
  }
  if (code >= 0xD800 && code < 0xE000) code = 0xFFFD;
  AppendUtf8(code, out);
  return 6;
}

char SimpleEscape(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

}  // namespace

const char* FindStringEnd(const char* p, const char* end, bool* escaped) {
  while (true) {
    p = FindOne(p, end, '"', '\\', '"', '\\');
    if (p >= end) return nullptr;
    if (*p == '"') return p;
    *escaped = true;
    p += 2;
  }
}

const char* SkipJsonValue(const char* p, const char* end) {
  if (p >= end) return nullptr;
  if (*p == '"') {
    bool escaped = false;
    const char* quote = FindStringEnd(p + 1, end, &escaped);
    return quote == nullptr ? nullptr : quote + 1;
  }
  if (*p == '{' || *p == '[') return SkipContainer(p, end);
  const char* begin = p;
  while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ' && *p != '\n' && *p != '\r' &&
         *p != '\t') {
    ++p;
  }
  return p == begin ? nullptr : p;
}

void AppendUnescaped(std::string_view raw, std::string* out) {
  const char* p = raw.data();
  const char* end = p + raw.size();
  while (p < end) {
    const char* run = p;
    while (p < end && *p != '\\') ++p;
    out->append(run, p - run);
    if (end - p < 2) return;
    if (p[1] == 'u') {
      p += AppendUnicodeEscape(p, end, out);
    } else {
      out->push_back(SimpleEscape(p[1]));
      p += 2;
    }
  }
}

std::string UnescapeJson(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  AppendUnescaped(raw, &out);
  return out;
}

std::string JsonValue::AsString() const { return UnescapeJson(text.substr(1, text.size() - 2)); }

std::optional<double> ParseJsonNumber(std::string_view text) {
  double value = 0;
  const auto [p, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (p != text.data() + text.size() || text.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too small is zero, too large is infinite; from_chars does not say which.
    const size_t e = text.find_first_of("eE");
    const bool small = e != std::string_view::npos && e + 1 < text.size() && text[e + 1] == '-';
    const double size = small ? 0.0 : std::numeric_limits<double>::infinity();
    return text[0] == '-' ? -size : size;
  }
  if (error != std::errc()) return std::nullopt;
  return value;
}

double JsonValue::AsDouble() const {
  return ParseJsonNumber(text).value_or(std::numeric_limits<double>::quiet_NaN());
}

std::optional<int64_t> JsonValue::AsInteger() const {
  int64_t value = 0;
  const auto [p, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && p == text.data() + text.size()) return value;
  const std::optional<double> number = ParseJsonNumber(text);
  if (!number || std::trunc(*number) != *number) return std::nullopt;
  if (*number < -9.2e18 || *number > 9.2e18) return std::nullopt;
  return static_cast<int64_t>(*number);
}

JsonValue FindMember(std::string_view object, std::string_view name) {
  JsonValue found;
  ForEachMember(object, [&](std::string_view key, bool escaped, JsonValue value) {
    if (escaped ? UnescapeJson(key) != name : key != name) return true;
    found = value;
    return false;
  });
  return found;
}

}  // namespace varve::record
