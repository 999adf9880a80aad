// What the server serves, handed in by whoever wires the process. All of it outlives the server. A
// null pointer or an empty hook: this process does not have that role, and its routes are not
// there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/result.h"

namespace varve {
class Clock;
class Random;
namespace compact {
class WindowConsumer;
class WindowTracker;
}  // namespace compact
namespace catalog {
class TenantTables;
}
namespace ingest {
class Ingest;
class WebhookVerifier;
}  // namespace ingest
namespace query {
class Engine;
class SnapshotSource;
}  // namespace query
namespace queue {
class Queue;
}
namespace store {
class ObjectStore;
}
namespace view {
class ViewService;
}
namespace workflow {
class WorkflowStore;
}
}  // namespace varve

namespace varve::server {

class LiveFeed;
class MetricsWriter;

struct Services {
  const Clock* clock = nullptr;  // never null
  Random* random = nullptr;      // never null
  ingest::Ingest* ingest = nullptr;
  const ingest::WebhookVerifier* webhooks = nullptr;
  query::Engine* engine = nullptr;
  query::SnapshotSource* snapshots = nullptr;
  queue::Queue* queue = nullptr;
  store::ObjectStore* store = nullptr;
  compact::WindowTracker* windows = nullptr;  // the compaction; with both or neither
  compact::WindowConsumer* window_consumer = nullptr;
  view::ViewService* views = nullptr;
  workflow::WorkflowStore* workflows = nullptr;
  std::function<void()> wake_workflows;     // an operator has wished something
  catalog::TenantTables* tables = nullptr;  // served at /iceberg
  LiveFeed* live_feed = nullptr;
  // An Error: not ready, and why (replaying, the journal refuses).
  std::function<Status()> ready;
  std::function<std::string()> stats_json;              // GET /stats
  std::function<void(MetricsWriter&)> collect_metrics;  // gauges of the other modules
};

}  // namespace varve::server
