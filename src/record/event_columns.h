// The 13 columns of an event, in their order in every file and table.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/result.h"
#include "record/event.h"

namespace varve::record {

enum EventColumn : uint8_t {
  kTs,
  kType,
  kSource,
  kProvider,
  kEventType,
  kVerified,
  kScriptName,
  kOutcome,
  kMethod,
  kUrl,
  kStatusCode,
  kDurationMs,
  kPayload,
  kEventColumnCount
};
extern const std::string_view kEventColumnNames[kEventColumnCount];

using ColumnMask = uint32_t;  // bit per EventColumn
inline constexpr ColumnMask kAllEventColumns = (1u << kEventColumnCount) - 1;

struct EventRow {
  int64_t ts_ms = 0;
  std::string_view type;  // text points into the event's bytes or the decoder's own arena
  std::optional<std::string_view> source, provider, event_type, script_name, outcome, method, url;
  std::optional<bool> verified;
  std::optional<int32_t> status_code;
  std::optional<double> duration_ms;
  std::string_view payload;  // kEvents: the event as it was sent; kWebhook: its payload member
};

// Turns an event's bytes (already checked by BatchParser) into a row. One per thread. Text stays
// valid until ResetArena (which the caller calls between blocks of rows).
class EventDecoder {
 public:
  EventDecoder();
  ~EventDecoder();
  // event.data()[0, size + kJsonPaddingBytes) is readable. ts_ms is the journal's event time.
  // Columns outside the mask are left empty. kCorrupt when the bytes are not a JSON object.
  Status Decode(std::string_view event, RecordKind kind, int64_t ts_ms, ColumnMask mask,
                EventRow* row);
  void ResetArena();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve::record
