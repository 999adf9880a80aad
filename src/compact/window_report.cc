#include "compact/window_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace varve::compact {
namespace {

using state::Row;
using state::Session;

// Small windows wait for more files on purpose; that is no backlog.
bool WaitsOnPurpose(const std::vector<Hold>& holds) {
  return std::any_of(holds.begin(), holds.end(), [](const Hold& hold) {
    return hold.kind == HoldKind::kTime || hold.kind == HoldKind::kMinFiles;
  });
}

Status ReadLateness(Session& session, WindowStatus& status) {
  return session.Query(
      "SELECT late_files, late_ms FROM window_spans WHERE ns_id = ? AND start_ms = ?",
      {status.window.ns_id, status.window.start_ms}, [&](const Row& row) {
        status.late_files = row.Int(0);
        status.late_ms = row.Int(1);
        return false;
      });
}

void CountPending(const WindowStatus& status, NamespaceStatus& out) {
  const Window& window = status.window;
  ++out.pending;
  out.ready += status.holds.empty();
  out.pending_files += static_cast<uint64_t>(window.files);
  out.pending_bytes += static_cast<uint64_t>(window.bytes);
  const auto older = [](int64_t& oldest, int64_t ms) {
    if (oldest == 0 || ms < oldest) oldest = ms;
  };
  older(out.oldest_start_ms, window.start_ms);
  if (WaitsOnPurpose(status.holds)) return;
  ++out.overdue;
  older(out.oldest_over_ms, status.over_ms);
}

void CountDispatched(const Window& window, NamespaceStatus& out) {
  ++out.dispatched;
  out.halted += window.halted;
  if (window.settled_ms != 0) return;
  out.running_files += static_cast<uint64_t>(window.files);
  out.running_bytes += static_cast<uint64_t>(window.bytes);
}

Result<WindowStatus> StatusOf(WindowJudge& judge, const WindowOptions& options,
                              const Window& window) {
  WindowStatus status;
  status.window = window;
  status.lies_ahead = LiesAhead(window, options);
  const NamespaceFacts* facts = TRY(judge.FactsOf(window.ns_id));
  status.over_ms = EffectiveEndMs(window, options) + static_cast<int64_t>(facts->settings.wait_ms);
  if (window.state != WindowState::kPending) return status;
  Judgement judgement = TRY(judge.Judge(window));
  status.holds = std::move(judgement.holds);
  status.missing = std::move(judgement.missing);
  return status;
}

void NameWriters(const WindowJudge& judge, const NamespaceFacts& facts, size_t writers_max,
                 NamespaceStatus& out) {
  for (const WriterRow& writer : facts.writers) {
    if (out.known_writers.size() == writers_max) break;
    out.known_writers.push_back(writer.writer);
    if (judge.IsActive(writer)) out.active_writers.push_back(writer.writer);
  }
}

Status CountQuarantined(Session& session, NamespaceStatus& out) {
  TRY(session.Query("SELECT count(*) FROM window_sources WHERE state = 'quarantined' AND ns_id = ?",
                    {out.row.id}, [&](const Row& row) {
                      out.quarantined_files = static_cast<uint64_t>(row.Int(0));
                      return false;
                    }));
  TRY(
      session.Query("SELECT key, why FROM window_sources WHERE state = 'quarantined' AND ns_id = ?"
                    " ORDER BY id LIMIT ?",
                    {out.row.id, kQuarantinedNamedMax}, [&](const Row& row) {
                      out.quarantined.push_back({row.Text(0), row.Text(1)});
                      return true;
                    }));
  return session.Query("SELECT COALESCE(sum(late_files), 0) FROM window_spans WHERE ns_id = ?",
                       {out.row.id}, [&](const Row& row) {
                         out.late_files = static_cast<uint64_t>(row.Int(0));
                         return false;
                       });
}

void NameIssues(const NamespaceFacts& facts, const WindowOptions& options, NamespaceStatus& out) {
  for (const WindowStatus& status : out.windows) {
    const Window& window = status.window;
    if (status.lies_ahead && window.state == WindowState::kPending) {
      out.issues.push_back(
          fmt::format("window {} lies ahead of its files' arrival: a writer's "
                      "clock is wrong",
                      FormatIso(window.start_ms)));
    }
    if (window.halted) {
      out.issues.push_back(fmt::format("workflow {} of window {} waits for an operator",
                                       window.workflow_id, FormatIso(window.start_ms)));
    }
  }
  for (const WriterRow& writer : facts.writers) {
    if (writer.ahead_ms <= static_cast<int64_t>(options.max_future_ms)) continue;
    out.issues.push_back(fmt::format("writer {} is {} s ahead of this clock", writer.writer,
                                     writer.ahead_ms / 1000));
  }
  if (out.quarantined_files > 0) {
    out.issues.push_back(fmt::format(
        "{} files cannot be read or do not fit, and stay where they are", out.quarantined_files));
  }
}

Result<NamespaceStatus> ReadNamespace(Session& session, WindowJudge& judge,
                                      const WindowOptions& options, const StatusFilter& filter,
                                      int64_t ns_id) {
  const NamespaceFacts* facts = TRY(judge.FactsOf(ns_id));
  NamespaceStatus out;
  out.row = facts->row;
  out.settings = facts->settings;
  NameWriters(judge, *facts, filter.writers_max, out);
  for (const Window& window : TRY(ListWindows(session, ns_id, SIZE_MAX >> 1))) {
    WindowStatus status = TRY(StatusOf(judge, options, window));
    ++out.windows_total;
    if (window.state == WindowState::kPending) CountPending(status, out);
    if (window.state == WindowState::kProcessing) ++out.processing;
    if (window.state == WindowState::kDispatched) CountDispatched(window, out);
    if (out.windows.size() == filter.windows_max) continue;
    status.writers = TRY(MembersOf(session, window, filter.writers_max));
    TRY(ReadLateness(session, status));
    out.windows.push_back(std::move(status));
  }
  TRY(CountQuarantined(session, out));
  NameIssues(*facts, options, out);
  return out;
}

Result<uint64_t> CountReady(Session& session, WindowJudge& judge, const WindowOptions& options) {
  uint64_t ready = 0;
  for (const Window& window : TRY(PendingUpTo(session, judge.now_ms(), options.max_future_ms))) {
    ready += TRY(judge.Judge(window)).ready();
  }
  return ready;
}

Status ReadTotals(Session& session, CompactionStatus& out) {
  return session.Query(
      "SELECT compacted_files, compacted_bytes, recent_bytes, recent_ms FROM window_totals", {},
      [&](const Row& row) {
        out.compacted_files = static_cast<uint64_t>(row.Int(0));
        out.compacted_bytes = static_cast<uint64_t>(row.Int(1));
        if (row.Double(3) > 0) out.bytes_per_second = row.Double(2) * 1000 / row.Double(3);
        return false;
      });
}

}  // namespace

uint64_t CompactionStatus::DebtFiles() const {
  uint64_t files = 0;
  for (const NamespaceStatus& ns : namespaces) files += ns.pending_files + ns.running_files;
  return files;
}

uint64_t CompactionStatus::DebtBytes() const {
  uint64_t bytes = 0;
  for (const NamespaceStatus& ns : namespaces) bytes += ns.pending_bytes + ns.running_bytes;
  return bytes;
}

std::optional<double> CompactionStatus::DebtSeconds() const {
  if (!bytes_per_second || *bytes_per_second <= 0) return std::nullopt;
  return static_cast<double>(DebtBytes()) / *bytes_per_second;
}

Result<CompactionStatus> ReadStatus(WindowTracker& tracker, const StatusFilter& filter) {
  CompactionStatus out;
  TRY(tracker.database().Transact([&](Session& session) -> Status {
    const WindowOptions& options = tracker.options();
    out.now_ms = tracker.clock().NowMs();
    WindowJudge judge = TRY(WindowJudge::Make(session, options, out.now_ms));
    out.running = judge.running();
    out.pressure = PressureOf(TRY(CountReady(session, judge, options)), options);
    const NamespaceId* tenant = filter.tenant ? &*filter.tenant : nullptr;
    for (const NamespaceRow& row :
         TRY(ListNamespaces(session, tenant, filter.ns, filter.namespaces_max))) {
      out.namespaces.push_back(TRY(ReadNamespace(session, judge, options, filter, row.id)));
    }
    return ReadTotals(session, out);
  }));
  return out;
}

std::string_view ToString(Health health) {
  constexpr std::string_view kNames[] = {"healthy", "degraded", "unhealthy"};
  return kNames[static_cast<size_t>(health)];
}

NamespaceHealth HealthOf(const NamespaceStatus& status, const HealthLimits& limits,
                         int64_t now_ms) {
  NamespaceHealth out;
  out.issues = status.issues;
  if (status.overdue > limits.pending_windows_max) {
    out.health = Health::kDegraded;
    out.issues.push_back(fmt::format("{} windows wait for a workflow, more than {}", status.overdue,
                                     limits.pending_windows_max));
  }
  const double age_hours = status.oldest_over_ms == 0
                               ? 0
                               : static_cast<double>(now_ms - status.oldest_over_ms) / 3'600'000;
  if (age_hours > limits.window_age_hours_max) {
    out.health = Health::kDegraded;
    out.issues.push_back(fmt::format("a window has waited {:.1f} h for a workflow, more than {}",
                                     age_hours, limits.window_age_hours_max));
  }
  if (status.halted > 0) {
    out.health = Health::kUnhealthy;
    out.issues.push_back(fmt::format("{} windows are stuck in workflows", status.halted));
  }
  return out;
}

}  // namespace varve::compact
