// The tail in both directions: POST /tail and the /tail socket take trace items, GET /tail/live
// gives what has just become durable.
#include "core/clock.h"
#include "ingest/ingest.h"
#include "record/event.h"
#include "server/exchange.h"
#include "server/live_feed.h"
#include "server/server_state.h"
#include "server/tail_message.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

void PostTail(ServerState& state, const ExchangePtr& exchange) {
  exchange->body.reserve(exchange->body.size() + record::kJsonPaddingBytes);
  auto message = ParseTailMessage(exchange->body, true);
  if (!message.ok()) return exchange->Reply(ErrorResponse(message.error()));
  const Clock& clock = *state.services.clock;
  if (message->empty) {
    return exchange->Reply(JsonResponse(TailAckJson({}, clock.NowMs())));
  }
  state.services.ingest->SubmitTail(
      exchange->ns, std::move(message->events_json),
      [&state, &clock, exchange](Result<ingest::TailReply> reply) {
        if (!reply.ok()) return exchange->Reply(ErrorResponse(reply.error()));
        state.metrics.Ingested(EventSource::kTail, reply->accepted,
                               clock.MonotonicNs() - exchange->received_ns);
        if (!exchange->rate_sender.empty()) {
          state.limiter.ChargeEvents(exchange->rate_sender, reply->accepted);
        }
        exchange->Reply(JsonResponse(TailAckJson(*reply, clock.NowMs())));
      });
}

bool WantsServerSentEvents(const Exchange& exchange) {
  return exchange.Param("format") == "sse" ||
         exchange.head.Find("accept").find("text/event-stream") != std::string_view::npos;
}

void GetLive(ServerState& state, const ExchangePtr& exchange) {
  const bool sse = WantsServerSentEvents(*exchange);
  exchange->ping = sse ? ": ping\n\n" : "\n";
  Response head;
  head.content_type = sse ? "text/event-stream" : "application/x-ndjson";
  head.headers.emplace_back("Cache-Control", "no-store");
  LiveFilter filter{exchange->ns, std::string(exchange->Param("type")),
                    std::string(exchange->Param("source"))};
  LiveFeed* feed = state.services.live_feed;
  const uint64_t id = feed->Subscribe(std::move(filter), [exchange, sse](std::string_view event) {
    return exchange->Offer(sse ? "data: " + std::string(event) + "\n\n"
                               : std::string(event) + "\n");
  });
  if (id == 0) {
    return exchange->Reply(ErrorResponse(503, "BUSY", "too many live subscribers"));
  }
  exchange->BeginStream(std::move(head), state.options.limits.live_buffer_bytes_max, true);
  exchange->OnCancel([feed, id] { feed->Unsubscribe(id); });
}

}  // namespace

void AddTailRoutes(ServerState& state) {
  if (state.services.ingest != nullptr) {
    Route& post = state.router.Add(Method::kPost, "/tail", Access::kIngest,
                                   [&state](const ExchangePtr& e) { PostTail(state, e); });
    post.body_bytes_max = state.options.limits.tail_body_bytes_max;
    post.open_cors = true;
    Route& socket = state.router.Add(Method::kGet, "/tail", Access::kIngest, nullptr);
    socket.websocket = WebSocketKind::kTail;
    socket.upgrade_only = true;
  }
  if (state.services.live_feed != nullptr) {
    Route& live = state.router.Add(Method::kGet, "/tail/live", Access::kQuery,
                                   [&state](const ExchangePtr& e) { GetLive(state, e); });
    live.websocket = WebSocketKind::kLive;
    live.watch_client = true;
  }
}

}  // namespace varve::server
