#include "compact/window_judge.h"

#include <algorithm>

namespace varve::compact {

Result<WindowJudge> WindowJudge::Make(state::Session& session, const WindowOptions& options,
                                      int64_t now_ms) {
  WindowJudge judge(session, options, now_ms);
  for (const Window& window : TRY(DispatchedWindows(session))) {
    if (window.settled_ms != 0 || window.halted) continue;
    judge.running_.emplace(window.ns_id, window.start_ms);
  }
  return judge;
}

Result<const NamespaceFacts*> WindowJudge::FactsOf(int64_t ns_id) {
  if (const auto found = facts_.find(ns_id); found != facts_.end()) return &found->second;
  NamespaceFacts facts;
  facts.row = TRY(GetNamespace(*session_, ns_id));
  facts.settings = Resolve(*options_, facts.row.overrides);
  facts.writers = TRY(WritersOf(*session_, ns_id, kWritersJudgedMax));
  return &facts_.emplace(ns_id, std::move(facts)).first->second;
}

bool WindowJudge::IsActive(const WriterRow& writer) const {
  return now_ms_ - writer.last_seen_ms <= static_cast<int64_t>(options_->writer_inactive_ms);
}

Result<std::vector<std::string>> WindowJudge::Missing(const Window& window,
                                                      const NamespaceFacts& facts) {
  const auto members = TRY(MembersOf(*session_, window, kWritersJudgedMax));
  std::vector<std::string> missing;
  for (const WriterRow& writer : facts.writers) {
    if (!IsActive(writer)) continue;
    if (writer.ahead_ms > static_cast<int64_t>(options_->max_future_ms)) continue;
    if (!std::binary_search(members.begin(), members.end(), writer.writer)) {
      missing.push_back(writer.writer);
    }
  }
  return missing;
}

Result<Judgement> WindowJudge::Judge(const Window& window) {
  const NamespaceFacts* facts = TRY(FactsOf(window.ns_id));
  Judgement out;
  QuorumFacts known{now_ms_, /*writers_missing=*/true, RoundRuns(window)};
  out.holds = HoldsOf(window, facts->settings, *options_, known);
  const bool asks = std::any_of(out.holds.begin(), out.holds.end(),
                                [](const Hold& hold) { return hold.kind == HoldKind::kWriters; });
  if (!asks) return out;  // whoever is missing is not waited for, or not yet
  out.missing = TRY(Missing(window, *facts));
  known.writers_missing = !out.missing.empty();
  out.holds = HoldsOf(window, facts->settings, *options_, known);
  return out;
}

}  // namespace varve::compact
