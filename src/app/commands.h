// The command line: one file a command, each of which adds itself to the CLI and says what to run.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "app/config_load.h"
#include "core/result.h"

namespace CLI {
class App;
}

namespace varve::app {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

int RunCommandLine(int argc, char** argv);

// What the chosen command runs once the whole line has been read. Set by its CLI callback.
struct Chosen {
  std::function<int()> run;
};

void AddServe(CLI::App& root, Chosen& chosen);
void AddIngest(CLI::App& root, Chosen& chosen);
void AddQuery(CLI::App& root, Chosen& chosen);
void AddTail(CLI::App& root, Chosen& chosen);
void AddQueue(CLI::App& root, Chosen& chosen);
void AddStore(CLI::App& root, Chosen& chosen);
void AddCompaction(CLI::App& root, Chosen& chosen);
void AddTable(CLI::App& root, Chosen& chosen);
void AddCompact(CLI::App& root, Chosen& chosen);
void AddView(CLI::App& root, Chosen& chosen);
void AddWorkflow(CLI::App& root, Chosen& chosen);
void AddConfig(CLI::App& root, Chosen& chosen);
void AddConvert(CLI::App& root, Chosen& chosen);
void AddMigrate(CLI::App& root, Chosen& chosen);
void AddMerge(CLI::App& root, Chosen& chosen);
void AddDoctor(CLI::App& root, Chosen& chosen);
void AddDebug(CLI::App& root, Chosen& chosen);
void AddSqlWorker(CLI::App& root, Chosen& chosen);

// The file given, or VARVE_CONFIG's, or none; then the environment; then the flags.
Result<LoadedConfig> LoadForCommand(const std::string& config_file,
                                    std::vector<std::pair<std::string, std::string>> flags);

// "varve: <message>" on standard error; returns kExitFailure, or kExitUsage for bad configuration.
int Fail(const Error& error);
int Fail(const std::string& message);

// Whether Ctrl-C (or SIGTERM) was pressed. The second one ends the process at once.
void InstallInterruptHandler();
bool Interrupted();

}  // namespace varve::app
