#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/config_value.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/sort_key.h"
#include "core/clock.h"
#include "merge/merge.h"
#include "parquet/codec.h"

namespace varve::app {
namespace {

struct MergeFlags {
  std::vector<std::string> inputs, keys, bloom;
  std::string output, codec = "lz4", memory = "256 MiB", temp, unsorted = "refuse";
  std::string timestamps = "keep";
  std::string group_bytes = "64 MiB", page_bytes = "1 MiB", dictionary_bytes = "1 MiB";
  std::string file_bytes, split;
  uint64_t file_rows = 0;
  uint32_t group_rows = 131'072;
  uint32_t threads = 0;
  bool no_copy = false, no_sync = false, quiet = false;
};

Status Bytes(const char* name, const std::string& text, uint64_t min, uint64_t max, uint64_t& out) {
  const Result<uint64_t> bytes = ParseQuantity(text, "bytes");
  if (!bytes.ok() || *bytes < min || *bytes > max) {
    return MakeError(ErrorKind::kInvalid, fmt::format("{}: {} is not from {} to {}", name, text,
                                                      HumanBytes(min), HumanBytes(max)));
  }
  out = *bytes;
  return {};
}

Result<merge::MergeOptions> ToMerge(const MergeFlags& options) {
  merge::MergeOptions out;
  for (const std::string& key : options.keys) out.keys.push_back(ParseSortKey(key));
  out.codec = TRY(parquet::ParseCodec(options.codec));
  out.threads = options.threads;
  constexpr uint64_t kMiB = 1 << 20;
  uint64_t page = 0, dictionary = 0;
  TRY(Bytes("--memory-limit", options.memory, 64 * kMiB, uint64_t{1} << 40, out.memory_bytes_max));
  TRY(Bytes("--group-size", options.group_bytes, kMiB, 1024 * kMiB, out.group_bytes_max));
  TRY(Bytes("--page-size", options.page_bytes, 4096, 64 * kMiB, page));
  TRY(Bytes("--dictionary-size", options.dictionary_bytes, 0, 64 * kMiB, dictionary));
  if (!options.file_bytes.empty()) {
    TRY(Bytes("--file-size", options.file_bytes, kMiB, uint64_t{1} << 50, out.file_bytes_max));
  }
  out.page_bytes = static_cast<uint32_t>(page);
  out.dictionary_bytes_max = static_cast<uint32_t>(dictionary);
  out.group_rows_max = options.group_rows;
  out.file_rows_max = options.file_rows;
  if (options.split == "hour") out.split_us = 3'600'000'000;
  if (options.split == "day") out.split_us = 86'400'000'000;
  out.copy = !options.no_copy;
  out.bloom_columns = options.bloom;
  out.sync = !options.no_sync;
  if (options.timestamps == "millis") out.timestamps = merge::Timestamps::kMillis;
  if (options.timestamps == "micros") out.timestamps = merge::Timestamps::kMicros;
  out.unsorted = options.unsorted == "sort" ? merge::Unsorted::kSort : merge::Unsorted::kRefuse;
  out.temp_directory = options.temp;
  return out;
}

int Run(const MergeFlags& options) {
  Result<merge::MergeOptions> merge = ToMerge(options);
  if (!merge.ok()) {
    Fail(merge.error());
    return kExitUsage;
  }
  ProgressLine progress(!options.quiet);
  merge->progress = [&](const merge::MergeProgress& now) {
    progress.Show("merging", now.bytes_written, 0, now.rows_written, "rows");
  };
  InstallInterruptHandler();
  merge->cancelled = [] { return Interrupted(); };
  const int64_t started_ns = SystemClock().MonotonicNs();
  const Result<merge::MergeSummary> done =
      merge::MergeFiles(options.inputs, options.output, *merge);
  progress.Clear();
  if (!done.ok()) {
    Fail(done.error());
    if (done.error().code == "UNSORTED") {
      WriteStderr("varve: --unsorted sort sorts such a file first\n");
    }
    if (done.error().code == "TIMESTAMP_RANGE" && options.timestamps == "keep") {
      WriteStderr("varve: --timestamps micros has more room\n");
    }
    return kExitFailure;
  }
  if (options.quiet) return kExitOk;
  const double seconds = static_cast<double>(SystemClock().MonotonicNs() - started_ns) / 1e9;
  WriteStderr(fmt::format(
      "{}: {} files, {} rows, {} → {} in {:.2f} s\n",
      done->files.size() == 1 ? done->files[0].path : fmt::format("{} files", done->files.size()),
      HumanCount(options.inputs.size()), HumanCount(done->rows), HumanBytes(done->bytes_read),
      HumanBytes(done->bytes_written), seconds));
  return kExitOk;
}

}  // namespace

void AddMerge(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("merge", "Sorted Parquet files to one sorted file");
  auto options = std::make_shared<MergeFlags>();
  command->add_option("inputs", options->inputs, "Parquet files, each sorted by the key")
      ->required();
  command->add_option("-o,--output", options->output, "Parquet file")->required();
  command->add_option("-k,--key", options->keys, "COLUMN[:desc][:nulls-first]; several, in order")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--compression", options->codec,
                      "none, snappy, lz4 (default), zstd, gzip, brotli; a level as in zstd:9");
  command->add_option("--threads", options->threads, "Default: one a core")
      ->check(CLI::Range(0, 256));
  command->add_option("--memory-limit", options->memory,
                      "What to keep to, in all of the process (default: 256 MiB)");
  command->add_option("--group-rows", options->group_rows, "Rows of a row group (default: 131072)")
      ->check(CLI::Range(1u, 1u << 30));
  command->add_option("--group-size", options->group_bytes,
                      "Bytes of a row group, not compressed (default: 64 MiB)");
  command->add_option("--page-size", options->page_bytes,
                      "Bytes of a page, not compressed (default: 1 MiB)");
  command->add_option("--dictionary-size", options->dictionary_bytes,
                      "Of a column in a row group; 0: no dictionaries (default: 1 MiB)");
  command
      ->add_option("--bloom", options->bloom,
                   "COLUMN that has a Bloom filter in each row group; several")
      ->allow_extra_args(false);
  command
      ->add_option("--file-rows", options->file_rows,
                   "Begin another file after so many: OUT-00000.parquet, OUT-00001.parquet, …")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 50));
  command->add_option("--file-size", options->file_bytes, "Begin another file after so much");
  command
      ->add_option("--split", options->split,
                   "Begin another file with each hour or day (UTC) of the first key column")
      ->check(CLI::IsMember({"hour", "day"}));
  command
      ->add_option("--timestamps", options->timestamps,
                   "Their unit: keep (default; the finest where files differ), millis, micros")
      ->check(CLI::IsMember({"keep", "millis", "micros"}));
  command->add_option("--unsorted", options->unsorted, "An input that is not sorted: refuse, sort")
      ->check(CLI::IsMember({"refuse", "sort"}));
  command->add_option("--temp", options->temp, "Directory for sorting (default: the output's)");
  command->add_flag("--no-copy", options->no_copy, "Encode again what could be copied as it is");
  command->add_flag("--no-sync", options->no_sync, "Do not wait for the disk");
  command->add_flag("-q,--quiet", options->quiet, "No progress, no summary");
  command->footer(
      R"(Equal keys keep the order of the inputs. The output is there whole or not at all;
a file of its name is replaced. Where it is several files, none of them may be there before.

Examples:
  varve merge --key ts part-*.parquet -o day.parquet
  varve merge --key ts --compression zstd:3 --memory-limit '512 MiB' in/*.parquet -o out.parquet
  varve merge --key ts --bloom user_id --bloom url in/*.parquet -o out.parquet
  varve merge --key ts --split day 2026-*.parquet -o by-day.parquet
  varve merge --key tenant --key ts:desc --file-rows 1000000 a.parquet b.parquet -o c.parquet)");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app
