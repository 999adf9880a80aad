#include "query/jsonl_select.h"

#include <fmt/format.h>

#include <initializer_list>
#include <vector>

#include "query/sql_text.h"

namespace varve::query {

namespace {

// The first of the members that has the type.
std::string First(std::initializer_list<const char*> members, const char* types,
                  const char* as_type) {
  std::vector<std::string> choices;
  for (const char* member : members) {
    std::string value = fmt::format("json_extract_string(json, '$.{}')", member);
    if (as_type != nullptr) value = fmt::format("TRY_CAST({} AS {})", value, as_type);
    choices.push_back(
        fmt::format("CASE WHEN json_type(json, '$.{}') IN ({}) THEN {} END", member, types, value));
  }
  if (choices.size() == 1) return choices.front();
  return fmt::format("coalesce({})", fmt::join(choices, ", "));
}

std::string TextMember(std::initializer_list<const char*> members) {
  return First(members, "'VARCHAR'", nullptr);
}

constexpr const char* kNumber = "'UBIGINT', 'BIGINT', 'DOUBLE'";

// Milliseconds, seconds or ISO 8601; without an offset it is UTC, whatever the session's zone.
constexpr const char* kTime = R"(coalesce(
      CASE WHEN regexp_matches(t, 'T.*[+-]\d\d:?\d\d$') THEN TRY_CAST(t AS TIMESTAMPTZ)
           ELSE timezone('UTC', TRY_CAST(t AS TIMESTAMP)) END,
      timezone('UTC', epoch_ms(TRY_CAST(round(CASE WHEN abs(TRY_CAST(t AS DOUBLE)) < 1e11
        THEN TRY_CAST(t AS DOUBLE) * 1000 ELSE TRY_CAST(t AS DOUBLE) END) AS BIGINT)))))";

}  // namespace

std::string JsonlSelect(const std::string& glob) {
  return fmt::format(
      R"(SELECT {time} AS ts,
    json_extract_string(json, '$.type') AS type,
    coalesce({source}, 'ingest') AS source,
    {provider} AS provider,
    {event_type} AS event_type,
    {verified} AS verified,
    {script_name} AS script_name,
    {outcome} AS outcome,
    {method} AS method,
    {url} AS url,
    {status_code} AS status_code,
    {duration_ms} AS duration_ms,
    CAST(json AS VARCHAR) AS payload
  FROM (SELECT json, coalesce(json_extract_string(json, '$.ts'),
                              json_extract_string(json, '$.timestamp')) AS t
        FROM read_json_objects({glob}, format = 'newline_delimited', ignore_errors = true)
        WHERE json_type(json, '$.type') = 'VARCHAR') AS lines)",
      fmt::arg("time", kTime), fmt::arg("source", TextMember({"source"})),
      fmt::arg("provider", TextMember({"provider"})),
      fmt::arg("event_type", TextMember({"event_type", "eventType"})),
      fmt::arg("verified", First({"verified"}, "'BOOLEAN'", "BOOLEAN")),
      fmt::arg("script_name", TextMember({"script_name", "scriptName"})),
      fmt::arg("outcome", TextMember({"outcome"})), fmt::arg("method", TextMember({"method"})),
      fmt::arg("url", TextMember({"url"})),
      fmt::arg("status_code", First({"status_code", "statusCode", "status"}, kNumber, "INTEGER")),
      fmt::arg("duration_ms", First({"duration_ms", "durationMs", "duration"}, kNumber, "DOUBLE")),
      fmt::arg("glob", SqlString(glob)));
}

}  // namespace varve::query
