#include "server/tail_message.h"

#include "core/bytes.h"
#include "record/event.h"
#include "record/json_index.h"
#include "record/json_scan.h"
#include "record/json_walker.h"

namespace varve::server {
namespace {

constexpr uint32_t kDepthMax = 64;

Error NotJson() {
  return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "the message is not valid JSON");
}

Error UnknownType(std::string_view type) {
  return MakeError(ErrorKind::kInvalid, "UNKNOWN_MESSAGE_TYPE",
                   "Unknown message type: " + std::string(type.substr(0, 128)));
}

std::string_view TrimEnd(std::string_view text) {
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos) {
    text.remove_suffix(1);
  }
  return text;
}

TailMessage MessageOf(std::string_view events) {
  events = TrimEnd(events);
  TailMessage message;
  message.empty =
      events.starts_with('[') && events.ends_with(']') &&
      events.substr(1, events.size() - 2).find_first_not_of(" \t\r\n") == std::string_view::npos;
  message.events_json.reserve(events.size() + record::kJsonPaddingBytes);
  message.events_json = events;
  return message;
}

}  // namespace

Result<TailMessage> ParseTailMessage(std::string_view text, bool bare_array) {
  thread_local record::JsonIndex index;
  if (index.Build(text) != nullptr || index.count() == 0) return NotJson();
  record::JsonWalker walker(text, index, kDepthMax);
  const std::string_view root = text.substr(walker.offset());
  if (!walker.Value(0) || !walker.at_end()) return NotJson();
  if (root[0] == '[' && bare_array) return MessageOf(root);
  if (root[0] != '{') return UnknownType("");
  const record::JsonValue type = record::FindMember(root, "type");
  const std::string name = type.is_string() ? type.AsString() : std::string();
  if (name != "tail_events") return UnknownType(name);
  const record::JsonValue events = record::FindMember(root, "events");
  if (!events.exists()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_BATCH", "the message has no events");
  }
  return MessageOf(events.text);
}

std::string TailAckJson(const ingest::TailReply& reply, int64_t now_ms) {
  std::string out = "{\"type\":\"ack\",\"count\":" + std::to_string(reply.accepted) +
                    ",\"timestamp\":" + std::to_string(now_ms);
  if (reply.invalid > 0) {
    out += ",\"invalid\":" + std::to_string(reply.invalid);
    if (!reply.invalid_json.empty()) out += ",\"errors\":" + reply.invalid_json;
  }
  return out + "}";
}

std::string TailErrorJson(const Error& error, int64_t now_ms) {
  const bool internal = error.kind == ErrorKind::kInternal;
  const std::string code = error.code.empty() ? std::string(ToString(error.kind)) : error.code;
  return "{\"type\":\"error\",\"message\":" +
         JsonQuote(internal ? std::string_view("internal error") : error.message) +
         ",\"code\":" + JsonQuote(code) + ",\"timestamp\":" + std::to_string(now_ms) + "}";
}

}  // namespace varve::server
