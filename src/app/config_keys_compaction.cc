#include "app/config_keys.h"

namespace varve::app {
namespace {

CompactionTarget& Target(Config& c) { return c.compaction.target_format; }
compact::PartitionBy& Partition(Config& c) { return c.compaction.partition_by; }

const ConfigKey kCompactionKeys[] = {
    {.name = "compaction.enabled",
     .field = [](Config& c) -> FieldRef { return &c.compaction.enabled; },
     .description =
         "Whether writers' files (`data/{namespace}/{time}-{writer}-{sequence}.parquet`) "
         "are gathered in windows and compacted."},
    {.name = "compaction.window_size_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.window_size_ms; },
     .description = "Length of a window; windows that have files keep the length they began with.",
     .range = {1'000, 31 * kDayMs, "ms"}},
    {.name = "compaction.min_files_to_compact",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.min_files; },
     .description = "A window with fewer files waits until `compaction.max_window_age_ms`.",
     .range = {1, 1'000'000, "files"}},
    {.name = "compaction.max_wait_time_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.max_wait_ms; },
     .description = "How long a window waits after its end for late files, and then for writers "
                    "that are missing. A namespace's priority sets its own: P0 1 min, P1 5, P2 15, "
                    "P3 60; its setting maxWaitTimeMs comes before that.",
     .range = {0, kDayMs, "ms"}},
    {.name = "compaction.writer_inactive_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.writer_inactive_ms; },
     .description = "A writer of which nothing has come for so long is not waited for.",
     .range = {0, 31 * kDayMs, "ms"}},
    {.name = "compaction.max_window_age_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.max_window_age_ms; },
     .description = "So long after its end a window is compacted whatever it has, and goes first.",
     .range = {0, 366 * kDayMs, "ms"}},
    {.name = "compaction.max_future_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.max_future_ms; },
     .description =
         "A file whose time lies further ahead comes of a wrong clock: its window counts "
         "from its arrival, and its writer is not waited for.",
     .range = {0, 366 * kDayMs, "ms"}},
    {.name = "compaction.target_format",
     .field = Choice<Target>,
     .description = "What windows become: `parquet` is plain files in folders by hour or day.",
     .choices = "parquet iceberg delta iceberg+delta"},
    {.name = "compaction.sort_by",
     .field = [](Config& c) -> FieldRef { return &c.compaction.sort_by; },
     .description = "Columns in order of weight, such as `ts, id desc`; empty: the first of ts, "
                    "timestamp, createdAt, created_at."},
    {.name = "compaction.partition_by",
     .field = Choice<Partition>,
     .description = "Folders by the first sort column, in UTC.",
     .choices = "none hour day"},
    {.name = "compaction.compression",
     .field = [](Config& c) -> FieldRef { return &c.compaction.compression; },
     .description = "Codec of compacted files: none, snappy, lz4, zstd, gzip, brotli; the last "
                    "three with a level: `zstd:9`."},
    {.name = "compaction.delete_sources",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.settings.delete_sources; },
     .description = "Whether writers' files go once their rows are in the target."},
    {.name = "compaction.grace_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.settings.grace_ms; },
     .description = "How long after that, for queries that read them: longer than any query.",
     .range = {0, 31 * kDayMs, "ms"}},
    {.name = "compaction.sources_max",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.sources_max; },
     .description = "Files of one workflow; more are the window's next round.",
     .range = {1, compact::kCompactionSourcesMax, "files"}},
    {.name = "compaction.bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.bytes_max; },
     .description = "Bytes of one workflow's files, but for a single larger one; more are the "
                    "window's next round.",
     .range = {kMiB, 1024 * kGiB, "bytes"}},
    {.name = "compaction.batch_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.settings.batch_bytes_max; },
     .description = "Bytes of files in one merge.",
     .range = {kMiB, 1024 * kGiB, "bytes"}},
    {.name = "compaction.file_bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.settings.file_bytes_max; },
     .description = "Size of a compacted file.",
     .range = {kMiB, 64 * kGiB, "bytes"}},
    {.name = "compaction.file_rows_max",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.settings.file_rows_max; },
     .description = "Rows of a compacted file.",
     .range = {1, 1'000'000'000, "rows"}},
    {.name = "compaction.concurrency_max",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.concurrency_max; },
     .description = "Workflows that have not committed yet; more windows wait.",
     .range = {1, 64, "workflows"}},
    {.name = "compaction.pressure_normal",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.pressure_normal; },
     .description = "So many ready windows that wait make P3 give way …",
     .range = {1, 1'000'000, "windows"}},
    {.name = "compaction.pressure_severe",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.pressure_severe; },
     .description = "… and so many all but P0. Where nothing runs, the first goes all the same.",
     .range = {1, 1'000'000, "windows"}},
    {.name = "compaction.keep_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.windows.keep_ms; },
     .description = "How long compacted files are remembered at least; those that are still there, "
                    "for as long as they are.",
     .range = {kDayMs / 24, 366 * kDayMs, "ms"}},
    {.name = "compaction.check_interval_ms",
     .field = [](Config& c) -> FieldRef { return &c.compaction.check_interval_ms; },
     .description = "How often windows are looked at.",
     .range = {10, kDayMs, "ms"}},
    {.name = "compaction.queue",
     .field = [](Config& c) -> FieldRef { return &c.compaction.queue; },
     .description = "Queue of announcements of writers' files; also other stores may send theirs."},
    {.name = "compaction.prefix",
     .field = [](Config& c) -> FieldRef { return &c.compaction.prefix; },
     .description = "Folder of writers' files, in the store and in every tenant's part of it."},
};

}  // namespace

std::span<const ConfigKey> CompactionKeys() { return kCompactionKeys; }

}  // namespace varve::app
