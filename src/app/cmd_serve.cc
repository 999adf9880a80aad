#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/serve.h"

namespace varve::app {
namespace {

struct ServeFlags {
  std::string config, data, listen, level;
};

int Run(const ServeFlags& options) {
  std::vector<std::pair<std::string, std::string>> flags;
  if (!options.data.empty()) flags.emplace_back("data_dir", options.data);
  if (!options.listen.empty()) flags.emplace_back("server.listen", options.listen);
  if (!options.level.empty()) flags.emplace_back("log.level", options.level);
  Result<LoadedConfig> loaded = LoadForCommand(options.config, std::move(flags));
  if (!loaded.ok()) return Fail(loaded.error());
  SetLogLevel(loaded->config.log.level);
  return RunServe(loaded->config);
}

}  // namespace

void AddServe(CLI::App& root, Chosen& chosen) {
  CLI::App* command =
      root.add_subcommand("serve", "Run the server: ingest, flush, compact, answer");
  auto options = std::make_shared<ServeFlags>();
  command->add_option("--config", options->config, "TOML file (or VARVE_CONFIG)");
  command->add_option("--data", options->data, "Data directory; made if it is not there");
  command->add_option("--listen", options->listen, "HOST:PORT; port 0 takes a free one");
  command->add_option("--log-level", options->level, "debug, info, warn or error");
  command->footer(
      R"(SIGTERM or Ctrl-C stops it: open requests end, what waits is flushed. A second one
ends it at once.

Examples:
  varve serve --data ./varve-data --listen 127.0.0.1:8080
  varve serve --config /etc/varve/varve.toml
  VARVE_COMPACT_COMPRESSION=zstd varve serve --data ./varve-data)");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app
