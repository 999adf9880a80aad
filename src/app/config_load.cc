// The TOML file is read by toml++; everything that it does not know about varve is here:
//   1. the file: each section's keys are looked up in the table, values become text where they are
//      scalars, so that file, environment and flags share one check;
//   2. the environment: names come from the table too; an unknown name that begins with one of our
//      sections is an error, as a misspelt limit that is silently not applied would be worse;
//   3. the flags; 4. cross checks.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include "app/config_load.h"

#include <fmt/format.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "app/config_table.h"
#include "app/config_value.h"
#include "core/bytes.h"

namespace varve::app {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;

Result<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoError(errno, "open " + path);
  std::string bytes(kFileBytesMax + 1, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (in.bad()) return ErrnoError(errno, "read " + path);
  bytes.resize(static_cast<size_t>(in.gcount()));
  if (bytes.size() > kFileBytesMax) {
    return MakeError(ErrorKind::kInvalid, path + " is larger than 1 MiB");
  }
  return bytes;
}

Result<std::string> ReadSecret(const std::string& path) {
  std::string secret = TRY(ReadSmallFile(path));
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.empty()) return MakeError(ErrorKind::kInvalid, path + " is empty");
  return secret;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// "; did you mean server.listen?" or where the list of keys is.
std::string Suggestion(std::string_view name, bool environment) {
  std::string best;
  size_t best_distance = 4;
  for (const ConfigKey& key : ConfigKeys()) {
    std::string candidate = environment ? EnvironmentName(key) : std::string(key.name);
    size_t distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  if (!best.empty()) return "; did you mean " + best + "?";
  return "; `varve config docs` lists them all";
}

// VARVE_SERVER_…: a name of ours, right or misspelt. Others that begin with VARVE_ are not.
bool NamesASection(std::string_view name) {
  for (const ConfigKey& key : ConfigKeys()) {
    std::string full = EnvironmentName(key);
    size_t section = key.name.find('.');
    if (section == std::string_view::npos) continue;
    if (name.starts_with(std::string_view(full).substr(0, 6 + section + 1))) return true;
  }
  return false;
}

class Loader {
 public:
  explicit Loader(const ConfigInputs& inputs) : inputs_(inputs) {}

  Result<LoadedConfig> Load() {
    if (!inputs_.file.empty()) ReadFile();
    ReadEnvironment();
    for (const auto& [name, text] : inputs_.flags) {
      const ConfigKey* key = FindConfigKey(name);
      CHECK(key != nullptr);
      SetText(*key, text, "command line");
    }
    if (problems_.empty()) problems_ = CrossChecks(loaded_.config);
    if (problems_.empty()) {
      auto [host, port] = *SplitListen(loaded_.config.listen);
      loaded_.config.server.address = host == "localhost" ? "127.0.0.1" : host;
      loaded_.config.server.port = port;
      return std::move(loaded_);
    }
    std::string message = "the configuration is not usable:";
    for (const std::string& problem : problems_) message += "\n  " + problem;
    return MakeError(ErrorKind::kInvalid, "INVALID_CONFIG", message);
  }

 private:
  void Problem(std::string_view place, std::string_view what) {
    problems_.push_back(fmt::format("{}: {}", place, what));
  }
  std::string Place(const toml::node& node) const {
    return fmt::format("{}:{}", inputs_.file, node.source().begin.line);
  }
  std::string Place(const toml::key& key) const {
    return fmt::format("{}:{}", inputs_.file, key.source().begin.line);
  }

  void SetText(const ConfigKey& key, std::string_view text, const std::string& place) {
    Status set = SetConfigValue(key, loaded_.config, text);
    if (!set.ok()) return Problem(place, fmt::format("{}: {}", key.name, set.error().message));
    loaded_.origins[std::string(key.name)] = place;
  }

  void SetSecretFile(const ConfigKey& key, const std::string& path, const std::string& place) {
    Result<std::string> secret = ReadSecret(path);
    if (!secret.ok()) {
      return Problem(place, fmt::format("{}_file: {}", key.name, secret.error().message));
    }
    SetText(key, *secret, place);
  }

  void ReadFile() {
    Result<std::string> text = ReadSmallFile(inputs_.file);
    if (!text.ok()) return Problem(inputs_.file, text.error().message);
    toml::parse_result parsed = toml::parse(*text, inputs_.file);
    if (!parsed) {
      const toml::parse_error& error = parsed.error();
      return Problem(fmt::format("{}:{}", inputs_.file, error.source().begin.line),
                     error.description());
    }
    for (const auto& [name, node] : parsed.table()) {
      if (const toml::table* section = node.as_table()) {
        for (const auto& [inner, value] : *section) {
          SetNode(fmt::format("{}.{}", name.str(), inner.str()), inner, value);
        }
      } else {
        SetNode(std::string(name.str()), name, node);
      }
    }
  }

  void SetNode(const std::string& name, const toml::key& where, const toml::node& node) {
    std::string place = Place(where);
    const ConfigKey* key = FindConfigKey(name);
    constexpr std::string_view kFile = "_file";
    if (key == nullptr && name.ends_with(kFile)) {
      const ConfigKey* secret = FindConfigKey(name.substr(0, name.size() - kFile.size()));
      if (secret != nullptr && secret->secret && node.is_string()) {
        return SetSecretFile(*secret, node.value<std::string>().value(), place);
      }
    }
    if (key == nullptr) {
      return Problem(place, fmt::format("unknown key {}{}", name, Suggestion(name, false)));
    }
    if (key->secret) {
      return Problem(place,
                     fmt::format("{0}: a secret does not belong in this file; set {1} in the "
                                 "environment, or {0}_file = \"path\"",
                                 name, EnvironmentName(*key)));
    }
    SetTyped(*key, node, place);
  }

  void SetTyped(const ConfigKey& key, const toml::node& node, const std::string& place) {
    FieldRef field = key.field(loaded_.config);
    bool number =
        std::holds_alternative<uint32_t*>(field) || std::holds_alternative<uint64_t*>(field);
    if (std::holds_alternative<std::vector<server::ApiKey>*>(field)) {
      return ForTables(key, node, place, [&](const toml::table& t) { AddApiKey(t); });
    }
    if (std::holds_alternative<std::vector<notify::NotifyRule>*>(field)) {
      return ForTables(key, node, place, [&](const toml::table& t) { AddRule(t); });
    }
    if (auto* list = std::get_if<std::vector<std::string>*>(&field)) {
      if (std::optional<std::vector<std::string>> items = Strings(node)) {
        **list = *std::move(items);
        loaded_.origins[std::string(key.name)] = place;
        return;
      }
    } else if (std::holds_alternative<bool*>(field)) {
      if (node.is_boolean()) return SetText(key, node.value_or(false) ? "true" : "false", place);
    } else if (number && node.is_integer()) {
      return SetText(key, fmt::format("{}", node.value_or(int64_t{0})), place);
    } else if (node.is_string()) {
      return SetText(key, node.value_or(std::string()), place);
    }
    Problem(place, fmt::format("{}: the value has the wrong type; allowed: {}", key.name,
                               AllowedText(key)));
  }

  static std::optional<std::vector<std::string>> Strings(const toml::node& node) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return std::nullopt;
    std::vector<std::string> out;
    for (const toml::node& item : *array) {
      if (!item.is_string()) return std::nullopt;
      out.push_back(item.value_or(std::string()));
    }
    return out;
  }

  template <typename Add>
  void ForTables(const ConfigKey& key, const toml::node& node, const std::string& place, Add add) {
    const toml::array* array = node.as_array();
    bool tables = array != nullptr;
    if (tables) {
      for (const toml::node& item : *array) tables = tables && item.is_table();
    }
    if (!tables)
      return Problem(place, fmt::format("{}: must be [[{}]] tables", key.name, key.name));
    for (const toml::node& item : *array) add(*item.as_table());
    loaded_.origins[std::string(key.name)] = place;
  }

  // A string member of a table, or "" where it is absent or (with a problem told) not a string.
  std::string Member(const toml::table& table, std::string_view name) {
    const toml::node* node = table.get(name);
    if (node == nullptr) return {};
    if (!node->is_string()) Problem(Place(*node), fmt::format("{} must be a string", name));
    return node->value_or(std::string());
  }

  std::vector<std::string> MemberList(const toml::table& table, std::string_view name,
                                      std::vector<std::string> absent) {
    const toml::node* node = table.get(name);
    if (node == nullptr) return absent;
    std::optional<std::vector<std::string>> items = Strings(*node);
    if (!items) Problem(Place(*node), fmt::format("{} must be a list of strings", name));
    return items.value_or(absent);
  }

  void OnlyMembers(const toml::table& table, std::initializer_list<std::string_view> known,
                   std::string_view known_text) {
    for (const auto& [name, node] : table) {
      if (std::find(known.begin(), known.end(), name.str()) != known.end()) continue;
      Problem(Place(name), fmt::format("unknown key {}; allowed: {}", name.str(), known_text));
    }
  }

  void AddApiKey(const toml::table& table) {
    OnlyMembers(table, {"name", "sha256", "key_env", "key_file", "scopes", "namespace"},
                "name, sha256, key_env, key_file, scopes, namespace");
    server::ApiKey api;
    api.name = Member(table, "name");
    api.ns = Member(table, "namespace");
    std::string place = Place(table);
    if (api.name.empty()) Problem(place, "auth.keys: name is missing");
    Status key = SetKey(table, &api);
    if (!key.ok()) Problem(place, "auth.keys: " + key.error().message);
    for (const std::string& scope : MemberList(table, "scopes", {})) {
      uint8_t bit = ScopeBit(scope);
      api.scopes |= bit;
      if (bit != 0) continue;
      Problem(place, fmt::format("auth.keys: scope {} is not one of ingest, query, admin", scope));
    }
    if (api.scopes == 0) {
      Problem(place, "auth.keys: scopes is missing; allowed: a list of ingest, query, admin");
    }
    loaded_.config.server.keys.push_back(std::move(api));
  }

  static uint8_t ScopeBit(std::string_view scope) {
    if (scope == "ingest") return server::kScopeIngest;
    if (scope == "query") return server::kScopeQuery;
    return scope == "admin" ? server::kScopeAdmin : 0;
  }

  Status SetKey(const toml::table& table, server::ApiKey* api) {
    std::string sha256 = Member(table, "sha256");
    std::string env = Member(table, "key_env");
    std::string file = Member(table, "key_file");
    if (!sha256.empty() + !env.empty() + !file.empty() != 1) {
      return MakeError(ErrorKind::kInvalid, "give one of sha256, key_env, key_file");
    }
    if (!sha256.empty()) {
      std::optional<std::string> raw = HexDecode(sha256);
      if (!raw || raw->size() != 32) {
        return MakeError(ErrorKind::kInvalid, "sha256 is not 64 hex digits");
      }
      api->sha256_hex = HexEncode(*raw);
      return {};
    }
    if (!file.empty()) {
      api->key = TRY(ReadSecret(file));
      return {};
    }
    auto found = inputs_.environment.find(env);
    if (found == inputs_.environment.end() || found->second.empty()) {
      return MakeError(ErrorKind::kInvalid,
                       fmt::format("the environment variable {} (key_env) is not set", env));
    }
    api->key = found->second;
    return {};
  }

  void AddRule(const toml::table& table) {
    OnlyMembers(table, {"prefix", "suffix", "actions", "queue", "every_namespace"},
                "prefix, suffix, actions, queue, every_namespace");
    notify::NotifyRule rule;
    rule.prefix = Member(table, "prefix");
    rule.suffix = Member(table, "suffix");
    rule.queue = Member(table, "queue");
    rule.actions = MemberList(table, "actions", rule.actions);
    if (const toml::node* every = table.get("every_namespace")) {
      if (!every->is_boolean()) Problem(Place(*every), "every_namespace must be true or false");
      rule.every_namespace = every->value_or(true);
    }
    if (rule.queue.empty()) Problem(Place(table), "notify.rules: queue is missing");
    loaded_.config.notify.rules.push_back(std::move(rule));
  }

  // Tables in the environment are written as TOML: VARVE_AUTH_KEYS='[{name = "ci", …}]'.
  void SetTables(const ConfigKey& key, const std::string& text, const std::string& name) {
    toml::parse_result parsed = toml::parse("value = " + text, name);
    if (!parsed) return Problem(name, parsed.error().description());
    SetTyped(key, *parsed.table().get("value"), name);
  }

  void SetFromEnvironment(const ConfigKey& key, const std::string& name, const std::string& text) {
    FieldRef field = key.field(loaded_.config);
    if (std::holds_alternative<std::vector<server::ApiKey>*>(field)) {
      loaded_.config.server.keys.clear();
      SetTables(key, text, name);
    } else if (std::holds_alternative<std::vector<notify::NotifyRule>*>(field)) {
      loaded_.config.notify.rules.clear();
      SetTables(key, text, name);
    } else {
      SetText(key, text, name);
    }
  }

  void ReadEnvironment() {
    std::map<std::string, bool> known = {{"VARVE_CONFIG", true},
                                         {"VARVE_CRASH", true},
                                         {"VARVE_URL", true},
                                         {"VARVE_API_KEY", true}};
    for (const ConfigKey& key : ConfigKeys()) {
      // A seed's name first, so that the full name wins where both are set.
      for (const std::string& name : {std::string(key.alias), EnvironmentName(key)}) {
        if (name.empty()) continue;
        known[name] = true;
        auto found = inputs_.environment.find(name);
        if (found != inputs_.environment.end()) SetFromEnvironment(key, name, found->second);
      }
      if (!key.secret) continue;
      std::string file_name = EnvironmentName(key) + "_FILE";
      known[file_name] = true;
      auto found = inputs_.environment.find(file_name);
      if (found != inputs_.environment.end()) SetSecretFile(key, found->second, file_name);
    }
    for (const auto& [name, value] : inputs_.environment) {
      if (known.contains(name) || !NamesASection(name)) continue;
      Problem(name, "unknown environment variable" + Suggestion(name, true));
    }
  }

  const ConfigInputs& inputs_;
  LoadedConfig loaded_;
  std::vector<std::string> problems_;
};

}  // namespace

std::map<std::string, std::string> ProcessEnvironment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view text = *entry;
    size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Result<LoadedConfig> LoadConfig(const ConfigInputs& inputs) { return Loader(inputs).Load(); }

}  // namespace varve::app
