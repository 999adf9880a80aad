#include "record/log_row.h"

#include <algorithm>
#include <cmath>

#include "core/bytes.h"
#include "record/json_text.h"
#include "record/trace_item.h"

namespace varve::record {
namespace {

// What all rows of an item share is repeated in each; an item may not make more text than this.
constexpr uint64_t kRowTextBytesMax = 64ull << 20;
constexpr size_t kIdDigits = 32;

std::optional<std::string> TextOf(JsonValue object, std::string_view name) {
  if (!object.is_object()) return std::nullopt;
  JsonValue value = FindMember(object.text, name);
  if (!value.is_string()) return std::nullopt;
  return value.AsString();
}

int64_t MsOf(JsonValue value, int64_t otherwise) {
  if (!value.is_number()) return otherwise;
  double ms = value.AsDouble();
  return std::isfinite(ms) && std::abs(ms) < 9e15 ? static_cast<int64_t>(ms) : otherwise;
}

// A lone string stays as it is, otherwise JSON.
std::string MessageOf(JsonValue message) {
  if (message.is_string()) return message.AsString();
  if (message.is_array()) {
    JsonValue only;
    size_t count = 0;
    ForEachElement(message.text, [&](JsonValue element) {
      only = element;
      return ++count < 2;
    });
    if (count == 1 && only.is_string()) return only.AsString();
  }
  return message.exists() ? std::string(message.text) : "";
}

std::optional<std::string> RequestId(JsonValue request) {
  if (!request.is_object()) return std::nullopt;
  JsonValue headers = FindMember(request.text, "headers");
  if (!headers.is_object()) return std::nullopt;
  std::optional<std::string> id;
  ForEachMember(headers.text, [&](std::string_view name, bool, JsonValue value) {
    constexpr std::string_view kName = "cf-ray";
    bool same = std::equal(name.begin(), name.end(), kName.begin(), kName.end(),
                           [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
    if (same && value.is_string()) id = value.AsString();
    return !id.has_value();
  });
  return id;
}

// Outgoing requests, as the diagnostics channel tells of them.
int32_t FetchCount(JsonValue diagnostics) {
  int32_t count = 0;
  if (!diagnostics.is_array()) return 0;
  ForEachElement(diagnostics.text, [&](JsonValue entry) {
    std::optional<std::string> channel = TextOf(entry, "channel");
    count += channel && (channel->find("fetch") != std::string::npos ||
                         channel->starts_with("undici:request:create"));
    return true;
  });
  return count;
}

LogRow SharedColumns(const TraceItem& item) {
  LogRow row;
  row.script_name = item.script_name.is_string() ? item.script_name.AsString() : "unknown";
  row.outcome = item.outcome.AsString();
  row.event_timestamp = MsOf(item.event_timestamp, 0);
  row.fetch_count = FetchCount(item.diagnostics);
  if (!item.event.is_object()) return row;
  JsonValue request = FindMember(item.event.text, "request");
  row.http_method = TextOf(request, "method");
  row.http_url = TextOf(request, "url");
  row.request_id = RequestId(request);
  if (request.is_object()) {
    JsonValue cf = FindMember(request.text, "cf");
    row.colo = TextOf(cf, "colo");
    row.country = TextOf(cf, "country");
  }
  JsonValue response = FindMember(item.event.text, "response");
  if (response.is_object()) {
    JsonValue status = FindMember(response.text, "status");
    std::optional<int64_t> number = status.is_number() ? status.AsInteger() : std::nullopt;
    if (number && *number >= 0 && *number <= INT32_MAX) {
      row.http_status = static_cast<int32_t>(*number);
    }
  }
  return row;
}

uint64_t TextBytes(const LogRow& row) {
  auto size = [](const std::optional<std::string>& text) { return text ? text->size() : 0; };
  return row.script_name.size() + row.message.size() + row.outcome.size() + size(row.http_method) +
         size(row.http_url) + size(row.request_id) + size(row.colo) + size(row.country) +
         size(row.exception_name) + sizeof(LogRow);
}

// Adds rows with their ids, within the bound.
class RowList {
 public:
  explicit RowList(std::string_view origin) : origin_(origin) {}
  void Add(LogRow row) {
    row.id = HexEncode(Sha256(origin_ + ":" + std::to_string(rows_.size()))).substr(0, kIdDigits);
    bytes_ += TextBytes(row);
    if (bytes_ <= kRowTextBytesMax) rows_.push_back(std::move(row));
  }
  bool empty() const { return rows_.empty(); }
  Result<std::vector<LogRow>> Take() {
    if (bytes_ <= kRowTextBytesMax) return std::move(rows_);
    return MakeError(ErrorKind::kInvalid, "TAIL_ITEM_TOO_LARGE",
                     "tail item: its rows would hold more than 64 MiB");
  }

 private:
  std::string origin_;
  std::vector<LogRow> rows_;
  uint64_t bytes_ = 0;
};

}  // namespace

const std::string_view kLogColumnNames[16] = {
    "id",         "scriptName", "eventTimestamp", "timestamp", "level",       "message",
    "httpMethod", "httpUrl",    "httpStatus",     "outcome",   "isException", "exceptionName",
    "colo",       "country",    "requestId",      "fetchCount"};

Result<std::vector<LogRow>> LogRowsOf(std::string_view item_json, std::string_view origin) {
  JsonChecker checker;
  if (const char* error = checker.Check(item_json)) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", std::string("tail item: ") + error);
  }
  TraceItem item;
  JsonValue value{item_json.substr(item_json.find_first_not_of(" \t\r\n"))};
  std::vector<std::string> errors = ReadTraceItem(value, &item);
  if (!errors.empty()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_TAIL_ITEM", "tail item: " + errors.front());
  }
  const LogRow shared = SharedColumns(item);
  RowList rows(origin);
  for (JsonValue log : item.logs) {
    LogRow row = shared;
    row.timestamp = MsOf(FindMember(log.text, "timestamp"), shared.event_timestamp);
    row.level = FindMember(log.text, "level").AsString();
    row.message = MessageOf(FindMember(log.text, "message"));
    rows.Add(std::move(row));
  }
  for (JsonValue exception : item.exceptions) {
    LogRow row = shared;
    row.timestamp = MsOf(FindMember(exception.text, "timestamp"), shared.event_timestamp);
    row.level = "error";
    row.is_exception = true;
    row.exception_name = FindMember(exception.text, "name").AsString();
    row.message = *row.exception_name + ": " + FindMember(exception.text, "message").AsString();
    rows.Add(std::move(row));
  }
  if (item.logs.empty() && item.exceptions.empty()) {
    LogRow row = shared;
    row.timestamp = shared.event_timestamp;
    row.level = shared.outcome == "ok" ? "info" : "error";
    row.message = "Worker execution: " + shared.outcome;
    rows.Add(std::move(row));
  }
  return rows.Take();
}

}  // namespace varve::record
