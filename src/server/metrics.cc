#include "server/metrics.h"

#include <fmt/format.h>

#include <cmath>

namespace varve::server {
namespace {

void AppendLabelValue(std::string& out, std::string_view value) {
  for (char c : value) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '"')
      out += "\\\"";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

std::string Number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return fmt::format("{:.9g}", value);
}

uint64_t Load(const std::atomic<uint64_t>& value) { return value.load(std::memory_order_relaxed); }

}  // namespace

void MetricsWriter::Family(std::string_view name, std::string_view type, std::string_view help) {
  if (family_ == name) return;
  family_ = name;
  text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
  text_.append(name).append(" ").append(type).append("\n");
}

void MetricsWriter::Sample(std::string_view name, double value, const MetricLabels& labels) {
  text_.append(name);
  char before = '{';
  for (const auto& [label, label_value] : labels) {
    text_ += before;
    text_.append(label).append("=\"");
    AppendLabelValue(text_, label_value);
    text_ += '"';
    before = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_.append(" ").append(Number(value)).append("\n");
}

void MetricsWriter::Counter(std::string_view name, std::string_view help, double value,
                            const MetricLabels& labels) {
  Family(name, "counter", help);
  Sample(name, value, labels);
}

void MetricsWriter::Gauge(std::string_view name, std::string_view help, double value,
                          const MetricLabels& labels) {
  Family(name, "gauge", help);
  Sample(name, value, labels);
}

void Histogram::ObserveNs(int64_t ns) {
  const double seconds = static_cast<double>(ns) * 1e-9;
  size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(ns, std::memory_order_relaxed);
}

void Histogram::Write(MetricsWriter& out, std::string_view name, const MetricLabels& labels) const {
  const std::string bucket_name = std::string(name) + "_bucket";
  uint64_t cumulative = 0;
  for (size_t i = 0; i <= kBounds.size(); ++i) {
    cumulative += Load(buckets_[i]);
    const std::string bound = i < kBounds.size() ? fmt::format("{:g}", kBounds[i]) : "+Inf";
    MetricLabels with_bound = labels;
    with_bound.emplace_back("le", bound);
    out.Sample(bucket_name, static_cast<double>(cumulative), with_bound);
  }
  out.Sample(std::string(name) + "_sum",
             static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) * 1e-9, labels);
  out.Sample(std::string(name) + "_count", static_cast<double>(cumulative), labels);
}

void ServerMetrics::Ingested(EventSource source, uint64_t events, int64_t took_ns) {
  events_ingested[static_cast<size_t>(source)].fetch_add(events, std::memory_order_relaxed);
  ingest_latency.ObserveNs(took_ns);
}

void ServerMetrics::Write(MetricsWriter& out) const {
  constexpr std::array<std::string_view, 3> kSources = {"ingest", "tail", "webhook"};
  for (size_t i = 0; i < kSources.size(); ++i) {
    out.Counter("events_ingested_total", "Events that were acknowledged as durable.",
                static_cast<double>(Load(events_ingested[i])), {{"source", kSources[i]}});
  }
  out.Family("ingest_latency_seconds", "histogram",
             "From a batch's last byte to its being durable.");
  ingest_latency.Write(out, "ingest_latency_seconds", {});
  const auto counter = [&](std::string_view name, std::string_view help,
                           const std::atomic<uint64_t>& value) {
    out.Counter(name, help, static_cast<double>(Load(value)));
  };
  counter("ingest_batches_deduplicated_total", "Batches whose batchId had been stored before.",
          batches_deduplicated);
  counter("http_request_body_bytes_total", "Bytes of request bodies, as sent.", request_body_bytes);
  counter("http_bad_requests_total", "Requests that are not HTTP as it is taken here.",
          bad_requests);
  counter("http_timeouts_total", "Connections closed because their peer was too slow.", timeouts);
  counter("http_connections_refused_total", "Connections beyond the bound.", connections_refused);
  counter("http_rate_limited_total", "Requests answered with 429 by a rate limit.", rate_limited);
  out.Gauge("http_connections", "Open connections.",
            static_cast<double>(connections.load(std::memory_order_relaxed)));
  out.Gauge("websocket_connections", "Open WebSockets.",
            static_cast<double>(websockets.load(std::memory_order_relaxed)));
}

}  // namespace varve::server
