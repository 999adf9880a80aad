// An event on its way in: a JSON object with a `type`. Batches are parsed once, every value of them
// checked, and their events kept as slices of the body's own bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::record {

// What kind of input a journal record holds; stored on disk, never renumbered.
enum class RecordKind : uint8_t { kEvents = 1, kWebhook = 2, kTail = 3 };

struct EventRef {   // stored on disk in the journal, 16 bytes
  int64_t ts_ms;    // event time
  uint32_t offset;  // of the event's first byte, '{', in the body
  uint32_t size;    // to its '}' inclusive
};
static_assert(sizeof(EventRef) == 16);

struct EventIdRef {  // where an event's own `id` stands, as written
  uint32_t event;    // its index in the batch's events
  uint32_t offset;   // of the value's first byte in the body
  uint32_t size;     // to its last inclusive
};

struct EventLimits {
  uint32_t events_max = 1000;
  uint32_t event_bytes_max = 10'240;
  uint32_t type_bytes_max = 128;
  uint32_t depth_max = 64;
};

struct EventBatch {
  std::string batch_id;  // empty: none given; at most 256 bytes
  std::vector<EventRef> events;
  std::vector<EventIdRef> ids;  // ascending by event; of those that have one: a text that is not
                                // empty, or an integer
};

enum class BodyFormat : uint8_t {
  kJson,    // {"events":[…],"batchId":…}, an array of events, or one event object
  kNdjson,  // an event a line; blank lines are passed over
};

// Bytes that must be readable (their values do not matter) behind every body given to a parser.
inline constexpr size_t kJsonPaddingBytes = 64;

// Parses and checks batches; keeps its buffers from one to the next. One per thread.
class BatchParser {
 public:
  BatchParser();
  ~BatchParser();
  // body.data()[0, size + kJsonPaddingBytes) is readable. An event without `ts` gets now_ms.
  // Fails whole: INVALID_JSON (with the byte offset or line), INVALID_BATCH (not a batch, too many
  // events: details limit, received), INVALID_EVENT (details indices, at most 10, and reasons),
  // EVENT_TOO_LARGE (details indices, maxSize). On success *batch holds refs in input order.
  Status Parse(std::string_view body, BodyFormat format, int64_t now_ms, const EventLimits& limits,
               EventBatch* batch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve::record
