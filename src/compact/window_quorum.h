// When a pending window is ready, as a function of what is known: no clock, no tables.
//
// 1. Its time is over: `wait_ms` have passed since its end. A window that lies further ahead than
//    clocks may differ (a writer's clock is wrong) counts from its first arrival instead.
// 2. Its writers have come: every active writer is in it, or the last of its files came longer than
//    wait_ms ago.
// 3. It is worth it: it has min_files, or max_window_age_ms have passed since its end. One file
//    alone stays where it is, unless the target is a table.
// After max_window_age_ms the second does not count either: a trickle of files holds nothing up for
// ever.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "compact/window_settings.h"
#include "compact/window_state.h"

namespace varve::compact {

enum class HoldKind : uint8_t {
  kTime,      // its time is not over
  kWriters,   // active writers are missing
  kMinFiles,  // too few files
  kRound,     // an earlier round of the window runs
  kPause,     // a workflow gave it back a moment ago
};
std::string_view ToString(HoldKind kind);

// Who holds a window back, since when, and until when at the latest; 0: no end is known.
struct Hold {
  HoldKind kind = HoldKind::kTime;
  int64_t since_ms = 0, until_ms = 0;
};

struct QuorumFacts {
  int64_t now_ms = 0;
  bool writers_missing = false;  // active, and not in the window
  bool round_runs = false;       // an earlier one, which has not committed
};

// From when on the window's end counts: its own, or by arrival where it lies ahead.
int64_t EffectiveEndMs(const Window& window, const WindowOptions& options);
bool LiesAhead(const Window& window, const WindowOptions& options);

// Nothing: it is ready.
std::vector<Hold> HoldsOf(const Window& window, const NamespaceSettings& settings,
                          const WindowOptions& options, const QuorumFacts& facts);

}  // namespace varve::compact
