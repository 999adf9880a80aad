// What workflows say of their sources, what readers ask of them, and what is forgotten in the end.
#include <fmt/format.h>

#include <algorithm>

#include "compact/window_tracker.h"
#include "core/crash_point.h"

namespace varve::compact {
namespace {

using state::Row;
using state::Session;

const CrashPoint kSettled{"windows.settle.before_commit"};
const CrashPoint kEnded{"windows.end.before_commit"};

// How much of the measured speed is older than the last workflow's.
constexpr double kOlderSpeed = 0.8;

// Up to this many sources are looked up one by one; more, if sorted, by one scan of their range.
constexpr size_t kSourceLookupsMax = 256;

constexpr int64_t kReconsideredMax = 10'000;  // quarantined sources, at once

struct TakenRow {
  std::string key, etag;
  int64_t size = 0, ns_id = 0, start_ms = 0;
};

std::string_view StateOf(SourceEnd end) {
  switch (end) {
    case SourceEnd::kCompacted:
      return "compacted";
    case SourceEnd::kQuarantined:
      return "quarantined";
    case SourceEnd::kChanged:
      return "changed";
    case SourceEnd::kGivenBack:
      break;
  }
  return "pending";
}

Result<std::optional<int64_t>> TakenSize(Session& session, std::string_view workflow_id,
                                         const SourceOutcome& outcome) {
  std::optional<int64_t> size;
  TRY(
      session.Query("SELECT size FROM window_sources WHERE key = ? AND etag = ? AND workflow_id = ?"
                    " AND state = 'taken'",
                    {outcome.key, outcome.etag, std::string(workflow_id)}, [&](const Row& row) {
                      size = row.Int(0);
                      return false;
                    }));
  return size;
}

Status SettleOne(Session& session, const SourceOutcome& outcome, int64_t now_ms) {
  return session.Execute(
      "UPDATE window_sources SET state = ?, settled_ms = ?, why = ?, recheck = ?"
      " WHERE key = ? AND etag = ?",
      {std::string(StateOf(outcome.end)), now_ms, outcome.why.substr(0, 1'000),
       int64_t{outcome.end == SourceEnd::kChanged}, outcome.key, outcome.etag});
}

Status CountCompacted(Session& session, const Window& window, int64_t files, int64_t bytes,
                      int64_t now_ms) {
  const auto took_ms = static_cast<double>(std::max<int64_t>(1, now_ms - window.dispatched_ms));
  return session.Execute(
      "UPDATE window_totals SET compacted_files = compacted_files + ?,"
      " compacted_bytes = compacted_bytes + ?, recent_bytes = recent_bytes * ? + ?,"
      " recent_ms = recent_ms * ? + ?",
      {files, bytes, kOlderSpeed, static_cast<double>(bytes), kOlderSpeed, took_ms});
}

// Other bytes have come under its key meanwhile.
Result<bool> WaitsWithOtherBytes(Session& session, const TakenRow& source) {
  bool waits = false;
  TRY(session.Query(
      "SELECT 1 FROM window_sources WHERE key = ? AND etag <> ? AND state = 'pending'",
      {source.key, source.etag}, [&](const Row&) {
        waits = true;
        return false;
      }));
  return waits;
}

// Pending again: into the pending rounds of their windows, which late files may have made.
Status GiveBack(Session& session, const WindowOptions& options, std::span<const TakenRow> sources,
                int64_t now_ms) {
  WindowDeltas deltas;
  for (const TakenRow& source : sources) {
    if (TRY(WaitsWithOtherBytes(session, source))) {
      TRY(SettleOne(session, {source.key, source.etag, SourceEnd::kChanged, "replaced"}, now_ms));
      continue;
    }
    TRY(session.Execute(
        "UPDATE window_sources SET state = 'pending', workflow_id = '', settled_ms = 0"
        " WHERE key = ? AND etag = ?",
        {source.key, source.etag}));
    const auto [entry, is_new] = deltas.try_emplace({source.ns_id, source.start_ms});
    WindowDelta& delta = entry->second;
    if (is_new) {
      const NamespaceRow row = TRY(GetNamespace(session, source.ns_id));
      delta.now_ms = now_ms;
      delta.not_before_ms = now_ms + static_cast<int64_t>(Resolve(options, row.overrides).wait_ms);
    }
    ++delta.files;
    delta.bytes += source.size;
  }
  TRY(ApplyDeltas(session, deltas, options.window_size_ms));
  return {};
}

Result<std::vector<TakenRow>> StillTaken(Session& session, std::string_view workflow_id) {
  std::vector<TakenRow> rows;
  TRY(session.Query(
      "SELECT key, etag, size, ns_id, start_ms FROM window_sources"
      " WHERE workflow_id = ? AND state = 'taken'",
      {std::string(workflow_id)}, [&](const Row& row) {
        rows.push_back({row.Text(0), row.Text(1), row.Int(2), row.Int(3), row.Int(4)});
        return true;
      }));
  return rows;
}

// What was wrong with them may have been mended: in the settings, in the table, in the files.
Status GiveBackQuarantined(Session& session, const WindowOptions& options, int64_t ns_id,
                           int64_t now_ms) {
  std::vector<TakenRow> rows;
  TRY(
      session.Query("SELECT key, etag, size, start_ms FROM window_sources"
                    " WHERE state = 'quarantined' AND ns_id = ? LIMIT ?",
                    {ns_id, kReconsideredMax}, [&](const Row& row) {
                      rows.push_back({row.Text(0), row.Text(1), row.Int(2), ns_id, row.Int(3)});
                      return true;
                    }));
  return GiveBack(session, options, rows, now_ms);
}

SourceStanding StandingOf(std::string_view state) {
  if (state == "pending") return SourceStanding::kPending;
  if (state == "taken") return SourceStanding::kTaken;
  if (state == "compacted") return SourceStanding::kCompacted;
  return state == "quarantined" ? SourceStanding::kQuarantined : SourceStanding::kChanged;
}

Status LookUpViews(Session& session, std::span<const SourceId> sources,
                   std::vector<SourceView>& views) {
  for (size_t i = 0; i < sources.size(); ++i) {
    TRY(session.Query("SELECT state, workflow_id FROM window_sources WHERE key = ? AND etag = ?",
                      {sources[i].key, sources[i].etag}, [&](const Row& row) {
                        views[i] = {StandingOf(row.Text(0)), row.Text(1)};
                        return false;
                      }));
  }
  return {};
}

// Sources in the order of the rows.
Status ScanViews(Session& session, std::span<const SourceId> sources,
                 std::vector<SourceView>& views) {
  size_t next = 0;
  return session.Query(
      "SELECT key, etag, state, workflow_id FROM window_sources WHERE key >= ? AND key <= ?"
      " ORDER BY key, etag",
      {sources.front().key, sources.back().key}, [&](const Row& row) {
        const SourceId at{row.Text(0), row.Text(1)};
        while (next < sources.size() && sources[next] < at) ++next;
        for (size_t i = next; i < sources.size() && sources[i] == at; ++i) {
          views[i] = {StandingOf(row.Text(2)), row.Text(3)};
        }
        return next < sources.size();
      });
}

}  // namespace

Result<std::unique_ptr<WindowTracker>> WindowTracker::Open(WindowOptions options,
                                                           state::Database& database,
                                                           const Clock& clock) {
  TRY(MigrateWindows(database));
  return std::unique_ptr<WindowTracker>(new WindowTracker(std::move(options), database, clock));
}

Status WindowTracker::Settle(Session& session, std::string_view workflow_id,
                             const std::vector<SourceOutcome>& outcomes) {
  const int64_t now_ms = clock_.NowMs();
  auto window = TRY(FindByWorkflow(session, workflow_id));  // none: its files were claimed
  int64_t files = 0, bytes = 0;
  for (const SourceOutcome& outcome : outcomes) {
    if (outcome.end == SourceEnd::kGivenBack) continue;  // at the workflow's end
    const auto size = TRY(TakenSize(session, workflow_id, outcome));
    if (!size) continue;  // settled before
    TRY(SettleOne(session, outcome, now_ms));
    if (outcome.end != SourceEnd::kCompacted) continue;
    ++files;
    bytes += *size;
  }
  if (window && window->settled_ms == 0) {
    TRY(CountCompacted(session, *window, files, bytes, now_ms));
    window->settled_ms = now_ms;
    window->halted = false;
    TRY(UpdateWindow(session, *window));
  }
  kSettled.Hit();
  return {};
}

Status WindowTracker::End(Session& session, std::string_view workflow_id) {
  auto window = TRY(FindByWorkflow(session, workflow_id));
  const int64_t now_ms = clock_.NowMs();
  const std::vector<TakenRow> taken = TRY(StillTaken(session, workflow_id));
  const std::string id(workflow_id);
  if (!taken.empty() && window) {
    TRY(CanApply(*window, {.kind = WindowChange::Kind::kGiveBack, .workflow_id = id}));
  }
  TRY(GiveBack(session, options_, taken, now_ms));
  if (!window) return {};
  TRY(Apply(*window, {.kind = WindowChange::Kind::kFinish, .now_ms = now_ms, .workflow_id = id}));
  TRY(DeleteWindow(session, *window));
  kEnded.Hit();
  return {};
}

Result<std::vector<Window>> WindowTracker::Running() {
  std::vector<Window> windows;
  TRY(database_.Run([&](Session& session) -> Status {
    windows = TRY(DispatchedWindows(session));
    return {};
  }));
  return windows;
}

Status WindowTracker::SetHalted(std::string_view workflow_id, bool halted) {
  return database_.Run([&](Session& session) {
    return session.Execute("UPDATE windows SET halted = ? WHERE workflow_id = ? AND halted <> ?",
                           {int64_t{halted}, std::string(workflow_id), int64_t{halted}});
  });
}

Result<std::vector<SourceView>> WindowTracker::View(std::span<const SourceId> sources) {
  std::vector<SourceView> views(sources.size());
  const bool scan =
      sources.size() > kSourceLookupsMax && std::is_sorted(sources.begin(), sources.end());
  TRY(database_.Transact([&](Session& session) {
    return scan ? ScanViews(session, sources, views) : LookUpViews(session, sources, views);
  }));
  return views;
}

Result<bool> WindowTracker::WasCompacted(const std::string& key) {
  bool compacted = false;
  TRY(database_.Run([&](Session& session) {
    return session.Query("SELECT state FROM window_sources WHERE key = ? ORDER BY id DESC LIMIT 1",
                         {key}, [&](const Row& row) {
                           compacted = row.Text(0) == StateOf(SourceEnd::kCompacted);
                           return false;
                         });
  }));
  return compacted;
}

Result<std::vector<SourceId>> WindowTracker::Rechecks(size_t rows_max) {
  std::vector<SourceId> out;
  TRY(database_.Run([&](Session& session) {
    return session.Query("SELECT key, etag FROM window_sources WHERE recheck = 1 LIMIT ?",
                         {static_cast<int64_t>(rows_max)}, [&](const Row& row) {
                           out.push_back({row.Text(0), row.Text(1)});
                           return true;
                         });
  }));
  return out;
}

Status WindowTracker::Recheck(const SourceId& asked, const std::optional<Arrival>& now) {
  return database_.Transact([&](Session& session) -> Status {
    TRY(session.Execute("UPDATE window_sources SET recheck = 0 WHERE key = ? AND etag = ?",
                        {asked.key, asked.etag}));
    if (now) TRY(Note(session, std::span(&*now, 1)));
    return {};
  });
}

Result<std::vector<SourceId>> WindowTracker::Prunable(size_t rows_max) {
  std::vector<SourceId> out;
  const int64_t before_ms = clock_.NowMs() - static_cast<int64_t>(options_.keep_ms);
  TRY(database_.Run([&](Session& session) {
    return session.Query(
        "SELECT key, etag FROM window_sources WHERE settled_ms > 0 AND settled_ms < ?"
        " ORDER BY settled_ms LIMIT ?",
        {before_ms, static_cast<int64_t>(rows_max)}, [&](const Row& row) {
          out.push_back({row.Text(0), row.Text(1)});
          return true;
        });
  }));
  return out;
}

// Those that are still there are asked about again when they are as old once more.
Status WindowTracker::Prune(std::span<const SourceId> gone, std::span<const SourceId> still_there) {
  const int64_t now_ms = clock_.NowMs();
  return database_.Transact([&](Session& session) -> Status {
    for (const SourceId& source : gone) {
      TRY(session.Execute(
          "DELETE FROM window_sources WHERE key = ? AND etag = ? AND settled_ms > 0",
          {source.key, source.etag}));
    }
    for (const SourceId& source : still_there) {
      TRY(session.Execute(
          "UPDATE window_sources SET settled_ms = ? WHERE key = ? AND etag = ? AND settled_ms > 0",
          {now_ms, source.key, source.etag}));
    }
    return {};
  });
}

Status WindowTracker::PruneWindows() {
  const int64_t before_ms = clock_.NowMs() - static_cast<int64_t>(options_.keep_ms);
  return database_.Transact([&](Session& session) -> Status {
    constexpr std::string_view kOld =
        " WHERE ns_id = ?1 AND start_ms = ?2 AND NOT EXISTS (SELECT 1 FROM windows w"
        " WHERE w.ns_id = ?1 AND w.start_ms = ?2)";
    std::vector<std::pair<int64_t, int64_t>> spans;
    TRY(session.Query(
        "SELECT ns_id, start_ms FROM window_spans s WHERE end_ms < ? AND NOT EXISTS (SELECT 1 FROM"
        " windows w WHERE w.ns_id = s.ns_id AND w.start_ms = s.start_ms) LIMIT 1000",
        {before_ms}, [&](const Row& row) {
          spans.emplace_back(row.Int(0), row.Int(1));
          return true;
        }));
    for (const auto& [ns_id, start_ms] : spans) {
      for (const std::string_view table : {"window_members", "window_spans"}) {
        TRY(session.Execute(fmt::format("DELETE FROM {}{}", table, kOld), {ns_id, start_ms}));
      }
    }
    return session.Execute("DELETE FROM window_writers WHERE last_seen_ms < ?", {before_ms});
  });
}

Result<NamespaceOverrides> WindowTracker::Overrides(const NamespaceId& tenant,
                                                    std::string_view ns) {
  NamespaceOverrides overrides;
  TRY(database_.Run([&](Session& session) -> Status {
    if (auto row = TRY(FindNamespace(session, tenant, ns))) overrides = std::move(row->overrides);
    return {};
  }));
  return overrides;
}

Result<bool> WindowTracker::KeepsSources(const NamespaceId& tenant, std::string_view ns) {
  return !TRY(Overrides(tenant, ns)).delete_sources.value_or(true);
}

Status WindowTracker::Reconsider(const NamespaceId& tenant, std::string_view ns) {
  return database_.Transact([&](Session& session) -> Status {
    const auto row = TRY(FindNamespace(session, tenant, ns));
    return row ? GiveBackQuarantined(session, options_, row->id, clock_.NowMs()) : Status();
  });
}

Result<NamespaceOverrides> WindowTracker::Configure(const NamespaceId& tenant, std::string_view ns,
                                                    std::string_view json) {
  NamespaceOverrides overrides;
  TRY(database_.Transact([&](Session& session) -> Status {
    const NamespaceRow row = TRY(MakeNamespace(session, tenant, ns));
    overrides = TRY(ReadOverrides(json, row.overrides));
    TRY(GiveBackQuarantined(session, options_, row.id, clock_.NowMs()));
    return session.Execute("UPDATE window_namespaces SET overrides = ? WHERE id = ?",
                           {ToJson(overrides), row.id});
  }));
  return overrides;
}

}  // namespace varve::compact
