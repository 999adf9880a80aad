#include "compact/window_history.h"

#include <algorithm>

namespace varve::compact {

GaugePoint GaugesOf(const NamespaceStatus& status, int64_t now_ms) {
  const auto d = [](auto value) { return static_cast<double>(value); };
  const int64_t age_ms = status.oldest_start_ms == 0 ? 0 : now_ms - status.oldest_start_ms;
  return {now_ms,
          {d(status.pending), d(status.processing), d(status.dispatched), d(status.pending_files),
           d(status.pending_bytes), d(std::max<int64_t>(0, age_ms)) / 1000,
           d(status.known_writers.size()), d(status.active_writers.size()), d(status.halted)}};
}

bool WindowHistory::Wants(int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  return now_ms - added_ms_ >= kApartMsMin || now_ms < added_ms_;
}

void WindowHistory::Add(const CompactionStatus& status) {
  const std::lock_guard lock(mutex_);
  added_ms_ = status.now_ms;
  for (const NamespaceStatus& ns : status.namespaces) {
    const std::string label = ns.row.Label();
    if (!points_.contains(label) && points_.size() >= kNamespacesMax) continue;
    std::deque<GaugePoint>& points = points_[label];
    points.push_back(GaugesOf(ns, status.now_ms));
    if (points.size() > kPointsMax) points.pop_front();
  }
}

std::vector<GaugePoint> WindowHistory::PointsOf(const std::string& label, int64_t since_ms,
                                                size_t points_max) const {
  const std::lock_guard lock(mutex_);
  std::vector<GaugePoint> out;
  const auto found = points_.find(label);
  if (found == points_.end()) return out;
  for (auto at = found->second.rbegin(); at != found->second.rend(); ++at) {
    if (at->at_ms < since_ms || out.size() == points_max) break;
    out.push_back(*at);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace varve::compact
