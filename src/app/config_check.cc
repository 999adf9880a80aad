// What a single key cannot say.
#include <fmt/format.h>

#include <charconv>

#include "app/config_load.h"
#include "core/namespace_id.h"
#include "store/object_store.h"

namespace varve::app {
namespace {

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool IsQueueName(std::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!word && (i == 0 || (c != '.' && c != '_' && c != '-'))) return false;
  }
  return true;
}

void CheckListen(const Config& config, std::vector<std::string>* problems) {
  const std::string& listen = config.listen;
  std::optional<std::pair<std::string, uint16_t>> parts = SplitListen(listen);
  if (!parts) {
    problems->push_back(
        fmt::format("server.listen: \"{}\" is not HOST:PORT, such as 127.0.0.1:8080", listen));
    return;
  }
  if (!IsLoopback(parts->first) && config.server.keys.empty()) {
    problems->push_back(
        fmt::format("server.listen: {} is reachable from other machines and auth.keys is empty; "
                    "add an API key, "
                    "or listen on 127.0.0.1",
                    listen));
  }
}

void CheckNames(const Config& config, std::vector<std::string>* problems) {
  auto prefix = [&](std::string_view key, const std::string& value) {
    Status ok = store::CheckKey(value);
    if (!ok.ok()) problems->push_back(fmt::format("{}: {}", key, ok.error().message));
  };
  prefix("flush.raw_events_prefix", config.flush.raw_events_prefix);
  prefix("compact.parquet_prefix", config.compact.parquet_prefix);
  prefix("compaction.prefix", config.compaction.prefix);
  auto queue = [&](std::string_view key, const std::string& value, bool may_be_empty) {
    if ((may_be_empty && value.empty()) || IsQueueName(value)) return;
    problems->push_back(fmt::format(
        "{}: \"{}\" is not a queue name: 1 to 63 of a-z 0-9 . _ -, first a letter or digit", key,
        value));
  };
  queue("notify.raw_events_queue", config.notify.raw_events_queue, false);
  queue("notify.downstream_queue", config.notify.downstream_queue, true);
  queue("queue.dead_letter_queue", config.queue.dead_letter_queue, true);
  queue("compaction.queue", config.compaction.queue, false);
  queue("view.queue", config.view.queue, false);
  for (const notify::NotifyRule& rule : config.notify.rules) {
    queue("notify.rules: queue", rule.queue, false);
  }
  Status rules = notify::CheckRules(config.notify.rules);
  if (!rules.ok()) problems->push_back("notify.rules: " + rules.error().message);
  for (const server::ApiKey& key : config.server.keys) {
    if (key.ns.empty()) continue;
    Result<NamespaceId> ns = NamespaceId::Parse(key.ns);
    if (!ns.ok()) problems->push_back("auth.keys: namespace: " + ns.error().message);
  }
}

void CheckCompaction(const CompactionConfig& config, std::vector<std::string>* problems) {
  const auto sort_by = compact::ParseSortBy(config.sort_by);
  if (!sort_by.ok()) problems->push_back("compaction.sort_by: " + sort_by.error().message);
  const auto codec = parquet::ParseCodec(config.compression);
  if (!codec.ok() || !parquet::IsParquetCodec(*codec)) {
    problems->push_back(
        fmt::format("compaction.compression: \"{}\" is none of none, snappy, lz4, "
                    "zstd, gzip, brotli, the last three with a level (zstd:9)",
                    config.compression));
  }
  if (config.windows.pressure_severe < config.windows.pressure_normal) {
    problems->push_back("compaction.pressure_severe: must not be below compaction.pressure_normal");
  }
}

}  // namespace

std::optional<std::pair<std::string, uint16_t>> SplitListen(std::string_view listen) {
  size_t colon = listen.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = listen.substr(0, colon);
  uint16_t port = 0;
  const char* end = listen.data() + listen.size();
  auto [ptr, ec] = std::from_chars(listen.data() + colon + 1, end, port);
  if (ec != std::errc() || ptr != end) return std::nullopt;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return std::pair(std::string(host), port);
}

std::vector<std::string> CrossChecks(const Config& config) {
  std::vector<std::string> problems;
  if (config.data_dir.empty()) problems.push_back("data_dir: must not be empty");
  CheckListen(config, &problems);
  CheckNames(config, &problems);
  CheckCompaction(config.compaction, &problems);
  if (config.view.refresh.keep_ms < config.query.query_ms_max) {
    problems.push_back("view.keep_ms: must not be below query.query_ms_max");
  }
  if (config.view.queue == config.compaction.queue) {
    problems.push_back("view.queue: must not be compaction.queue");
  }
  if (config.journal.bytes_max < 2 * config.journal.segment_bytes) {
    problems.push_back("journal.bytes_max: must hold at least two of journal.segment_bytes");
  }
  if (config.journal.segment_bytes % 4096 != 0) {
    problems.push_back("journal.segment_bytes: must be a multiple of 4096");
  }
  if (config.queue.retry_delay_max_ms < config.queue.retry_base_ms) {
    problems.push_back("queue.retry_delay_max_ms: must not be below queue.retry_base_ms");
  }
  return problems;
}

}  // namespace varve::app
