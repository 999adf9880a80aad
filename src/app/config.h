// What a varve process is told: one plain value, filled by LoadConfig from the file, the
// environment and the command line. The parts that a module needs are that module's own options
// structs, so that a default is written down once, where it is used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "catalog/delta_tables.h"
#include "catalog/rest_heads.h"
#include "compact/window_settings.h"
#include "core/log.h"
#include "ingest/ingest.h"
#include "journal/journal.h"
#include "notify/rules.h"
#include "query/engine.h"
#include "record/log_row.h"
#include "server/options.h"
#include "view/refresh_workflow.h"
#include "workflow/engine.h"

namespace varve::app {

struct WebhooksConfig {  // empty: that provider is not configured
  std::string github_secret, stripe_secret, workos_secret, slack_secret, linear_secret, svix_secret;
};

struct FlushConfig {
  uint64_t events_flush_bytes = 64ull << 20;
  uint64_t events_flush_ms = 5'000;
  uint32_t raw_events_batch_size = 100;
  uint64_t flush_interval_ms = 30'000;
  std::string raw_events_prefix = "raw-events";
  uint64_t unit_bytes_max = 64ull << 20;
  uint32_t unit_files_max = 512;
  uint64_t retry_ms_max = 5'000;
  uint64_t stop_ms_max = 30'000;
};

enum class StoreKind : uint8_t { kLocal };

struct StoreConfig {
  StoreKind kind = StoreKind::kLocal;
  std::string bucket = "varve";
  std::string account = "00000000000000000000000000000000";
};

struct NotifyConfig {
  uint64_t reconcile_interval_ms = 10'000;
  uint64_t settle_ms = 2'000;             // a file of another program: unchanged for so long
  std::vector<notify::NotifyRule> rules;  // empty: the raw files' rule, for every namespace
  std::string raw_events_queue = "varve-raw-events";
  std::string downstream_queue;  // empty: no parquet-written messages
};

struct QueueOptions {
  uint32_t max_batch_size = 100;
  uint64_t max_batch_timeout_ms = 30'000;
  uint32_t max_retries = 3;
  uint32_t retry_base_ms = 1'000;
  uint32_t retry_delay_max_ms = 300'000;
  uint64_t lease_ms = 120'000;
  uint64_t messages_max = 10'000'000;
  std::string dead_letter_queue = "varve-dlq";
};

struct CompactConfig {
  std::string parquet_prefix = "logs/workers";
  uint32_t flush_threshold = 1'000;
  uint64_t rows_max = 200'000;
  uint32_t files_max = 1'000;
  uint64_t gather_bytes_max = 64ull << 20;
  record::LogCodec compression = record::LogCodec::kLz4;
  uint32_t consumers = 1;
};

enum class CompactionTarget : uint8_t { kParquet, kIceberg, kDelta, kIcebergAndDelta };

// Of writers' files, by windows.
struct CompactionConfig {
  bool enabled = true;
  std::string queue = "varve-compaction-events";
  std::string prefix = "data";
  compact::WindowOptions windows;  // settings: what is not below is in it
  CompactionTarget target_format = CompactionTarget::kIceberg;
  std::string sort_by;  // "ts, id desc"; empty: the first time column of the usual names
  compact::PartitionBy partition_by = compact::PartitionBy::kHour;
  std::string compression = "zstd";
  uint64_t check_interval_ms = 5'000;
};

struct TableConfig {
  catalog::DeltaOptions formats;  // catalog.root: set by the wiring
  uint64_t orphan_age_ms = catalog::kOrphanAgeMsDefault;
  catalog::RestHeadsOptions rest;  // of a catalog that keeps the Iceberg tables' heads
};

struct WorkflowConfig {
  workflow::EngineOptions engine;
  uint64_t merge_memory_bytes_max = 256ull << 20;
  uint32_t merge_threads = 0;
  uint64_t ended_max = 10'000;
};

// Materialised views.
struct ViewConfig {
  bool enabled = true;
  std::string queue = "varve-view-events";
  view::PeriodDefaults periods;
  view::StoreOptions store;
  view::RefreshOptions refresh;  // work_directory: set by the wiring
  uint64_t rows_max = 100'000'000;
  uint64_t bytes_max = 1ull << 30;
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
};

struct Config {
  std::string data_dir = "varve-data";
  std::string listen = "127.0.0.1:8080";
  server::ServerOptions server;  // address and port: from listen, by the loader
  ingest::IngestOptions ingest;
  WebhooksConfig webhooks;
  journal::JournalOptions journal;  // directory: set by the wiring
  FlushConfig flush;
  StoreConfig store;
  NotifyConfig notify;
  QueueOptions queue;
  CompactConfig compact;
  CompactionConfig compaction;
  TableConfig table;
  WorkflowConfig workflow;
  ViewConfig view;
  query::EngineOptions query;  // temp_directory: set by the wiring
  LogConfig log;
};

}  // namespace varve::app
