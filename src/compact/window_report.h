// What there is to say about the windows: for status pages, metrics and explanations. One instant,
// nothing is written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compact/window_judge.h"
#include "compact/window_tracker.h"

namespace varve::compact {

struct WindowStatus {
  Window window;
  std::vector<std::string> writers;  // in it; at most writers_max
  std::vector<Hold> holds;           // of a pending one; none: it is ready
  std::vector<std::string> missing;  // active writers that it waits for
  int64_t over_ms = 0;               // when its time was over, or will be
  bool lies_ahead = false;           // its writers' clocks are wrong
  int64_t late_files = 0;            // that came after a round of it had been dispatched
  int64_t late_ms = 0;               // how long after its end the latest of them came
};

struct QuarantinedFile {
  std::string key, why;
};
inline constexpr int64_t kQuarantinedNamedMax = 10;

struct NamespaceStatus {
  NamespaceRow row;
  NamespaceSettings settings;
  std::vector<std::string> known_writers, active_writers;
  std::vector<WindowStatus> windows;  // at most windows_max, oldest first
  uint64_t windows_total = 0;
  uint64_t pending = 0, processing = 0, dispatched = 0;
  uint64_t ready = 0;    // pending, and held back by nobody
  uint64_t overdue = 0;  // pending, and held back by neither their time nor their number of files
  uint64_t halted = 0;   // their workflows wait for an operator
  uint64_t pending_files = 0, pending_bytes = 0;
  uint64_t running_files = 0, running_bytes = 0;  // taken, not committed yet
  uint64_t quarantined_files = 0;
  std::vector<QuarantinedFile> quarantined;  // the first kQuarantinedNamedMax of them
  uint64_t late_files = 0;
  int64_t oldest_start_ms = 0;  // of the pending windows; 0: none
  int64_t oldest_over_ms = 0;   // of the overdue ones: when its time was over
  std::vector<std::string> issues;
};

struct CompactionStatus {
  int64_t now_ms = 0;
  std::vector<NamespaceStatus> namespaces;
  Pressure pressure = Pressure::kNone;
  uint64_t running = 0;  // workflows that have not committed, in all namespaces
  uint64_t compacted_files = 0, compacted_bytes = 0;
  std::optional<double> bytes_per_second;  // of the last workflows
  uint64_t DebtFiles() const;
  uint64_t DebtBytes() const;
  std::optional<double> DebtSeconds() const;  // at that speed
};

struct StatusFilter {
  std::optional<NamespaceId> tenant = {};  // none: all
  std::string ns = {};                     // empty: all
  size_t namespaces_max = 1'000;
  size_t windows_max = 500;    // of a namespace; all are counted
  size_t writers_max = 1'000;  // named, of a window and of a namespace
};

Result<CompactionStatus> ReadStatus(WindowTracker& tracker, const StatusFilter& filter);

enum class Health : uint8_t { kHealthy, kDegraded, kUnhealthy };
std::string_view ToString(Health health);

struct HealthLimits {
  uint64_t pending_windows_max = 10;  // whose time is over, and that are worth it
  double window_age_hours_max = 2;    // likewise
};
struct NamespaceHealth {
  Health health = Health::kHealthy;
  std::vector<std::string> issues;
};
NamespaceHealth HealthOf(const NamespaceStatus& status, const HealthLimits& limits, int64_t now_ms);

}  // namespace varve::compact
