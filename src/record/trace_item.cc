#include "record/trace_item.h"

#include <algorithm>

#include "record/json_index.h"
#include "record/json_text.h"
#include "record/log_row.h"

namespace varve::record {
namespace {

bool Absent(JsonValue value) { return !value.exists() || value.is_null(); }

// Entries that have what a row needs. A missing timestamp is the item's.
std::vector<JsonValue> UsableEntries(JsonValue array, size_t entries_max,
                                     std::initializer_list<std::string_view> texts) {
  std::vector<JsonValue> entries;
  ForEachElement(array.text, [&](JsonValue entry) {
    if (!entry.is_object()) return true;
    JsonValue timestamp = FindMember(entry.text, "timestamp");
    bool usable = Absent(timestamp) || timestamp.is_number();
    for (std::string_view name : texts) usable &= FindMember(entry.text, name).is_string();
    if (usable) entries.push_back(entry);
    return entries.size() < entries_max;
  });
  return entries;
}

void CheckRequest(JsonValue event, std::vector<std::string>* errors) {
  JsonValue request = FindMember(event.text, "request");
  if (Absent(request)) return;
  if (!request.is_object()) return errors->push_back("event.request must be an object");
  for (const char* name : {"url", "method"}) {
    if (!FindMember(request.text, name).is_string()) {
      errors->push_back(std::string("event.request.") + name + " must be a string");
    }
  }
  JsonValue headers = FindMember(request.text, "headers");
  if (!Absent(headers) && !headers.is_object()) {
    errors->push_back("event.request.headers must be an object");
  }
}

void AppendMember(std::string_view name, std::string_view value, std::string* json) {
  if (json->back() != '{') *json += ',';
  *json += '"';
  *json += name;
  *json += "\":";
  *json += value;
}

std::string NormaliseRequest(JsonValue request) {
  std::string json = "{";
  AppendMember("url", FindMember(request.text, "url").text, &json);
  AppendMember("method", FindMember(request.text, "method").text, &json);
  JsonValue headers = FindMember(request.text, "headers");
  AppendMember("headers", headers.is_object() ? headers.text : "{}", &json);
  JsonValue cf = FindMember(request.text, "cf");
  if (cf.exists()) AppendMember("cf", cf.text, &json);
  return json + "}";
}

std::string NormaliseEvent(JsonValue event) {
  if (!event.is_object()) return "null";
  std::string json = "{";
  JsonValue request = FindMember(event.text, "request");
  if (request.is_object()) AppendMember("request", NormaliseRequest(request), &json);
  JsonValue response = FindMember(event.text, "response");
  if (response.is_object()) {
    JsonValue status = FindMember(response.text, "status");
    if (status.is_number()) {
      AppendMember("response", "{\"status\":" + std::string(status.text) + "}", &json);
    }
  }
  auto keep = [&](std::string_view name, bool (JsonValue::*is_typed)() const) {
    JsonValue value = FindMember(event.text, name);
    if ((value.*is_typed)()) AppendMember(name, value.text, &json);
  };
  for (const char* name : {"scheduledTime", "batchSize"}) keep(name, &JsonValue::is_number);
  for (const char* name : {"cron", "queue", "rpcMethod"}) keep(name, &JsonValue::is_string);
  return json + "}";
}

std::string JoinEntries(const std::vector<JsonValue>& entries) {
  std::string json = "[";
  for (JsonValue entry : entries) {
    if (json.size() > 1) json += ',';
    json += entry.text;
  }
  return json + "]";
}

}  // namespace

std::vector<std::string> ReadTraceItem(JsonValue value, TraceItem* item) {
  if (!value.is_object()) return {"item must be an object"};
  std::vector<std::string> errors;
  auto expect = [&](bool holds, const char* what) {
    if (!holds) errors.emplace_back(what);
  };
  item->script_name = FindMember(value.text, "scriptName");
  item->outcome = FindMember(value.text, "outcome");
  item->event_timestamp = FindMember(value.text, "eventTimestamp");
  item->event = FindMember(value.text, "event");
  item->diagnostics = FindMember(value.text, "diagnosticsChannelEvents");
  JsonValue logs = FindMember(value.text, "logs");
  JsonValue exceptions = FindMember(value.text, "exceptions");
  expect(item->outcome.is_string(), "outcome must be a string");
  expect(logs.is_array(), "logs must be an array");
  expect(exceptions.is_array(), "exceptions must be an array");
  expect(Absent(item->script_name) || item->script_name.is_string(),
         "scriptName must be a string or null");
  expect(Absent(item->event_timestamp) || item->event_timestamp.is_number(),
         "eventTimestamp must be a number or null");
  expect(Absent(item->event) || item->event.is_object(), "event must be an object or null");
  if (item->event.is_object()) CheckRequest(item->event, &errors);
  if (!errors.empty()) return errors;
  item->logs = UsableEntries(logs, kTraceLogsMax, {"level"});
  item->exceptions = UsableEntries(exceptions, kTraceExceptionsMax, {"name", "message"});
  return errors;
}

std::string NormaliseTraceItem(const TraceItem& item, int64_t now_ms) {
  std::string json = "{";
  AppendMember("scriptName", item.script_name.is_string() ? item.script_name.text : "null", &json);
  AppendMember("outcome", item.outcome.text, &json);
  AppendMember("eventTimestamp",
               item.event_timestamp.is_number() ? std::string(item.event_timestamp.text)
                                                : std::to_string(now_ms),
               &json);
  AppendMember("event", NormaliseEvent(item.event), &json);
  AppendMember("logs", JoinEntries(item.logs), &json);
  AppendMember("exceptions", JoinEntries(item.exceptions), &json);
  AppendMember("diagnosticsChannelEvents",
               item.diagnostics.is_array() ? item.diagnostics.text : "[]", &json);
  json += '}';
  // An item is a line: white space between tokens may hold line ends.
  return json.find_first_of("\r\n") == std::string::npos ? json : MinifyJson(json);
}

Result<TraceBatch> ParseTraceItems(std::string_view json, int64_t now_ms) {
  JsonChecker checker;
  if (const char* error = checker.Check(json)) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", std::string("tail items: ") + error);
  }
  JsonValue all{json.substr(json.find_first_not_of(" \t\r\n"))};
  TraceBatch batch;
  if (!all.is_array()) {
    batch.invalid.push_back({-1, {"tail items must be an array"}});
    return batch;
  }
  ForEachElement(all.text, [&](JsonValue value) {
    TraceItem item;
    std::vector<std::string> errors = ReadTraceItem(value, &item);
    const auto index = static_cast<int64_t>(batch.total_count++);
    if (!errors.empty()) {
      batch.invalid.push_back({index, std::move(errors)});
    } else {
      batch.items.push_back(NormaliseTraceItem(item, now_ms));
      double at = item.event_timestamp.is_number() ? item.event_timestamp.AsDouble() : -1;
      bool usable = at >= 0 && at < 253'402'300'800'000.0;
      batch.event_ms.push_back(usable ? static_cast<int64_t>(at) : now_ms);
    }
    return batch.total_count < kTraceItemsMax;
  });
  return batch;
}

}  // namespace varve::record
