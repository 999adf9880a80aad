// A tail item (what a worker's trace says of one invocation), checked and normalised.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "record/json_scan.h"

namespace varve::record {

inline constexpr uint32_t kTraceItemsMax = 10'000;
inline constexpr uint32_t kTraceLogsMax = 1'000;      // of an item; more are cut
inline constexpr uint32_t kTraceExceptionsMax = 100;  // of an item; more are cut

// An item's parts as written; absent ones are empty. Text points into the item's JSON.
struct TraceItem {
  JsonValue script_name, outcome, event_timestamp, event, diagnostics;
  std::vector<JsonValue> logs, exceptions;  // only those that can be used
};

// The item is a value of checked JSON. What is wrong with it; empty: *item is filled.
std::vector<std::string> ReadTraceItem(JsonValue value, TraceItem* item);

// One line of JSON with exactly scriptName, outcome, eventTimestamp, event, logs, exceptions and
// diagnosticsChannelEvents. An item without a time gets now_ms.
std::string NormaliseTraceItem(const TraceItem& item, int64_t now_ms);

}  // namespace varve::record
