// Counters and histograms of the server itself, and the Prometheus text exposition of these and of
// what the other modules report when asked. Updates are relaxed atomics, free of locks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace varve::server {

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

// Builds the text exposition (version 0.0.4). Samples of one metric are given one after another.
class MetricsWriter {
 public:
  void Counter(std::string_view name, std::string_view help, double value,
               const MetricLabels& labels = {});
  void Gauge(std::string_view name, std::string_view help, double value,
             const MetricLabels& labels = {});
  void Family(std::string_view name, std::string_view type, std::string_view help);
  void Sample(std::string_view name, double value, const MetricLabels& labels);
  std::string Take() && { return std::move(text_); }

 private:
  std::string text_;
  std::string family_;  // whose HELP and TYPE were written last
};

class Histogram {
 public:
  // Seconds; the last bucket is +Inf.
  static constexpr std::array<double, 14> kBounds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0};
  void ObserveNs(int64_t ns);
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  void Write(MetricsWriter& out, std::string_view name, const MetricLabels& labels) const;

 private:
  std::array<std::atomic<uint64_t>, kBounds.size() + 1> buckets_{};
  std::atomic<uint64_t> count_{0};
  std::atomic<int64_t> sum_ns_{0};
};

// What one route has answered.
struct RouteMetrics {
  Histogram duration;
  std::array<std::atomic<uint64_t>, 6> by_class{};  // [2] = 2xx …; [0] gave no answer
};

enum class EventSource : uint8_t { kIngest, kTail, kWebhook };

struct ServerMetrics {
  Histogram ingest_latency;
  std::array<std::atomic<uint64_t>, 3> events_ingested{};  // by EventSource
  std::atomic<uint64_t> batches_deduplicated{0};
  std::atomic<uint64_t> request_body_bytes{0};
  std::atomic<uint64_t> bad_requests{0};  // not HTTP, or not HTTP that is taken
  std::atomic<uint64_t> timeouts{0};
  std::atomic<uint64_t> connections_refused{0};
  std::atomic<uint64_t> rate_limited{0};
  std::atomic<int64_t> connections{0};
  std::atomic<int64_t> websockets{0};

  void Ingested(EventSource source, uint64_t events, int64_t took_ns);
  void Write(MetricsWriter& out) const;
};

}  // namespace varve::server
