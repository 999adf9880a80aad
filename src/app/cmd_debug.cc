// What only tests ask, and what the server runs itself.
#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "core/crash_point.h"
#include "query/sql_worker.h"

namespace varve::app {

void AddDebug(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("debug", "For tests");
  command->group("");  // not in the help
  command->require_subcommand(1);
  CLI::App* points = command->add_subcommand("crash-points", "Names for VARVE_CRASH=name:hit");
  points->callback([&chosen] {
    chosen.run = [] {
      std::string out;
      for (std::string_view name : CrashPoint::Names()) out += std::string(name) + "\n";
      return WriteStdout(out);
    };
  });
}

void AddSqlWorker(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("sql-worker", "Runs statements for a server");
  command->group("");  // not in the help
  command->callback([&chosen] { chosen.run = query::RunSqlWorker; });
}

}  // namespace varve::app
