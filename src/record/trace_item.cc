#include "record/trace_item.h"

#include <fmt/format.h>

#include "record/event_scan.h"
#include "record/json_index.h"
#include "record/json_walker.h"

namespace varve::record {

namespace {

JsonValue NotNull(const JsonValue& value) { return value.is_null() ? JsonValue() : value; }

struct Errors {
  std::vector<std::string>* out;
  void Add(std::string error) { out->push_back(std::move(error)); }
};

void CheckRequest(const JsonValue& request, Errors errors) {
  if (!request.is_object()) return errors.Add("event.request must be an object");
  for (const std::string_view name : {"url", "method"}) {
    if (!FindMember(request.text, name).is_string()) {
      errors.Add(fmt::format("event.request.{} must be a string", name));
    }
  }
  const JsonValue headers = NotNull(FindMember(request.text, "headers"));
  if (headers.exists() && !headers.is_object()) {
    errors.Add("event.request.headers must be an object");
  }
}

void ReadEvent(const JsonValue& event, TraceItem* item, Errors errors) {
  item->has_event = true;
  item->request = NotNull(FindMember(event.text, "request"));
  if (item->request.exists()) CheckRequest(item->request, errors);
  const JsonValue response = FindMember(event.text, "response");
  if (response.is_object() && FindMember(response.text, "status").is_number()) {
    item->response = response;
  }
  const JsonValue scheduled = FindMember(event.text, "scheduledTime");
  if (scheduled.is_number()) item->scheduled_time = scheduled;
  const JsonValue cron = FindMember(event.text, "cron");
  if (cron.is_string()) item->cron = cron;
  const JsonValue queue = FindMember(event.text, "queue");
  if (queue.is_string()) item->queue = queue;
  const JsonValue batch_size = FindMember(event.text, "batchSize");
  if (batch_size.is_number()) item->batch_size = batch_size;
}

const char* LogError(const JsonValue& log) {
  if (!log.is_object()) return "must be an object";
  if (!FindMember(log.text, "timestamp").is_number()) return "timestamp must be a number";
  return FindMember(log.text, "level").is_string() ? nullptr : "level must be a string";
}

// An exception without a time happened at the item's.
const char* ExceptionError(const JsonValue& exception) {
  if (!exception.is_object()) return "must be an object";
  if (!FindMember(exception.text, "name").is_string()) return "name must be a string";
  if (!FindMember(exception.text, "message").is_string()) return "message must be a string";
  const JsonValue time = NotNull(FindMember(exception.text, "timestamp"));
  return !time.exists() || time.is_number() ? nullptr : "timestamp must be a number";
}

void ReadEntries(const JsonValue& array, std::string_view name, size_t entries_max,
                 const char* (*error_of)(const JsonValue&), std::vector<JsonValue>* out,
                 std::vector<std::string>* dropped) {
  size_t i = 0;
  ForEachElement(array.text, [&](const JsonValue& entry) {
    if (i == entries_max) return false;
    if (const char* error = error_of(entry)) {
      dropped->push_back(fmt::format("{}[{}] {}", name, i, error));
    } else {
      out->push_back(entry);
    }
    ++i;
    return true;
  });
}

}  // namespace

const char* CheckJson(std::string_view text, uint32_t depth_max) {
  thread_local JsonIndex index;
  if (const char* error = index.Build(text)) return error;
  JsonWalker walker(text, index, depth_max);
  if (!walker.Value(0)) return walker.error();
  return walker.at_end() ? nullptr : "something stands behind the value";
}

std::optional<int64_t> TimeMs(const JsonValue& number) {
  if (!number.is_number()) return std::nullopt;
  const double ms = number.AsDouble();
  if (!(ms >= 0) || ms > static_cast<double>(kEventMsMax)) return std::nullopt;
  return static_cast<int64_t>(ms);
}

std::optional<int64_t> TraceItem::event_ms() const { return TimeMs(event_timestamp); }

TraceItem ReadTraceItem(const JsonValue& value, std::vector<std::string>* errors,
                        std::vector<std::string>* dropped) {
  TraceItem item;
  Errors add{errors};
  if (!value.is_object()) {
    add.Add("item must be an object");
    return item;
  }
  const std::string_view text = value.text;
  item.outcome = FindMember(text, "outcome");
  if (!item.outcome.is_string()) add.Add("outcome must be a string");
  item.script_name = NotNull(FindMember(text, "scriptName"));
  if (item.script_name.exists() && !item.script_name.is_string()) {
    add.Add("scriptName must be a string or null");
  }
  item.event_timestamp = NotNull(FindMember(text, "eventTimestamp"));
  if (item.event_timestamp.exists() && !item.event_timestamp.is_number()) {
    add.Add("eventTimestamp must be a number or null");
  }
  const JsonValue event = NotNull(FindMember(text, "event"));
  if (event.is_object()) {
    ReadEvent(event, &item, add);
  } else if (event.exists()) {
    add.Add("event must be an object or null");
  }
  const JsonValue logs = FindMember(text, "logs");
  const JsonValue exceptions = FindMember(text, "exceptions");
  if (!logs.is_array()) add.Add("logs must be an array");
  if (!exceptions.is_array()) add.Add("exceptions must be an array");
  if (!errors->empty()) return item;
  ReadEntries(logs, "logs", kTraceLogsMax, LogError, &item.logs, dropped);
  ReadEntries(exceptions, "exceptions", kTraceExceptionsMax, ExceptionError, &item.exceptions,
              dropped);
  const JsonValue diagnostics = FindMember(text, "diagnosticsChannelEvents");
  if (diagnostics.is_array()) item.diagnostics = diagnostics;
  return item;
}

}  // namespace varve::record
