#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/config_value.h"
#include "app/output.h"
#include "app/progress.h"
#include "core/clock.h"
#include "record/convert.h"

namespace varve::app {
namespace {

struct ConvertFlags {
  std::vector<std::string> inputs;
  std::string output, memory = "1 GiB", temp, on_error = "stop";
  uint32_t threads = 0;
  bool quiet = false;
};

int Run(const ConvertFlags& options) {
  record::ConvertOptions convert;
  convert.threads = options.threads;
  Result<uint64_t> memory = ParseQuantity(options.memory, "bytes");
  if (!memory.ok() || *memory < (16u << 20)) {
    Fail("--memory-limit: " + options.memory + " is not 16 MiB or more, such as \"512 MiB\"");
    return kExitUsage;
  }
  convert.memory_bytes_max = *memory;
  convert.skip_bad_lines = options.on_error == "skip";
  convert.now_ms = SystemClock().NowMs();
  convert.temp_directory = options.temp;
  ProgressLine progress(!options.quiet);
  convert.progress = [&](const record::ConvertProgress& now) {
    bool reading = now.events_written == 0;
    progress.Show(reading ? "reading" : "writing", now.bytes_read, reading ? now.bytes_total : 0,
                  reading ? now.events_read : now.events_written, "events");
  };
  int64_t started_ns = SystemClock().MonotonicNs();
  Result<record::ConvertSummary> done =
      record::ConvertNdjson(options.inputs, options.output, convert);
  progress.Clear();
  if (!done.ok()) {
    Fail(done.error());
    if (done.error().code == "BAD_LINE") {
      WriteStderr("varve: mend the line, or leave bad lines out with --on-error skip\n");
    }
    return kExitFailure;
  }
  for (const std::string& line : done->first_bad_lines) {
    WriteStderr(fmt::format("varve: {}\n", line));
  }
  if (options.quiet) return kExitOk;
  double seconds = static_cast<double>(SystemClock().MonotonicNs() - started_ns) / 1e9;
  std::string skipped =
      done->bad_lines == 0 ? "" : fmt::format(", {} lines left out", HumanCount(done->bad_lines));
  WriteStderr(fmt::format("{}: {} events, {} → {} in {:.2f} s{}\n", options.output,
                          HumanCount(done->events), HumanBytes(done->bytes_read),
                          HumanBytes(done->bytes_written), seconds, skipped));
  return kExitOk;
}

}  // namespace

void AddConvert(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("convert", "NDJSON files to one sorted Parquet file");
  auto options = std::make_shared<ConvertFlags>();
  command->add_option("inputs", options->inputs, "NDJSON files, or pipes")->required();
  command->add_option("-o,--output", options->output, "Parquet file")->required();
  command->add_option("--threads", options->threads, "Default: one a core")
      ->check(CLI::Range(0, 256));
  command->add_option("--memory-limit", options->memory,
                      "Input beyond it is sorted through temporary files (default: 1 GiB)");
  command->add_option("--temp", options->temp, "Directory for them (default: the output's)");
  command->add_option("--on-error", options->on_error, "stop at a bad line, or skip it")
      ->check(CLI::IsMember({"stop", "skip"}));
  command->add_flag("-q,--quiet", options->quiet, "No progress, no summary");
  command->footer(R"(The 13 columns of `events`, sorted by time; no server is needed.

Examples:
  varve convert monday.ndjson tuesday.ndjson -o week.parquet
  varve convert --memory-limit '256 MiB' --on-error skip big.ndjson -o big.parquet)");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app
