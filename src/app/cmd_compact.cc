// Merges files of a data directory that nobody serves, and commits them to a table.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/config_value.h"
#include "app/direct_compaction.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/sort_key.h"
#include "core/clock.h"
#include "parquet/codec.h"

namespace varve::app {
namespace {

struct CompactFlags {
  std::string data, config, tenant, ns, prefix, target = "iceberg", partition = "hour";
  std::string codec = "zstd", grace = "0 ms", file_bytes = "100 MiB", batch_bytes = "4 GiB";
  std::vector<std::string> files, keys;
  bool plan = false, resume = false, keep = false, json = false, quiet = false;
};

Result<uint64_t> QuantityOf(const char* option, const std::string& text, std::string_view unit) {
  auto number = ParseQuantity(text, unit);
  if (!number.ok()) return Error(number.error()).Context(option);
  return number;
}

Result<compact::CompactionRequest> RequestOf(const CompactFlags& options) {
  compact::CompactionRequest request;
  if (!options.tenant.empty()) request.tenant = TRY(NamespaceId::Parse(options.tenant));
  request.ns = options.ns;
  TRY(compact::TableNameOf(options.ns));
  compact::CompactionSettings& settings = request.settings;
  settings.target = TRY(compact::ParseTargetFormat(options.target));
  settings.partition_by = TRY(compact::ParsePartitionBy(options.partition));
  settings.codec = TRY(parquet::ParseCodec(options.codec));
  for (const std::string& key : options.keys) settings.sort_by.push_back(ParseSortKey(key));
  settings.grace_ms = TRY(QuantityOf("--grace", options.grace, "ms"));
  settings.file_bytes_max = TRY(QuantityOf("--file-size", options.file_bytes, "bytes"));
  settings.batch_bytes_max = TRY(QuantityOf("--batch-size", options.batch_bytes, "bytes"));
  settings.delete_sources = !options.keep;
  return request;
}

void SetWindow(compact::CompactionRequest& request) {
  const auto [first, last] =
      std::minmax_element(request.sources.begin(), request.sources.end(),
                          [](const auto& a, const auto& b) { return a.time_ms < b.time_ms; });
  request.window_start_ms = first->time_ms;
  request.window_end_ms = last->time_ms;
}

std::string SummaryText(const std::string& summary_json) {
  const auto json = nlohmann::ordered_json::parse(summary_json, nullptr, false);
  std::string out = fmt::format("{}\n", json.value("id", ""));
  for (const auto& step : json.value("steps", nlohmann::ordered_json::array())) {
    out += fmt::format("  {:<11} {:>8} ms  {}\n", step.value("step", ""), step.value("ms", 0),
                       step["detail"].dump());
    if (step["detail"].is_object() && step["detail"].contains("warning")) {
      out += fmt::format("  warning: {}\n", step["detail"].value("warning", ""));
    }
  }
  return out;
}

Result<std::string> Compact(const CompactFlags& options, ProgressLine& progress) {
  std::vector<std::pair<std::string, std::string>> flags;
  if (!options.data.empty()) flags.emplace_back("data_dir", options.data);
  const Config config = TRY(LoadForCommand(options.config, std::move(flags))).config;
  auto direct = TRY(DirectCompaction::Open(config, [&](const merge::MergeProgress& now) {
    progress.Show("merging", now.bytes_written, 0, now.rows_written, "rows");
  }));
  if (options.resume) return fmt::format("{} compactions ended\n", TRY(direct->RunAllWithGraces()));
  compact::CompactionRequest request = TRY(RequestOf(options));
  if (!options.plan) TRY(direct->RunAll());  // what an earlier one has left
  request.sources = TRY(direct->Sources(options.files, options.prefix));
  SetWindow(request);
  if (options.plan) return direct->Plan(request);
  const std::string id = TRY(direct->Start(request));
  TRY(direct->RunAll(id));
  Result<std::string> summary = direct->Summary(id);
  if (!summary.ok()) {
    TRY(direct->Abandon(id));
    return summary;
  }
  TRY(direct->CheckTaken(id));
  return options.json ? *summary : SummaryText(*summary);
}

int Run(const CompactFlags& options) {
  if (!options.resume &&
      (options.ns.empty() || (options.files.empty() && options.prefix.empty()))) {
    Fail("give --namespace and files or --prefix, or --resume");
    return kExitUsage;
  }
  InstallInterruptHandler();
  ProgressLine progress(!options.quiet);
  const Result<std::string> text = Compact(options, progress);
  progress.Clear();
  return text.ok() ? WriteStdout(*text) : Fail(text.error());
}

}  // namespace

void AddCompact(CLI::App& root, Chosen& chosen) {
  CLI::App* command =
      root.add_subcommand("compact", "Merge files of a data directory into a table");
  auto options = std::make_shared<CompactFlags>();
  command->add_option("files", options->files, "Keys of Parquet files in the data directory");
  command->add_option("--prefix", options->prefix, "Every .parquet below it, merged ones excepted");
  command->add_option("--namespace,--ns", options->ns, "Of the data; \"a/b\" is the table a.b");
  command->add_option("--tenant", options->tenant, "Whose tables (default: the instance's)");
  command->add_option("--to", options->target, "iceberg (default), delta, iceberg+delta, parquet")
      ->check(CLI::IsMember({"iceberg", "delta", "iceberg+delta", "parquet"}));
  command
      ->add_option("-k,--key", options->keys,
                   "COLUMN[:desc][:nulls-first] to sort by (default: ts, timestamp, createdAt or "
                   "created_at)")
      ->allow_extra_args(false);
  command
      ->add_option("--partition", options->partition, "Of a new table: hour (default), day, none")
      ->check(CLI::IsMember({"hour", "day", "none"}));
  command->add_option("--compression", options->codec, "zstd (default), lz4, snappy, none, …");
  command->add_option("--file-size", options->file_bytes, "Begin another file after so much");
  command->add_option("--batch-size", options->batch_bytes, "Sources of one merge");
  command->add_option("--grace", options->grace,
                      "Between the commit and the sources' deletion (default: none)");
  command->add_flag("--keep-sources", options->keep, "Do not delete them");
  command->add_flag("--plan", options->plan, "Only say what would be done");
  command->add_flag("--resume", options->resume, "Only end what an earlier one has begun");
  command->add_option("--data", options->data, "Data directory (default: the configuration's)");
  command->add_option("--config", options->config, "TOML file (or VARVE_CONFIG)");
  command->add_flag("--json", options->json, "JSON");
  command->add_flag("-q,--quiet", options->quiet, "No progress");
  command->footer(
      R"(Readers see the table before or after. A source goes once the commit is verified, and only if it
still has the bytes that were taken; one that cannot be read stays and is named. An interrupted
compaction is ended by the next one. A server compacts by itself; this is for a directory without.

Examples:
  varve compact --prefix data/users/ --namespace users --to iceberg --plan
  varve compact --prefix data/users/ --namespace users --to iceberg+delta --key ts
  varve compact --resume --data ./varve-data)");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app
