// The table of keys as a document and as a report.
#include <fmt/format.h>

#include "app/config_load.h"
#include "app/config_table.h"
#include "app/config_value.h"

namespace varve::app {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

`varve serve --config varve.toml`, or `VARVE_CONFIG=varve.toml`. Without a file every key has its
default. A key in the environment wins over the file, the command line over both. An unknown key or
a value that is not allowed stops the program, with the file, the line, the key and what is allowed.

- `varve config check FILE` checks a file; `varve config show` prints what is in effect and where
  each value comes from; `varve config docs` prints this document.
- Bytes are numbers or text with a unit: `"64 MiB"`. Times are milliseconds or `"30s"`, `"5m"`,
  `"24h"`.
- Lists in the environment are separated by commas; tables are written as TOML:
  `VARVE_AUTH_KEYS='[{name = "ci", key_env = "CI_KEY", scopes = ["ingest"]}]'`.
- Secrets are not taken from the file: set the environment variable, or point `…_file` (in the file)
  or `…_FILE` (in the environment) at a file that holds nothing else.

An example for a server that others reach, behind a TLS proxy:

```toml
data_dir = "/var/lib/varve"

[server]
listen = "0.0.0.0:8080"

[[auth.keys]]
name = "shop"
key_file = "/etc/varve/shop.key"   # or sha256 = "…" of the key, or key_env = "SHOP_KEY"
scopes = ["ingest", "query"]
namespace = "shop"

[flush]
events_flush_ms = "30s"

[webhooks]
github_secret_file = "/etc/varve/github.secret"
```
)";

std::string_view SectionOf(std::string_view name) {
  size_t dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

std::string DefaultText(const ConfigKey& key) {
  Config defaults;
  if (key.secret) return "";
  FieldRef field = key.field(defaults);
  if (auto* large = std::get_if<uint64_t*>(&field)) {
    std::string scaled = QuantityText(**large, key.range.unit);
    std::string plain = fmt::format("{}", **large);
    return scaled == plain ? "`" + plain + "`" : fmt::format("`{}` ({})", plain, scaled);
  }
  return "`" + ConfigValueText(key, defaults) + "`";
}

std::string Row(const ConfigKey& key) {
  std::string_view section = SectionOf(key.name);
  std::string_view name = section.empty() ? key.name : key.name.substr(section.size() + 1);
  std::string allowed = key.secret ? "" : AllowedText(key);
  for (size_t at = 0; (at = allowed.find('|', at)) != std::string::npos; at += 2) {
    allowed.replace(at, 1, "\\|");
  }
  std::string environment = "`" + EnvironmentName(key) + "`";
  if (!key.alias.empty()) environment += fmt::format(", `{}`", key.alias);
  return fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", name, TypeText(key), DefaultText(key),
                     allowed, environment, key.description);
}

}  // namespace

std::string ConfigReference() {
  std::string out(kIntroduction);
  std::string_view section = "-";
  for (const ConfigKey& key : ConfigKeys()) {
    if (SectionOf(key.name) != section) {
      section = SectionOf(key.name);
      out += section.empty() ? "\n## Top level\n\n" : fmt::format("\n## [{}]\n\n", section);
      out += "| key | type | default | allowed | environment | what |\n|---|---|---|---|---|---|\n";
    }
    out += Row(key);
  }
  return out;
}

std::string ConfigReport(LoadedConfig& loaded) {
  std::string out;
  std::string_view section;
  for (const ConfigKey& key : ConfigKeys()) {
    std::string_view name = key.name;
    if (SectionOf(name) != section) {
      section = SectionOf(name);
      out += fmt::format("\n[{}]\n", section);
    }
    if (!section.empty()) name.remove_prefix(section.size() + 1);
    auto origin = loaded.origins.find(std::string(key.name));
    std::string line = fmt::format("{} = {}", name, ConfigValueText(key, loaded.config));
    out += fmt::format("{:<56}  # {}\n", line,
                       origin == loaded.origins.end() ? "default" : origin->second);
  }
  return out;
}

}  // namespace varve::app
