// What every command uses.
#include <fmt/format.h>
#include <signal.h>

#include "app/commands.h"
#include "app/output.h"

namespace varve::app {
namespace {

volatile sig_atomic_t g_interrupted = 0;

void OnInterrupt(int signal_number) {
  g_interrupted = 1;
  signal(signal_number, SIG_DFL);
}

}  // namespace

void InstallInterruptHandler() {
  signal(SIGINT, OnInterrupt);
  signal(SIGTERM, OnInterrupt);
  signal(SIGHUP, OnInterrupt);
}

bool Interrupted() { return g_interrupted != 0; }

int Fail(const std::string& message) {
  WriteStderr(fmt::format("varve: {}\n", message));
  return kExitFailure;
}

int Fail(const Error& error) {
  Fail(error.message);
  return error.code == "INVALID_CONFIG" ? kExitUsage : kExitFailure;
}

Result<LoadedConfig> LoadForCommand(const std::string& config_file,
                                    std::vector<std::pair<std::string, std::string>> flags) {
  ConfigInputs inputs;
  inputs.environment = ProcessEnvironment();
  inputs.file = config_file;
  auto from_environment = inputs.environment.find("VARVE_CONFIG");
  if (inputs.file.empty() && from_environment != inputs.environment.end()) {
    inputs.file = from_environment->second;
  }
  inputs.flags = std::move(flags);
  return LoadConfig(inputs);
}

}  // namespace varve::app
