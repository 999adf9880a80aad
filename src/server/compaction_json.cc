#include "server/compaction_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/clock.h"
#include "server/response.h"

namespace varve::server {
namespace {

using Json = nlohmann::ordered_json;
using compact::CompactionStatus;
using compact::NamespaceStatus;
using compact::WindowState;
using compact::WindowStatus;

// Since when it is held, and until when at the latest.
void AddHolds(const WindowStatus& status, Json& out) {
  Json kinds = Json::array();
  int64_t since_ms = status.over_ms;
  int64_t until_ms = status.over_ms;
  bool open_end = false;
  for (const compact::Hold& hold : status.holds) {
    kinds.push_back(compact::ToString(hold.kind));
    since_ms = std::min(since_ms, hold.since_ms);
    until_ms = std::max(until_ms, hold.until_ms);
    open_end |= hold.until_ms == 0;
  }
  if (status.holds.empty()) kinds.push_back("workflow");
  out["waitingFor"] = std::move(kinds);
  out["since"] = FormatIso(since_ms);
  out["readyAt"] = open_end ? Json() : Json(FormatIso(until_ms));
  const bool for_writers =
      std::any_of(status.holds.begin(), status.holds.end(),
                  [](const auto& hold) { return hold.kind == compact::HoldKind::kWriters; });
  if (for_writers) out["missingWriters"] = status.missing;
}

Json ProcessingJson(const compact::Window& window) {
  Json out = {{"state", compact::ToString(window.state)}};
  if (window.workflow_id.empty()) return out;
  out["workflowId"] = window.workflow_id;
  out["dispatchedAt"] = FormatIso(window.dispatched_ms);
  out["committedAt"] = IsoOrNull(window.settled_ms);
  out["halted"] = window.halted;
  return out;
}

Json WindowJson(const NamespaceStatus& ns, const WindowStatus& status) {
  const compact::Window& window = status.window;
  Json out = {{"key", fmt::format("{}:{}", ns.row.ns, window.start_ms)},
              {"namespace", ns.row.ns},
              {"windowStart", FormatIso(window.start_ms)},
              {"windowEnd", FormatIso(window.end_ms)},
              {"writers", status.writers},
              {"fileCount", window.files},
              {"totalSize", window.bytes},
              {"round", window.round},
              {"processingStatus", ProcessingJson(window)},
              {"firstFileAt", FormatIso(window.first_seen_ms)},
              {"lastFileAt", FormatIso(window.last_seen_ms)}};
  if (!ns.row.tenant.is_default()) out["tenant"] = ns.row.tenant.name();
  if (window.state == WindowState::kPending) AddHolds(status, out);
  out["lateFiles"] = status.late_files;
  out["latestLateMs"] = status.late_ms;
  Json issues = Json::array();
  if (status.lies_ahead) issues.push_back("it lies ahead of its files' arrival");
  if (window.halted) issues.push_back("its workflow waits for an operator");
  out["issues"] = std::move(issues);
  return out;
}

Json SettingsJson(const compact::NamespaceSettings& settings) {
  return {{"minFilesToCompact", settings.min_files},
          {"maxWaitTimeMs", settings.wait_ms},
          {"targetFormat", compact::ToString(settings.compaction.target)},
          {"sortBy", compact::ToString(settings.compaction.sort_by)},
          {"partitionBy", compact::ToString(settings.compaction.partition_by)},
          {"deleteSources", settings.compaction.delete_sources}};
}

Json NamespaceJson(const CompactionStatus& status, const NamespaceStatus& ns, bool with_windows) {
  Json out = {{"namespace", ns.row.ns}};
  if (!ns.row.tenant.is_default()) out["tenant"] = ns.row.tenant.name();
  out["priority"] = ns.settings.priority ? Json(*ns.settings.priority) : Json();
  out["effectiveMaxWaitTimeMs"] = ns.settings.wait_ms;
  out["activeWindows"] = ns.windows_total;
  out["knownWriters"] = ns.known_writers;
  out["activeWriters"] = ns.active_writers;
  if (with_windows) {
    Json windows = Json::array();
    for (const WindowStatus& window : ns.windows) windows.push_back(WindowJson(ns, window));
    out["windows"] = std::move(windows);
    out["windowsOmitted"] = ns.windows_total - ns.windows.size();
  }
  out["backpressure"] = compact::ToString(status.pressure);
  out["queueMetrics"] = {{"pendingWindows", ns.pending},
                         {"processingWindows", ns.processing},
                         {"dispatchedWindows", ns.dispatched}};
  const compact::NamespaceHealth health = compact::HealthOf(ns, {}, status.now_ms);
  out["health"] = {{"status", compact::ToString(health.health)}, {"issues", health.issues}};
  out["oldestWindowAge"] =
      ns.oldest_start_ms == 0 ? 0 : std::max<int64_t>(0, status.now_ms - ns.oldest_start_ms);
  out["totalPendingFiles"] = ns.pending_files;
  out["totalPendingBytes"] = ns.pending_bytes;
  out["readyWindows"] = ns.ready;
  out["windowsStuckInProcessing"] = ns.halted;
  out["quarantinedFiles"] = ns.quarantined_files;
  out["quarantined"] = Json::array();
  for (const auto& file : ns.quarantined) {
    out["quarantined"].push_back({{"key", file.key}, {"why", file.why}});
  }
  out["lateFiles"] = ns.late_files;
  out["settings"] = SettingsJson(ns.settings);
  return out;
}

// Names of a tenant's writers say whose they are.
std::set<std::string> WritersOf(const CompactionStatus& status,
                                std::vector<std::string> NamespaceStatus::*names) {
  std::set<std::string> out;
  for (const NamespaceStatus& ns : status.namespaces) {
    out.insert((ns.*names).begin(), (ns.*names).end());
  }
  return out;
}

uint64_t WindowsOf(const CompactionStatus& status) {
  uint64_t windows = 0;
  for (const NamespaceStatus& ns : status.namespaces) windows += ns.windows_total;
  return windows;
}

Json SummaryJson(const CompactionStatus& status) {
  return {{"totalNamespaces", status.namespaces.size()},
          {"totalActiveWindows", WindowsOf(status)},
          {"totalKnownWriters", WritersOf(status, &NamespaceStatus::known_writers)}};
}

Json DebtJson(const CompactionStatus& status) {
  const auto seconds = status.DebtSeconds();
  return {{"files", status.DebtFiles()},
          {"bytes", status.DebtBytes()},
          {"bytesPerSecond", status.bytes_per_second ? Json(*status.bytes_per_second) : Json()},
          {"seconds", seconds ? Json(*seconds) : Json()}};
}

Json ConsumerJson(const compact::WindowStats& stats) {
  Json examples = Json::array();
  for (const compact::SkippedKey& skipped : stats.skipped_last) {
    examples.push_back(
        {{"key", skipped.key}, {"why", skipped.why}, {"at", FormatIso(skipped.at_ms)}});
  }
  return {{"messages", stats.messages},         {"added", stats.noted.added},
          {"late", stats.noted.late},           {"replaced", stats.noted.replaced},
          {"known", stats.noted.known},         {"alreadyCompacted", stats.noted.already_compacted},
          {"removed", stats.noted.removed},     {"skipped", stats.skipped},
          {"skippedLast", std::move(examples)}, {"deadLettered", stats.dead_lettered},
          {"dispatched", stats.dispatched},     {"failures", stats.failures},
          {"lastError", stats.last_error}};
}

struct Gauge {
  std::string_view name, help;
  size_t at;
};

constexpr Gauge kGaugeHelp[] = {
    {"varve_compaction_windows_pending", "Windows that wait", 0},
    {"varve_compaction_windows_processing", "Windows whose files are being pinned", 1},
    {"varve_compaction_windows_dispatched", "Windows that workflows have", 2},
    {"varve_compaction_files_pending", "Files that wait", 3},
    {"varve_compaction_bytes_pending", "Bytes of files that wait", 4},
    {"varve_compaction_oldest_window_age_seconds", "Age of the oldest window that waits", 5},
    {"varve_compaction_known_writers", "Writers that have been seen", 6},
    {"varve_compaction_active_writers", "Writers that have been seen lately", 7},
    {"varve_compaction_windows_stuck", "Windows whose workflows wait for an operator", 8}};
static_assert(std::size(kGaugeHelp) == compact::kGauges.size());

}  // namespace

std::string WaitingForText(const WindowStatus& window) {
  if (window.window.state != WindowState::kPending) return "";
  if (window.holds.empty()) return "workflow";
  std::string out;
  for (const compact::Hold& hold : window.holds) {
    out += (out.empty() ? "" : ", ") + std::string(compact::ToString(hold.kind));
  }
  return out;
}

std::string NamespaceStatusJson(const CompactionStatus& status, const NamespaceStatus& ns) {
  return DumpJson(NamespaceJson(status, ns, /*with_windows=*/true));
}

std::string NamespacesStatusJson(const CompactionStatus& status) {
  Json namespaces = Json::array();
  for (const NamespaceStatus& ns : status.namespaces) {
    namespaces.push_back(NamespaceJson(status, ns, /*with_windows=*/true));
  }
  return DumpJson({{"namespaces", std::move(namespaces)}, {"summary", SummaryJson(status)}});
}

std::string AggregateStatusJson(const CompactionStatus& status,
                                const compact::WindowStats& consumer) {
  Json windows = Json::array();
  Json namespaces = Json::array();
  for (const NamespaceStatus& ns : status.namespaces) {
    namespaces.push_back(NamespaceJson(status, ns, /*with_windows=*/false));
    for (const WindowStatus& window : ns.windows) windows.push_back(WindowJson(ns, window));
  }
  return DumpJson({{"activeWindows", WindowsOf(status)},
                   {"knownWriters", WritersOf(status, &NamespaceStatus::known_writers)},
                   {"activeWriters", WritersOf(status, &NamespaceStatus::active_writers)},
                   {"windows", std::move(windows)},
                   {"namespaces", std::move(namespaces)},
                   {"summary", SummaryJson(status)},
                   {"backpressure", compact::ToString(status.pressure)},
                   {"runningWorkflows", status.running},
                   {"compactedFiles", status.compacted_files},
                   {"compactedBytes", status.compacted_bytes},
                   {"debt", DebtJson(status)},
                   {"consumer", ConsumerJson(consumer)}});
}

std::string HealthJson(const CompactionStatus& status, const compact::HealthLimits& limits,
                       bool* unhealthy) {
  auto worst = compact::Health::kHealthy;
  Json namespaces = Json::object();
  Json alerts = Json::array();
  for (const NamespaceStatus& ns : status.namespaces) {
    const std::string label = ns.row.Label();
    const compact::NamespaceHealth health = compact::HealthOf(ns, limits, status.now_ms);
    worst = std::max(worst, health.health);
    const auto gauges = compact::GaugesOf(ns, status.now_ms).values;
    Json metrics = Json::object();
    for (size_t i = 0; i < gauges.size(); ++i) {
      metrics[std::string(compact::kGauges[i])] = gauges[i];
    }
    namespaces[label] = {{"namespace", label},
                         {"status", compact::ToString(health.health)},
                         {"metrics", std::move(metrics)},
                         {"issues", health.issues}};
    for (const std::string& issue : health.issues) alerts.push_back(label + ": " + issue);
  }
  *unhealthy = worst == compact::Health::kUnhealthy;
  return DumpJson({{"status", compact::ToString(worst)},
                   {"namespaces", std::move(namespaces)},
                   {"alerts", std::move(alerts)}});
}

void WriteCompactionGauges(const CompactionStatus& status, MetricsWriter& out) {
  for (const Gauge& gauge : kGaugeHelp) {
    out.Family(gauge.name, "gauge", gauge.help);
    for (const NamespaceStatus& ns : status.namespaces) {
      const std::string label = ns.row.Label();
      out.Sample(gauge.name, compact::GaugesOf(ns, status.now_ms).values[gauge.at],
                 {{"namespace", label}});
    }
  }
  out.Gauge("varve_compaction_debt_files", "Files that wait or are being compacted",
            static_cast<double>(status.DebtFiles()));
  out.Gauge("varve_compaction_debt_bytes", "Bytes of files that wait or are being compacted",
            static_cast<double>(status.DebtBytes()));
  if (const auto seconds = status.DebtSeconds()) {
    out.Gauge("varve_compaction_debt_seconds", "Time for that, at the speed of the last workflows",
              *seconds);
  }
}

std::string HistoryJson(const CompactionStatus& status, compact::WindowHistory& history,
                        int64_t since_ms, size_t points_max) {
  Json namespaces = Json::object();
  for (const NamespaceStatus& ns : status.namespaces) {
    const std::string label = ns.row.Label();
    const auto points = history.PointsOf(label, since_ms, points_max);
    const auto latest = compact::GaugesOf(ns, status.now_ms);
    Json latest_json = {{"timestamp", latest.at_ms}};
    Json series = Json::object();
    for (size_t i = 0; i < compact::kGauges.size(); ++i) {
      const std::string metric(compact::kGauges[i]);
      latest_json[metric] = latest.values[i];
      Json data = Json::array();
      for (const compact::GaugePoint& point : points) {
        data.push_back({{"timestamp", point.at_ms}, {"value", point.values[i]}});
      }
      series[metric] = {{"metric", metric}, {"namespace", label}, {"data", std::move(data)}};
    }
    namespaces[label] = {{"latest", std::move(latest_json)}, {"timeSeries", std::move(series)}};
  }
  return DumpJson({{"timestamp", status.now_ms}, {"namespaces", std::move(namespaces)}});
}

std::string RunJson(const std::vector<compact::Dispatched>& dispatched,
                    const CompactionStatus& status, uint32_t concurrency_max) {
  Json made = Json::array();
  for (const compact::Dispatched& one : dispatched) {
    made.push_back({{"namespace", one.ns},
                    {"windowStart", FormatIso(one.window.start_ms)},
                    {"round", one.window.round},
                    {"workflowId", one.window.workflow_id},
                    {"fileCount", one.window.files},
                    {"totalSize", one.window.bytes}});
  }
  Json held = Json::array();
  for (const NamespaceStatus& ns : status.namespaces) {
    for (const WindowStatus& window : ns.windows) {
      if (window.window.state == WindowState::kPending) held.push_back(WindowJson(ns, window));
    }
  }
  return DumpJson({{"dispatched", std::move(made)},
                   {"held", std::move(held)},
                   {"runningWorkflows", status.running},
                   {"concurrencyMax", concurrency_max}});
}

}  // namespace varve::server
