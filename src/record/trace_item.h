// One trace item: checked, and the parts of it that rows are made of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "record/json_scan.h"

namespace varve::record {

inline constexpr size_t kTraceItemsMax = 10'000;
inline constexpr size_t kTraceLogsMax = 1'000;
inline constexpr size_t kTraceExceptionsMax = 100;
inline constexpr uint32_t kTraceDepthMax = 64;

// Views into the item's JSON text. What is beyond the caps is left out.
struct TraceItem {
  JsonValue script_name, outcome, event_timestamp;  // no value: absent or null
  JsonValue request, response;  // of the event; well-formed when they have a value
  JsonValue scheduled_time, cron, queue, batch_size;
  bool has_event = false;
  std::vector<JsonValue> logs, exceptions;  // well-formed ones
  JsonValue diagnostics;                    // an array, or no value

  std::optional<int64_t> event_ms() const;  // within the years 1970 to 9999
};

// Null on success, else why the text is not one JSON value.
const char* CheckJson(std::string_view text, uint32_t depth_max);

// The item of a checked JSON value. `errors` make it invalid; `dropped` says which of its log
// entries and exceptions are left out, and why.
TraceItem ReadTraceItem(const JsonValue& value, std::vector<std::string>* errors,
                        std::vector<std::string>* dropped);

std::optional<int64_t> TimeMs(const JsonValue& number);

}  // namespace varve::record
