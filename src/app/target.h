// Where a command finds its data: a running server, or a data directory that no server has.
#pragma once

#include <optional>
#include <string>

#include "app/config.h"
#include "app/data_dir.h"
#include "core/result.h"

namespace CLI {
class App;
}

namespace varve::app {

inline constexpr const char* kDefaultUrl = "http://127.0.0.1:8080";

struct TargetOptions {
  std::string url, data, config, ns;
};

void AddTargetOptions(CLI::App& command, TargetOptions* options);
void AddUrlOptions(CLI::App& command, TargetOptions* options);  // for commands that need a server

struct Target {
  std::string url;  // empty: the directory is opened here
  Config config;
  std::optional<DataDirLock> lock;
};

// --url or VARVE_URL; else the server that has the data directory (--data, the configuration's);
// else that directory itself; else the default URL. kNotFound: the directory named is none.
Result<Target> ResolveTarget(const TargetOptions& options);

// --url, else VARVE_URL, else nothing; no '/' behind.
std::string GivenUrl(const TargetOptions& options);

// The URL of a command that needs a server: --url, VARVE_URL, or the default one; no '/' behind.
std::string ServerUrl(const TargetOptions& options);

// "?namespace=…" or "&namespace=…" where one was asked for.
std::string NamespaceParam(const TargetOptions& options, char separator);

}  // namespace varve::app
