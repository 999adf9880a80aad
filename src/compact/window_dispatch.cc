// Ready windows into workflows. One transaction a window: chosen, its files pinned, the workflow
// made, the round handed over. A start that fails leaves everything as it was.
//
// Pressure: windows that are ready and wait, because concurrency_max workflows run. P0 is never
// passed over, P1 and P2 under severe pressure, P3 under any; but where nothing runs, the first
// goes whatever it is, or pressure would never end. A window that has reached max_window_age_ms
// counts as P0.
#include <fmt/format.h>

#include <algorithm>

#include "compact/window_judge.h"
#include "compact/window_tracker.h"
#include "core/crash_point.h"

namespace varve::compact {
namespace {

using state::Row;
using state::Session;

const CrashPoint kPinned{"windows.dispatch.before_start"};
const CrashPoint kStarted{"windows.dispatch.before_commit"};

constexpr int kPriorityDefault = 2;

struct Candidate {
  Window window;
  int priority = kPriorityDefault;
};

bool HasAged(const Window& window, const WindowOptions& options, int64_t now_ms) {
  return now_ms >=
         EffectiveEndMs(window, options) + static_cast<int64_t>(options.max_window_age_ms);
}

bool IsMeant(const DispatchWish& wish, const Window& window, const NamespaceRow& row) {
  if (wish.tenant && row.tenant != *wish.tenant) return false;
  if (!wish.ns.empty() && row.ns != wish.ns) return false;
  if (wish.seen_by_ms && window.first_seen_ms > *wish.seen_by_ms) return false;
  return !wish.start_ms || window.start_ms == *wish.start_ms;
}

bool PassedOver(int priority, Pressure pressure) {
  if (priority == 0) return false;
  return pressure == Pressure::kSevere || (priority == 3 && pressure == Pressure::kNormal);
}

// What operators name, whether it is ready or not.
Result<std::vector<Window>> Named(Session& session, const WindowOptions& options,
                                  const DispatchWish& wish) {
  std::vector<Window> out;
  const NamespaceId* tenant = wish.tenant ? &*wish.tenant : nullptr;
  for (const NamespaceRow& row : TRY(ListNamespaces(session, tenant, wish.ns, SIZE_MAX >> 1))) {
    for (Window& window : TRY(ListWindows(session, row.id, options.sources_max))) {
      if (window.state != WindowState::kPending || !IsMeant(wish, window, row)) continue;
      out.push_back(std::move(window));
    }
  }
  return out;
}

// Of them, but for rounds that an earlier one holds.
Result<std::optional<Window>> OldestNamed(Session& session, WindowJudge& judge,
                                          const WindowOptions& options, const DispatchWish& wish) {
  std::optional<Window> oldest;
  for (Window& window : TRY(Named(session, options, wish))) {
    if (judge.RoundRuns(window) || (oldest && oldest->start_ms <= window.start_ms)) continue;
    oldest = std::move(window);
  }
  return oldest;
}

Result<std::vector<Candidate>> Ready(Session& session, WindowJudge& judge,
                                     const WindowOptions& options, const DispatchWish& wish) {
  std::vector<Candidate> out;
  for (Window& window : TRY(PendingUpTo(session, judge.now_ms(), options.max_future_ms))) {
    const NamespaceFacts* facts = TRY(judge.FactsOf(window.ns_id));
    if (!IsMeant(wish, window, facts->row)) continue;
    if (!TRY(judge.Judge(window)).ready()) continue;
    const bool aged = HasAged(window, options, judge.now_ms());
    const int priority = aged ? 0 : facts->settings.priority.value_or(kPriorityDefault);
    out.push_back({std::move(window), priority});
  }
  return out;
}

std::optional<Window> Choose(std::vector<Candidate> ready, const WindowOptions& options,
                             uint64_t running) {
  std::stable_sort(ready.begin(), ready.end(), [](const Candidate& a, const Candidate& b) {
    return std::tuple(a.priority, a.window.start_ms) < std::tuple(b.priority, b.window.start_ms);
  });
  const Pressure pressure = PressureOf(ready.size(), options);
  for (Candidate& candidate : ready) {
    if (!PassedOver(candidate.priority, pressure)) return std::move(candidate.window);
  }
  if (running == 0 && !ready.empty()) return std::move(ready.front().window);
  return std::nullopt;
}

// The first of the window's files, within the bounds of one workflow; at least one.
Status Pin(Session& session, const Window& window, const WindowOptions& options,
           std::vector<SourceFile>& out) {
  uint64_t bytes = 0;
  return session.Query(
      "SELECT key, etag, writer, size, time_ms, sequence FROM window_sources"
      " WHERE state = 'pending' AND ns_id = ? AND start_ms = ?"
      " ORDER BY time_ms, writer, sequence LIMIT ?",
      {window.ns_id, window.start_ms, static_cast<int64_t>(options.sources_max)},
      [&](const Row& row) {
        const auto size = static_cast<uint64_t>(row.Int(3));
        if (!out.empty() && bytes + size > options.bytes_max) return false;
        bytes += size;
        out.push_back({row.Text(0), row.Text(1), row.Text(2), size, row.Int(4),
                       static_cast<uint64_t>(row.Int(5))});
        return true;
      });
}

// What does not go with this workflow is the window's next round.
Status LeaveRest(Session& session, const Window& taken, int64_t files, int64_t bytes) {
  if (files == 0) return {};
  Window rest = TRY(AddRound(session, taken.ns_id, taken.start_ms, taken.first_seen_ms));
  rest.files = files;
  rest.bytes = bytes;
  rest.last_seen_ms = taken.last_seen_ms;
  return UpdateWindow(session, rest);
}

Status MarkTaken(Session& session, const std::vector<SourceFile>& sources,
                 const std::string& workflow_id) {
  for (const SourceFile& source : sources) {
    TRY(
        session.Execute("UPDATE window_sources SET state = 'taken', workflow_id = ?"
                        " WHERE key = ? AND etag = ? AND state = 'pending'",
                        {workflow_id, source.key, source.etag}));
    CHECK(session.changes() == 1);  // it was pinned in this transaction
  }
  return {};
}

Status HandOver(Session& session, const WindowOptions& options, const NamespaceFacts& facts,
                const StartWorkflow& start, int64_t now_ms, Window& window) {
  CompactionRequest request;
  request.tenant = facts.row.tenant;
  request.ns = facts.row.ns;
  request.window_start_ms = window.start_ms;
  request.window_end_ms = window.end_ms;
  request.settings = facts.settings.compaction;
  TRY(Pin(session, window, options, request.sources));
  CHECK(!request.sources.empty());  // an empty round is deleted
  int64_t bytes = 0;
  for (const SourceFile& source : request.sources) bytes += static_cast<int64_t>(source.size);
  const auto files = static_cast<int64_t>(request.sources.size());
  TRY(Apply(window, {.kind = WindowChange::Kind::kTake, .now_ms = now_ms}));
  const int64_t rest_files = window.files - files;
  const int64_t rest_bytes = window.bytes - bytes;
  window.files = files;
  window.bytes = bytes;
  TRY(UpdateWindow(session, window));
  TRY(LeaveRest(session, window, rest_files, rest_bytes));
  kPinned.Hit();
  const std::string id = TRY(start(session, request));
  TRY(Apply(window, {.kind = WindowChange::Kind::kConfirm, .now_ms = now_ms, .workflow_id = id}));
  TRY(UpdateWindow(session, window));
  TRY(MarkTaken(session, request.sources, id));
  kStarted.Hit();
  return {};
}

}  // namespace

Pressure PressureOf(uint64_t ready_windows, const WindowOptions& options) {
  if (ready_windows >= options.pressure_severe) return Pressure::kSevere;
  return ready_windows >= options.pressure_normal ? Pressure::kNormal : Pressure::kNone;
}

std::string_view ToString(Pressure pressure) {
  constexpr std::string_view kNames[] = {"none", "normal", "severe"};
  return kNames[static_cast<size_t>(pressure)];
}

Result<std::optional<Dispatched>> WindowTracker::Dispatch(const DispatchWish& wish,
                                                          const StartWorkflow& start) {
  std::optional<Dispatched> dispatched;
  TRY(database_.Transact([&](Session& session) -> Status {
    const int64_t now_ms = clock_.NowMs();
    WindowJudge judge = TRY(WindowJudge::Make(session, options_, now_ms));
    if (judge.running() >= options_.concurrency_max) return {};
    std::optional<Window> window =
        wish.force ? TRY(OldestNamed(session, judge, options_, wish))
                   : Choose(TRY(Ready(session, judge, options_, wish)), options_, judge.running());
    if (!window) return {};
    const NamespaceFacts* facts = TRY(judge.FactsOf(window->ns_id));
    TRY(HandOver(session, options_, *facts, start, now_ms, *window));
    dispatched = Dispatched{facts->row.tenant, facts->row.ns, std::move(*window)};
    return {};
  }));
  return dispatched;
}

Result<bool> WindowTracker::Waits(const DispatchWish& wish) {
  bool waits = false;
  TRY(database_.Transact([&](Session& session) -> Status {
    waits = !TRY(Named(session, options_, wish)).empty();
    return {};
  }));
  return waits;
}

}  // namespace varve::compact
