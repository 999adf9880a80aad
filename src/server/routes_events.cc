// Events by page (GET /events, GET /recent), and SQL for one's own DuckDB (POST /query).
#include <charconv>

#include "core/clock.h"
#include "query/events_page.h"
#include "query/query_builder.h"
#include "server/exchange.h"
#include "server/server_state.h"
#include "store/object_store.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

constexpr uint32_t kRecentDefault = 100;
constexpr uint32_t kRecentMax = 1000;

void Answer(const ExchangePtr& exchange, Result<std::string> json) {
  exchange->Reply(json.ok() ? JsonResponse(std::move(json).value()) : ErrorResponse(json.error()));
}

void GetEvents(ServerState& state, const ExchangePtr& exchange) {
  auto request =
      query::ParseEventsPage(exchange->ns, exchange->query, state.services.clock->NowMs());
  if (!request.ok()) return exchange->Reply(ErrorResponse(request.error()));
  RunOn(state.query_pool, exchange,
        [&state, request = std::move(request).value()](const ExchangePtr& e) {
          Answer(e, query::EventsPage(*state.services.engine, request, "/events", e->cancelled()));
        });
}

void GetRecent(ServerState& state, const ExchangePtr& exchange) {
  uint32_t limit = kRecentDefault;
  if (const std::string_view text = exchange->Param("limit"); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size() || limit < 1 ||
        limit > kRecentMax) {
      return exchange->Reply(ErrorResponse(400, "INVALID_QUERY", "limit is 1 to 1000"));
    }
  }
  RunOn(state.query_pool, exchange, [&state, limit](const ExchangePtr& e) {
    Answer(e, query::RecentEvents(*state.services.engine, *state.services.snapshots, e->ns, limit,
                                  state.services.clock->NowMs(), e->cancelled()));
  });
}

// What stands in front of every key, for a reader on this machine.
std::string StoreRoot(const store::ObjectStore& store) {
  constexpr std::string_view kKey = "events";
  std::string path = store.LocalPath(kKey).value_or("");
  if (path.ends_with(kKey)) path.resize(path.size() - kKey.size());
  if (path.ends_with('/')) path.pop_back();
  return path;
}

void PostQuery(ServerState& state, const ExchangePtr& exchange) {
  RunOn(state.blocking_pool, exchange, [&state](const ExchangePtr& e) {
    query::QueryBuilderContext context;
    context.store_root = StoreRoot(*state.services.store);
    context.caller = e->ns;
    context.any_namespace = e->principal.any_namespace();
    context.exists = query::LocalGlobs(context.store_root);
    auto built = query::BuildQuery(e->body, context);
    if (!built.ok()) return e->Reply(ErrorResponse(built.error()));
    e->Reply(JsonResponse(built->ToJson()));
  });
}

}  // namespace

void AddEventRoutes(ServerState& state) {
  if (state.services.engine == nullptr) return;
  state.router
      .Add(Method::kGet, "/events", Access::kQuery,
           [&state](const ExchangePtr& e) { GetEvents(state, e); })
      .watch_client = true;
  if (state.services.snapshots != nullptr) {
    state.router
        .Add(Method::kGet, "/recent", Access::kQuery,
             [&state](const ExchangePtr& e) { GetRecent(state, e); })
        .watch_client = true;
  }
  if (state.services.store == nullptr) return;
  state.router
      .Add(Method::kPost, "/query", Access::kQuery,
           [&state](const ExchangePtr& e) { PostQuery(state, e); })
      .body_bytes_max = state.options.limits.query_body_bytes_max;
}

}  // namespace varve::server
