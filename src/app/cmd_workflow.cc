// Workflows (compactions) of a running server: what they do, and an operator's wishes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/http_client.h"
#include "app/output.h"
#include "app/server_calls.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;

struct WorkflowFlags {
  TargetOptions target;
  std::string id, state, kind, before;
  uint32_t limit = 100;
  bool json = false;
};

Result<Json> CallWorkflow(const WorkflowFlags& options, const std::string& method,
                          const std::string& path) {
  ServerCalls server = TRY(ServerCalls::Find(
      options.target, "no server has the data directory; workflows go on when `varve serve` does"));
  return server.Object(method, path);
}

std::string WorkflowLine(const Json& workflow) {
  return fmt::format("{} {:<10} {:<11} {:<11} {}  {}\n", TextOf(workflow, "id"),
                     TextOf(workflow, "kind"), TextOf(workflow, "state"), TextOf(workflow, "step"),
                     TextOf(workflow, "created"), TextOf(workflow, "subject"));
}

Result<std::string> ListWorkflows(const WorkflowFlags& options) {
  std::string path = fmt::format("/workflows?limit={}", options.limit);
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) path += fmt::format("&{}={}", name, UrlEncode(value));
  };
  add("state", options.state);
  add("kind", options.kind);
  add("before", options.before);
  const Json json = TRY(CallWorkflow(options, "GET", path));
  std::string out;
  const Json workflows = json.value("workflows", Json::array());
  for (const Json& workflow : workflows) {
    out += options.json ? workflow.dump() + "\n" : WorkflowLine(workflow);
  }
  if (options.json) return out;
  if (workflows.empty()) return std::string("no workflows\n");
  if (json.contains("nextBefore")) {
    out += fmt::format("more: --before {}\n", TextOf(json, "nextBefore"));
  }
  return out;
}

Result<std::string> ShowWorkflow(const WorkflowFlags& options) {
  const Json json = TRY(CallWorkflow(options, "GET", "/workflows/" + UrlEncode(options.id)));
  if (options.json) return json.dump() + "\n";
  std::string out = WorkflowLine(json);
  if (json.contains("error")) {
    out += fmt::format("  error {} (attempt {}), next {}: {}\n", TextOf(json, "errorCode"),
                       TextOf(json, "attempts"), TextOf(json, "next"), TextOf(json, "error"));
  }
  for (const Json& step : json.value("steps", Json::array())) {
    out += fmt::format("  {:<11} {} → {}  {} attempts  {}\n", TextOf(step, "step"),
                       TextOf(step, "started"), TextOf(step, "ended"), TextOf(step, "attempts"),
                       TextOf(step, "detail"));
    if (step.contains("error")) out += fmt::format("    error: {}\n", TextOf(step, "error"));
  }
  return out;
}

template <const char* operation>
Result<std::string> Operate(const WorkflowFlags& options) {
  const Json json = TRY(CallWorkflow(
      options, "POST", fmt::format("/workflows/{}/{}", UrlEncode(options.id), operation)));
  return options.json ? json.dump() + "\n" : WorkflowLine(json);
}

constexpr char kPause[] = "pause", kResume[] = "resume", kRetry[] = "retry", kCancel[] = "cancel";

using Action = Result<std::string> (*)(const WorkflowFlags&);

int Run(const WorkflowFlags& options, Action action) {
  InstallInterruptHandler();
  const Result<std::string> text = action(options);
  return text.ok() ? WriteStdout(*text) : Fail(text.error());
}

}  // namespace

void AddWorkflow(CLI::App& root, Chosen& chosen) {
  CLI::App* command =
      root.add_subcommand("workflow", "Look into compactions, pause, retry, cancel");
  command->require_subcommand(1);
  auto options = std::make_shared<WorkflowFlags>();
  auto add = [&](const char* name, const char* what, Action action) {
    CLI::App* sub = command->add_subcommand(name, what);
    AddTargetOptions(*sub, &options->target);
    sub->add_flag("--json", options->json, "As JSON");
    sub->callback([&chosen, options, action] {
      chosen.run = [options, action] { return Run(*options, action); };
    });
    return sub;
  };
  auto add_one = [&](const char* name, const char* what, Action action) {
    add(name, what, action)->add_option("id", options->id, "Workflow")->required();
  };
  CLI::App* ls = add("ls", "Workflows, the newest first", ListWorkflows);
  ls->add_option("--state", options->state, "Only those")
      ->check(
          CLI::IsMember({"active", "paused", "cancelling", "succeeded", "failed", "cancelled"}));
  ls->add_option("--kind", options->kind, "Only those: compaction");
  ls->add_option("--before", options->before, "Older than this one");
  ls->add_option("--limit", options->limit, "At most so many")->check(CLI::Range(1, 1000));
  add_one("show", "One workflow's steps: times, attempts, errors, bytes, rows", ShowWorkflow);
  add_one("pause", "Begin no further step", Operate<kPause>);
  add_one("resume", "Go on after a pause", Operate<kResume>);
  add_one("retry", "Try a failed step again", Operate<kRetry>);
  add_one("cancel", "Undo it; what is committed stays, and ends by itself", Operate<kCancel>);
  command->footer(R"(Examples:
  varve workflow ls --state failed
  varve workflow show 01J9Z3K4M5N6P7Q8R9S0T1V2W3 --json
  varve workflow pause 01J9Z3K4M5N6P7Q8R9S0T1V2W3
  varve workflow resume 01J9Z3K4M5N6P7Q8R9S0T1V2W3
  varve workflow cancel 01J9Z3K4M5N6P7Q8R9S0T1V2W3
  varve workflow retry 01J9Z3K4M5N6P7Q8R9S0T1V2W3 --url http://127.0.0.1:8080)");
}

}  // namespace varve::app
