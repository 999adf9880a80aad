// What every connection and route shares. Made once by HttpServer, alive until its last thread
// ends.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/namespace_id.h"
#include "server/auth.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/rate_limit.h"
#include "server/response.h"
#include "server/router.h"
#include "server/services.h"
#include "server/worker_pool.h"

namespace varve::server {

// Open tail sockets of each namespace; the last one's going flushes what they sent.
class TailSockets {
 public:
  explicit TailSockets(ingest::Ingest* ingest) : ingest_(ingest) {}
  void Opened(const NamespaceId& ns);
  void Closed(const NamespaceId& ns);

 private:
  ingest::Ingest* ingest_;
  std::mutex mutex_;
  std::map<NamespaceId, uint32_t> open_;
};

struct ServerState {
  ServerState(ServerOptions options, Services services, std::unique_ptr<Auth> auth);

  const ServerOptions options;
  const Services services;
  const std::unique_ptr<Auth> auth;
  const int64_t started_ms;
  ServerMetrics metrics;
  RateLimiter limiter;
  RateLimiter webhook_limiter;
  TailSockets tail_sockets;
  Router router;
  std::atomic<bool> stopping{false};
  std::atomic<uint64_t> bodies_bytes{0};  // bounded by Limits::bodies_bytes_max
  // Last, so that they end first: what they run uses the rest.
  WorkerPool query_pool;
  WorkerPool blocking_pool;
};

// Runs a blocking call for the exchange on a pool; a full one answers 503 BUSY. An exception from
// the call is answered as an internal error.
void RunOn(WorkerPool& pool, const std::shared_ptr<Exchange>& exchange, Handler call);
// A handler that replies what a blocking call gives; an Error becomes its answer.
Handler Answering(ServerState& state, std::function<Result<Response>(const Exchange&)> call);

// One function an area; each adds its routes to state.router.
void AddIngestRoutes(ServerState& state);
void AddTailRoutes(ServerState& state);
void AddQueryRoutes(ServerState& state);
void AddEventRoutes(ServerState& state);
void AddQueueRoutes(ServerState& state);
void AddStoreRoutes(ServerState& state);
void AddCompactionRoutes(ServerState& state);
void AddWorkflowRoutes(ServerState& state);
void AddMigrationRoutes(ServerState& state);
void AddViewRoutes(ServerState& state);
void AddIcebergRoutes(ServerState& state);
void AddOperationRoutes(ServerState& state);

}  // namespace varve::server
