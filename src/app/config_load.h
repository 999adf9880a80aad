// Where a configuration comes from, each one over the one before: defaults, the TOML file, the
// environment, the command line. Every wrong key or value is found in one pass and named with its
// place and with what is allowed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/config.h"
#include "core/result.h"

namespace varve::app {

struct ConfigInputs {
  std::string file;  // empty: none
  std::map<std::string, std::string> environment;
  std::vector<std::pair<std::string, std::string>> flags;  // key, text: ("data_dir", "/srv/varve")
};

struct LoadedConfig {
  Config config;
  std::map<std::string, std::string> origins;  // key → "varve.toml:12", "VARVE_…"; absent: default
};

std::map<std::string, std::string> ProcessEnvironment();

Result<LoadedConfig> LoadConfig(const ConfigInputs& inputs);

// What no single key can say: sizes that must fit each other, keys where the address is public.
// Each problem is a sentence that names its keys.
std::vector<std::string> CrossChecks(const Config& config);

// "127.0.0.1:8080" and "[::1]:8080" into host and port.
std::optional<std::pair<std::string, uint16_t>> SplitListen(std::string_view listen);

// `varve config docs` and `varve config show`.
std::string ConfigReference();
std::string ConfigReport(LoadedConfig& loaded);

}  // namespace varve::app
