#include "query/sql_scan.h"

#include <cctype>
#include <cstddef>

namespace varve::query {

namespace {

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsWordByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80) != 0;
}

size_t EndOfQuoted(std::string_view sql, size_t at, bool escapes) {
  const char quote = sql[at];
  for (size_t i = at + 1; i < sql.size(); ++i) {
    if (escapes && sql[i] == '\\') {
      ++i;
    } else if (sql[i] == quote) {
      if (i + 1 < sql.size() && sql[i + 1] == quote) {
        ++i;
      } else {
        return i + 1;
      }
    }
  }
  return sql.size();
}

size_t EndOfBlockComment(std::string_view sql, size_t at) {
  int depth = 0;
  for (size_t i = at; i + 1 < sql.size(); ++i) {
    if (sql[i] == '/' && sql[i + 1] == '*') {
      ++depth;
      ++i;
    } else if (sql[i] == '*' && sql[i + 1] == '/') {
      ++i;
      if (--depth == 0) return i + 1;
    }
  }
  return sql.size();
}

// $$…$$ or $tag$…$tag$; 0 when the dollar starts neither.
size_t EndOfDollarQuoted(std::string_view sql, size_t at) {
  size_t tag_end = at + 1;
  while (tag_end < sql.size() && IsWordByte(sql[tag_end])) ++tag_end;
  if (tag_end >= sql.size() || sql[tag_end] != '$') return 0;
  const std::string_view tag = sql.substr(at, tag_end + 1 - at);
  const size_t close = sql.find(tag, tag_end + 1);
  return close == std::string_view::npos ? sql.size() : close + tag.size();
}

struct Token {
  size_t end;
  bool filler;  // a blank or a comment
};

Token TokenAt(std::string_view sql, size_t at) {
  const char c = sql[at];
  const char next = at + 1 < sql.size() ? sql[at + 1] : '\0';
  if (IsBlank(c)) return {at + 1, true};
  if (c == '-' && next == '-') {
    const size_t end = sql.find_first_of("\n\r", at);
    return {end == std::string_view::npos ? sql.size() : end, true};
  }
  if (c == '/' && next == '*') return {EndOfBlockComment(sql, at), true};
  if (c == '\'' || c == '"') return {EndOfQuoted(sql, at, false), false};
  if ((c == 'e' || c == 'E') && next == '\'') return {EndOfQuoted(sql, at + 1, true), false};
  if (c == '$') {
    const size_t end = EndOfDollarQuoted(sql, at);
    return {end != 0 ? end : at + 1, false};
  }
  size_t end = at + 1;
  if (IsWordByte(c)) {
    while (end < sql.size() && IsWordByte(sql[end])) ++end;
  }
  return {end, false};
}

}  // namespace

std::string_view TrimStatement(std::string_view sql) {
  size_t begin = sql.size();
  size_t end = 0;
  for (size_t at = 0; at < sql.size();) {
    const Token token = TokenAt(sql, at);
    const bool separator = sql[at] == ';';
    if (!token.filler && !separator) {
      if (begin == sql.size()) begin = at;
      end = token.end;
    }
    at = token.end;
  }
  return begin < end ? sql.substr(begin, end - begin) : std::string_view();
}

bool TakeWord(std::string_view& sql, std::string_view word) {
  if (sql.size() < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(sql[i])) != word[i]) return false;
  }
  if (sql.size() > word.size() && IsWordByte(sql[word.size()])) return false;
  sql = TrimStatement(sql.substr(word.size()));
  return true;
}

bool TakeParenthesised(std::string_view& sql) {
  if (sql.empty() || sql.front() != '(') return false;
  int depth = 0;
  for (size_t at = 0; at < sql.size();) {
    depth += sql[at] == '(' ? 1 : sql[at] == ')' ? -1 : 0;
    at = TokenAt(sql, at).end;
    if (depth == 0) {
      sql = TrimStatement(sql.substr(at));
      return true;
    }
  }
  return false;
}

}  // namespace varve::query
