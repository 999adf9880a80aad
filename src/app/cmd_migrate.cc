// Whole namespaces of writers' files into tables, by a running server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/commands.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/server_calls.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLookEvery = std::chrono::milliseconds(500);

struct MigrateFlags {
  TargetOptions target;
  std::vector<std::string> namespaces;
  std::string to = "iceberg";
  bool keep = false, status = false, cancel = false, history = false, detach = false, json = false;
};

Result<Json> CallMigrate(const MigrateFlags& options, const char* method, const std::string& path,
                         const std::string& body = {}) {
  ServerCalls server = TRY(ServerCalls::Find(
      options.target,
      "no server has the data directory: a migration is a server's work; start `varve serve`, or "
      "compact a directory with `varve compact`"));
  return server.Object(method, path, body);
}

std::string JobText(const Json& job) {
  std::string out = fmt::format("{} {} to {}: {} rows\n", job.value("id", ""),
                                job.value("status", ""), job.value("to", ""),
                                HumanCount(job["progress"].value("entitiesMigrated", uint64_t{0})));
  for (const Json& one : job.value("namespaces", Json::array())) {
    out += fmt::format("  {:<10} {}  {} files, {}, {} rows\n", one.value("status", ""),
                       one.value("namespace", ""), HumanCount(one.value("files", uint64_t{0})),
                       HumanBytes(one.value("bytes", uint64_t{0})),
                       HumanCount(one.value("rows", uint64_t{0})));
    if (one.contains("waitsFor")) {
      out += fmt::format("             waits for the lease {}\n", one.value("waitsFor", ""));
    }
  }
  for (const Json& error : job["progress"].value("errors", Json::array())) {
    out += fmt::format("  error: {}\n", error.get<std::string>());
  }
  return out;
}

// Until it has ended; an interrupt ends the looking, not the migration.
Result<Json> Follow(const MigrateFlags& options) {
  ProgressLine progress(!options.json);
  while (true) {
    Json now = TRY(CallMigrate(options, "GET", "/migrate/status"));
    if (!now.contains("job")) {
      return MakeError(ErrorKind::kNotFound, "NO_MIGRATION", "there is no migration");
    }
    const std::string status = now["job"].value("status", "");
    if (status == "completed" || status == "failed" || Interrupted()) return now["job"];
    const Json& summary = now["summary"];
    progress.Show("migrating", summary.value("completed", uint64_t{0}),
                  summary.value("total", uint64_t{0}),
                  summary.value("entitiesMigrated", uint64_t{0}), "rows");
    std::this_thread::sleep_for(kLookEvery);
  }
}

Result<Json> Act(const MigrateFlags& options) {
  if (options.status) return CallMigrate(options, "GET", "/migrate/status");
  if (options.history) return CallMigrate(options, "GET", "/migrate/jobs");
  if (options.cancel) return CallMigrate(options, "POST", "/migrate/cancel");
  Json body = {{"to", options.to}, {"namespaces", options.namespaces}};
  if (options.keep) body["deleteSource"] = false;
  Json started = TRY(CallMigrate(options, "POST", "/migrate", body.dump()));
  if (options.detach) return started;
  Json out;
  out["job"] = TRY(Follow(options));
  return out;
}

int Run(const MigrateFlags& options) {
  InstallInterruptHandler();
  const Result<Json> done = Act(options);
  if (!done.ok()) return Fail(done.error());
  std::string text;
  if (options.json) {
    text = done->dump() + "\n";
  } else if (done->contains("job")) {
    text = JobText((*done)["job"]);
  } else if (done->contains("history")) {
    if (!(*done)["current"].is_null()) text += JobText((*done)["current"]);
    for (const Json& job : (*done)["history"]) text += JobText(job);
    if (text.empty()) text = "no migrations\n";
  } else {
    text = done->value("message", "") + "\n";
  }
  const int written = WriteStdout(text);
  if (written != kExitOk || !done->contains("job")) return written;
  const Json& job = (*done)["job"];
  const bool failed = job.value("status", "") == "failed" || !job["progress"]["errors"].empty();
  return failed && !options.status && !options.cancel ? kExitFailure : kExitOk;
}

}  // namespace

void AddMigrate(CLI::App& root, Chosen& chosen) {
  CLI::App* command =
      root.add_subcommand("migrate", "Bring namespaces of writers' files into tables");
  auto options = std::make_shared<MigrateFlags>();
  AddTargetOptions(*command, &options->target);
  command->add_option("namespaces", options->namespaces, "Of data/NAMESPACE (default: all)");
  command->add_option("--to", options->to, "iceberg (default), delta, iceberg+delta")
      ->check(CLI::IsMember({"iceberg", "delta", "iceberg+delta"}));
  command->add_flag("--keep-sources", options->keep,
                    "Do not delete the writers' files of these namespaces, now or later");
  CLI::Option* status = command->add_flag("--status", options->status, "How the last one stands");
  CLI::Option* cancel = command->add_flag("--cancel", options->cancel, "Begin no further namespace")
                            ->excludes(status);
  command->add_flag("--history", options->history, "The last ones")->excludes(status, cancel);
  command->add_flag("--detach", options->detach, "Do not wait for its end");
  command->add_flag("--json", options->json, "As JSON");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
  command->footer(
      R"(Readers of SQL see every row once before, during and after. It goes on after a crash or a
restart; an interrupt only ends the waiting. From its turn on, a namespace stays on its new target.

Examples:
  varve migrate users orders --to iceberg
  varve migrate --to iceberg+delta --detach
  varve migrate --status)");
}

}  // namespace varve::app
