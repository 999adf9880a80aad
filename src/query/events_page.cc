// Rows are ordered by (ts, tie, copy): tie is a digest of the row's other columns, so that it is
// the same wherever the row lies, and copy numbers rows that are alike in everything. A cursor is
// such a triple and a direction. Digests are made only of rows near the page: a first look at ts
// alone finds how far the page reaches.
#include "query/events_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "query/sql_text.h"
#include "query/table_shape.h"

namespace varve::query {

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kDayMs = 86'400'000;
constexpr uint32_t kLimitMax = 1000;
constexpr size_t kTextBytesMax = 256;

Error Invalid(std::string_view field, std::string_view why) {
  return MakeError(ErrorKind::kInvalid, "INVALID_QUERY", fmt::format("{}: {}", field, why),
                   fmt::format(R"({{"field":{}}})", JsonQuote(field)));
}

template <typename T>
std::optional<T> Number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

Result<int64_t> Time(std::string_view field, const std::string& text) {
  if (const auto number = Number<int64_t>(text)) {
    if (*number > -250'000'000'000'000 && *number < 250'000'000'000'000) {
      return EpochToMs(static_cast<double>(*number));
    }
  } else if (auto parsed = ParseIso(text); parsed.ok()) {
    return parsed;
  }
  return Invalid(field, "must be an ISO 8601 time or epoch milliseconds");
}

struct Position {
  bool newer = false;  // the page lies on the newer side of it
  int64_t ts_us = 0;
  std::string tie;
  uint64_t copy = 0;

  std::string ToText() const {
    return fmt::format("{}.{}.{}.{}", newer ? 'n' : 'o', ts_us, tie, copy);
  }
};

std::optional<Position> ParsePosition(std::string_view text) {
  std::array<std::string_view, 4> parts;
  for (size_t i = 0; i < 4; ++i) {
    const size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (i == 3)) return {};
    parts[i] = text.substr(0, dot);
    text.remove_prefix(i == 3 ? text.size() : dot + 1);
  }
  const auto ts_us = Number<int64_t>(parts[1]);
  const auto copy = Number<uint64_t>(parts[3]);
  const bool hex = parts[2].find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if ((parts[0] != "n" && parts[0] != "o") || !ts_us || !copy || !hex || parts[2].size() != 32) {
    return {};
  }
  return Position{parts[0] == "n", *ts_us, std::string(parts[2]), *copy};
}

Status ReadParam(const std::string& name, const std::string& value, EventsPageRequest* request) {
  if (value.size() > kTextBytesMax) {
    return Invalid(name, fmt::format("must have at most {} bytes", kTextBytesMax));
  }
  if (name == "type") {
    request->type = value;
  } else if (name == "provider") {
    request->provider = value;
  } else if (name == "source") {
    request->source = value;
  } else if (name == "before") {
    request->before = TRY(Time(name, value));
  } else if (name == "after") {
    request->after = TRY(Time(name, value));
  } else if (name == "from") {
    request->from = TRY(Time(name, value));
  } else if (name == "to") {
    request->to = TRY(Time(name, value));
  } else if (name == "limit") {
    const auto limit = Number<uint32_t>(value);
    if (!limit || *limit < 1 || *limit > kLimitMax) {
      return Invalid(name, fmt::format("must be an integer from 1 to {}", kLimitMax));
    }
    request->limit = *limit;
  } else if (name == "cursor") {
    if (!ParsePosition(value)) return Invalid(name, "is not a cursor of ours");
    request->cursor = value;
  }
  return {};  // parameters of other layers (a namespace, a key) are not ours to refuse
}

std::string ScopeSql(const EventsPageRequest& request) {
  std::vector<std::string> conditions = {"true"};
  if (request.from) conditions.push_back("ts >= " + SqlTimestamp(*request.from));
  if (request.to) conditions.push_back("ts < " + SqlTimestamp(*request.to + 1));
  if (request.after) conditions.push_back("ts > " + SqlTimestamp(*request.after));
  if (request.before) conditions.push_back("ts < " + SqlTimestamp(*request.before));
  if (!request.type.empty()) conditions.push_back(TypeMatches(request.type));
  if (!request.provider.empty()) {
    conditions.push_back("provider = " + SqlString(request.provider));
  }
  if (!request.source.empty()) conditions.push_back("source = " + SqlString(request.source));
  return fmt::format("SELECT * FROM events WHERE {}", fmt::join(conditions, " AND "));
}

// One row more than the page, which says whether another page follows.
std::string PageSql(const EventsPageRequest& request, const std::optional<Position>& position) {
  const bool newer = position && position->newer;
  const std::string at =
      position ? fmt::format("make_timestamptz({})", position->ts_us) : std::string();
  const char* beyond = newer ? ">" : "<";
  const char* within = newer ? "<=" : ">=";
  const std::string edge_where = position ? fmt::format(" WHERE ts {} {}", beyond, at) : "";
  const std::string reach = position ? fmt::format("coalesce((SELECT e FROM edge), {})", at)
                                     : std::string("(SELECT e FROM edge)");
  const std::string near_where = position ? fmt::format(" AND ts {}= {}", beyond, at) : "";
  const std::string page_where =
      position ? fmt::format(
                     " WHERE ts {0} {1} OR (ts = {1} AND (tie {0} '{2}' OR (tie = '{2}' AND "
                     "copy {0} {3})))",
                     beyond, at, position->tie, position->copy)
               : "";
  const char* direction = newer ? "ASC" : "DESC";
  return fmt::format(
      "WITH scope AS ({scope}), edge AS (SELECT {extreme}(ts) AS e FROM (SELECT ts FROM "
      "scope{edge_where} ORDER BY ts {direction} LIMIT {count})), near AS (SELECT *, "
      "md5(concat_ws(chr(31), type, source, provider, event_type, verified, script_name, outcome, "
      "method, url, status_code, duration_ms, payload)) AS tie FROM scope WHERE ts {within} "
      "{reach}{near_where}), numbered AS (SELECT *, row_number() OVER (PARTITION BY ts, tie) AS "
      "copy FROM near) SELECT {columns}, epoch_us(ts) AS us, tie, copy FROM numbered{page_where} "
      "ORDER BY ts {direction}, tie {direction}, copy {direction} LIMIT {count}",
      fmt::arg("scope", ScopeSql(request)), fmt::arg("extreme", newer ? "max" : "min"),
      fmt::arg("edge_where", edge_where), fmt::arg("direction", direction),
      fmt::arg("count", request.limit + 1), fmt::arg("within", within), fmt::arg("reach", reach),
      fmt::arg("near_where", near_where), fmt::arg("columns", ColumnList(EventColumns())),
      fmt::arg("page_where", page_where));
}

struct PageRow {
  Json event;
  Position position;
};

Result<PageRow> ReadRow(std::string_view line) {
  PageRow row;
  row.event = Json::parse(line, nullptr, false);
  if (!row.event.is_object()) return MakeError(ErrorKind::kInternal, "a row is not JSON");
  row.position.ts_us = row.event["us"].get<int64_t>();
  row.position.tie = row.event["tie"].get<std::string>();
  row.position.copy = row.event["copy"].get<uint64_t>();
  for (const char* name : {"us", "tie", "copy"}) row.event.erase(name);
  if (row.event["payload"].is_string()) {
    Json payload = Json::parse(row.event["payload"].get_ref<const std::string&>(), nullptr, false);
    if (!payload.is_discarded()) row.event["payload"] = std::move(payload);
  }
  return row;
}

std::string UrlText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~' || c == '*';
    plain ? void(out += c) : void(out += fmt::format("%{:02X}", static_cast<unsigned char>(c)));
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> QueryOf(const EventsPageRequest& request) {
  std::vector<std::pair<std::string, std::string>> query;
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) query.emplace_back(name, value);
  };
  const auto time = [&](const char* name, const std::optional<int64_t>& value) {
    if (value) query.emplace_back(name, FormatIso(*value));
  };
  text("type", request.type);
  text("provider", request.provider);
  text("source", request.source);
  time("from", request.from);
  time("to", request.to);
  time("after", request.after);
  time("before", request.before);
  query.emplace_back("limit", std::to_string(request.limit));
  return query;
}

std::string Link(const EventsPageRequest& request, std::string_view path,
                 const std::string& cursor) {
  std::string link(path);
  char separator = '?';
  auto query = QueryOf(request);
  if (!request.ns.is_default()) query.emplace_back("namespace", request.ns.name());
  if (!cursor.empty()) query.emplace_back("cursor", cursor);
  for (const auto& [name, value] : query) {
    link += separator + name + '=' + UrlText(value);
    separator = '&';
  }
  return link;
}

struct Rows {
  std::vector<PageRow> rows;
  std::vector<std::string> warnings;
};

Result<Rows> Run(Engine& engine, const EventsPageRequest& request, std::string sql,
                 const std::atomic<bool>* cancelled) {
  QueryRequest query;
  query.ns = request.ns;
  query.sql = std::move(sql);
  query.format = ResultFormat::kNdjson;
  query.range = {request.from, std::nullopt};
  if (request.after)
    query.range.start_ms = std::max(request.from.value_or(INT64_MIN), *request.after);
  if (request.to) query.range.end_ms = *request.to + 1;
  if (request.before) {
    query.range.end_ms = std::min(query.range.end_ms.value_or(INT64_MAX), *request.before);
  }
  std::string lines;
  const auto take = [&](std::string_view bytes) {
    lines += bytes;
    return true;
  };
  QuerySummary summary = TRY(engine.Run(query, take, cancelled));
  Rows rows;
  rows.warnings = std::move(summary.warnings);
  for (size_t at = 0; at < lines.size();) {
    const size_t end = lines.find('\n', at);
    rows.rows.push_back(TRY(ReadRow(std::string_view(lines).substr(at, end - at))));
    at = end + 1;
  }
  return rows;
}

Json LinksOf(const EventsPageRequest& request, std::string_view path,
             const std::optional<Position>& position, const std::vector<PageRow>& rows, bool more) {
  const bool newer = position && position->newer;
  Json links;
  links["self"] = Link(request, path, request.cursor);
  links["first"] = Link(request, path, "");
  if (rows.empty()) return links;
  if (newer || more) links["next"] = Link(request, path, rows.back().position.ToText());
  if (position && (!newer || more)) {
    Position first = rows.front().position;
    first.newer = true;
    links["prev"] = Link(request, path, first.ToText());
  }
  return links;
}

}  // namespace

Result<EventsPageRequest> ParseEventsPage(
    const NamespaceId& ns, std::span<const std::pair<std::string, std::string>> params,
    int64_t now_ms) {
  EventsPageRequest request;
  request.ns = ns;
  for (const auto& [name, value] : params) {
    if (!value.empty()) TRY(ReadParam(name, value, &request));
  }
  if (!request.from && !request.to && !request.after && !request.before) {
    request.from = now_ms - kDayMs;
  }
  return request;
}

Result<std::string> EventsPage(Engine& engine, const EventsPageRequest& request,
                               std::string_view path, const std::atomic<bool>* cancelled) {
  const int64_t start_ns = SystemClock().MonotonicNs();
  const auto position = request.cursor.empty() ? std::nullopt : ParsePosition(request.cursor);
  Rows page = TRY(Run(engine, request, PageSql(request, position), cancelled));
  const bool more = page.rows.size() > request.limit;
  if (more) page.rows.pop_back();
  if (position && position->newer) std::reverse(page.rows.begin(), page.rows.end());

  Json body;
  body["links"] = LinksOf(request, path, position, page.rows, more);
  Json& meta = body["meta"];
  for (const auto& [name, value] : QueryOf(request)) meta["query"][name] = value;
  meta["scan"] = {{"returned", page.rows.size()}, {"more", more}, {"warnings", page.warnings}};
  meta["timing"] = {{"queryMs", static_cast<double>(SystemClock().MonotonicNs() - start_ns) / 1e6}};
  body["data"] = Json::array();
  for (PageRow& row : page.rows) body["data"].push_back(std::move(row.event));
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> RecentEvents(Engine& engine, SnapshotSource& source, const NamespaceId& ns,
                                 uint32_t limit, int64_t now_ms,
                                 const std::atomic<bool>* cancelled) {
  EventsPageRequest request;
  request.ns = ns;
  request.from = now_ms - kDayMs;
  request.limit = std::clamp<uint32_t>(limit, 1, kLimitMax);
  Rows page = TRY(Run(engine, request, PageSql(request, std::nullopt), cancelled));
  if (page.rows.size() > request.limit) page.rows.pop_back();

  Snapshot snapshot = TRY(source.Take(ns, {request.from, std::nullopt}));
  std::vector<FileRef> files = snapshot.events.parquet;
  files.insert(files.end(), snapshot.events.ndjson.begin(), snapshot.events.ndjson.end());
  std::ranges::sort(files, std::ranges::greater(), &FileRef::modified_ms);
  Json body;
  body["events"] = Json::array();
  for (PageRow& row : page.rows) body["events"].push_back(std::move(row.event));
  body["count"] = page.rows.size();
  body["prefix"] = ns.StorePrefix() + "events/";
  body["filesFound"] = files.size();
  body["jsonlFiles"] = snapshot.events.ndjson.size();
  body["parquetFiles"] = snapshot.events.parquet.size();
  body["recentFiles"] = Json::array();
  for (size_t i = 0; i < std::min<size_t>(files.size(), 10); ++i) {
    body["recentFiles"].push_back(files[i].key);
  }
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace varve::query
