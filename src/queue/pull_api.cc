#include "queue/pull_api.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/bytes.h"
#include "queue/queue.h"

namespace varve::queue {
namespace {

using Json = nlohmann::json;

constexpr size_t kDepthMax = 128;  // of request JSON: writing it back recurses
constexpr int64_t kLeaseDefaultMs = 30'000;
constexpr int64_t kLeaseMsMax = 43'200'000;
constexpr int64_t kDelaySecondsMax = 43'200;
constexpr size_t kItemsMax = 100;

Error Invalid(std::string message) {
  return MakeError(ErrorKind::kInvalid, "INVALID_REQUEST", std::move(message));
}

bool DepthWithin(std::string_view text, size_t depth_max) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) return false;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return true;
}

Result<Json> ParseRequest(std::string_view text) {
  const bool blank = text.find_first_not_of(" \t\r\n") == std::string_view::npos;
  if (blank) return Json::object();
  if (!DepthWithin(text, kDepthMax)) return Invalid("the body is nested more than 128 deep");
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "the body is not a JSON object");
  }
  return json;
}

Result<std::optional<int64_t>> IntField(const Json& object, const char* name, int64_t least,
                                        int64_t most) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::optional<int64_t>();
  if (!found->is_number()) return Invalid(std::string(name) + " is not a number");
  const double number = found->get<double>();
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)) ||
      number != std::floor(number)) {
    return Invalid(std::string(name) + " is not a whole number from " + std::to_string(least) +
                   " to " + std::to_string(most));
  }
  return std::optional<int64_t>(static_cast<int64_t>(number));
}

Result<std::string> StringField(const Json& object, const char* name, std::string_view otherwise) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::string(otherwise);
  if (!found->is_string()) return Invalid(std::string(name) + " is not a string");
  return found->get<std::string>();
}

// The array's items, each an object; absent counts as empty.
Result<std::vector<Json>> ObjectsField(const Json& object, const char* name) {
  std::vector<Json> items;
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return items;
  if (!found->is_array()) return Invalid(std::string(name) + " is not an array");
  if (found->size() > kItemsMax) return Invalid(std::string(name) + " has more than 100 items");
  for (const Json& item : *found) {
    if (!item.is_object()) return Invalid(std::string(name) + " holds something not an object");
    items.push_back(item);
  }
  return items;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Envelope(Json result) {
  return Dump({{"success", true},
               {"errors", Json::array()},
               {"messages", Json::array()},
               {"result", std::move(result)}});
}

Json MessageJson(const Message& message, bool leased) {
  Json metadata = {{"CF-Content-Type", message.content_type}, {"CF-sourceMessageSource", "http"}};
  if (!message.dead_letter_source.empty()) {
    metadata["dead_letter_source"] = message.dead_letter_source;
    metadata["dead_letter_reason"] = message.dead_letter_reason;
  }
  return {{"id", message.id},
          {"timestamp_ms", message.sent_ms},
          {"attempts", message.attempts},
          {leased ? "lease_id" : "ref", message.lease_id},
          {"body", message.content_type == "bytes" ? Base64Encode(message.body) : message.body},
          {"metadata", std::move(metadata)}};
}

Result<std::string> MessagesReply(Queue& queue, std::string_view name,
                                  const std::vector<Message>& messages, bool leased) {
  const QueueStats stats = TRY(queue.Stats(name));
  Json list = Json::array();
  for (const Message& message : messages) list.push_back(MessageJson(message, leased));
  return Envelope({{"message_backlog_count", stats.backlog},
                   {"messages", std::move(list)},
                   {"metadata",
                    {{"metrics",
                      {{"backlog_bytes", stats.backlog_bytes},
                       {"backlog_count", stats.backlog},
                       {"oldest_message_timestamp_ms", stats.oldest_message_ms}}}}}});
}

struct Outgoing {
  std::string body;
  SendOptions options;
};

Result<Outgoing> ParseOutgoing(const Json& json, int64_t delay_default_s) {
  Outgoing outgoing;
  const auto body = json.find("body");
  if (body == json.end()) return Invalid("body is missing");
  outgoing.options.content_type =
      TRY(StringField(json, "content_type", body->is_string() ? "text" : "json"));
  outgoing.options.dedup_key = TRY(StringField(json, "dedup_key", ""));
  const std::string& type = outgoing.options.content_type;
  if (type == "json") {
    outgoing.body = Dump(*body);
  } else if (type == "text" || type == "bytes") {
    if (!body->is_string()) return Invalid("body of content_type " + type + " is not a string");
    outgoing.body = body->get<std::string>();
    if (type == "bytes") {
      auto bytes = Base64Decode(outgoing.body);
      if (!bytes) return Invalid("body of content_type bytes is not base64");
      outgoing.body = *std::move(bytes);
    }
  } else {
    return Invalid("content_type is json, text or bytes");
  }
  const auto delay = TRY(IntField(json, "delay_seconds", 0, kDelaySecondsMax));
  outgoing.options.delay_ms = static_cast<uint64_t>(delay.value_or(delay_default_s)) * 1'000;
  return outgoing;
}

}  // namespace

Result<std::string> HandlePull(Queue& queue, std::string_view name, std::string_view body_json) {
  const Json request = TRY(ParseRequest(body_json));
  const auto batch = TRY(IntField(request, "batch_size", 1, 100));
  auto lease = TRY(IntField(request, "visibility_timeout_ms", 1, kLeaseMsMax));
  // One of the vendor's examples writes the field without its unit.
  if (!lease) lease = TRY(IntField(request, "visibility_timeout", 1, kLeaseMsMax));
  const auto messages = TRY(queue.Receive(name, static_cast<uint32_t>(batch.value_or(5)),
                                          static_cast<uint64_t>(lease.value_or(kLeaseDefaultMs))));
  return MessagesReply(queue, name, messages, /*leased=*/true);
}

Result<std::string> HandlePeek(Queue& queue, std::string_view name, std::string_view body_json) {
  const Json request = TRY(ParseRequest(body_json));
  const auto batch = TRY(IntField(request, "batch_size", 1, 100));
  const auto messages = TRY(queue.Peek(name, static_cast<uint32_t>(batch.value_or(5))));
  return MessagesReply(queue, name, messages, /*leased=*/false);
}

Result<std::string> HandleAck(Queue& queue, std::string_view name, std::string_view body_json) {
  const Json request = TRY(ParseRequest(body_json));
  std::vector<std::string> acks;
  const auto ack_items = TRY(ObjectsField(request, "acks"));
  for (const Json& item : ack_items) {
    acks.push_back(TRY(StringField(item, "lease_id", "")));
  }
  std::vector<RetryRequest> retries;
  const auto retry_items = TRY(ObjectsField(request, "retries"));
  for (const Json& item : retry_items) {
    RetryRequest retry;
    retry.lease_id = TRY(StringField(item, "lease_id", ""));
    retry.reason = TRY(StringField(item, "reason", "retried by its consumer"));
    const auto delay = TRY(IntField(item, "delay_seconds", 0, kDelaySecondsMax));
    // Without a delay the vendor's queue redelivers at once; so does ours.
    retry.delay_ms = delay.value_or(0) * 1'000;
    retries.push_back(std::move(retry));
  }
  const SettleOutcome outcome = TRY(queue.Settle(name, acks, retries));
  Json warnings = Json::object();
  for (const auto& [lease_id, warning] : outcome.warnings) warnings[lease_id] = warning;
  return Envelope({{"ackCount", outcome.acked},
                   {"retryCount", outcome.retried + outcome.dead_lettered},
                   {"warnings", std::move(warnings)}});
}

Result<std::string> HandlePush(Queue& queue, std::string_view name, std::string_view body_json) {
  const Json request = TRY(ParseRequest(body_json));
  const Outgoing outgoing = TRY(ParseOutgoing(request, 0));
  const std::string id = TRY(queue.Send(name, outgoing.body, outgoing.options));
  return Envelope({{"id", id}, {"deduplicated", id.empty()}});
}

Result<std::string> HandleBatch(Queue& queue, std::string_view name, std::string_view body_json) {
  const Json request = TRY(ParseRequest(body_json));
  const auto delay = TRY(IntField(request, "delay_seconds", 0, kDelaySecondsMax));
  std::vector<Outgoing> batch;
  const auto items = TRY(ObjectsField(request, "messages"));
  for (const Json& item : items) {
    auto outgoing = ParseOutgoing(item, delay.value_or(0));
    if (!outgoing.ok()) {
      return std::move(outgoing).error().Context("message " + std::to_string(batch.size()));
    }
    batch.push_back(std::move(outgoing).value());
  }
  if (batch.empty()) return Invalid("messages is empty");
  Json ids = Json::array();
  for (const Outgoing& outgoing : batch) {
    auto id = queue.Send(name, outgoing.body, outgoing.options);
    if (!id.ok()) {
      Error error = std::move(id).error();
      error.details_json = R"({"sent":)" + std::to_string(ids.size()) + "}";
      return error;
    }
    ids.push_back(*id);
  }
  return Envelope({{"ids", std::move(ids)}});
}

Result<std::string> HandlePurge(Queue& queue, std::string_view name, std::string_view body_json) {
  const Json request = TRY(ParseRequest(body_json));
  const auto all = request.find("all");
  if (all != request.end() && all->is_boolean() && all->get<bool>()) {
    return Envelope({{"purgeCount", TRY(queue.PurgeAll(name))}});
  }
  std::vector<std::string> refs;
  const auto items = TRY(ObjectsField(request, "refs"));
  for (const Json& item : items) {
    refs.push_back(TRY(StringField(item, "ref", "")));
  }
  if (refs.empty()) return Invalid("refs is empty; to purge everything send {\"all\":true}");
  return Envelope({{"purgeCount", TRY(queue.Purge(name, refs))}});
}

std::string PullErrorBody(const Error& error) {
  const std::string code = error.code.empty() ? std::string(ToString(error.kind)) : error.code;
  return Dump({{"success", false},
               {"errors", Json::array({{{"code", code}, {"message", error.message}}})},
               {"messages", Json::array()},
               {"result", nullptr}});
}

}  // namespace varve::queue
