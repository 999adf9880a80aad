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
  out.missing = TRY(Missing(window, *facts));
  out.holds = HoldsOf(window, facts->settings, *options_,
                      {now_ms_, !out.missing.empty(), RoundRuns(window)});
  return out;
}

}  // namespace varve::compact
