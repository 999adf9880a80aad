#include "query/sql_text.h"

#include <fmt/format.h>

#include "core/clock.h"

namespace varve::query {

namespace {

std::string Quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (char c : text) {
    if (c == '\0') continue;  // DuckDB's parser ends at it
    if (c == quote) out += quote;
    out += c;
  }
  return out += quote;
}

std::string RegexOfSegment(std::string_view segment) {
  std::string out;
  for (char c : segment) {
    if (c == '*') {
      out += "[^.]*";
    } else if (std::string_view("\\^$.|?+()[]{}").find(c) != std::string_view::npos) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

// `a.**.b` also matches `a.b`: each `**` carries the dot beside it.
std::string RegexOf(std::string_view pattern) {
  std::string out = "^";
  bool need_dot = false;
  while (true) {
    const size_t dot = pattern.find('.');
    const std::string_view segment = pattern.substr(0, dot);
    const bool last = dot == std::string_view::npos;
    if (segment == "**") {
      if (!need_dot) {
        out += last ? ".*" : "(?:.*\\.)?";
      } else {
        out += last ? "(?:\\..*)?" : "(?:\\..*)?\\.";
      }
      need_dot = need_dot && last;
    } else {
      if (need_dot) out += "\\.";
      out += RegexOfSegment(segment);
      need_dot = true;
    }
    if (last) break;
    pattern.remove_prefix(dot + 1);
  }
  return out += '$';
}

}  // namespace

std::string SqlString(std::string_view text) { return Quoted(text, '\''); }
std::string SqlName(std::string_view name) { return Quoted(name, '"'); }

std::string SqlStringList(std::span<const std::string> texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ", ";
    out += SqlString(text);
  }
  return out += ']';
}

std::string SqlTimestamp(int64_t ms) {
  const CivilTime t = CivilFromMs(ms);
  return fmt::format("TIMESTAMPTZ '{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}+00'", t.year, t.month,
                     t.day, t.hour, t.minute, t.second, t.millis);
}

std::string TypeMatches(std::string_view pattern) {
  if (pattern.find('*') == std::string_view::npos) {
    return fmt::format("type = {}", SqlString(pattern));
  }
  if (pattern == "*" || pattern == "**") return "true";
  std::string out = fmt::format("regexp_matches(type, {})", SqlString(RegexOf(pattern)));
  const std::string_view prefix = pattern.substr(0, pattern.find('*'));
  // The fixed start lets statistics leave row groups out. `a.**` matches `a` too: not its dot.
  const std::string_view fixed =
      prefix.ends_with('.') ? prefix.substr(0, prefix.size() - 1) : prefix;
  if (!fixed.empty()) out += fmt::format(" AND starts_with(type, {})", SqlString(fixed));
  return out;
}

}  // namespace varve::query
