#include "query/duck_handles.h"

#include <array>

namespace varve::query {

namespace {

struct Rule {
  std::string_view prefix;
  ErrorKind kind;
  std::string_view code;
};

// What DuckDB puts in front of its words says what happened; the C API has no code at prepare.
constexpr std::array kRules = {
    Rule{"Permission Error", ErrorKind::kForbidden, "SQL_FORBIDDEN"},
    Rule{"Out of Memory Error", ErrorKind::kExhausted, "QUERY_MEMORY"},
    Rule{"INTERRUPT Error", ErrorKind::kCancelled, "QUERY_CANCELLED"},
    Rule{"IO Error", ErrorKind::kCorrupt, "CORRUPT_OBJECT"},
    Rule{"HTTP Error", ErrorKind::kForbidden, "SQL_FORBIDDEN"},
    Rule{"Missing Extension Error", ErrorKind::kForbidden, "SQL_FORBIDDEN"},
    Rule{"FATAL Error", ErrorKind::kInternal, "QUERY_FAILED"},
    Rule{"INTERNAL Error", ErrorKind::kInternal, "QUERY_FAILED"},
};

}  // namespace

Error FromDuckError(const char* message) {
  const std::string_view text = message != nullptr ? message : "the query failed";
  for (const Rule& rule : kRules) {
    if (text.starts_with(rule.prefix)) {
      return MakeError(rule.kind, std::string(rule.code), std::string(text));
    }
  }
  // bad_alloc reaches the C API as the standard library's words.
  if (text.find("bad_alloc") != std::string_view::npos ||
      text.find("failed to allocate") != std::string_view::npos) {
    return MakeError(ErrorKind::kExhausted, "QUERY_MEMORY", std::string(text));
  }
  // A file that was cut or overwritten after its footer was read.
  if (text.find("parquet") != std::string_view::npos && text.starts_with("Invalid Input Error") &&
      text.find("ile '") != std::string_view::npos) {
    return MakeError(ErrorKind::kCorrupt, "CORRUPT_OBJECT", std::string(text));
  }
  return MakeError(ErrorKind::kInvalid, "SQL_ERROR", std::string(text));
}

}  // namespace varve::query
