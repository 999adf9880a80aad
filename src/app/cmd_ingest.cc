#include <errno.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "app/commands.h"
#include "app/ingest_run.h"
#include "app/ingest_state.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/target.h"
#include "core/clock.h"
#include "core/ulid.h"

namespace varve::app {
namespace {

constexpr int64_t kStateEveryNs = 1'000'000'000;

struct IngestFlags {
  TargetOptions target;
  std::vector<std::string> inputs;
  std::string format = "auto", on_error = "skip", state, id;
  uint32_t connections = 4, events_max = 1'000;
  uint64_t patience_s = 60;
  bool quiet = false;
};

struct FileClose {
  void operator()(std::FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};

struct Input {
  std::unique_ptr<std::FILE, FileClose> file;
  std::string name, identity;
  uint64_t bytes = 0;  // 0: not known
  InputFormat format = InputFormat::kAuto;
  InputState resume;
};

// Looks at the first character of a regular file, so that the middle of one can be started at.
InputFormat DetectFormat(std::FILE* file) {
  int c = 0;
  do c = std::fgetc(file);
  while (c == ' ' || c == '\t' || c == '\r' || c == '\n');
  std::rewind(file);
  return c == '[' ? InputFormat::kJson : InputFormat::kNdjson;
}

Result<Input> OpenInput(const std::string& path, const IngestFlags& options, IngestState& state) {
  Input input;
  if (options.format == "ndjson") input.format = InputFormat::kNdjson;
  if (options.format == "json") input.format = InputFormat::kJson;
  if (path == "-") {
    input.file.reset(stdin);
    input.name = "standard input";
    // Two runs of a pipe are two inputs, unless --id says that they are one.
    input.identity = options.id.empty()
                         ? Ulid::Make(SystemClock().NowMs(), SystemRandom()).ToString()
                         : options.id;
    return input;
  }
  input.file.reset(std::fopen(path.c_str(), "rb"));
  if (!input.file) return ErrnoError(errno, "open " + path);
  struct stat info {};
  if (fstat(fileno(input.file.get()), &info) != 0) return ErrnoError(errno, "stat " + path);
  if (S_ISDIR(info.st_mode)) return ErrnoError(EISDIR, "read " + path);
  std::error_code failed;
  input.name = path;
  input.identity =
      options.id.empty() ? std::filesystem::canonical(path, failed).string() : options.id;
  if (!S_ISREG(info.st_mode)) return input;
  input.bytes = static_cast<uint64_t>(info.st_size);
  if (input.format == InputFormat::kAuto) input.format = DetectFormat(input.file.get());
  if (input.format != InputFormat::kNdjson) return input;  // sent again; known by its batch ids
  input.resume = TRY(state.ResumeAt(input.identity));
  if (fseeko(input.file.get(), static_cast<off_t>(input.resume.offset), SEEK_SET) != 0) {
    return ErrnoError(errno, "seek in " + path);
  }
  return input;
}

void Report(const Input& input, const IngestTotals& totals, bool quiet) {
  for (const BadEvent& bad : totals.first_bad) {
    WriteStderr(fmt::format("varve: {}:{}: {}\n", input.name, bad.line, bad.reason));
  }
  if (totals.bad > totals.first_bad.size()) {
    WriteStderr(fmt::format("varve: {}: {} more refused events\n", input.name,
                            totals.bad - totals.first_bad.size()));
  }
  if (quiet) return;
  std::string extra;
  if (totals.deduplicated > 0) {
    extra += fmt::format(", {} had been stored before", HumanCount(totals.deduplicated));
  }
  if (totals.bad > 0) extra += fmt::format(", {} refused", HumanCount(totals.bad));
  WriteStderr(
      fmt::format("{}: {} events stored{}\n", input.name, HumanCount(totals.stored), extra));
}

Status IngestInput(const std::string& path, const IngestFlags& options, IngestState& state,
                   uint64_t* bad) {
  Input input = TRY(OpenInput(path, options, state));
  SenderOptions sender{
      .url = ServerUrl(options.target) + "/ingest" + NamespaceParam(options.target, '?'),
      .identity = input.identity,
      .patience_ms = options.patience_s * 1000,
      .stop_on_bad = options.on_error == "stop"};
  BatchReader reader(input.file.get(), input.name, input.identity, input.format,
                     {.events_max = options.events_max}, input.resume.offset, input.resume.line);
  IngestRun run(sender, options.connections, input.resume.offset, input.resume.line);
  ProgressLine progress(!options.quiet);
  int64_t saved_ns = SystemClock().MonotonicNs();
  Status saved;
  auto save = [&](const IngestTotals& totals) {
    if (input.format != InputFormat::kNdjson || input.bytes == 0) return;
    saved = state.Save(input.identity, totals.safe_offset, totals.safe_line);
    saved_ns = SystemClock().MonotonicNs();
  };
  Status done = run.Run(reader, [&](const IngestTotals& totals) {
    progress.Show(input.name, totals.bytes_done, input.bytes, totals.stored, "events");
    if (SystemClock().MonotonicNs() - saved_ns > kStateEveryNs) save(totals);
  });
  progress.Clear();
  IngestTotals totals = run.totals();
  save(totals);
  Report(input, totals, options.quiet);
  *bad += totals.bad;
  if (!done.ok()) return std::move(done).error().Context(input.name);
  return saved;
}

int Run(const IngestFlags& options) {
  InstallInterruptHandler();
  Result<IngestState> state = IngestState::Load(options.state);
  if (!state.ok()) return Fail(state.error());
  std::vector<std::string> inputs = options.inputs;
  if (inputs.empty()) inputs.emplace_back("-");
  uint64_t bad = 0;
  for (const std::string& input : inputs) {
    Status done = IngestInput(input, options, *state, &bad);
    if (done.ok()) continue;
    Fail(done.error());
    bool cancelled = done.error().kind == ErrorKind::kCancelled;
    if (done.error().code == "UNREACHABLE") {
      WriteStderr("varve: is the server running? `varve serve`, or give its --url\n");
    } else if (cancelled || !options.state.empty()) {
      WriteStderr("varve: run the same command again to go on; nothing is stored twice\n");
    }
    return kExitFailure;
  }
  return bad == 0 ? kExitOk : kExitFailure;
}

}  // namespace

void AddIngest(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("ingest", "Send files or standard input to a server");
  auto options = std::make_shared<IngestFlags>();
  command->add_option("files", options->inputs,
                      "NDJSON or JSON files; '-' or none: standard input");
  command->add_option("--format", options->format, "auto, ndjson or json")
      ->check(CLI::IsMember({"auto", "ndjson", "json"}));
  command
      ->add_option("--on-error", options->on_error,
                   "skip: tell the refused lines and send the others; stop: end there")
      ->check(CLI::IsMember({"skip", "stop"}));
  command->add_option(
      "--state", options->state,
      "File that keeps how far each input got; for inputs that grow, or large ones");
  command->add_option("--id", options->id,
                      "Name of the input in batch ids (default: its path; a pipe: a new one)");
  command->add_option("--connections", options->connections, "Requests at once")
      ->check(CLI::Range(1, 64));
  command->add_option("--batch", options->events_max, "Events in a request")
      ->check(CLI::Range(1, 100'000));
  command
      ->add_option("--patience", options->patience_s,
                   "Seconds that a busy or unreachable server is asked again")
      ->check(CLI::Range(0, 86'400));
  command->add_flag("-q,--quiet", options->quiet, "No progress, no summary");
  AddUrlOptions(*command, &options->target);
  command->footer(
      R"(A run that is repeated within the server's dedup window stores nothing twice: each
request has a batch id made of the input's path, the place in it and the bytes.
The exit code is 1 if any event was refused.

Examples:
  varve ingest events.ndjson
  varve ingest --state ingest.state /var/log/app/*.ndjson
  zcat old.ndjson.gz | varve ingest --id old --url http://lake.internal:8080)");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app
