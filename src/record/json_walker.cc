#include "record/json_walker.h"

#include <cstring>

#include "record/json_index.h"

namespace varve::record {

namespace {
bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool IsDigit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
bool IsHex(char c) { return IsDigit(c) || static_cast<unsigned char>((c | 0x20) - 'a') < 6; }
}  // namespace

JsonWalker::JsonWalker(std::string_view text, const JsonIndex& index, uint32_t depth_max)
    : text_(text.data()),
      token_(index.tokens()),
      end_(index.tokens() + index.count()),
      size_(static_cast<uint32_t>(text.size())),
      depth_max_(depth_max),
      has_escapes_(index.has_escapes()),
      next_escape_(has_escapes_ ? FindEscape(0) : UINT32_MAX) {}

uint32_t JsonWalker::FindEscape(uint32_t from) const {
  if (from >= size_) return UINT32_MAX;
  const void* found = std::memchr(text_ + from, '\\', size_ - from);
  return found ? static_cast<uint32_t>(static_cast<const char*>(found) - text_) : UINT32_MAX;
}

std::string_view JsonWalker::Name(uint32_t open_quote) const {
  uint32_t end = *token_ - 1;  // from the colon back to the closing quote
  while (text_[end] != '"') --end;
  return {text_ + open_quote + 1, end - open_quote - 1};
}

bool JsonWalker::Value(uint32_t depth) {
  switch (Peek()) {
    case '"':
      return String();
    case '{':
      return Members(depth, [&](std::string_view) { return Value(depth + 1); });
    case '[':
      return Elements(depth, [&](uint32_t) { return Value(depth + 1); });
    case 't':
      return Atom("true", 4);
    case 'f':
      return Atom("false", 5);
    case 'n':
      return Atom("null", 4);
    default:
      return Number();
  }
}

// Checks the escapes of the string whose token was just passed.
bool JsonWalker::Escapes() {
  while (next_escape_ < *token_) {
    const char* p = text_ + next_escape_ + 1;
    bool good = false;
    switch (*p) {
      case '"':
      case '\\':
      case '/':
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        good = true;
        break;
      case 'u':
        good =
            next_escape_ + 6 <= size_ && IsHex(p[1]) && IsHex(p[2]) && IsHex(p[3]) && IsHex(p[4]);
        break;
      default:
        break;
    }
    if (!good) {
      error_ = "a bad escape in a string";
      error_offset_ = next_escape_;
      return false;
    }
    next_escape_ = FindEscape(next_escape_ + 2);
  }
  return true;
}

bool JsonWalker::EndsAt(const char* p, const char* what) {
  if (p != text_ + token_[1] && (p > text_ + token_[1] || !IsSpace(*p))) return Fail(what);
  ++token_;
  return true;
}

bool JsonWalker::Atom(const char* word, uint32_t size) {
  const uint32_t begin = *token_;
  if (size_ - begin < size || std::memcmp(text_ + begin, word, size) != 0) {
    return Fail("expected a value");
  }
  return EndsAt(text_ + begin + size, "expected a value");
}

bool JsonWalker::Number() {
  if (at_end()) return Fail("the text ends too early");
  const char* p = text_ + *token_;
  const char* limit = text_ + token_[1];
  if (*p == '-') ++p;
  if (p == limit || !IsDigit(*p)) return Fail("expected a value");
  if (*p == '0') {
    ++p;
  } else {
    while (p != limit && IsDigit(*p)) ++p;
  }
  if (p != limit && *p == '.') {
    ++p;
    if (p == limit || !IsDigit(*p)) return Fail("a bad number");
    while (p != limit && IsDigit(*p)) ++p;
  }
  if (p != limit && (*p | 0x20) == 'e') {
    ++p;
    if (p != limit && (*p == '+' || *p == '-')) ++p;
    if (p == limit || !IsDigit(*p)) return Fail("a bad number");
    while (p != limit && IsDigit(*p)) ++p;
  }
  return EndsAt(p, "a bad number");
}

}  // namespace varve::record
