#include "query/query_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "query/jsonl_select.h"
#include "query/sql_text.h"
#include "query/table_shape.h"

namespace varve::query {

namespace {

using Json = nlohmann::json;

constexpr size_t kBodyBytesMax = 64 << 10;
constexpr size_t kTextBytesMax = 256;
constexpr size_t kEventTypesMax = 100;
constexpr int64_t kLimitMax = 10'000;
constexpr int64_t kLimitDefault = 1000;

struct Field {
  std::string_view name;
  std::string_view sql;
};

// What may be asked for by the payload, and what may be sorted by.
constexpr std::array kPayloadFields = {
    Field{"doId", "TRY(json_extract_string(payload, '$.do.id'))"},
    Field{"doClass", "TRY(json_extract_string(payload, '$.do.class'))"},
    Field{"collection", "TRY(json_extract_string(payload, '$.collection'))"},
    Field{"colo", "TRY(json_extract_string(payload, '$.do.colo'))"},
};
constexpr std::array kOrderFields = {
    Field{"ts", "ts"},
    Field{"type", "type"},
    Field{"id", "TRY(json_extract_string(payload, '$.id'))"},
    Field{"do_id", kPayloadFields[0].sql},
    Field{"collection", kPayloadFields[2].sql},
    Field{"colo", kPayloadFields[3].sql},
};

struct Request {
  std::optional<int64_t> start_ms, end_ms;
  std::vector<std::string> event_types;
  std::vector<std::string> conditions;
  std::string order = "ts DESC";
  int64_t limit = kLimitDefault;
  std::optional<NamespaceId> ns;
};

Error Invalid(std::string_view field, std::string_view why) {
  return MakeError(ErrorKind::kInvalid, "INVALID_QUERY", fmt::format("{}: {}", field, why),
                   fmt::format(R"({{"field":{}}})", JsonQuote(field)));
}

Result<std::string> Text(std::string_view field, const Json& value) {
  if (!value.is_string()) return Invalid(field, "must be a string");
  std::string text = value.get<std::string>();
  if (text.empty() || text.size() > kTextBytesMax) {
    return Invalid(field, fmt::format("must have 1 to {} bytes", kTextBytesMax));
  }
  if (text.find('\0') != std::string::npos) return Invalid(field, "must not hold a NUL");
  return text;
}

Result<int64_t> Time(std::string_view field, const Json& value) {
  if (value.is_number()) {
    const double number = value.get<double>();
    if (std::abs(number) < 2.5e14) return EpochToMs(number);
  } else if (value.is_string() && value.get_ref<const std::string&>().size() <= kTextBytesMax) {
    auto parsed = ParseIso(value.get_ref<const std::string&>());
    if (parsed.ok()) return parsed;
  }
  return Invalid(field, "must be an ISO 8601 time or epoch milliseconds");
}

Status ReadDateRange(const Json& value, Request* request) {
  if (!value.is_object()) return Invalid("dateRange", "must be an object");
  for (const auto& [name, time] : value.items()) {
    const std::string field = "dateRange." + name;
    if (name == "start") {
      request->start_ms = TRY(Time(field, time));
    } else if (name == "end") {
      request->end_ms = TRY(Time(field, time));
    } else {
      return Invalid(field, "is not known");
    }
  }
  if (!request->start_ms || !request->end_ms) return Invalid("dateRange", "needs start and end");
  if (*request->start_ms > *request->end_ms) return Invalid("dateRange", "ends before it starts");
  return {};
}

Status ReadEventTypes(const Json& value, Request* request) {
  if (!value.is_array() || value.size() > kEventTypesMax) {
    return Invalid("eventTypes", fmt::format("must be an array of at most {}", kEventTypesMax));
  }
  for (const Json& type : value) request->event_types.push_back(TRY(Text("eventTypes", type)));
  return {};
}

Status ReadOrder(const Json& value, Request* request) {
  const std::string text = TRY(Text("orderBy", value));
  const size_t space = text.find(' ');
  const std::string name = text.substr(0, space);
  std::string direction = space == std::string::npos ? "DESC" : text.substr(space + 1);
  std::ranges::transform(direction, direction.begin(), [](char c) { return std::toupper(c); });
  const auto field = std::ranges::find(kOrderFields, name, &Field::name);
  if (field == kOrderFields.end() || (direction != "ASC" && direction != "DESC")) {
    return Invalid("orderBy",
                   "must be ts, type, id, do_id, collection or colo, then ASC or DESC if you like");
  }
  request->order = fmt::format("{} {}", field->sql, direction);
  return {};
}

Status ReadField(const std::string& name, const Json& value, Request* request) {
  if (value.is_null()) return {};
  if (name == "dateRange") return ReadDateRange(value, request);
  if (name == "eventTypes") return ReadEventTypes(value, request);
  if (name == "orderBy") return ReadOrder(value, request);
  if (name == "limit") {
    if (!value.is_number_integer() || value < 1 || value > kLimitMax) {
      return Invalid("limit", fmt::format("must be an integer from 1 to {}", kLimitMax));
    }
    request->limit = value.get<int64_t>();
    return {};
  }
  if (name == "namespace") {
    auto ns = NamespaceId::Parse(TRY(Text(name, value)));
    if (!ns.ok()) return Invalid(name, ns.error().message);
    request->ns = *ns;
    return {};
  }
  const auto field = std::ranges::find(kPayloadFields, name, &Field::name);
  if (field == kPayloadFields.end()) return Invalid(name, "is not known");
  request->conditions.push_back(
      fmt::format("{} = {}", field->sql, SqlString(TRY(Text(name, value)))));
  return {};
}

Result<Request> ReadRequest(std::string_view body) {
  if (body.size() > kBodyBytesMax) {
    return Invalid("body", fmt::format("is larger than {} bytes", kBodyBytesMax));
  }
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return Invalid("body", "must be a JSON object");
  Request request;
  for (const auto& [name, value] : json.items()) TRY(ReadField(name, value, &request));
  return request;
}

// The seed's patterns: the longest prefix of the date that the range's ends share.
struct Globs {
  std::vector<std::string> parquet;
  std::string jsonl;
};

Globs GlobsOf(const std::string& prefix, const Request& request) {
  std::array<std::string, 3> parts = {"*", "*", "*"};
  if (request.start_ms) {
    const CivilTime a = CivilFromMs(*request.start_ms);
    const CivilTime b = CivilFromMs(*request.end_ms);
    if (a.year == b.year) {
      parts[0] = fmt::format("{:04}", a.year);
      if (a.month == b.month) {
        parts[1] = fmt::format("{:02}", a.month);
        if (a.day == b.day) parts[2] = fmt::format("{:02}", a.day);
      }
    }
  }
  const std::string month = fmt::format("{}events/{}/{}", prefix, parts[0], parts[1]);
  const std::string day = fmt::format("{}/{}", month, parts[2]);
  return {{day + "/*/*.parquet", day + "/_compact_*.parquet", month + "/_compact_*.parquet"},
          day + "/*/*.jsonl"};
}

Result<std::string> Source(const std::string& prefix, const Request& request,
                           const QueryBuilderContext& context) {
  const Globs globs = GlobsOf(prefix, request);
  std::string root = context.store_root;
  if (!root.empty() && !root.ends_with('/')) root += '/';
  std::vector<std::string> parquet;
  for (const std::string& glob : globs.parquet) {
    if (TRY(context.exists(glob))) parquet.push_back(root + glob);
  }
  std::vector<std::string> halves;
  if (!parquet.empty()) {
    halves.push_back(fmt::format(
        "SELECT {}\n  FROM read_parquet({},\n    union_by_name = true, hive_partitioning = false)",
        ColumnList(EventColumns()), SqlStringList(parquet)));
  }
  if (TRY(context.exists(globs.jsonl))) halves.push_back(JsonlSelect(root + globs.jsonl));
  if (halves.empty()) halves.push_back(EmptyRelation(EventColumns()));
  return fmt::format("{}", fmt::join(halves, "\n  UNION ALL\n  "));
}

std::string Where(const Request& request) {
  std::vector<std::string> conditions;
  if (request.start_ms) {
    conditions.push_back("ts >= " + SqlTimestamp(*request.start_ms));
    conditions.push_back("ts < " + SqlTimestamp(*request.end_ms));
  }
  if (!request.event_types.empty()) {
    std::vector<std::string> types;
    for (const std::string& type : request.event_types) types.push_back(SqlString(type));
    conditions.push_back(fmt::format("type IN ({})", fmt::join(types, ", ")));
  }
  std::ranges::copy(request.conditions, std::back_inserter(conditions));
  if (conditions.empty()) return "";
  return fmt::format("\nWHERE {}", fmt::join(conditions, "\n  AND "));
}

}  // namespace

std::string BuiltQuery::ToJson() const {
  return fmt::format(R"({{"sql":{},"namespace":{},"isolated":{}}})", JsonQuote(sql),
                     JsonQuote(ns.name()), isolated);
}

Result<BuiltQuery> BuildQuery(std::string_view body, const QueryBuilderContext& context) {
  const Request request = TRY(ReadRequest(body));
  BuiltQuery built;
  built.ns = request.ns.value_or(context.caller);
  if (built.ns != context.caller && !context.any_namespace) {
    return MakeError(ErrorKind::kForbidden, "NAMESPACE_FORBIDDEN",
                     "the namespace is not the caller's own");
  }
  built.isolated = !built.ns.is_default();
  const std::string source = TRY(Source(built.ns.StorePrefix(), request, context));
  built.sql =
      fmt::format("SELECT {}\nFROM (\n  {}\n) AS events{}\nORDER BY {}\nLIMIT {}",
                  ColumnList(EventColumns()), source, Where(request), request.order, request.limit);
  return built;
}

}  // namespace varve::query
