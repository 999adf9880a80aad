// The windows of writers' files: what a server says of them, what it is asked to do now.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/http_client.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/server_calls.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;

struct CompactionFlags {
  TargetOptions target;
  std::string ns, window;
  std::vector<std::string> settings;
  bool json = false;
};

uint64_t NumberOf(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<uint64_t>() : 0;
}

std::string ListOf(const Json& object, const char* name) {
  std::string out;
  for (const Json& item : object.value(name, Json::array())) {
    out += (out.empty() ? "" : ", ") + (item.is_string() ? item.get<std::string>() : item.dump());
  }
  return out;
}

Result<Json> Parse(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_object()) return json;
  return MakeError(ErrorKind::kCorrupt, "the server's answer is no JSON object");
}

// "waits for writers (w2), until 2026-…" or "workflow 01J… runs".
std::string StateOf(const Json& window) {
  const Json status = window.value("processingStatus", Json::object());
  if (TextOf(status, "state") != "pending") {
    const bool halted = status.value("halted", false);
    const bool committed = TextOf(status, "committedAt") != "-";
    return fmt::format("workflow {} {}", TextOf(status, "workflowId"),
                       halted ? "waits for an operator" : (committed ? "has committed" : "runs"));
  }
  const std::string kinds = ListOf(window, "waitingFor");
  if (kinds == "workflow") return "ready, waits for a workflow";
  std::string out = "waits for " + kinds;
  if (window.contains("missingWriters")) out += " (" + ListOf(window, "missingWriters") + ")";
  const std::string until = TextOf(window, "readyAt");
  return out + (until == "-" ? "" : ", at the latest until " + until);
}

std::string WindowLines(const Json& windows) {
  std::string out;
  for (const Json& window : windows) {
    out += fmt::format("  {}  round {:<2} {:>7} files {:>11}  {}\n", TextOf(window, "windowStart"),
                       NumberOf(window, "round"), NumberOf(window, "fileCount"),
                       HumanBytes(NumberOf(window, "totalSize")), StateOf(window));
  }
  return out;
}

std::string NamespaceText(const Json& ns) {
  const Json queue = ns.value("queueMetrics", Json::object());
  const Json health = ns.value("health", Json::object());
  std::string name = TextOf(ns, "namespace");
  if (ns.contains("tenant")) name = TextOf(ns, "tenant") + ":" + name;
  std::string out = fmt::format(
      "{}: {}; {} windows wait, {} with workflows; {} files, {}; writers {} of {} active\n", name,
      TextOf(health, "status"), NumberOf(queue, "pendingWindows"),
      NumberOf(queue, "dispatchedWindows"), NumberOf(ns, "totalPendingFiles"),
      HumanBytes(NumberOf(ns, "totalPendingBytes")),
      ns.value("activeWriters", Json::array()).size(),
      ns.value("knownWriters", Json::array()).size());
  for (const Json& issue : health.value("issues", Json::array())) {
    out += "  ! " + (issue.is_string() ? issue.get<std::string>() : issue.dump()) + "\n";
  }
  return out + WindowLines(ns.value("windows", Json::array()));
}

std::string AllText(const Json& status) {
  std::string out;
  for (const Json& ns : status.value("namespaces", Json::array())) out += NamespaceText(ns);
  if (out.empty()) out = "no file has been announced\n";
  const Json debt = status.value("debt", Json::object());
  out += fmt::format("{} workflows run, pressure {}; {} files, {} to do",
                     NumberOf(status, "runningWorkflows"), TextOf(status, "backpressure"),
                     NumberOf(debt, "files"), HumanBytes(NumberOf(debt, "bytes")));
  const auto seconds = debt.find("seconds");
  if (seconds != debt.end() && seconds->is_number()) {
    out += fmt::format(", about {:.0f} s", seconds->get<double>());
  }
  out += "\n";
  const Json consumer = status.value("consumer", Json::object());
  if (NumberOf(consumer, "skipped") == 0) return out;
  out += fmt::format("{} announced keys are no writer's files; the last:\n",
                     NumberOf(consumer, "skipped"));
  for (const Json& skipped : consumer.value("skippedLast", Json::array())) {
    out += fmt::format("  {}: {}\n", TextOf(skipped, "key"), TextOf(skipped, "why"));
  }
  return out;
}

Result<std::string> Status(const CompactionFlags& options, ServerCalls& server) {
  const std::string query = options.ns.empty() ? "" : "?namespace=" + UrlEncode(options.ns);
  const std::string text = TRY(server.Text("GET", "/compaction/status" + query));
  if (options.json) return text + "\n";
  const Json json = TRY(Parse(text));
  return options.ns.empty() ? AllText(json) : NamespaceText(json);
}

Result<std::string> Plan(const CompactionFlags& options, ServerCalls& server) {
  const std::string text =
      TRY(server.Text("GET", "/compaction/status?namespace=" + UrlEncode(options.ns)));
  if (options.json) return text + "\n";
  const Json json = TRY(Parse(text));
  const Json settings = json.value("settings", Json::object());
  std::string out = NamespaceText(json);
  out += fmt::format(
      "a window goes {} s after its end, with all active writers or after as long without a file,\n"
      "and with at least {} files; to {}, sorted by {}, folders by {}; the files {}\n",
      NumberOf(settings, "maxWaitTimeMs") / 1000, NumberOf(settings, "minFilesToCompact"),
      TextOf(settings, "targetFormat"),
      TextOf(settings, "sortBy").empty() ? "time" : TextOf(settings, "sortBy"),
      TextOf(settings, "partitionBy"),
      settings.value("deleteSources", true) ? "are deleted afterwards" : "stay");
  return out;
}

Result<std::string> RunNow(const CompactionFlags& options, ServerCalls& server) {
  Json body = {{"namespace", options.ns}};
  if (!options.window.empty()) body["window"] = options.window;
  const std::string text = TRY(server.Text("POST", "/compaction/run", body.dump()));
  if (options.json) return text + "\n";
  const Json json = TRY(Parse(text));
  std::string out;
  for (const Json& made : json.value("dispatched", Json::array())) {
    out += fmt::format("{}  round {}  {} files, {}: workflow {}\n", TextOf(made, "windowStart"),
                       NumberOf(made, "round"), NumberOf(made, "fileCount"),
                       HumanBytes(NumberOf(made, "totalSize")), TextOf(made, "workflowId"));
  }
  if (out.empty()) out = "nothing was dispatched\n";
  const Json held = json.value("held", Json::array());
  if (held.empty()) return out;
  out += fmt::format("{} of {} workflows run; these windows wait:\n",
                     NumberOf(json, "runningWorkflows"), NumberOf(json, "concurrencyMax"));
  return out + WindowLines(held);
}

// NAME=VALUE: a number, true, false, null, or a text.
Result<std::string> Configure(const CompactionFlags& options, ServerCalls& server) {
  const std::string path = "/compaction/config?namespace=" + UrlEncode(options.ns);
  if (options.settings.empty()) return TRY(server.Text("GET", path)) + "\n";
  Json body = Json::object();
  for (const std::string& setting : options.settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return MakeError(ErrorKind::kInvalid,
                       fmt::format("{}: a setting is NAME=VALUE, such as priority=1", setting));
    }
    const std::string value = setting.substr(equals + 1);
    const Json parsed = Json::parse(value, nullptr, false);
    const bool plain = parsed.is_number() || parsed.is_boolean() || parsed.is_null();
    body[setting.substr(0, equals)] = plain ? parsed : Json(value);
  }
  return TRY(server.Text("PUT", path, body.dump())) + "\n";
}

using Action = Result<std::string> (*)(const CompactionFlags&, ServerCalls&);

int Run(const CompactionFlags& options, Action action) {
  InstallInterruptHandler();
  Result<ServerCalls> server =
      ServerCalls::Find(options.target,
                        "no server has this data directory: windows are a running server's; "
                        "varve serve");
  if (!server.ok()) return Fail(server.error());
  Result<std::string> text = action(options, *server);
  if (!text.ok()) return Fail(text.error());
  return WriteStdout(*text);
}

constexpr const char* kFooter =
    R"(NAMESPACE is that of data/NAMESPACE/{time}-{writer}-{sequence}.parquet;
a tenant's is chosen with --namespace.

Examples:
  varve compaction status
  varve compaction plan users
  varve compaction run users --window 2026-02-02T14:00:00Z
  varve compaction config users priority=1 targetFormat=iceberg+delta maxWaitTimeMs=60000)";

}  // namespace

void AddCompaction(CLI::App& root, Chosen& chosen) {
  CLI::App* command =
      root.add_subcommand("compaction", "Windows of writers' files, and what holds them back");
  command->require_subcommand(1);
  auto options = std::make_shared<CompactionFlags>();
  auto add = [&](const char* name, const char* what, bool needs_namespace, Action action) {
    CLI::App* sub = command->add_subcommand(name, what);
    AddTargetOptions(*sub, &options->target);
    sub->add_flag("--json", options->json, "As the server gives it");
    sub->add_option("data-namespace", options->ns, "Namespace of the data")
        ->required(needs_namespace);
    sub->callback([&chosen, options, action] {
      chosen.run = [options, action] { return Run(*options, action); };
    });
    return sub;
  };
  add("status", "What waits, what runs, and how much there is to do", false, Status);
  add("plan", "Which windows would go when, and who holds them back; nothing is done", true, Plan);
  add("run", "Compact a namespace's windows now, as many as may run", true, RunNow)
      ->add_option("--window", options->window, "Only the one that this time is in (ISO 8601)");
  add("config", "A namespace's own settings: priority, targetFormat, sortBy …", true, Configure)
      ->add_option("settings", options->settings, "NAME=VALUE; null takes one away");
  command->footer(kFooter);
}

}  // namespace varve::app
