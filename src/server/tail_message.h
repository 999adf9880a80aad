// The messages of the tail, in and out:
//   in:  {"type":"tail_events","instanceId","timestamp","events":[…]}
//   out: {"type":"ack","count","timestamp"} or {"type":"error","message","code","timestamp"}
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "ingest/ingest.h"

namespace varve::server {

struct TailMessage {
  std::string events_json;  // the `events` value, with capacity for padding
  bool empty = false;       // an empty array
};

// text.data()[0, size + record::kJsonPaddingBytes) is readable. bare_array: an array is taken for
// the events (plain HTTP). kInvalid: INVALID_JSON, or UNKNOWN_MESSAGE_TYPE whose message is
// "Unknown message type: X".
Result<TailMessage> ParseTailMessage(std::string_view text, bool bare_array);

std::string TailAckJson(const ingest::TailReply& reply, int64_t now_ms);
std::string TailErrorJson(const Error& error, int64_t now_ms);

}  // namespace varve::server
