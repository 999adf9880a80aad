// ParseTraceItems: a JSON array of trace items → normalised items. Parts that are kept are copied
// as they were written (without white space), so that no number or escape changes on the way.
#include <fmt/format.h>

#include "record/json_index.h"
#include "record/log_row.h"
#include "record/trace_item.h"

namespace varve::record {

namespace {

std::string_view OrNull(const JsonValue& value) {
  return value.exists() ? value.text : std::string_view("null");
}

void AppendMember(std::string* out, std::string_view name, std::string_view value) {
  if (out->back() != '{') out->push_back(',');
  fmt::format_to(std::back_inserter(*out), R"("{}":{})", name, value);
}

std::string RequestJson(const JsonValue& request) {
  std::string out = "{";
  AppendMember(&out, "url", FindMember(request.text, "url").text);
  AppendMember(&out, "method", FindMember(request.text, "method").text);
  const JsonValue headers = FindMember(request.text, "headers");
  AppendMember(&out, "headers", headers.is_object() ? headers.text : "{}");
  const JsonValue cf = FindMember(request.text, "cf");
  if (cf.exists()) AppendMember(&out, "cf", cf.text);
  return out + '}';
}

std::string EventJson(const TraceItem& item) {
  if (!item.has_event) return "null";
  std::string out = "{";
  if (item.request.exists()) AppendMember(&out, "request", RequestJson(item.request));
  if (item.response.exists()) AppendMember(&out, "response", item.response.text);
  if (item.scheduled_time.exists()) {
    AppendMember(&out, "scheduledTime", item.scheduled_time.text);
  }
  if (item.cron.exists()) AppendMember(&out, "cron", item.cron.text);
  if (item.queue.exists()) AppendMember(&out, "queue", item.queue.text);
  if (item.batch_size.exists()) AppendMember(&out, "batchSize", item.batch_size.text);
  return out + '}';
}

std::string EntriesJson(const std::vector<JsonValue>& entries, int64_t time_ms) {
  std::string out = "[";
  for (const JsonValue& entry : entries) {
    if (out.size() > 1) out += ',';
    if (FindMember(entry.text, "timestamp").is_number()) {
      out += entry.text;
    } else {  // in front, where it goes before a null that may be there
      fmt::format_to(std::back_inserter(out), R"({{"timestamp":{},{})", time_ms,
                     entry.text.substr(1));
    }
  }
  return out + ']';
}

std::string NormalItem(const TraceItem& item, int64_t time_ms) {
  std::string out = "{";
  AppendMember(&out, "scriptName", OrNull(item.script_name));
  AppendMember(&out, "outcome", item.outcome.text);
  AppendMember(&out, "eventTimestamp",
               item.event_ms() ? std::string(item.event_timestamp.text) : std::to_string(time_ms));
  AppendMember(&out, "event", EventJson(item));
  AppendMember(&out, "logs", EntriesJson(item.logs, time_ms));
  AppendMember(&out, "exceptions", EntriesJson(item.exceptions, time_ms));
  AppendMember(&out, "diagnosticsChannelEvents",
               item.diagnostics.exists() ? item.diagnostics.text : "[]");
  return out + '}';
}

Error NotJson(const char* why) {
  return MakeError(ErrorKind::kInvalid, "INVALID_JSON", std::string("trace items: ") + why);
}

}  // namespace

Result<TraceBatch> ParseTraceItems(std::string_view json, int64_t now_ms) {
  constexpr uint32_t kArrayDepth = 1;
  thread_local JsonIndex index;
  if (const char* error = CheckJson(json, kTraceDepthMax + kArrayDepth)) return NotJson(error);
  CHECK(index.Build(json) == nullptr);
  const std::string text = MinifyJson(json, index);
  TraceBatch batch;
  if (text.front() != '[') {
    batch.invalid.push_back({-1, {"Input must be an array"}});
    return batch;
  }
  ForEachElement(text, [&](const JsonValue& value) {
    if (batch.total_count == kTraceItemsMax) return false;
    const auto i = static_cast<int64_t>(batch.total_count++);
    InvalidTraceItem invalid{i, {}}, dropped{i, {}};
    const TraceItem item = ReadTraceItem(value, &invalid.errors, &dropped.errors);
    if (!invalid.errors.empty()) {
      batch.invalid.push_back(std::move(invalid));
      return true;
    }
    if (!dropped.errors.empty()) batch.dropped.push_back(std::move(dropped));
    batch.event_ms.push_back(item.event_ms().value_or(now_ms));
    batch.items.push_back(NormalItem(item, batch.event_ms.back()));
    return true;
  });
  return batch;
}

}  // namespace varve::record
