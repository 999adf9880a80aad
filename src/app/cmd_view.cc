// Materialised views of a running server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/commands.h"
#include "app/http_client.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/server_calls.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLookEvery = std::chrono::milliseconds(200);

struct ViewFlags {
  TargetOptions target;
  std::string name, sql, file, mode = "streaming";
  uint64_t debounce_ms = 0, max_wait_ms = 0, interval_ms = 0;
  bool incremental = false, full = false, detach = false, json = false;
  CLI::Option* debounce = nullptr;
  CLI::Option* max_wait = nullptr;
};

Result<Json> CallView(const ViewFlags& options, const char* method, const std::string& path,
                      const std::string& body = {}) {
  ServerCalls server = TRY(ServerCalls::Find(
      options.target,
      "no server has the data directory: views are a server's work; start `varve serve`"));
  return server.Object(method, path, body);
}

std::string PathOf(const ViewFlags& options) { return "/views/" + UrlEncode(options.name); }

std::string LineOf(const Json& view) {
  const Json& output = view["output"];
  const std::string what =
      output.is_object()
          ? fmt::format("{} rows, {}, {}", HumanCount(output.value("rows", uint64_t{0})),
                        HumanBytes(output.value("bytes", uint64_t{0})), TextOf(output, "at"))
          : "no output yet";
  return fmt::format("{:<24} {:<10} {:<9} {:<11} {}\n", TextOf(view, "name"), TextOf(view, "state"),
                     TextOf(view, "mode"), TextOf(view, "refresh"), what);
}

std::string DetailOf(const Json& view) {
  std::string out = LineOf(view);
  out += fmt::format("  {}\n  reads", TextOf(view, "sql"));
  for (const Json& source : view["sources"]) out += " " + source.get<std::string>();
  out += fmt::format("; read as {}\n", TextOf(view, "table"));
  out +=
      fmt::format("  debounce {} ms, at most {} ms; {} changes wait\n", TextOf(view, "debounceMs"),
                  TextOf(view, "maxWaitMs"), TextOf(view, "pendingChanges"));
  const Json& output = view["output"];
  if (output.is_object()) {
    out += fmt::format("  {}, last refreshed {} by {}\n", TextOf(output, "key"),
                       TextOf(output, "refresh"), TextOf(output, "workflowId"));
  }
  const Json& error = view["error"];
  if (error.is_object()) {
    out +=
        fmt::format("  error {} ({} in a row), next {}: {}\n", TextOf(error, "code"),
                    TextOf(error, "failures"), TextOf(error, "nextAt"), TextOf(error, "message"));
  }
  return out;
}

Result<std::string> SqlOf(const ViewFlags& options) {
  if (!options.sql.empty()) return options.sql;
  if (options.file.empty()) {
    return MakeError(ErrorKind::kInvalid, "no SQL: give it with --sql, or with -f FILE");
  }
  std::ifstream in(options.file, std::ios::binary);
  if (!in) return ErrnoError(errno, "open " + options.file);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

Result<std::string> CreateView(const ViewFlags& options) {
  Json body = {{"name", options.name},
               {"sql", TRY(SqlOf(options))},
               {"mode", options.mode},
               {"refresh", options.incremental ? "incremental" : "full"}};
  if (options.debounce->count() > 0) body["debounceMs"] = options.debounce_ms;
  if (options.max_wait->count() > 0) body["maxWaitMs"] = options.max_wait_ms;
  if (options.interval_ms > 0) body["intervalMs"] = options.interval_ms;
  const Json view = TRY(CallView(options, "POST", "/views",
                                 body.dump(-1, ' ', false, Json::error_handler_t::replace)));
  return options.json ? view.dump() + "\n" : DetailOf(view);
}

Result<std::string> ListViews(const ViewFlags& options) {
  const Json json = TRY(CallView(options, "GET", "/views"));
  std::string out;
  for (const Json& view : json["views"]) out += options.json ? view.dump() + "\n" : LineOf(view);
  return out.empty() && !options.json ? std::string("no views\n") : out;
}

Result<std::string> ShowView(const ViewFlags& options) {
  const Json view = TRY(CallView(options, "GET", PathOf(options)));
  return options.json ? view.dump() + "\n" : DetailOf(view);
}

// Until the refresh has ended; an interrupt ends the looking, not the refresh.
Result<std::string> RefreshView(const ViewFlags& options) {
  const Json body = {{"full", options.full}};
  const Json started = TRY(CallView(options, "POST", PathOf(options) + "/refresh", body.dump()));
  const std::string id = started.value("workflowId", "");
  while (!options.detach && !Interrupted()) {
    const Json workflow = TRY(CallView(options, "GET", "/workflows/" + UrlEncode(id)));
    const std::string state = workflow.value("state", "");
    if (state == "failed" || state == "cancelled") {
      return MakeError(ErrorKind::kInternal, TextOf(workflow, "errorCode"),
                       fmt::format("the refresh {}: {}", state, TextOf(workflow, "error")));
    }
    if (state == "succeeded") return ShowView(options);
    std::this_thread::sleep_for(kLookEvery);
  }
  return options.json ? started.dump() + "\n" : fmt::format("refresh {}\n", id);
}

Result<std::string> DropView(const ViewFlags& options) {
  const Json json = TRY(CallView(options, "DELETE", PathOf(options)));
  return options.json ? json.dump() + "\n" : fmt::format("{} is dropped\n", options.name);
}

int Run(const ViewFlags& options, Result<std::string> (*action)(const ViewFlags&)) {
  InstallInterruptHandler();
  const Result<std::string> text = action(options);
  return text.ok() ? WriteStdout(*text) : Fail(text.error());
}

void AddCreateOptions(CLI::App& create, ViewFlags& options) {
  CLI::Option* sql = create.add_option("--sql", options.sql, "One SELECT");
  create.add_option("-f,--file", options.file, "A file that has it")->excludes(sql);
  create.add_flag("--incremental", options.incremental,
                  "Read new files only; for statements whose rows each come of one row");
  create.add_option("--mode", options.mode, "streaming (default), scheduled, manual")
      ->check(CLI::IsMember({"streaming", "scheduled", "manual"}));
  options.debounce = create.add_option("--debounce", options.debounce_ms,
                                       "Milliseconds of quiet before a refresh");
  options.max_wait = create.add_option("--max-wait", options.max_wait_ms,
                                       "Milliseconds after the first change, quiet or not");
  create.add_option("--interval", options.interval_ms, "Milliseconds, of a scheduled view");
}

}  // namespace

void AddView(CLI::App& root, Chosen& chosen) {
  CLI::App* command =
      root.add_subcommand("view", "Materialised views: SQL in, one Parquet file out");
  command->require_subcommand(1);
  auto options = std::make_shared<ViewFlags>();
  auto add = [&](const char* name, const char* what,
                 Result<std::string> (*action)(const ViewFlags&)) {
    CLI::App* sub = command->add_subcommand(name, what);
    AddTargetOptions(*sub, &options->target);
    sub->add_flag("--json", options->json, "As JSON");
    sub->callback([&chosen, options, action] {
      chosen.run = [options, action] { return Run(*options, action); };
    });
    return sub;
  };
  auto add_one = [&](const char* name, const char* what,
                     Result<std::string> (*action)(const ViewFlags&)) {
    CLI::App* sub = add(name, what, action);
    sub->add_option("name", options->name, "View")->required();
    return sub;
  };
  AddCreateOptions(*add_one("create", "Make a view, or replace it", CreateView), *options);
  add("ls", "The views", ListViews);
  add_one("show", "One view: its statement, its output, what waits, its last error", ShowView);
  CLI::App* refresh = add_one("refresh", "Refresh it now", RefreshView);
  refresh->add_flag("--full", options->full, "Run the whole statement, however the view is kept");
  refresh->add_flag("--detach", options->detach, "Do not wait for its end");
  add_one("drop", "Remove it and its file", DropView);
  command->footer(
      R"(A view's rows are in _views/NAME/data.parquet, which is always whole, and are read in SQL as
view.NAME. A streaming view follows the writers' files of its tables.

Examples:
  varve view create daily --sql "SELECT day, count(*) AS n FROM orders GROUP BY day"
  varve view create errors --incremental --debounce 500 \
      --sql "SELECT ts, url FROM requests WHERE status >= 500"
  varve view ls
  varve view show daily
  varve view refresh daily --full
  varve query "SELECT * FROM view.daily"
  varve view drop daily)");
}

}  // namespace varve::app
