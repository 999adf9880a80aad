// The whole line is read first, then the chosen command runs: exit codes are 0 (done), 1 (failed)
// and 2 (the line or the configuration is wrong, nothing was tried).
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <exception>

#include "app/commands.h"
#include "app/output.h"
#include "core/crash_point.h"
#include "core/version.h"

namespace varve::app {
namespace {

constexpr rlim_t kOpenFilesWanted = 65'536;

constexpr const char* kFooter = R"(Examples:
  varve serve --data ./varve-data --listen 127.0.0.1:8080
  varve ingest events.ndjson
  varve query --data ./varve-data 'SELECT type, count(*) FROM events GROUP BY 1'

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.)";

// More than the usual 1,024, which is there for select(): nothing here calls it.
void AllowOpenFiles() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kOpenFilesWanted));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// VARVE_CRASH=point:hit, before any thread starts.
bool ArmCrashPoint() {
  std::map<std::string, std::string> environment = ProcessEnvironment();
  auto armed = environment.find("VARVE_CRASH");
  if (armed == environment.end() || armed->second.empty()) return true;
  if (CrashPoint::Arm(armed->second)) return true;
  WriteStderr(fmt::format(
      "varve: VARVE_CRASH={}: no such crash point; `varve debug crash-points`\n", armed->second));
  return false;
}

// A subcommand's help has those of its command's examples that call it, with the lines that they go
// on in.
std::string ExamplesOf(const std::string& examples, const std::string& call) {
  std::string out;
  bool goes_on = false;
  for (size_t begin = 0; begin < examples.size();) {
    const size_t end = std::min(examples.find('\n', begin), examples.size());
    const std::string_view line = std::string_view(examples).substr(begin, end - begin);
    begin = end + 1;
    const bool calls = (std::string(line) + " ").find(call + " ") != std::string::npos;
    if (calls || goes_on) out += fmt::format("\n{}", line);
    goes_on = (calls || goes_on) && line.ends_with('\\');
  }
  return out.empty() ? out : "Examples:" + out;
}

void ShareExamples(CLI::App& root) {
  const auto all = [](CLI::App*) { return true; };
  for (CLI::App* command : root.get_subcommands(all)) {
    for (CLI::App* sub : command->get_subcommands(all)) {
      const std::string call = "varve " + command->get_name() + " " + sub->get_name();
      sub->footer(ExamplesOf(command->get_footer(), call));
    }
  }
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  ReserveStandardStreams();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error of the write
  AllowOpenFiles();
  if (!ArmCrashPoint()) return kExitUsage;
  CLI::App root("varve: events in over HTTP, durable when acknowledged, answered by SQL");
  root.name("varve");
  root.set_version_flag("--version", "varve " + std::string(Version()));
  root.require_subcommand(1);
  root.footer(kFooter);
  Chosen chosen;
  for (auto* add : {AddServe, AddIngest, AddQuery, AddTail, AddQueue, AddStore, AddTable,
                    AddMigrate, AddCompaction, AddCompact, AddView, AddWorkflow, AddConfig,
                    AddConvert, AddMerge, AddDoctor, AddDebug, AddSqlWorker}) {
    add(root, chosen);
  }
  ShareExamples(root);
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return root.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  SetLogLevel(LogLevel::kWarn);  // of the parts that a command uses; serve has its own
  try {
    return chosen.run ? chosen.run() : kExitUsage;
  } catch (const std::bad_alloc&) {
    return Fail("out of memory");
  } catch (const std::exception& error) {
    return Fail(std::string("internal error: ") + error.what());
  }
}

}  // namespace varve::app
