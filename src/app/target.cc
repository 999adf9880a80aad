#include "app/target.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "app/commands.h"
#include "app/http_client.h"
#include "core/clock.h"

namespace varve::app {
namespace {

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

constexpr auto kAskEvery = std::chrono::milliseconds(50);
constexpr int64_t kFindNsMax = 5'000'000'000;
constexpr uint64_t kHealthMsMax = 2'000;

// Whether something answers there. A server that is only slow counts: its caller waits for it.
bool Answers(const std::string& url) {
  HttpClient client;
  return client
      .Send({.url = url + "/health", .headers = CommonHeaders(), .timeout_ms = kHealthMsMax})
      .ok();
}

// The server that has the directory, or the directory itself. A server that was killed leaves its
// address behind, and for a moment its lock: what is found is believed only once it answers.
Status FindServerOrLock(const DataDirPaths& paths, Target* target) {
  const int64_t deadline_ns = SystemClock().MonotonicNs() + kFindNsMax;
  for (;;) {
    Error last;
    Result<std::optional<ServeInfo>> server = RunningServer(paths);
    if (server.ok() && !server->has_value()) {
      Result<DataDirLock> lock = DataDirLock::Take(paths, DataDirLock::Mode::kShared);
      if (lock.ok()) {
        target->lock.emplace(std::move(lock).value());
        return {};
      }
      last = std::move(lock).error();
      if (last.code != "DATA_DIR_BUSY") return last;
    } else if (server.ok()) {
      target->url = WithoutSlash((*server)->url);
      if (Answers(target->url)) return {};
      last = MakeError(ErrorKind::kRetryable, "UNREACHABLE",
                       fmt::format("process {} has the data directory {} and does not answer at "
                                   "{}; look at its log, or stop it",
                                   (*server)->pid, paths.root, target->url));
      target->url.clear();
    } else {
      last = std::move(server).error();
      if (last.code != "SERVER_STARTING") return last;
    }
    if (Interrupted() || SystemClock().MonotonicNs() >= deadline_ns) return last;
    std::this_thread::sleep_for(kAskEvery);
  }
}

}  // namespace

std::string GivenUrl(const TargetOptions& options) {
  if (!options.url.empty()) return WithoutSlash(options.url);
  std::map<std::string, std::string> environment = ProcessEnvironment();
  auto found = environment.find("VARVE_URL");
  return found == environment.end() ? "" : WithoutSlash(found->second);
}

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
  TRY(FindServerOrLock(paths, &target));
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
