#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "app/commands.h"
#include "app/doctor.h"
#include "app/http_client.h"
#include "app/output.h"
#include "app/queue_access.h"
#include "app/target.h"
#include "core/clock.h"

namespace varve::app {
namespace {

struct DoctorFlags {
  std::string data, config;
  bool fast = false;
  bool set_journal_aside = false;
};

void CheckServer(const ServeInfo& server, Findings* findings) {
  HttpClient client;
  HttpRequest request{
      .url = server.url + "/ready", .headers = CommonHeaders(), .timeout_ms = 5'000};
  Result<HttpResponse> ready = client.Send(request);
  std::string what = fmt::format("server: process {} answers at {}", server.pid, server.url);
  if (ready.ok() && ready->status == 200) {
    findings->push_back({Finding::Level::kGood, what, {}});
  } else {
    findings->push_back({Finding::Level::kError,
                         ready.ok() ? ready->ToError(server.url).message : ready.error().message,
                         fmt::format("look at the log of process {}", server.pid)});
  }
  findings->push_back({Finding::Level::kNote,
                       "journal and state database: not looked at while the "
                       "server has them",
                       "stop the server and run doctor again"});
}

void CheckQueues(const DoctorFlags& options, Findings* findings) {
  TargetOptions target;
  target.data = options.data;
  target.config = options.config;
  auto access = OpenQueueAccess(target);
  auto queues =
      access.ok() ? (*access)->List() : Result<std::vector<queue::QueueStats>>(access.error());
  if (!queues.ok()) {
    findings->push_back({Finding::Level::kWarning, "queues: " + queues.error().message, {}});
    return;
  }
  for (const queue::QueueStats& q : *queues) {
    bool dead = false;
    for (const queue::QueueStats& other : *queues) dead = dead || other.dead_letter_queue == q.name;
    if (dead && q.backlog > 0) NoteDeadLetters(q.name, q.backlog, findings);
  }
}

std::string Text(const Finding& finding) {
  constexpr const char* kMarks[] = {"ok     ", "note   ", "WARNING", "ERROR  "};
  std::string out = fmt::format("{} {}\n", kMarks[static_cast<int>(finding.level)], finding.what);
  if (!finding.way_out.empty()) out += fmt::format("        → {}\n", finding.way_out);
  return out;
}

int SetJournalAside(const DataDirPaths& paths) {
  std::string aside = fmt::format("{}.damaged-{}", paths.journal, SystemClock().NowMs());
  std::error_code failed;
  std::filesystem::rename(paths.journal, aside, failed);
  if (failed) return Fail(ErrnoError(failed.value(), "rename " + paths.journal));
  return WriteStdout(fmt::format("the journal is now {}; the next start makes a new one\n", aside));
}

int Run(DoctorFlags options) {
  InstallInterruptHandler();
  std::vector<std::pair<std::string, std::string>> flags;
  if (!options.data.empty()) flags.emplace_back("data_dir", options.data);
  Result<LoadedConfig> loaded = LoadForCommand(options.config, std::move(flags));
  if (!loaded.ok()) return Fail(loaded.error());
  const Config& config = loaded->config;
  options.data = config.data_dir;
  DataDirPaths paths(config.data_dir);
  std::error_code failed;
  if (!std::filesystem::is_directory(paths.own, failed)) {
    return Fail(paths.root + " is not a varve data directory; give --data DIR");
  }
  Findings findings;
  CheckPermissions(paths, &findings);
  CheckSpace(paths, config, &findings);
  CheckTempFiles(paths, SystemClock().NowMs(), &findings);
  if (!options.set_journal_aside) {
    CheckObjects(paths, options.fast, &findings);
    CheckTables(paths, config, options.fast, &findings);
  }
  Result<std::optional<ServeInfo>> server = RunningServer(paths);
  if (server.ok() && *server) {
    CheckServer(**server, &findings);
    CheckQueues(options, &findings);
  } else {
    Result<DataDirLock> lock = DataDirLock::Take(paths, DataDirLock::Mode::kExclusive);
    if (!lock.ok()) return Fail(lock.error());
    if (options.set_journal_aside) return SetJournalAside(paths);
    CheckJournal(paths, &findings);
    CheckState(paths, config, &findings);
  }
  std::string text;
  bool error = false;
  for (const Finding& finding : findings) {
    text += Text(finding);
    error = error || finding.level == Finding::Level::kError;
  }
  int written = WriteStdout(text);
  return error ? kExitFailure : written;
}

}  // namespace

void AddDoctor(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("doctor", "Look for what is wrong with a data directory");
  auto options = std::make_shared<DoctorFlags>();
  command->add_option("--data", options->data, "Data directory (default: the configuration's)");
  command->add_option("--config", options->config, "TOML file (or VARVE_CONFIG)");
  command->add_flag("--fast", options->fast, "Of Parquet files the footers only, not every page");
  command->add_flag("--set-journal-aside", options->set_journal_aside,
                    "Rename a damaged journal, so that the server starts without it");
  command->footer(
      R"(Looks at rights, space, every page of every Parquet file, the tables' metadata and whether
their files are there, left-over temporary files and, where no server runs, the journal, the state
database, dead letters and files that were not announced. It changes nothing. The exit code is 1 if
there is an error.

Example:
  varve doctor --data ./varve-data)");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app
