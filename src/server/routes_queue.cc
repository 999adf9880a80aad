// The queues: the Cloudflare-shaped pull API (also under the paths that its clients build), what
// each queue holds, and the way back from the dead letters.
#include <nlohmann/json.hpp>

#include "queue/pull_api.h"
#include "queue/queue.h"
#include "server/exchange.h"
#include "server/server_state.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;
using PullCall = Result<std::string> (*)(queue::Queue&, std::string_view, std::string_view);

constexpr uint64_t kReplayMessagesMax = 100'000;

void AnswerPull(const ExchangePtr& exchange, Result<std::string> result) {
  if (result.ok()) return exchange->Reply(JsonResponse(std::move(result).value()));
  Response response = ErrorResponse(result.error());
  if (result.error().kind != ErrorKind::kInternal) {
    response.body = queue::PullErrorBody(result.error());
  }
  exchange->Reply(std::move(response));
}

nlohmann::json StatsJson(const queue::QueueStats& stats) {
  return {{"name", stats.name},
          {"sent", stats.sent},
          {"delivered", stats.delivered},
          {"acked", stats.acked},
          {"retried", stats.retried},
          {"deadLettered", stats.dead_lettered},
          {"deduplicated", stats.deduplicated},
          {"backlog", stats.backlog},
          {"backlogBytes", stats.backlog_bytes},
          {"leased", stats.leased},
          {"oldestMessageMs", stats.oldest_message_ms},
          {"deadLetterQueue", stats.dead_letter_queue}};
}

void ListQueues(queue::Queue& queue, const ExchangePtr& exchange) {
  auto list = queue.List();
  if (!list.ok()) return exchange->Reply(ErrorResponse(list.error()));
  nlohmann::json queues = nlohmann::json::array();
  for (const queue::QueueStats& stats : *list) queues.push_back(StatsJson(stats));
  exchange->Reply(JsonResponse(nlohmann::json{{"queues", std::move(queues)}}.dump()));
}

void GetStats(queue::Queue& queue, const ExchangePtr& exchange) {
  auto stats = queue.Stats(exchange->path_params.back());
  if (!stats.ok()) return exchange->Reply(ErrorResponse(stats.error()));
  exchange->Reply(JsonResponse(StatsJson(*stats).dump()));
}

Result<uint64_t> ReplayMax(std::string_view body) {
  if (body.empty()) return kReplayMessagesMax;
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "replay takes {\"max\":n}");
  }
  for (const char* name : {"max", "limit", "messages_max"}) {
    const auto found = json.find(name);
    if (found == json.end()) continue;
    if (!found->is_number_unsigned() || found->get<uint64_t>() == 0) {
      return MakeError(ErrorKind::kInvalid, "INVALID_FIELD",
                       std::string(name) + " must be a positive integer");
    }
    return std::min(found->get<uint64_t>(), kReplayMessagesMax);
  }
  return kReplayMessagesMax;
}

void Replay(queue::Queue& queue, const ExchangePtr& exchange) {
  const auto max = ReplayMax(exchange->body);
  if (!max.ok()) return exchange->Reply(ErrorResponse(max.error()));
  auto moved = queue.Replay(exchange->path_params.back(), *max);
  if (!moved.ok()) return exchange->Reply(ErrorResponse(moved.error()));
  exchange->Reply(JsonResponse("{\"replayed\":" + std::to_string(*moved) + "}"));
}

}  // namespace

void AddQueueRoutes(ServerState& state) {
  queue::Queue* queue = state.services.queue;
  if (queue == nullptr) return;
  const auto add = [&state](Method method, std::string path, uint64_t body_bytes_max,
                            std::function<void(const ExchangePtr&)> call) {
    Route& route = state.router.Add(method, std::move(path), Access::kInstance,
                                    [&state, call = std::move(call)](const ExchangePtr& exchange) {
                                      RunOn(state.blocking_pool, exchange, call);
                                    });
    route.body_bytes_max = body_bytes_max;
  };
  constexpr uint64_t kControlBodyBytesMax = 1 << 20;
  const uint64_t messages_bytes = state.options.limits.queue_body_bytes_max;
  const struct {
    const char* path;
    PullCall call;
    uint64_t body_bytes_max;
  } calls[] = {{"/messages/pull", queue::HandlePull, kControlBodyBytesMax},
               {"/messages/ack", queue::HandleAck, kControlBodyBytesMax},
               {"/messages/peek", queue::HandlePeek, kControlBodyBytesMax},
               {"/messages/purge", queue::HandlePurge, kControlBodyBytesMax},
               {"/messages/batch", queue::HandleBatch, messages_bytes},
               {"/messages", queue::HandlePush, messages_bytes}};
  for (const char* prefix : {"/queues/{q}", "/client/v4/accounts/{account}/queues/{q}"}) {
    for (const auto& entry : calls) {
      add(Method::kPost, std::string(prefix) + entry.path, entry.body_bytes_max,
          [queue, call = entry.call](const ExchangePtr& exchange) {
            AnswerPull(exchange, call(*queue, exchange->path_params.back(), exchange->body));
          });
    }
  }
  add(Method::kGet, "/queues", 0, [queue](const ExchangePtr& e) { ListQueues(*queue, e); });
  for (const char* path : {"/queues/{q}", "/queues/{q}/stats"}) {
    add(Method::kGet, path, 0, [queue](const ExchangePtr& e) { GetStats(*queue, e); });
  }
  add(Method::kPost, "/queues/{q}/replay", kControlBodyBytesMax,
      [queue](const ExchangePtr& e) { Replay(*queue, e); });
}

}  // namespace varve::server
