// Tables of a data directory: looks at them, registers files, cleans up. Commits are by
// compare-and-swap, so a running server is no hindrance.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/table_access.h"

namespace varve::app {
namespace {

using Action = Result<std::string> (*)(const TableOptions&, TableAccess&);

int Run(const TableOptions& options, bool writes, Action action) {
  Result<std::unique_ptr<TableAccess>> access = TableAccess::Open(options, writes);
  if (!access.ok()) return Fail(access.error());
  Result<std::string> text = action(options, **access);
  if (!text.ok()) {
    Fail(text.error());
    if (text.error().code == "FILE_ALREADY_LIVE") {
      WriteStderr("varve: the table has it, whoever registered it: it need not be named again\n");
    }
    return kExitFailure;
  }
  return WriteStdout(*text);
}

constexpr const char* kFooter =
    R"(A table is catalog/NAME/ of the data directory: Iceberg metadata, Delta's log, data files. A Delta
table's files lie there too; an Iceberg table's may lie anywhere in the data directory.
Expiring, vacuum and orphans say what they would delete, and delete it with --yes.

Examples, in this order (SNAPSHOT: an id that history shows, or a time):
  varve table register trips --prefix catalog/trips/ --format iceberg --sort ts
  varve table publish trips --to delta
  varve table ls
  varve table show trips
  varve table history trips
  varve table files trips --as-of SNAPSHOT --json
  varve table diff trips --from SNAPSHOT
  varve table rewrite-manifests trips
  varve table expire trips --older-than 7d --keep-last 3 --yes
  varve table vacuum trips --older-than 7d --yes
  varve table orphans trips --older-than 3d --yes)";

}  // namespace

void AddTable(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("table", "Iceberg and Delta tables of a data directory");
  command->require_subcommand(1);
  auto options = std::make_shared<TableOptions>();
  auto add = [&](const char* name, const char* what, bool writes, Action action) {
    CLI::App* sub = command->add_subcommand(name, what);
    sub->add_option("--data", options->data, "Data directory (default: the configuration's)");
    sub->add_option("--config", options->config, "TOML file (or VARVE_CONFIG)");
    sub->add_flag("--json", options->json, "JSON");
    sub->callback([&chosen, options, writes, action] {
      chosen.run = [options, writes, action] { return Run(*options, writes, action); };
    });
    return sub;
  };
  auto add_named = [&](const char* name, const char* what, bool writes, Action action) {
    CLI::App* sub = add(name, what, writes, action);
    sub->add_option("table", options->name, "Table")->required();
    return sub;
  };
  auto add_cleaner = [&](const char* name, const char* what, Action action) {
    CLI::App* sub = add_named(name, what, true, action);
    sub->add_option("--older-than", options->older_than, "An age: 7d, 12h, 30m, 0s");
    sub->add_flag("--yes", options->yes, "Delete; without it only say what would be");
    return sub;
  };
  add("ls", "List the tables", false, ListTables);
  add_named("show", "A table's schema, partitioning, snapshot and size", false, ShowTable);
  add_named("history", "A table's snapshots", false, TableHistory);
  CLI::App* files = add_named("files", "The files of a snapshot", false, TableFiles);
  files->add_option("--as-of", options->as_of, "A snapshot id or a time (ISO 8601)");
  CLI::App* diff = add_named("diff", "What changed between two snapshots", false, TableChanges);
  diff->add_option("--from", options->from, "A snapshot id or a time")->required();
  diff->add_option("--to", options->to, "A snapshot id or a time (default: the current one)");
  CLI::App* reg = add_named("register", "Make a table of Parquet files, or add them to one", true,
                            RegisterTableFiles);
  reg->add_option("files", options->files, "Keys of Parquet files in the data directory");
  reg->add_option("--prefix", options->prefix, "Every .parquet below it");
  reg->add_option("--format", options->format, "iceberg, delta or iceberg+delta (a new table)");
  reg->add_option("--partition", options->partitioning, "hour(ts), day(ts), a column, with commas");
  reg->add_option("--sort", options->sorting, "Columns of the sort order: ts,id desc");
  reg->add_flag("--accept-problems", options->accept_problems,
                "Take columns that some readers get wrong");
  CLI::App* publish =
      add_named("publish", "Give a table another format over the same files", true, PublishTableAs);
  publish->add_option("--to", options->to, "iceberg, delta or iceberg+delta")->required();
  publish->add_flag("--accept-problems", options->accept_problems,
                    "Take columns that some readers get wrong");
  CLI::App* expire =
      add_cleaner("expire", "Expire Iceberg snapshots and delete what only they had", ExpireTable);
  expire->add_option("--keep-last", options->keep_last, "Snapshots that stay, however old");
  add_cleaner("vacuum", "Delete files that a Delta table removed long ago", VacuumTable);
  add_cleaner("orphans", "Delete files under a table that nothing refers to", RemoveTableOrphans);
  add_named("rewrite-manifests", "Merge an Iceberg table's small manifests", true,
            RewriteTableManifests);
  command->footer(kFooter);
}

}  // namespace varve::app
