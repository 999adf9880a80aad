// The last values of the windows' gauges, in memory: enough for a chart without another system.
// Gone with the process.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "compact/window_report.h"

namespace varve::compact {

inline constexpr std::array<std::string_view, 9> kGauges = {
    "windows_pending", "windows_processing", "windows_dispatched",
    "files_pending",   "bytes_pending",      "oldest_window_age_seconds",
    "known_writers",   "active_writers",     "windows_stuck"};

struct GaugePoint {
  int64_t at_ms = 0;
  std::array<double, kGauges.size()> values{};
};

GaugePoint GaugesOf(const NamespaceStatus& status, int64_t now_ms);

class WindowHistory {
 public:
  static constexpr size_t kPointsMax = 1'000;     // of a namespace
  static constexpr size_t kNamespacesMax = 100;   // those that come first
  static constexpr int64_t kApartMsMin = 10'000;  // two points of a namespace

  void Add(const CompactionStatus& status);
  bool Wants(int64_t now_ms) const;
  // Of a namespace (its label), not before since_ms, the newest points_max; oldest first.
  std::vector<GaugePoint> PointsOf(const std::string& label, int64_t since_ms,
                                   size_t points_max) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<GaugePoint>> points_;
  int64_t added_ms_ = 0;
};

}  // namespace varve::compact
