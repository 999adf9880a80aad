#include "server/server_state.h"

#include <exception>

#include "core/clock.h"
#include "core/log.h"
#include "ingest/ingest.h"
#include "server/exchange.h"

namespace varve::server {

void TailSockets::Opened(const NamespaceId& ns) {
  std::lock_guard lock(mutex_);
  ++open_[ns];
}

void TailSockets::Closed(const NamespaceId& ns) {
  {
    std::lock_guard lock(mutex_);
    const auto found = open_.find(ns);
    if (--found->second > 0) return;
    open_.erase(found);
  }
  ingest_->TailIdle(ns);
}

ServerState::ServerState(ServerOptions given_options, Services given_services,
                         std::unique_ptr<Auth> given_auth)
    : options(std::move(given_options)),
      services(std::move(given_services)),
      auth(std::move(given_auth)),
      started_ms(services.clock->NowMs()),
      limiter(*services.clock, options.rate_limits.keys_max),
      webhook_limiter(*services.clock, options.rate_limits.keys_max),
      tail_sockets(services.ingest),
      query_pool(options.limits.query_workers, options.limits.query_backlog_max),
      blocking_pool(options.limits.blocking_workers, options.limits.blocking_backlog_max) {}

void RunOn(WorkerPool& pool, const std::shared_ptr<Exchange>& exchange, Handler call) {
  const bool taken = pool.Submit([exchange, call = std::move(call)] {
    try {
      call(exchange);
    } catch (const std::exception& error) {
      LogError("handler_threw", {{"what", error.what()}});
      exchange->AbortStream(ErrorResponse(MakeError(ErrorKind::kInternal, error.what())));
    }
  });
  if (!taken) {
    exchange->Reply(ErrorResponse(503, "BUSY", "too many calls are waiting; try again shortly"));
  }
}

Handler Answering(ServerState& state, std::function<Result<Response>(const Exchange&)> call) {
  return [&state, call = std::move(call)](const std::shared_ptr<Exchange>& exchange) {
    RunOn(state.blocking_pool, exchange, [call](const std::shared_ptr<Exchange>& e) {
      auto answer = call(*e);
      e->Reply(answer.ok() ? std::move(*answer) : ErrorResponse(answer.error()));
    });
  };
}

}  // namespace varve::server
