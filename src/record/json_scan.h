// Reading JSON text that has been checked before (json_walker.h): find values without looking at
// what is skipped. Bounded by `end` all the same: on text that is not JSON the functions return
// null, never read past `end`, and never loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace varve::record {

// From behind an opening quote to its closing quote. *escaped is set if there is a backslash.
const char* FindStringEnd(const char* p, const char* end, bool* escaped);
// From a value's first byte to behind its last.
const char* SkipJsonValue(const char* p, const char* end);
inline const char* SkipJsonSpace(const char* p, const char* end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) ++p;
  return p;
}

// A string's bytes without its escapes; half a surrogate pair becomes U+FFFD. `raw` is the text
// between the quotes.
std::string UnescapeJson(std::string_view raw);
void AppendUnescaped(std::string_view raw, std::string* out);

// A value of checked text.
struct JsonValue {
  std::string_view text;  // from its first byte to its last; empty: there is no value

  bool exists() const { return !text.empty(); }
  bool is_null() const { return exists() && text[0] == 'n'; }
  bool is_string() const { return exists() && text[0] == '"'; }
  bool is_object() const { return exists() && text[0] == '{'; }
  bool is_array() const { return exists() && text[0] == '['; }
  bool is_bool() const { return exists() && (text[0] == 't' || text[0] == 'f'); }
  bool is_number() const {
    return exists() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  }
  bool AsBool() const { return text[0] == 't'; }
  std::string AsString() const;
  double AsDouble() const;                   // a number that no double holds is ±infinity
  std::optional<int64_t> AsInteger() const;  // a number without a fraction, within int64
};

std::optional<double> ParseJsonNumber(std::string_view text);

// Calls on_member(name, escaped, value) for each member until it returns false. False: the text is
// not an object. The name is as written.
template <typename F>
bool ForEachMember(std::string_view object, F&& on_member);
template <typename F>
bool ForEachElement(std::string_view array, F&& on_element);

// The first member of that name.
JsonValue FindMember(std::string_view object, std::string_view name);

template <typename F>
bool ForEachMember(std::string_view object, F&& on_member) {
  const char* p = object.data();
  const char* end = p + object.size();
  if (p == end || *p != '{') return false;
  p = SkipJsonSpace(p + 1, end);
  if (p < end && *p == '}') return true;
  while (p < end && *p == '"') {
    bool escaped = false;
    const char* name = p + 1;
    const char* quote = FindStringEnd(name, end, &escaped);
    if (quote == nullptr) return false;
    p = SkipJsonSpace(quote + 1, end);
    if (p >= end || *p != ':') return false;
    p = SkipJsonSpace(p + 1, end);
    const char* after = SkipJsonValue(p, end);
    if (after == nullptr) return false;
    if (!on_member(std::string_view(name, quote - name), escaped,
                   JsonValue{std::string_view(p, after - p)})) {
      return true;
    }
    p = SkipJsonSpace(after, end);
    if (p >= end) return false;
    if (*p == '}') return true;
    if (*p != ',') return false;
    p = SkipJsonSpace(p + 1, end);
  }
  return false;
}

template <typename F>
bool ForEachElement(std::string_view array, F&& on_element) {
  const char* p = array.data();
  const char* end = p + array.size();
  if (p == end || *p != '[') return false;
  p = SkipJsonSpace(p + 1, end);
  if (p < end && *p == ']') return true;
  while (p < end) {
    const char* after = SkipJsonValue(p, end);
    if (after == nullptr) return false;
    if (!on_element(JsonValue{std::string_view(p, after - p)})) return true;
    p = SkipJsonSpace(after, end);
    if (p >= end) return false;
    if (*p == ']') return true;
    if (*p != ',') return false;
    p = SkipJsonSpace(p + 1, end);
  }
  return false;
}

}  // namespace varve::record
