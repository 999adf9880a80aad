// A real server on a free port, with the seams behind it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "catalog/tenant_tables.h"
#include "compact/window_consumer.h"
#include "core/clock.h"
#include "ingest/webhook.h"
#include "queue/sqlite_queue.h"
#include "server/client.h"
#include "server/http_server.h"
#include "server/live_feed.h"
#include "server/metrics.h"
#include "server/seams.h"
#include "state/database.h"
#include "store/memory_store.h"
#include "workflow/workflow_store.h"

namespace varve::server {

struct RunningServer {
  explicit RunningServer(ServerOptions options = {}, const Clock& clock = SystemClock())
      : store(clock), webhooks({{"github", "s3cret"}, {"slack", "sl4ck"}}) {
    auto opened = state::Database::Open(":memory:");
    EXPECT_TRUE(opened.ok());
    database = std::move(opened).value();
    auto opened_queue = queue::SqliteQueue::Open(*database, clock, SystemRandom());
    EXPECT_TRUE(opened_queue.ok());
    queue = std::move(opened_queue).value();
    EXPECT_TRUE(queue->Declare({.name = "jobs", .dead_letter_queue = "dead"}).ok());
    auto opened_windows = compact::WindowTracker::Open(WindowOptions(), *database, clock);
    EXPECT_TRUE(opened_windows.ok());
    windows = std::move(opened_windows).value();
    compact::WindowConsumerOptions consumer;
    consumer.queue = "jobs";
    consumer.start = [this](state::Session&, const compact::CompactionRequest&) {
      return Result<std::string>("w" + std::to_string(++compactions));
    };
    window_consumer =
        std::make_unique<compact::WindowConsumer>(std::move(consumer), *windows, store, *queue);
    options.port = 0;
    Services services;
    services.clock = &clock;
    services.random = &SystemRandom();
    services.ingest = &ingest;
    services.webhooks = &webhooks;
    services.engine = &engine;
    services.snapshots = &lake;
    services.queue = queue.get();
    services.store = &store;
    services.windows = windows.get();
    services.window_consumer = window_consumer.get();
    catalog::DeltaOptions table_options;
    table_options.catalog.root = "memory://lake";
    tables = std::make_unique<catalog::TenantTables>(store, clock, SystemRandom(), table_options);
    services.tables = tables.get();
    services.live_feed = &live;
    auto opened_workflows = workflow::WorkflowStore::Open(*database, clock, SystemRandom());
    EXPECT_TRUE(opened_workflows.ok());
    workflows = std::move(opened_workflows).value();
    services.workflows = workflows.get();
    services.wake_workflows = [this] { ++wakes; };
    services.ready = [this] {
      return ready ? Status() : MakeError(ErrorKind::kRetryable, "REPLAYING", "replaying");
    };
    services.stats_json = [] { return std::string("{\"hot\":1}"); };
    services.collect_metrics = [](MetricsWriter& out) {
      out.Gauge("varve_journal_bytes", "Bytes of journal segments.", 42);
    };
    auto started = HttpServer::Start(std::move(options), std::move(services));
    EXPECT_TRUE(started.ok()) << started.error().message;
    server = std::move(started).value();
    port = server->port();
  }

  static compact::WindowOptions WindowOptions() {
    compact::WindowOptions options;
    options.min_files = 2;
    options.concurrency_max = 1;
    options.settings.target.tables.iceberg = true;
    return options;
  }

  Reply Request(std::string_view method, std::string_view target, std::string_view body = {},
                const std::vector<std::string>& headers = {}) {
    return Client(port).Request(method, target, body, headers);
  }

  store::MemoryStore store;
  std::unique_ptr<catalog::TenantTables> tables;
  ingest::WebhookVerifier webhooks;
  std::unique_ptr<state::Database> database;
  std::unique_ptr<queue::SqliteQueue> queue;
  std::unique_ptr<compact::WindowTracker> windows;
  std::unique_ptr<compact::WindowConsumer> window_consumer;
  std::atomic<int> compactions{0};
  std::unique_ptr<workflow::WorkflowStore> workflows;
  std::atomic<int> wakes{0};
  SteeredIngest ingest;
  SteeredEngine engine;
  EmptyLake lake;
  LiveFeed live;
  std::atomic<bool> ready{true};
  std::unique_ptr<HttpServer> server;  // last: ends first
  uint16_t port = 0;
};

inline constexpr std::string_view kOneEvent = R"({"events":[{"type":"a"}]})";

}  // namespace varve::server
