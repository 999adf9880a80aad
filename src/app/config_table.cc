#include "app/config_table.h"

#include <iterator>

namespace varve::app {
namespace {

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kGiB = 1ull << 30;
constexpr uint64_t kDayMs = 86'400'000;

template <auto get, typename Enum>
ChoiceRef Choice() {
  return {[](const Config& c) { return static_cast<size_t>(get(const_cast<Config&>(c))); },
          [](Config& c, size_t i) { get(c) = static_cast<Enum>(i); }};
}

FieldRef Durability(Config&) {
  return Choice<[](Config& c) -> auto& { return c.ingest.durability; }, ingest::Durability>();
}
FieldRef Store(Config&) {
  return Choice<[](Config& c) -> auto& { return c.store.kind; }, StoreKind>();
}
FieldRef Codec(Config&) {
  return Choice<[](Config& c) -> auto& { return c.compact.compression; }, record::LogCodec>();
}
FieldRef Level(Config&) {
  return Choice<[](Config& c) -> auto& { return c.log.level; }, LogLevel>();
}

// clang-format off
const ConfigKey kKeys[] = {
    {.name = "data_dir", .field = [](Config& c) -> FieldRef { return &c.data_dir; },
     .description = "The data directory: objects lie directly in it, varve's own files in its "
                    "`.varve` folder.",
     .alias = "VARVE_DATA"},

    {.name = "server.listen", .field = [](Config& c) -> FieldRef { return &c.listen; },
     .description = "Address and port of the HTTP server. Beyond loopback, API keys are required. "
                    "Port 0 takes a free one."},
    {.name = "server.io_threads", .field = [](Config& c) -> FieldRef { return &c.server.io_threads; },
     .description = "Threads that read and write connections.", .unit = "threads", .min = 1, .max = 256},
    {.name = "server.cors_origins",
     .field = [](Config& c) -> FieldRef { return &c.server.cors_origins; },
     .description = "Origins whose pages may read protected answers in a browser; `*` is every one."},
    {.name = "server.metrics_public",
     .field = [](Config& c) -> FieldRef { return &c.server.metrics_public; },
     .description = "Whether `/metrics` answers without a key."},
    {.name = "server.environment",
     .field = [](Config& c) -> FieldRef { return &c.server.environment; },
     .description = "What `/health` calls this instance."},
    {.name = "server.connections_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.connections_max; },
     .description = "Connections open at once; more wait to be accepted.",
     .unit = "connections", .min = 1, .max = 65536},
    {.name = "server.head_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.head_bytes_max; },
     .description = "Largest request head.",
     .unit = "bytes", .min = 1024, .max = 1048576},
    {.name = "server.uri_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.uri_bytes_max; },
     .description = "Longest request target.",
     .unit = "bytes", .min = 256, .max = 1048576},
    {.name = "server.header_fields_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.header_fields_max; },
     .description = "Header fields of one request.",
     .unit = "fields", .min = 10, .max = 1000},
    {.name = "server.ingest_body_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.ingest_body_bytes_max; },
     .description = "Largest body of `/ingest` and the webhooks, as sent and decompressed; a "
                    "larger one gets 413.",
     .unit = "bytes", .min = 1024, .max = 67108864},
    {.name = "server.tail_body_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.tail_body_bytes_max; },
     .description = "Largest body or WebSocket message of `/tail`.",
     .unit = "bytes", .min = 1024, .max = 67108864},
    {.name = "server.query_body_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.query_body_bytes_max; },
     .description = "Largest body of `/sql` and `/query`.",
     .unit = "bytes", .min = 256, .max = 67108864},
    {.name = "server.queue_body_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.queue_body_bytes_max; },
     .description = "Largest body of the queue API.",
     .unit = "bytes", .min = 1024, .max = 67108864},
    {.name = "server.decompress_ratio_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.decompress_ratio_max; },
     .description = "Expansion of a gzip or zstd body, beyond its first MiB; guards against "
                    "zip bombs.",
     .unit = "times", .min = 10, .max = 100000},
    {.name = "server.head_ms_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.head_ms_max; },
     .description = "From a request's first byte to the end of its head.",
     .unit = "ms", .min = 100, .max = 600000},
    {.name = "server.body_idle_ms_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.body_idle_ms_max; },
     .description = "Between two reads of a body.",
     .unit = "ms", .min = 100, .max = 3600000},
    {.name = "server.body_ms_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.body_ms_max; },
     .description = "From a body's first byte to its last.",
     .unit = "ms", .min = 100, .max = 3600000},
    {.name = "server.idle_ms_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.idle_ms_max; },
     .description = "Between two requests of a connection.",
     .unit = "ms", .min = 100, .max = 3600000},
    {.name = "server.write_idle_ms_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.write_idle_ms_max; },
     .description = "A client that takes no byte of its answer for so long is cut off.",
     .unit = "ms", .min = 100, .max = 3600000},
    {.name = "server.stream_buffer_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.stream_buffer_bytes_max; },
     .description = "Of one streamed answer, not yet sent.",
     .unit = "bytes", .min = 65536, .max = 1073741824},
    {.name = "server.live_buffer_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.live_buffer_bytes_max; },
     .description = "Of one live subscriber, not yet sent; events beyond it are dropped and "
                    "counted.",
     .unit = "bytes", .min = 65536, .max = 1073741824},
    {.name = "server.live_subscribers_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.live_subscribers_max; },
     .description = "Watchers of `/tail/live` at once.",
     .unit = "subscribers", .min = 1, .max = 10000},
    {.name = "server.live_ping_ms",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.live_ping_ms; },
     .description = "A quiet live stream gets a ping so often.",
     .unit = "ms", .min = 100, .max = 600000},
    {.name = "server.tail_in_flight_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.tail_in_flight_max; },
     .description = "Messages of one tail socket that are not acknowledged yet.",
     .unit = "messages", .min = 1, .max = 10000},
    {.name = "server.websocket_idle_ms",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.websocket_idle_ms; },
     .description = "A silent WebSocket is closed; it is pinged at half of it.",
     .unit = "ms", .min = 1000, .max = 3600000},
    {.name = "server.query_workers",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.query_workers; },
     .description = "Threads for SQL.",
     .unit = "threads", .min = 1, .max = 256},
    {.name = "server.query_backlog_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.query_backlog_max; },
     .description = "SQL requests that wait for a thread.",
     .unit = "requests", .min = 1, .max = 10000},
    {.name = "server.blocking_workers",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.blocking_workers; },
     .description = "Threads for queue and store calls.",
     .unit = "threads", .min = 1, .max = 256},
    {.name = "server.blocking_backlog_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.blocking_backlog_max; },
     .description = "Queue and store calls that wait for a thread.",
     .unit = "requests", .min = 1, .max = 100000},
    {.name = "server.stop_ms_max",
     .field = [](Config& c) -> FieldRef { return &c.server.limits.stop_ms_max; },
     .description = "After SIGTERM: how long running requests may take to end.",
     .unit = "ms", .min = 0, .max = 600000},

    {.name = "auth.keys", .field = [](Config& c) -> FieldRef { return &c.server.keys; },
     .description = "API keys, as `[[auth.keys]]` tables: `name`; one of `sha256` (of the key, 64 hex "
                    "digits), `key_env` (an environment variable that holds the key) or `key_file`; "
                    "`scopes` (of `ingest`, `query`, `admin`); `namespace` (absent: `default`). A "
                    "tenant's key is `ns_{namespace}_{token}`. Without keys the server takes "
                    "requests on loopback only."},

    {.name = "rate_limit.requests_per_minute",
     .field = [](Config& c) -> FieldRef { return &c.server.rate_limits.requests_per_minute; },
     .description = "Per API key; without keys no rate limit applies.", .unit = "requests", .min = 1, .max = 4'000'000'000},
    {.name = "rate_limit.events_per_minute",
     .field = [](Config& c) -> FieldRef { return &c.server.rate_limits.events_per_minute; },
     .description = "Per API key, over all its batches.", .unit = "events", .min = 1, .max = 4'000'000'000},
    {.name = "rate_limit.webhooks_per_minute",
     .field = [](Config& c) -> FieldRef { return &c.server.rate_limits.webhooks_per_minute; },
     .description = "Webhook requests of one sender address.", .unit = "requests", .min = 1, .max = 4'000'000'000},
    {.name = "rate_limit.enabled",
     .field = [](Config& c) -> FieldRef { return &c.server.rate_limits.enabled; },
     .description = "Whether the limits apply at all."},
    {.name = "rate_limit.keys_max",
     .field = [](Config& c) -> FieldRef { return &c.server.rate_limits.keys_max; },
     .description = "Senders remembered; the longest silent ones are forgotten.",
     .unit = "senders", .min = 1, .max = 10'000'000},

    {.name = "ingest.events_max",
     .field = [](Config& c) -> FieldRef { return &c.ingest.limits.events_max; },
     .description = "Events in one batch.", .unit = "events", .min = 1, .max = 100'000},
    {.name = "ingest.event_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.ingest.limits.event_bytes_max; },
     .description = "Bytes of one event's JSON.", .unit = "bytes", .min = 64, .max = 16 * kMiB},
    {.name = "ingest.type_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.ingest.limits.type_bytes_max; },
     .description = "Bytes of an event's `type`.", .unit = "bytes", .min = 1, .max = 4096},
    {.name = "ingest.depth_max",
     .field = [](Config& c) -> FieldRef { return &c.ingest.limits.depth_max; },
     .description = "Nesting of an event's JSON.", .unit = "levels", .min = 2, .max = 1000},
    {.name = "ingest.durability", .field = Durability,
     .description = "What a reply means: `fsync`: in the journal, on disk; `object`: in an object on "
                    "the store.",
     .choices = "fsync object"},
    {.name = "ingest.dedup_window_ms",
     .field = [](Config& c) -> FieldRef { return &c.ingest.dedup_window_ms; },
     .description = "How long a `batchId` is remembered.", .unit = "ms", .min = 0, .max = 30 * kDayMs},

    {.name = "webhooks.github_secret",
     .field = [](Config& c) -> FieldRef { return &c.webhooks.github_secret; },
     .description = "GitHub's webhook secret.", .alias = "GITHUB_WEBHOOK_SECRET", .secret = true},
    {.name = "webhooks.stripe_secret",
     .field = [](Config& c) -> FieldRef { return &c.webhooks.stripe_secret; },
     .description = "Stripe's endpoint secret.", .alias = "STRIPE_WEBHOOK_SECRET", .secret = true},
    {.name = "webhooks.workos_secret",
     .field = [](Config& c) -> FieldRef { return &c.webhooks.workos_secret; },
     .description = "WorkOS's webhook secret.", .alias = "WORKOS_WEBHOOK_SECRET", .secret = true},
    {.name = "webhooks.slack_secret",
     .field = [](Config& c) -> FieldRef { return &c.webhooks.slack_secret; },
     .description = "Slack's signing secret.", .alias = "SLACK_SIGNING_SECRET", .secret = true},
    {.name = "webhooks.linear_secret",
     .field = [](Config& c) -> FieldRef { return &c.webhooks.linear_secret; },
     .description = "Linear's signing secret.", .alias = "LINEAR_WEBHOOK_SECRET", .secret = true},
    {.name = "webhooks.svix_secret",
     .field = [](Config& c) -> FieldRef { return &c.webhooks.svix_secret; },
     .description = "Svix's signing secret (`whsec_…`).", .alias = "SVIX_WEBHOOK_SECRET",
     .secret = true},

    {.name = "journal.bytes_max", .field = [](Config& c) -> FieldRef { return &c.journal.bytes_max; },
     .description = "Disk that the journal may take; input beyond it gets 429 until a flush gives "
                    "space back.",
     .unit = "bytes", .min = kMiB, .max = 1024 * kGiB},
    {.name = "journal.segment_bytes",
     .field = [](Config& c) -> FieldRef { return &c.journal.segment_bytes; },
     .description = "Size of one journal file; also its largest record.",
     .unit = "bytes", .min = 256 * 1024, .max = 2 * kGiB},
    {.name = "journal.pending_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.journal.pending_bytes_max; },
     .description = "Bytes that wait in memory for the next fsync; input beyond it gets 429.",
     .unit = "bytes", .min = kMiB, .max = 4 * kGiB},

    {.name = "flush.events_flush_bytes",
     .field = [](Config& c) -> FieldRef { return &c.flush.events_flush_bytes; },
     .description = "A namespace's events become Parquet files when so many bytes of them wait …",
     .unit = "bytes", .min = 64 * 1024, .max = 4 * kGiB},
    {.name = "flush.events_flush_ms",
     .field = [](Config& c) -> FieldRef { return &c.flush.events_flush_ms; },
     .description = "… or the oldest of them has waited so long.",
     .unit = "ms", .min = 10, .max = kDayMs},
    {.name = "flush.raw_events_batch_size",
     .field = [](Config& c) -> FieldRef { return &c.flush.raw_events_batch_size; },
     .description = "Tail items become a raw file when so many of them wait …",
     .unit = "items", .min = 1, .max = 1'000'000, .alias = "VARVE_RAW_EVENTS_BATCH_SIZE"},
    {.name = "flush.flush_interval_ms",
     .field = [](Config& c) -> FieldRef { return &c.flush.flush_interval_ms; },
     .description = "… or the oldest of them has waited so long.",
     .unit = "ms", .min = 10, .max = kDayMs, .alias = "VARVE_FLUSH_INTERVAL_MS"},
    {.name = "flush.raw_events_prefix",
     .field = [](Config& c) -> FieldRef { return &c.flush.raw_events_prefix; },
     .description = "Folder of the raw files.", .alias = "VARVE_RAW_EVENTS_PREFIX"},

    {.name = "store.kind", .field = Store,
     .description = "Where objects lie: `local` is the data directory.", .choices = "local"},
    {.name = "store.bucket", .field = [](Config& c) -> FieldRef { return &c.store.bucket; },
     .description = "Bucket name that notifications carry."},
    {.name = "store.account", .field = [](Config& c) -> FieldRef { return &c.store.account; },
     .description = "Account id that notifications carry."},

    {.name = "notify.reconcile_interval_ms",
     .field = [](Config& c) -> FieldRef { return &c.notify.reconcile_interval_ms; },
     .description = "How often the store is listed for objects that were never announced: left by a "
                    "crash, or put there by other programs.",
     .unit = "ms", .min = 100, .max = kDayMs},
    {.name = "notify.settle_ms",
     .field = [](Config& c) -> FieldRef { return &c.notify.settle_ms; },
     .description = "A file that another program put there is taken once it is unchanged so long.",
     .unit = "ms", .min = 0, .max = kDayMs},
    {.name = "notify.rules", .field = [](Config& c) -> FieldRef { return &c.notify.rules; },
     .description = "Who hears of new objects, as `[[notify.rules]]` tables: `prefix`, `suffix`, "
                    "`actions`, `queue`. Without any: raw files (`.ndjson` under "
                    "`flush.raw_events_prefix`, in every namespace) go to "
                    "`notify.raw_events_queue`."},
    {.name = "notify.raw_events_queue",
     .field = [](Config& c) -> FieldRef { return &c.notify.raw_events_queue; },
     .description = "Queue that the compaction consumers read."},
    {.name = "notify.downstream_queue",
     .field = [](Config& c) -> FieldRef { return &c.notify.downstream_queue; },
     .description = "Queue that gets one `parquet-written` message a compacted file; empty: none."},

    {.name = "queue.max_batch_size",
     .field = [](Config& c) -> FieldRef { return &c.queue.max_batch_size; },
     .description = "Messages in one delivery.", .unit = "messages", .min = 1, .max = 100},
    {.name = "queue.max_batch_timeout_ms",
     .field = [](Config& c) -> FieldRef { return &c.queue.max_batch_timeout_ms; },
     .description = "How long a delivery waits to become full.",
     .unit = "ms", .min = 0, .max = 600'000},
    {.name = "queue.max_retries", .field = [](Config& c) -> FieldRef { return &c.queue.max_retries; },
     .description = "Deliveries after the first before a message goes to the dead letters.",
     .unit = "retries", .min = 0, .max = 100, .alias = "VARVE_MAX_RETRIES"},
    {.name = "queue.retry_base_ms",
     .field = [](Config& c) -> FieldRef { return &c.queue.retry_base_ms; },
     .description = "Backoff of the first retry; it doubles each time, ±25 %.",
     .unit = "ms", .min = 1, .max = 3'600'000},
    {.name = "queue.retry_delay_max_ms",
     .field = [](Config& c) -> FieldRef { return &c.queue.retry_delay_max_ms; },
     .description = "The longest backoff.", .unit = "ms", .min = 1, .max = 43'200'000},
    {.name = "queue.lease_ms", .field = [](Config& c) -> FieldRef { return &c.queue.lease_ms; },
     .description = "A delivered message that is not settled for so long is delivered again.",
     .unit = "ms", .min = 100, .max = 43'200'000},
    {.name = "queue.messages_max",
     .field = [](Config& c) -> FieldRef { return &c.queue.messages_max; },
     .description = "Backlog of one queue; sends beyond it are refused.",
     .unit = "messages", .min = 1, .max = 1'000'000'000},
    {.name = "queue.dead_letter_queue",
     .field = [](Config& c) -> FieldRef { return &c.queue.dead_letter_queue; },
     .description = "Where exhausted messages go; empty: they are deleted and counted."},

    {.name = "compact.parquet_prefix",
     .field = [](Config& c) -> FieldRef { return &c.compact.parquet_prefix; },
     .description = "Folder of the compacted log files.", .alias = "VARVE_PARQUET_PREFIX"},
    {.name = "compact.flush_threshold",
     .field = [](Config& c) -> FieldRef { return &c.compact.flush_threshold; },
     .description = "Log rows that a consumer gathers before it writes a file.",
     .unit = "rows", .min = 1, .max = 10'000'000, .alias = "VARVE_FLUSH_THRESHOLD"},
    {.name = "compact.compression", .field = Codec,
     .description = "Codec of the compacted log files.",
     .choices = "none snappy gzip lz4 zstd", .alias = "VARVE_COMPRESSION"},
    {.name = "compact.consumers",
     .field = [](Config& c) -> FieldRef { return &c.compact.consumers; },
     .description = "Consumers in this process; 0: none.", .unit = "consumers", .min = 0, .max = 64},

    {.name = "query.memory_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.query.memory_bytes_max; },
     .description = "Memory of one query.", .unit = "bytes", .min = 16 * kMiB, .max = 1024 * kGiB},
    {.name = "query.threads", .field = [](Config& c) -> FieldRef { return &c.query.threads; },
     .description = "Threads of one query.", .unit = "threads", .min = 1, .max = 256},
    {.name = "query.queries_max", .field = [](Config& c) -> FieldRef { return &c.query.queries_max; },
     .description = "Queries at once; more wait.", .unit = "queries", .min = 1, .max = 1024},
    {.name = "query.queue_wait_ms",
     .field = [](Config& c) -> FieldRef { return &c.query.queue_wait_ms; },
     .description = "How long a query may wait for its turn before it gets 429.",
     .unit = "ms", .min = 0, .max = 600'000},
    {.name = "query.query_ms_max", .field = [](Config& c) -> FieldRef { return &c.query.query_ms_max; },
     .description = "A query that runs longer is cancelled.", .unit = "ms", .min = 10, .max = kDayMs},
    {.name = "query.sql_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.query.sql_bytes_max; },
     .description = "Length of a statement.", .unit = "bytes", .min = 64, .max = 16 * kMiB},
    {.name = "query.result_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.query.result_bytes_max; },
     .description = "Length of one answer.", .unit = "bytes", .min = 1024, .max = 1024 * kGiB},
    {.name = "query.cursors_max", .field = [](Config& c) -> FieldRef { return &c.query.cursors_max; },
     .description = "Results open for paging at once.", .unit = "cursors", .min = 1, .max = 4096},
    {.name = "query.cursor_idle_ms",
     .field = [](Config& c) -> FieldRef { return &c.query.cursor_idle_ms; },
     .description = "A cursor that is not asked for so long is closed.",
     .unit = "ms", .min = 100, .max = kDayMs},
    {.name = "query.temp_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.query.temp_bytes_max; },
     .description = "Disk that queries may spill to, under `.varve/tmp`.",
     .unit = "bytes", .min = 0, .max = 1024 * kGiB},

    {.name = "log.level", .field = Level, .description = "The least that is logged.",
     .choices = "debug info warn error"},
};
// clang-format on

}  // namespace

std::span<const ConfigKey> ConfigKeys() { return kKeys; }

const ConfigKey* FindConfigKey(std::string_view name) {
  for (const ConfigKey& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

}  // namespace varve::app
