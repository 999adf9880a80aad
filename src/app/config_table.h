// The one table of every configuration key. The loader, the checks, `varve config show` and
// docs/CONFIGURATION.md all read it; a key that is not here does not exist.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "app/config.h"

namespace varve::app {

struct ChoiceRef {  // an enum with uint8_t below it, or a LogLevel: read and written by position
  size_t (*get)(const Config&);
  void (*set)(Config&, size_t);
};

using FieldRef =
    std::variant<bool*, uint32_t*, uint64_t*, std::string*, std::vector<std::string>*, ChoiceRef,
                 std::vector<server::ApiKey>*, std::vector<notify::NotifyRule>*>;

struct Range {
  uint64_t min = 0, max = 0;
  std::string_view unit = "";  // "bytes" and "ms" also take "64 MiB", "30 s"
};

struct ConfigKey {
  std::string_view name;       // "server.listen"
  FieldRef (*field)(Config&);  // where its value lives
  std::string_view description;
  Range range = {};               // numbers
  std::string_view choices = "";  // "fsync object": in the enum's order
  std::string_view alias = "";    // another environment name that sets it
  bool secret = false;            // never in the file, never shown; also as {name}_file
};

std::span<const ConfigKey> ConfigKeys();
const ConfigKey* FindConfigKey(std::string_view name);

std::string EnvironmentName(const ConfigKey& key);  // VARVE_SERVER_LISTEN
std::string AllowedText(const ConfigKey& key);      // "1 to 64 threads", "fsync | object"
std::string TypeText(const ConfigKey& key);         // "integer, bytes"

// The value as TOML writes it. A secret's is "(set)" or "".
std::string ConfigValueText(const ConfigKey& key, Config& config);

}  // namespace varve::app
