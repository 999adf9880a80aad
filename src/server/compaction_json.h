// What the compaction's routes answer, as JSON and as Prometheus gauges.
#pragma once

#include <string>

#include "compact/window_consumer.h"
#include "compact/window_report.h"
#include "server/metrics.h"

namespace varve::server {

// One namespace: what /compaction/status?namespace= answers.
std::string NamespaceStatusJson(const compact::CompactionStatus& status,
                                const compact::NamespaceStatus& ns);
// {"namespaces": […], "summary"}
std::string NamespacesStatusJson(const compact::CompactionStatus& status);
// Everything: the fields of one status, over all namespaces, and who there is.
std::string AggregateStatusJson(const compact::CompactionStatus& status,
                                const compact::WindowStats& consumer);

// {"status", "namespaces", "alerts"}; *unhealthy: whether any namespace is.
std::string HealthJson(const compact::CompactionStatus& status, const compact::HealthLimits& limits,
                       bool* unhealthy);

void WriteCompactionGauges(const compact::CompactionStatus& status, MetricsWriter& out);
std::string HistoryJson(const compact::CompactionStatus& status, compact::WindowHistory& history,
                        int64_t since_ms, size_t points_max);

// {"dispatched": […], "held": […], "running", "concurrencyMax"}: after an operator's wish.
std::string RunJson(const std::vector<compact::Dispatched>& dispatched,
                    const compact::CompactionStatus& status, uint32_t concurrency_max);

// "time", "writers, minFiles"; "workflow" of one that is ready.
std::string WaitingForText(const compact::WindowStatus& window);

}  // namespace varve::server
