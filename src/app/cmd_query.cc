// SQL from the line, a file or standard input; the answer in any format, from a server or from a
// data directory opened here.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/commands.h"
#include "app/embedded.h"
#include "app/http_client.h"
#include "app/output.h"
#include "app/target.h"
#include "query/engine.h"

namespace varve::app {
namespace {

struct QueryFlags {
  TargetOptions target;
  std::string sql, file, format, output;
};

struct Format {
  std::string_view name;
  query::ResultFormat value;
  bool binary;
};
constexpr Format kFormats[] = {{"table", query::ResultFormat::kTable, false},
                               {"json", query::ResultFormat::kJson, false},
                               {"ndjson", query::ResultFormat::kNdjson, false},
                               {"csv", query::ResultFormat::kCsv, false},
                               {"arrow", query::ResultFormat::kArrowStream, true},
                               {"parquet", query::ResultFormat::kParquet, true}};

Result<std::string> ReadSql(const QueryFlags& options) {
  if (!options.sql.empty() && options.sql != "-") return options.sql;
  if (!options.file.empty()) {
    std::ifstream in(options.file, std::ios::binary);
    if (!in) return ErrnoError(errno, "open " + options.file);
    return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  }
  if (StdinIsTerminal()) {
    return MakeError(ErrorKind::kInvalid,
                     "no SQL: give it as an argument, with -f FILE, or on "
                     "standard input");
  }
  return std::string((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
}

// Raises *cancelled once Ctrl-C is pressed, as long as it lives.
class CancelOnInterrupt {
 public:
  explicit CancelOnInterrupt(std::atomic<bool>* cancelled)
      : thread_([cancelled](std::stop_token stop) {
          while (!stop.stop_requested() && !Interrupted()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
          }
          if (Interrupted()) cancelled->store(true);
        }) {}

 private:
  std::jthread thread_;
};

Status RunEmbedded(const Target& target, const QueryFlags& options, const std::string& sql,
                   const Format& format, Output& out) {
  query::QueryRequest request;
  if (!options.target.ns.empty()) request.ns = TRY(NamespaceId::Parse(options.target.ns));
  request.sql = sql;
  request.format = format.value;
  std::unique_ptr<Embedded> embedded = TRY(OpenEmbedded(target.config));
  std::atomic<bool> cancelled{false};
  CancelOnInterrupt watch(&cancelled);
  Result<query::QuerySummary> summary = embedded->engine().Run(
      request, [&](std::string_view bytes) { return out.Write(bytes); }, &cancelled);
  if (out.reader_gone()) return {};
  if (!summary.ok()) return summary.error();
  for (const std::string& warning : summary->warnings) {
    WriteStderr(fmt::format("varve: left out: {}\n", warning));
  }
  return {};
}

Status RunOverHttp(const Target& target, const QueryFlags& options, const std::string& sql,
                   const Format& format, Output& out) {
  nlohmann::json body = {{"sql", sql}, {"format", std::string(format.name)}};
  if (!options.target.ns.empty()) body["namespace"] = options.target.ns;
  std::string text;
  try {
    text = body.dump();
  } catch (const nlohmann::json::exception&) {
    return MakeError(ErrorKind::kInvalid, "the SQL is not UTF-8");
  }
  HttpClient client;
  HttpRequest request{.method = "POST",
                      .url = target.url + "/sql" + NamespaceParam(options.target, '?'),
                      .headers = CommonHeaders(),
                      .body = text,
                      .on_body = [&](std::string_view bytes) { return out.Write(bytes); }};
  request.headers.push_back("Content-Type: application/json");
  Result<HttpResponse> response = client.Send(request);
  if (out.reader_gone()) return {};
  if (!response.ok()) return response.error();
  if (response->status != 200) return response->ToError("query");
  std::string warnings = response->Header("x-warnings");
  if (!warnings.empty()) {
    WriteStderr(fmt::format(
        "varve: {} files could not be read and were left out; see `varve doctor`\n", warnings));
  }
  return {};
}

int Run(const QueryFlags& options) {
  InstallInterruptHandler();
  const Format* format = nullptr;
  std::string name = options.format;
  if (name.empty()) name = options.output.empty() && StdoutIsTerminal() ? "table" : "csv";
  for (const Format& known : kFormats) {
    if (known.name == name) format = &known;
  }
  CHECK(format != nullptr);  // the CLI has checked it
  if (format->binary && options.output.empty() && StdoutIsTerminal()) {
    return Fail(name + " is not for a terminal: give -o FILE, or pipe it");
  }
  Result<std::string> sql = ReadSql(options);
  if (!sql.ok()) return Fail(sql.error());
  Result<Target> target = ResolveTarget(options.target);
  if (!target.ok()) return Fail(target.error());
  Result<std::unique_ptr<Output>> out = Output::Open(options.output);
  if (!out.ok()) return Fail(out.error());
  Status done = target->url.empty() ? RunEmbedded(*target, options, *sql, *format, **out)
                                    : RunOverHttp(*target, options, *sql, *format, **out);
  if (!done.ok()) {
    Fail(done.error());
    if (done.error().code == "UNREACHABLE") {
      WriteStderr("varve: is the server running? give its --url, or --data DIR\n");
    }
    return kExitFailure;
  }
  done = (*out)->Finish();
  return done.ok() ? kExitOk : Fail(done.error());
}

}  // namespace

void AddQuery(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("query", "Ask with SQL: the tables events and logs");
  auto options = std::make_shared<QueryFlags>();
  command->add_option("sql", options->sql, "One SELECT; or -f FILE, or standard input");
  command->add_option("-f,--file", options->file, "Read the SQL from a file");
  command
      ->add_option(
          "--format", options->format,
          "table, json, ndjson, csv, arrow or parquet (default: table on a terminal, else csv)")
      ->check(CLI::IsMember({"table", "json", "ndjson", "csv", "arrow", "parquet"}));
  command->add_option("-o,--output", options->output, "Write to a file, complete or not at all");
  AddTargetOptions(*command, &options->target);
  command->footer(R"(Examples:
  varve query --data ./varve-data 'SELECT type, count(*) FROM events GROUP BY 1'
  varve query --url http://127.0.0.1:8080 --format parquet -o slow.parquet \
      'SELECT * FROM events WHERE duration_ms > 1000'
  echo 'SELECT level, count(*) FROM logs GROUP BY 1' | varve query --data ./varve-data)");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app
