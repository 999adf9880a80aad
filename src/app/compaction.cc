#include "app/compaction.h"

#include <algorithm>

#include "compact/source_name.h"
#include "core/clock.h"
#include "core/log.h"
#include "server/compaction_json.h"

namespace varve::app {
namespace {

compact::TargetFormat TargetOf(CompactionTarget target) {
  compact::TargetFormat format;
  format.parquet = target == CompactionTarget::kParquet;
  format.tables.iceberg =
      target == CompactionTarget::kIceberg || target == CompactionTarget::kIcebergAndDelta;
  format.tables.delta =
      target == CompactionTarget::kDelta || target == CompactionTarget::kIcebergAndDelta;
  return format;
}

compact::WorkflowStanding StandingOf(workflow::WorkflowState state) {
  using workflow::WorkflowState;
  switch (state) {
    case WorkflowState::kActive:
    case WorkflowState::kCancelling:
      return compact::WorkflowStanding::kRuns;
    case WorkflowState::kPaused:
    case WorkflowState::kFailed:  // an operator may have it tried again, or cancel it
      return compact::WorkflowStanding::kHalted;
    case WorkflowState::kSucceeded:
    case WorkflowState::kCancelled:
      break;
  }
  return compact::WorkflowStanding::kEnded;
}

compact::WindowConsumerOptions ConsumerOptionsOf(const Config& config, CompactionHooks hooks) {
  compact::WindowConsumerOptions options;
  options.queue = config.compaction.queue;
  options.prefix = config.compaction.prefix + "/";
  options.lease_ms = config.queue.lease_ms;
  options.check_interval_ms = config.compaction.check_interval_ms;
  options.start = std::move(hooks.start);
  options.standing = std::move(hooks.standing);
  options.started = std::move(hooks.started);
  return options;
}

}  // namespace

CompactionHooks WorkflowHooks(workflow::WorkflowStore& workflows, compact::StartWorkflow start,
                              std::function<void()> wake) {
  CompactionHooks hooks;
  hooks.start = std::move(start);
  hooks.standing = [&workflows](std::string_view id) -> Result<compact::WorkflowStanding> {
    const auto workflow = workflows.Get(id);
    if (workflow.ok()) return StandingOf(workflow->state);
    if (workflow.error().kind != ErrorKind::kNotFound) return workflow.error();
    return compact::WorkflowStanding::kEnded;
  };
  hooks.started = std::move(wake);
  return hooks;
}

store::LocalStoreOptions StoreOptionsOf(const Config& config, const DataDirPaths& paths) {
  store::LocalStoreOptions options;
  options.root = paths.root;
  options.keeps = [prefix = config.compaction.prefix + "/"](std::string_view directory) {
    return compact::IsWritersDirectory(directory, prefix);
  };
  return options;
}

// The texts were checked with the configuration.
compact::WindowOptions WindowOptionsOf(const CompactionConfig& config) {
  compact::WindowOptions options = config.windows;
  options.settings.target = TargetOf(config.target_format);
  options.settings.sort_by = compact::ParseSortBy(config.sort_by).value();
  options.settings.partition_by = config.partition_by;
  options.settings.codec = parquet::ParseCodec(config.compression).value();
  return options;
}

void AddCompactionRule(const Config& config, std::vector<notify::NotifyRule>& rules) {
  const auto tells = [&](const notify::NotifyRule& rule) {
    return rule.queue == config.compaction.queue;
  };
  if (std::any_of(rules.begin(), rules.end(), tells)) return;
  notify::NotifyRule rule;
  rule.prefix = config.compaction.prefix + "/";
  rule.suffix = ".parquet";
  rule.actions = {"object-create", "object-delete"};
  rule.queue = config.compaction.queue;
  rules.push_back(std::move(rule));
}

CompactionRole::CompactionRole(const Config& config, Lake& lake, CompactionHooks hooks)
    : tracker_(*lake.windows),
      consumer_(ConsumerOptionsOf(config, std::move(hooks)), tracker_, *lake.store, *lake.queue) {}

void CompactionRole::Serve(server::Services& services) {
  services.windows = &tracker_;
  services.window_consumer = &consumer_;
}

void CompactionRole::WriteMetrics(server::MetricsWriter& out) {
  const auto status = compact::ReadStatus(tracker_, {.windows_max = 0});
  if (status.ok()) {
    server::WriteCompactionGauges(*status, out);
  } else {
    LogWarn("windows.metrics_failed", {{"error", status.error().message}});
  }
  const compact::WindowStats stats = consumer_.stats();
  const auto d = [](uint64_t value) { return static_cast<double>(value); };
  out.Counter("varve_compaction_files_noted_total", "Files put into windows", d(stats.noted.added));
  out.Counter("varve_compaction_files_late_total", "Of them after their window had been dispatched",
              d(stats.noted.late));
  out.Counter("varve_compaction_keys_skipped_total", "Announced keys of no writer",
              d(stats.skipped));
  out.Counter("varve_compaction_workflows_total", "Workflows made", d(stats.dispatched));
  out.Counter("varve_compaction_failures_total", "Failures of store, disk or state",
              d(stats.failures));
}

}  // namespace varve::app
