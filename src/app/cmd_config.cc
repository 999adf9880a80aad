#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/output.h"

namespace varve::app {
namespace {

int Check(const std::string& file) {
  Result<LoadedConfig> loaded = LoadForCommand(file, {});
  if (!loaded.ok()) return Fail(loaded.error());
  return WriteStdout(file.empty() ? "the configuration is good\n" : file + " is good\n");
}

int Show(const std::string& file) {
  Result<LoadedConfig> loaded = LoadForCommand(file, {});
  if (!loaded.ok()) return Fail(loaded.error());
  return WriteStdout(ConfigReport(*loaded));
}

}  // namespace

void AddConfig(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("config", "Check, show and document the configuration");
  command->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  CLI::App* check = command->add_subcommand("check", "Whether the configuration is good");
  check->add_option("file", *file, "TOML file (default: VARVE_CONFIG's, or none)");
  check->callback([&chosen, file] { chosen.run = [file] { return Check(*file); }; });
  CLI::App* show = command->add_subcommand("show", "What is in effect, and where it comes from");
  show->add_option("file,--config", *file, "TOML file (default: VARVE_CONFIG's, or none)");
  show->callback([&chosen, file] { chosen.run = [file] { return Show(*file); }; });
  CLI::App* docs = command->add_subcommand("docs", "Every key, as Markdown");
  docs->callback([&chosen] { chosen.run = [] { return WriteStdout(ConfigReference()); }; });
  command->footer(R"(Examples:
  varve config check varve.toml
  VARVE_SERVER_LISTEN=127.0.0.1:9000 varve config show
  varve config docs > docs/CONFIGURATION.md)");
}

}  // namespace varve::app
