#include "app/config_keys.h"

namespace varve::app {
namespace {

const ConfigKey kViewKeys[] = {
    {.name = "view.enabled",
     .field = [](Config& c) -> FieldRef { return &c.view.enabled; },
     .description = "Whether materialised views are kept."},
    {.name = "view.debounce_ms",
     .field = [](Config& c) -> FieldRef { return &c.view.periods.debounce_ms; },
     .description =
         "A streaming view is refreshed when its tables were quiet for so long; of views "
         "that do not say their own.",
     .range = {0, kDayMs, "ms"}},
    {.name = "view.max_wait_ms",
     .field = [](Config& c) -> FieldRef { return &c.view.periods.max_wait_ms; },
     .description = "… or so long after the first change, quiet or not.",
     .range = {0, kDayMs, "ms"}},
    {.name = "view.rows_max",
     .field = [](Config& c) -> FieldRef { return &c.view.rows_max; },
     .description = "Rows of a view; more are an error of its refresh.",
     .range = {1, 1'000'000'000'000, "rows"}},
    {.name = "view.bytes_max",
     .field = [](Config& c) -> FieldRef { return &c.view.bytes_max; },
     .description = "Bytes of its file; also `query.result_bytes_max` holds.",
     .range = {kMiB, 1024 * kGiB, "bytes"}},
    {.name = "view.incremental_files",
     .field = [](Config& c) -> FieldRef { return &c.view.refresh.incremental_files; },
     .description = "Up to so many new files are added to an incremental view; for more the whole "
                    "statement runs.",
     .range = {0, 10'000, "files"}},
    {.name = "view.account_files_max",
     .field = [](Config& c) -> FieldRef { return &c.view.refresh.account_files_max; },
     .description =
         "Files that are remembered of an incremental view; with more it is refreshed in "
         "full.",
     .range = {1, 10'000'000, "files"}},
    {.name = "view.keep_ms",
     .field = [](Config& c) -> FieldRef { return &c.view.refresh.keep_ms; },
     .description = "How long a replaced output is kept for queries that read it: not below "
                    "`query.query_ms_max`.",
     .range = {0, kDayMs, "ms"}},
    {.name = "view.generations_max",
     .field = [](Config& c) -> FieldRef { return &c.view.refresh.generations_max; },
     .description = "Outputs of a view that are kept so; with more a refresh waits.",
     .range = {1, 10'000, "outputs"}},
    {.name = "view.views_max",
     .field = [](Config& c) -> FieldRef { return &c.view.store.views_max; },
     .description = "Views of all tenants.",
     .range = {1, 100'000, "views"}},
    {.name = "view.changes_max",
     .field = [](Config& c) -> FieldRef { return &c.view.store.changes_max; },
     .description = "Changed files that are remembered and shown of a view; more make it due too.",
     .range = {1, 100'000, "files"}},
    {.name = "view.retry_ms",
     .field = [](Config& c) -> FieldRef { return &c.view.store.retry_ms; },
     .description = "Pause after a refresh that has failed; doubles with each one in a row.",
     .range = {1, kDayMs, "ms"}},
    {.name = "view.retry_ms_max",
     .field = [](Config& c) -> FieldRef { return &c.view.store.retry_ms_max; },
     .description = "Longest of these pauses.",
     .range = {1, 31 * kDayMs, "ms"}},
    {.name = "view.queue",
     .field = [](Config& c) -> FieldRef { return &c.view.queue; },
     .description =
         "Queue of announcements of writers' files for views; also other stores may send "
         "theirs."},
};

}  // namespace

std::span<const ConfigKey> ViewKeys() { return kViewKeys; }

}  // namespace varve::app
