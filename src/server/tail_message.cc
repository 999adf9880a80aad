#include "server/tail_message.h"

#include <simdjson.h>

#include "core/bytes.h"
#include "record/event.h"

namespace varve::server {
namespace {

using simdjson::ondemand::json_type;

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

// The value's own text.
bool RawText(simdjson::ondemand::value value, std::string_view* text) {
  json_type type;
  if (value.type().get(type)) return false;
  if (type == json_type::array) {
    simdjson::ondemand::array array;
    return !value.get_array().get(array) && !array.raw_json().get(*text);
  }
  if (type == json_type::object) {
    simdjson::ondemand::object object;
    return !value.get_object().get(object) && !object.raw_json().get(*text);
  }
  *text = value.raw_json_token();
  return true;
}

}  // namespace

Result<TailMessage> ParseTailMessage(std::string_view text, bool bare_array) {
  thread_local simdjson::ondemand::parser parser;
  const simdjson::padded_string_view padded(text.data(), text.size(),
                                            text.size() + record::kJsonPaddingBytes);
  simdjson::ondemand::document document;
  json_type root;
  if (parser.iterate(padded).get(document) || document.type().get(root)) return NotJson();
  if (root == json_type::array && bare_array) {
    return MessageOf(text.substr(text.find('[')));
  }
  simdjson::ondemand::object object;
  if (root != json_type::object || document.get_object().get(object)) return UnknownType("");
  std::string type, events;
  bool has_type = false, has_events = false;
  for (auto field : object) {
    std::string_view key, raw;
    simdjson::ondemand::value value;
    if (field.unescaped_key().get(key)) return NotJson();
    const bool is_type = key == "type", is_events = key == "events";
    if (field.value().get(value)) return NotJson();
    if (is_type && !has_type) {
      std::string_view name;
      if (!value.get_string().get(name)) type = name;
      has_type = true;
    } else if (is_events && !has_events) {
      if (!RawText(value, &raw)) return NotJson();
      events = raw;
      has_events = true;
    }
  }
  const char* behind = nullptr;
  if (!document.current_location().get(behind)) return NotJson();  // something follows the object
  if (type != "tail_events") return UnknownType(type);
  if (!has_events) {
    return MakeError(ErrorKind::kInvalid, "INVALID_BATCH", "the message has no events");
  }
  return MessageOf(events);
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
