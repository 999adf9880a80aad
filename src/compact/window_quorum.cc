#include "compact/window_quorum.h"

#include <algorithm>

namespace varve::compact {

std::string_view ToString(HoldKind kind) {
  constexpr std::string_view kNames[] = {"time", "writers", "minFiles", "round", "pause"};
  return kNames[static_cast<size_t>(kind)];
}

bool LiesAhead(const Window& window, const WindowOptions& options) {
  return window.start_ms > window.first_seen_ms + static_cast<int64_t>(options.max_future_ms);
}

int64_t EffectiveEndMs(const Window& window, const WindowOptions& options) {
  if (!LiesAhead(window, options)) return window.end_ms;
  return window.first_seen_ms + (window.end_ms - window.start_ms);
}

std::vector<Hold> HoldsOf(const Window& window, const NamespaceSettings& settings,
                          const WindowOptions& options, const QuorumFacts& facts) {
  std::vector<Hold> holds;
  const auto wait_ms = static_cast<int64_t>(settings.wait_ms);
  const int64_t end_ms = EffectiveEndMs(window, options);
  const int64_t over_ms = end_ms + wait_ms;
  const int64_t aged_ms =
      end_ms + std::max(wait_ms, static_cast<int64_t>(options.max_window_age_ms));
  if (facts.round_runs) holds.push_back({HoldKind::kRound, window.first_seen_ms, 0});
  if (facts.now_ms < window.not_before_ms) {
    holds.push_back({HoldKind::kPause, window.last_seen_ms, window.not_before_ms});
  }
  if (facts.now_ms < over_ms) {
    holds.push_back({HoldKind::kTime, window.first_seen_ms, over_ms});
    return holds;
  }
  const int64_t held_ms = std::max(over_ms, window.first_seen_ms);
  const int64_t quiet_ms = window.last_seen_ms + wait_ms;
  if (facts.writers_missing && facts.now_ms <= quiet_ms && facts.now_ms < aged_ms) {
    holds.push_back({HoldKind::kWriters, held_ms, std::min(quiet_ms + 1, aged_ms)});
  }
  const bool few = window.files < static_cast<int64_t>(settings.min_files);
  const bool alone = window.files == 1 && !settings.single_file;
  if (few && (facts.now_ms < aged_ms || alone)) {
    holds.push_back({HoldKind::kMinFiles, held_ms, alone ? 0 : aged_ms});
  }
  return holds;
}

}  // namespace varve::compact
