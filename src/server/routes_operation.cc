// What is asked about the process itself.
#include "core/bytes.h"
#include "core/clock.h"
#include "core/version.h"
#include "server/exchange.h"
#include "server/live_feed.h"
#include "server/server_state.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

std::string HealthJson(const ServerState& state) {
  const int64_t now_ms = state.services.clock->NowMs();
  return "{\"status\":\"ok\",\"service\":\"varve\",\"ts\":\"" + FormatIso(now_ms) +
         "\",\"env\":" + JsonQuote(state.options.environment) + ",\"version\":\"" +
         std::string(Version()) + "\",\"uptimeMs\":" + std::to_string(now_ms - state.started_ms) +
         "}";
}

void GetReady(const ServerState& state, const ExchangePtr& exchange) {
  if (state.stopping) {
    return exchange->Reply(ErrorResponse(503, "STOPPING", "the server is stopping"));
  }
  const Status ready = state.services.ready ? state.services.ready() : Status();
  if (ready.ok()) return exchange->Reply(JsonResponse("{\"status\":\"ready\"}"));
  exchange->Reply(ErrorResponse(503, ready.error().code.empty() ? "NOT_READY" : ready.error().code,
                                ready.error().message));
}

void GetMetrics(const ServerState& state, const ExchangePtr& exchange) {
  MetricsWriter writer;
  state.metrics.Write(writer);
  state.router.WriteMetrics(writer);
  writer.Gauge("http_worker_backlog", "Calls that wait for a worker.",
               static_cast<double>(state.query_pool.backlog()), {{"pool", "query"}});
  writer.Gauge("http_worker_backlog", "Calls that wait for a worker.",
               static_cast<double>(state.blocking_pool.backlog()), {{"pool", "blocking"}});
  if (const LiveFeed* feed = state.services.live_feed) {
    writer.Gauge("live_subscribers", "Watchers of /tail/live.",
                 static_cast<double>(feed->subscribers()));
    writer.Counter("live_events_dropped_total", "Events that a slow watcher was not given.",
                   static_cast<double>(feed->dropped()));
  }
  if (state.services.collect_metrics) state.services.collect_metrics(writer);
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = std::move(writer).Take();
  exchange->Reply(std::move(response));
}

std::string ServiceJson(const ServerState& state) {
  std::string out = "{\"service\":\"varve\",\"version\":\"" + std::string(Version()) +
                    "\",\"status\":\"ok\",\"endpoints\":[";
  bool first = true;
  for (const Route& route : state.router.routes()) {
    out += first ? "" : ",";
    out += JsonQuote(std::string(ToString(route.method)) + " " + route.pattern);
    first = false;
  }
  return out + "]}";
}

}  // namespace

void AddOperationRoutes(ServerState& state) {
  const auto add = [&state](const char* path, Access access, Handler handler) -> Route& {
    Route& route = state.router.Add(Method::kGet, path, access, std::move(handler));
    route.open_cors = access == Access::kPublic;
    return route;
  };
  add("/", Access::kPublic,
      [&state](const ExchangePtr& e) { e->Reply(JsonResponse(ServiceJson(state))); });
  add("/health", Access::kPublic,
      [&state](const ExchangePtr& e) { e->Reply(JsonResponse(HealthJson(state))); });
  add("/ready", Access::kPublic, [&state](const ExchangePtr& e) { GetReady(state, e); });
  // Collecting asks other modules, which may wait for their locks: not on an I/O thread.
  add("/metrics", Access::kInstance, [&state](const ExchangePtr& exchange) {
    RunOn(state.blocking_pool, exchange, [&state](const ExchangePtr& e) { GetMetrics(state, e); });
  });
  if (!state.services.stats_json) return;
  add("/stats", Access::kInstance, [&state](const ExchangePtr& exchange) {
    RunOn(state.blocking_pool, exchange,
          [&state](const ExchangePtr& e) { e->Reply(JsonResponse(state.services.stats_json())); });
  });
}

}  // namespace varve::server
