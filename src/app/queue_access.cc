#include "app/queue_access.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/embedded.h"
#include "app/http_client.h"
#include "app/server_calls.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;

std::string Text(const Json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t Int(const Json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<int64_t>() : 0;
}

class EmbeddedAccess : public QueueAccess {
 public:
  EmbeddedAccess(Target target, std::unique_ptr<Embedded> embedded)
      : target_(std::move(target)), embedded_(std::move(embedded)) {}
  Result<std::vector<queue::QueueStats>> List() override { return embedded_->queue().List(); }
  Result<std::vector<queue::Message>> Peek(const std::string& queue, uint32_t batch_max) override {
    return embedded_->queue().Peek(queue, batch_max);
  }
  Result<uint64_t> Replay(const std::string& queue, uint64_t messages_max) override {
    return embedded_->queue().Replay(queue, messages_max);
  }
  Result<uint64_t> PurgeAll(const std::string& queue) override {
    return embedded_->queue().PurgeAll(queue);
  }

 private:
  Target target_;  // holds the lock; goes last
  std::unique_ptr<Embedded> embedded_;
};

class HttpAccess : public QueueAccess {
 public:
  explicit HttpAccess(std::string url) : server_(std::move(url)) {}

  Result<std::vector<queue::QueueStats>> List() override {
    Json json = TRY(server_.Object("GET", "/queues"));
    std::vector<queue::QueueStats> out;
    for (const Json& item : json.value("queues", Json::array())) {
      queue::QueueStats stats;
      stats.name = Text(item, "name");
      stats.sent = static_cast<uint64_t>(Int(item, "sent"));
      stats.delivered = static_cast<uint64_t>(Int(item, "delivered"));
      stats.acked = static_cast<uint64_t>(Int(item, "acked"));
      stats.retried = static_cast<uint64_t>(Int(item, "retried"));
      stats.dead_lettered = static_cast<uint64_t>(Int(item, "deadLettered"));
      stats.deduplicated = static_cast<uint64_t>(Int(item, "deduplicated"));
      stats.backlog = static_cast<uint64_t>(Int(item, "backlog"));
      stats.backlog_bytes = static_cast<uint64_t>(Int(item, "backlogBytes"));
      stats.leased = static_cast<uint64_t>(Int(item, "leased"));
      stats.oldest_message_ms = Int(item, "oldestMessageMs");
      stats.dead_letter_queue = Text(item, "deadLetterQueue");
      out.push_back(std::move(stats));
    }
    return out;
  }

  Result<std::vector<queue::Message>> Peek(const std::string& queue, uint32_t batch_max) override {
    Json json = TRY(server_.Object("POST", "/queues/" + UrlEncode(queue) + "/messages/peek",
                                   Json{{"batch_size", batch_max}}.dump()));
    std::vector<queue::Message> out;
    Json result = json.value("result", Json::object());
    for (const Json& item : result.value("messages", Json::array())) {
      queue::Message message;
      message.id = Text(item, "id");
      message.body = Text(item, "body");
      message.sent_ms = Int(item, "timestamp_ms");
      message.attempts = static_cast<uint32_t>(Int(item, "attempts"));
      Json metadata = item.value("metadata", Json::object());
      message.content_type = Text(metadata, "CF-Content-Type");
      message.dead_letter_reason = Text(metadata, "dead_letter_reason");
      message.dead_letter_source = Text(metadata, "dead_letter_source");
      out.push_back(std::move(message));
    }
    return out;
  }

  Result<uint64_t> Replay(const std::string& queue, uint64_t messages_max) override {
    Json json = TRY(server_.Object("POST", "/queues/" + UrlEncode(queue) + "/replay",
                                   Json{{"limit", messages_max}}.dump()));
    return Count(json, "replayed");
  }

  Result<uint64_t> PurgeAll(const std::string& queue) override {
    Json json = TRY(server_.Object("POST", "/queues/" + UrlEncode(queue) + "/messages/purge",
                                   R"({"all":true})"));
    return Count(json, "purgeCount");
  }

 private:
  static uint64_t Count(const Json& json, const char* name) {
    const Json result = json.value("result", Json::object());
    return static_cast<uint64_t>(result.contains(name) ? Int(result, name) : Int(json, name));
  }

  ServerCalls server_;
};

}  // namespace

Result<std::unique_ptr<QueueAccess>> OpenQueueAccess(const TargetOptions& options) {
  if (options.data.empty()) return std::unique_ptr<QueueAccess>(new HttpAccess(ServerUrl(options)));
  Target target = TRY(ResolveTarget(options));
  if (!target.url.empty()) return std::unique_ptr<QueueAccess>(new HttpAccess(target.url));
  std::unique_ptr<Embedded> embedded = TRY(OpenEmbedded(target.config));
  return std::unique_ptr<QueueAccess>(new EmbeddedAccess(std::move(target), std::move(embedded)));
}

std::string QueueStatsJson(const std::vector<queue::QueueStats>& queues) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const queue::QueueStats& q : queues) {
    out.push_back({{"name", q.name},
                   {"backlog", q.backlog},
                   {"backlogBytes", q.backlog_bytes},
                   {"leased", q.leased},
                   {"sent", q.sent},
                   {"delivered", q.delivered},
                   {"acked", q.acked},
                   {"retried", q.retried},
                   {"deadLettered", q.dead_lettered},
                   {"deduplicated", q.deduplicated},
                   {"oldestMessageMs", q.oldest_message_ms},
                   {"deadLetterQueue", q.dead_letter_queue}});
  }
  return out.dump() + "\n";
}

}  // namespace varve::app
