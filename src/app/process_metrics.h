// What the modules of a serving process report: gauges and counters for /metrics, JSON for /stats.
#pragma once

#include <string>

#include "app/lake.h"
#include "compact/raw_consumer.h"
#include "ingest/event_ingest.h"
#include "notify/notifier.h"
#include "server/metrics.h"
#include "workflow/workflow_store.h"

namespace varve::app {

struct Reporting {
  Lake* lake;
  ingest::EventIngest* ingest;
  notify::Notifier* notifier;
  compact::RawConsumer* consumer;
  workflow::WorkflowStore* workflows;
};

void WriteMetrics(const Reporting& from, server::MetricsWriter& out);
std::string StatsJson(const Reporting& from);

}  // namespace varve::app
