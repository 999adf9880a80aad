#include "app/views.h"

#include <algorithm>
#include <map>

#include "compact/source_name.h"
#include "core/clock.h"
#include "core/log.h"

namespace varve::app {
namespace {

view::ServiceOptions ServiceOptionsOf(const Config& config, Lake& lake,
                                      std::function<void()> started) {
  view::ServiceOptions options;
  options.queue = config.view.queue;
  options.lease_ms = config.queue.lease_ms;
  options.periods = config.view.periods;
  options.started = std::move(started);
  const std::string prefix = config.compaction.prefix + "/";
  options.source_of = [prefix](std::string_view key) -> std::optional<view::SourceKey> {
    const auto name = compact::ParseSourceName(key, prefix);
    if (!name.ok()) return std::nullopt;
    return view::SourceKey{name->tenant, name->ns};
  };
  options.was_compacted = [&windows = *lake.windows](const std::string& key) {
    return windows.WasCompacted(key);
  };
  return options;
}

view::RefreshOptions RefreshOptionsOf(const Config& config, const DataDirPaths& paths) {
  view::RefreshOptions options = config.view.refresh;
  options.work_directory = paths.own + "/views";
  return options;
}

}  // namespace

void AddViewRule(const Config& config, std::vector<notify::NotifyRule>& rules) {
  const auto tells = [&](const notify::NotifyRule& rule) {
    return rule.queue == config.view.queue;
  };
  if (std::any_of(rules.begin(), rules.end(), tells)) return;
  notify::NotifyRule rule;
  rule.prefix = config.compaction.prefix + "/";
  rule.suffix = ".parquet";
  rule.actions = {"object-create", "object-delete"};
  rule.queue = config.view.queue;
  rules.push_back(std::move(rule));
}

ViewRole::ViewRole(const Config& config, const DataDirPaths& paths, Lake& lake,
                   std::function<void()> started)
    : data_({config.view.rows_max, config.view.bytes_max}, *lake.engine, *lake.snapshots,
            *lake.reader),
      service_(ServiceOptionsOf(config, lake, std::move(started)), *lake.views, data_,
               *lake.workflows, *lake.store, *lake.queue),
      refreshes_(RefreshOptionsOf(config, paths), *lake.views, data_, *lake.store,
                 [this] { service_.Wake(); }) {}

void ViewRole::WriteMetrics(server::MetricsWriter& out) {
  const auto views = service_.views().List(nullptr);
  if (!views.ok()) {
    LogWarn("views.metrics_failed", {{"error", views.error().message}});
    return;
  }
  double waiting = 0, refreshing = 0, failing = 0, oldest_ms = 0;
  const int64_t now_ms = SystemClock().NowMs();
  for (const view::View& view : *views) {
    waiting += view.first_change_ms > 0 ? 1 : 0;
    refreshing += view.workflow_id.empty() ? 0 : 1;
    failing += view.failures > 0 ? 1 : 0;
    if (view.first_change_ms == 0) continue;
    oldest_ms = std::max(oldest_ms, static_cast<double>(now_ms - view.first_change_ms));
  }
  out.Gauge("varve_views", "Materialised views", static_cast<double>(views->size()));
  out.Gauge("varve_views_waiting", "Of them with changes that no refresh has", waiting);
  out.Gauge("varve_views_refreshing", "Of them with a refresh under way", refreshing);
  out.Gauge("varve_views_failing", "Of them whose last refresh has failed", failing);
  out.Gauge("varve_views_wait_seconds", "Age of the oldest change that waits", oldest_ms / 1e3);
}

}  // namespace varve::app
