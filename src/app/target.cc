#include "app/target.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "app/commands.h"
#include "app/http_client.h"

namespace varve::app {
namespace {

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string GivenUrl(const TargetOptions& options) {
  if (!options.url.empty()) return WithoutSlash(options.url);
  std::map<std::string, std::string> environment = ProcessEnvironment();
  auto found = environment.find("VARVE_URL");
  return found == environment.end() ? "" : WithoutSlash(found->second);
}

}  // namespace

void AddUrlOptions(CLI::App& command, TargetOptions* options) {
  command.add_option(
      "--url", options->url,
      fmt::format("The server (or VARVE_URL; default {}); its key in VARVE_API_KEY", kDefaultUrl));
  command.add_option("--namespace,--ns", options->ns, "Tenant (default: the key's own)");
}

void AddTargetOptions(CLI::App& command, TargetOptions* options) {
  CLI::Option* url = command.add_option("--url", options->url,
                                        "A server (or VARVE_URL); its key in VARVE_API_KEY");
  command
      .add_option("--data", options->data,
                  "A data directory: through the server that has it, or opened here")
      ->excludes(url);
  command.add_option("--config", options->config, "TOML file (or VARVE_CONFIG)");
  command.add_option("--namespace,--ns", options->ns, "Tenant (default: default)");
}

Result<Target> ResolveTarget(const TargetOptions& options) {
  Target target;
  if (options.data.empty()) target.url = GivenUrl(options);
  if (!target.url.empty()) return target;
  std::vector<std::pair<std::string, std::string>> flags;
  if (!options.data.empty()) flags.emplace_back("data_dir", options.data);
  target.config = TRY(LoadForCommand(options.config, std::move(flags))).config;
  DataDirPaths paths(target.config.data_dir);
  std::error_code failed;
  if (!std::filesystem::is_directory(paths.own, failed)) {
    if (options.data.empty() && options.config.empty()) {
      target.url = kDefaultUrl;
      return target;
    }
    return MakeError(ErrorKind::kNotFound, "NO_DATA_DIR",
                     fmt::format("{} is not a varve data directory; give --data DIR, or --url of a "
                                 "server",
                                 paths.root));
  }
  std::optional<ServeInfo> server = TRY(RunningServer(paths));
  if (server) {
    target.url = WithoutSlash(server->url);
    return target;
  }
  target.lock.emplace(TRY(DataDirLock::Take(paths, DataDirLock::Mode::kShared)));
  return target;
}

std::string ServerUrl(const TargetOptions& options) {
  std::string url = GivenUrl(options);
  return url.empty() ? kDefaultUrl : url;
}

std::string NamespaceParam(const TargetOptions& options, char separator) {
  if (options.ns.empty()) return {};
  return separator + ("namespace=" + UrlEncode(options.ns));
}

}  // namespace varve::app
