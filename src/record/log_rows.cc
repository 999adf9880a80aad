#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/bytes.h"
#include "core/ulid.h"
#include "record/log_row.h"
#include "record/trace_item.h"

namespace varve::record {

namespace {

// What all rows of an item share is repeated in each, so that a small item could make much text.
constexpr uint64_t kItemTextBytesMax = 64 << 20;

// A ULID of the row's time and, for its random part, of where the row comes from.
std::string RowId(std::string_view origin, size_t number, int64_t timestamp) {
  const std::string hash = Sha256(fmt::format("{}\n{}", origin, number));
  Ulid id;
  for (int i = 0; i < 6; ++i) {
    id.bytes[i] = static_cast<uint8_t>(static_cast<uint64_t>(timestamp) >> (40 - 8 * i));
  }
  std::copy_n(hash.begin(), 10, id.bytes.begin() + 6);
  return id.ToString();
}

std::optional<std::string> TextOf(const JsonValue& value) {
  if (!value.is_string()) return std::nullopt;
  return value.AsString();
}

bool SameLetters(std::string_view name, std::string_view lower) {
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
  });
}

std::optional<std::string> Header(const JsonValue& request, std::string_view lower) {
  std::optional<std::string> found;
  const JsonValue headers = FindMember(request.text, "headers");
  ForEachMember(headers.text, [&](std::string_view name, bool, const JsonValue& value) {
    if (!SameLetters(name, lower) || !value.is_string()) return true;
    found = value.AsString();
    return false;
  });
  return found;
}

// A request's begin on a diagnostics channel: undici:request:create, tracing:undici:fetch:start …
// Not its later stages, so that a request counts once.
bool IsFetchChannel(std::string_view channel) {
  if (channel.find("undici") == std::string_view::npos &&
      channel.find("fetch") == std::string_view::npos) {
    return false;
  }
  const size_t cut = channel.find_last_of(":./");
  const std::string_view stage = cut == std::string_view::npos ? channel : channel.substr(cut + 1);
  constexpr std::array<std::string_view, 5> kStages = {"create", "start", "request", "fetch",
                                                       "undici"};
  return std::find(kStages.begin(), kStages.end(), stage) != kStages.end();
}

int32_t FetchCount(const JsonValue& diagnostics) {
  int32_t count = 0;
  ForEachElement(diagnostics.text, [&](const JsonValue& event) {
    const JsonValue channel = FindMember(event.text, "channel");
    if (channel.is_string() && IsFetchChannel(channel.AsString())) ++count;
    return true;
  });
  return count;
}

// One text stays as it is, alone or as the only argument; the rest is JSON.
std::string MessageText(const JsonValue& message) {
  if (!message.exists()) return {};
  if (message.is_string()) return message.AsString();
  JsonValue only;
  size_t count = 0;
  ForEachElement(message.text, [&](const JsonValue& value) {
    only = value;
    return ++count < 2;
  });
  return count == 1 && only.is_string() ? only.AsString() : std::string(message.text);
}

LogRow CommonRow(const TraceItem& item, int64_t event_ms) {
  LogRow row;
  row.script_name = TextOf(item.script_name).value_or("unknown");
  row.outcome = item.outcome.AsString();
  row.event_timestamp = event_ms;
  row.timestamp = event_ms;
  if (item.request.exists()) {
    row.http_method = TextOf(FindMember(item.request.text, "method"));
    row.http_url = TextOf(FindMember(item.request.text, "url"));
    row.request_id = Header(item.request, "cf-ray");
    const JsonValue cf = FindMember(item.request.text, "cf");
    row.colo = TextOf(FindMember(cf.text, "colo"));
    row.country = TextOf(FindMember(cf.text, "country"));
  }
  if (item.response.exists()) {
    const auto status = FindMember(item.response.text, "status").AsInteger();
    if (status && *status >= INT32_MIN && *status <= INT32_MAX) {
      row.http_status = static_cast<int32_t>(*status);
    }
  }
  row.fetch_count = FetchCount(item.diagnostics);
  return row;
}

uint64_t TextBytes(const LogRow& row) {
  auto size = [](const std::optional<std::string>& text) { return text ? text->size() : 0; };
  return sizeof(LogRow) + row.script_name.size() + row.outcome.size() + size(row.http_method) +
         size(row.http_url) + size(row.request_id) + size(row.colo) + size(row.country);
}

// The item's time: its own, else that of its first entry.
int64_t ItemTime(const TraceItem& item) {
  if (const auto ms = item.event_ms()) return *ms;
  for (const auto* entries : {&item.logs, &item.exceptions}) {
    for (const JsonValue& entry : *entries) {
      if (const auto ms = TimeMs(FindMember(entry.text, "timestamp"))) return *ms;
    }
  }
  return 0;
}

}  // namespace

const std::string_view kLogColumnNames[16] = {
    "id",         "scriptName", "eventTimestamp", "timestamp", "level",       "message",
    "httpMethod", "httpUrl",    "httpStatus",     "outcome",   "isException", "exceptionName",
    "colo",       "country",    "requestId",      "fetchCount"};

Result<std::vector<LogRow>> LogRowsOf(std::string_view item_json, std::string_view origin) {
  if (const char* error = CheckJson(item_json, kTraceDepthMax)) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", error);
  }
  const char* begin = SkipJsonSpace(item_json.data(), item_json.data() + item_json.size());
  item_json.remove_prefix(begin - item_json.data());
  std::vector<std::string> errors, dropped;
  const TraceItem item = ReadTraceItem(JsonValue{item_json}, &errors, &dropped);
  if (!errors.empty()) return MakeError(ErrorKind::kInvalid, "INVALID_ITEM", errors.front());
  const int64_t event_ms = ItemTime(item);
  const LogRow common = CommonRow(item, event_ms);
  if (TextBytes(common) * (item.logs.size() + item.exceptions.size() + 1) > kItemTextBytesMax) {
    return MakeError(ErrorKind::kInvalid, "INVALID_ITEM", "its rows would take more than 64 MiB");
  }
  std::vector<LogRow> rows;
  for (const JsonValue& log : item.logs) {
    LogRow& row = rows.emplace_back(common);
    row.timestamp = TimeMs(FindMember(log.text, "timestamp")).value_or(event_ms);
    row.level = FindMember(log.text, "level").AsString();
    row.message = MessageText(FindMember(log.text, "message"));
  }
  for (const JsonValue& exception : item.exceptions) {
    LogRow& row = rows.emplace_back(common);
    row.timestamp = TimeMs(FindMember(exception.text, "timestamp")).value_or(event_ms);
    row.level = "error";
    row.exception_name = FindMember(exception.text, "name").AsString();
    row.message = *row.exception_name + ": " + FindMember(exception.text, "message").AsString();
    row.is_exception = true;
  }
  if (rows.empty()) {
    LogRow& row = rows.emplace_back(common);
    row.level = row.outcome == "ok" ? "info" : "error";
    row.message = "Worker execution: " + row.outcome;
  }
  for (size_t i = 0; i < rows.size(); ++i) rows[i].id = RowId(origin, i, rows[i].timestamp);
  return rows;
}

}  // namespace varve::record
