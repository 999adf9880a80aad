// 1. Read: segments of whole lines, each cut into chunks that all cores scan; what is kept of an
//    event is its time and where it lies.
// 2. When the input so far reaches the memory bound, it is sorted and spilled as a run.
// 3. Without runs, the events are written straight from where the input lies. A mapped input is
//    unloaded after each pass over a part of it, so that it does not count twice; the page cache
//    still has it. With runs, they are merged.
// 4. The output is written under another name beside its place, then renamed.
#include "record/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "core/huge_pages.h"
#include "parquet/output_file.h"
#include "record/event_file_writer.h"
#include "record/event_scan.h"
#include "record/event_sort.h"
#include "record/ndjson_input.h"
#include "record/sorted_runs.h"

namespace varve::record {

namespace {

constexpr uint64_t kSegmentBytes = 64 << 20;
constexpr size_t kChunkBytes = 1 << 20;
constexpr uint64_t kWriterBytes = 96 << 20;  // what the file writer takes of the memory
constexpr uint64_t kSortBytesMin = 8 << 20;
constexpr size_t kBadLinesShown = 10;

// The chunks of a text: about kChunkBytes each, of whole lines.
std::vector<std::string_view> ChunksOf(std::string_view text) {
  std::vector<std::string_view> chunks;
  while (!text.empty()) {
    size_t end = text.size();
    if (end > kChunkBytes) {
      const size_t newline = text.find('\n', kChunkBytes);
      if (newline != std::string_view::npos) end = newline + 1;
    }
    chunks.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return chunks;
}

void ReserveHuge(std::vector<EventSlice>* events, size_t count) {
  events->reserve(count);
  AdviseHugePages(events->data(), count * sizeof(EventSlice));
}

class Converter {
 public:
  Converter(std::string output, const ConvertOptions& options)
      : options_(options),
        threads_(options.threads != 0 ? options.threads
                                      : std::max(1u, std::thread::hardware_concurrency())),
        output_(output),
        runs_(options.temp_directory.empty() ? output_.directory() : options.temp_directory),
        scanners_(threads_) {}

  Result<ConvertSummary> Run(const std::vector<std::string>& inputs);

 private:
  Status ReadInput(const std::string& path, NdjsonInput& input);
  void MakeRoom(const std::vector<EventScanResult>& scans, uint64_t text_bytes);
  Status AddSegment(const std::string& path, std::unique_ptr<NdjsonSegment> segment);
  std::vector<EventScanResult> Scan(const std::vector<std::string_view>& chunks);
  Status TakeProblems(const std::string& path, const EventScanResult& scan);
  Status Spill();
  Status WriteHeld(EventFileWriter& writer);
  Status WriteRuns(EventFileWriter& writer);
  void Report();
  void Unload() {
    for (const auto& segment : held_) segment->Unload();
  }
  uint64_t HeldBytes() const {
    return held_text_bytes_ + 2 * sizeof(EventSlice) * held_events_.size();
  }
  uint64_t HeldBytesMax() const {
    return std::max(kSortBytesMin, options_.memory_bytes_max > kWriterBytes
                                       ? options_.memory_bytes_max - kWriterBytes
                                       : 0);
  }

  const ConvertOptions& options_;
  const uint32_t threads_;
  parquet::OutputFile output_;
  SortedRuns runs_;
  std::vector<EventScanner> scanners_;  // one a thread

  std::vector<std::unique_ptr<NdjsonSegment>> held_;
  uint64_t held_text_bytes_ = 0;
  std::vector<EventSlice> held_events_, scratch_;
  uint64_t lines_before_ = 0;  // of the file that is being read
  ConvertProgress progress_;
  ConvertSummary summary_;
};

void Converter::Report() {
  if (options_.progress) options_.progress(progress_);
}

std::vector<EventScanResult> Converter::Scan(const std::vector<std::string_view>& chunks) {
  std::vector<EventScanResult> results(chunks.size());
  std::atomic<size_t> next{0};
  EventScanner::Options options;
  options.limits = options_.limits;
  options.now_ms = options_.now_ms;
  auto work = [&](uint32_t thread) {
    for (size_t i = next++; i < chunks.size(); i = next++) {
      results[i].events.reserve(chunks[i].size() / 256);
      scanners_[thread].ScanLines(chunks[i], options, &results[i]);
    }
  };
  std::vector<std::jthread> others;
  for (uint32_t t = 1; t < std::min<size_t>(threads_, chunks.size()); ++t) {
    others.emplace_back(work, t);
  }
  work(0);
  others.clear();
  return results;
}

Status Converter::TakeProblems(const std::string& path, const EventScanResult& scan) {
  if (scan.problem_count == 0) return {};
  for (const EventProblem& problem : scan.problems) {
    std::string text = fmt::format("{}:{}: {}", path, lines_before_ + problem.line, problem.reason);
    if (!options_.skip_bad_lines) {
      return MakeError(ErrorKind::kInvalid, "BAD_LINE", std::move(text),
                       fmt::format(R"({{"line":{}}})", lines_before_ + problem.line));
    }
    if (summary_.first_bad_lines.size() == kBadLinesShown) break;
    summary_.first_bad_lines.push_back(std::move(text));
  }
  summary_.bad_lines += scan.problem_count;
  return {};
}

// Room for as many events as will be held if the rest of the input is like what is about to be
// added: moving them whenever there are twice as many costs as much as sorting them.
void Converter::MakeRoom(const std::vector<EventScanResult>& scans, uint64_t text_bytes) {
  uint64_t events = held_events_.size();
  for (const EventScanResult& scan : scans) events += scan.events.size();
  if (events <= held_events_.capacity()) return;
  const uint64_t text_read = held_text_bytes_ + text_bytes;
  const uint64_t text_left =
      progress_.bytes_total - std::min(progress_.bytes_total, progress_.bytes_read + text_bytes);
  const uint64_t event_bytes = text_read / events;
  const uint64_t to_come = std::min(text_left / std::max<uint64_t>(event_bytes, 1),
                                    HeldBytesMax() / (event_bytes + 2 * sizeof(EventSlice)));
  ReserveHuge(&held_events_, events + to_come + to_come / 16);
}

Status Converter::AddSegment(const std::string& path, std::unique_ptr<NdjsonSegment> segment) {
  const std::vector<std::string_view> chunks = ChunksOf(segment->text());
  const std::vector<EventScanResult> scans = Scan(chunks);
  MakeRoom(scans, segment->text().size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    auto taken = TakeProblems(path, scans[i]);
    if (!taken.ok()) return taken;
    lines_before_ += scans[i].lines;
    for (const EventRef& ref : scans[i].events) {
      held_events_.push_back(
          {ref.ts_ms, chunks[i].data() + ref.offset, ref.size, RecordKind::kEvents});
    }
    progress_.events_read += scans[i].events.size();
  }
  held_text_bytes_ += segment->text().size();
  progress_.bytes_read += segment->text().size();
  segment->Unload();
  held_.push_back(std::move(segment));
  Report();
  return {};
}

Status Converter::ReadInput(const std::string& path, NdjsonInput& input) {
  lines_before_ = 0;
  while (true) {
    const uint64_t left = HeldBytesMax() - std::min(HeldBytesMax(), HeldBytes());
    if (left < kChunkBytes) {
      auto spilled = Spill();
      if (!spilled.ok()) return spilled;
      continue;
    }
    auto segment = TRY(input.Next(std::min(kSegmentBytes, left), options_.limits.event_bytes_max));
    if (segment == nullptr) return {};
    auto added = AddSegment(path, std::move(segment));
    if (!added.ok()) return added;
  }
}

Status Converter::Spill() {
  SortByTime(&held_events_, &scratch_, threads_);
  auto added = runs_.Add(held_events_);
  held_events_.clear();
  held_.clear();
  held_text_bytes_ = 0;
  return added;
}

Status Converter::WriteHeld(EventFileWriter& writer) {
  ReserveHuge(&scratch_, held_events_.size());
  SortByTime(&held_events_, &scratch_, threads_);
  scratch_ = {};
  std::span<const EventSlice> rest = held_events_;
  while (!rest.empty()) {
    const auto part = rest.first(std::min<size_t>(rest.size(), options_.row_group_rows_max));
    auto written = writer.Write(part);
    if (!written.ok()) return written;
    Unload();
    rest = rest.subspan(part.size());
    progress_.events_written += part.size();
    Report();
  }
  return {};
}

Status Converter::WriteRuns(EventFileWriter& writer) {
  auto spilled = Spill();
  if (!spilled.ok()) return spilled;
  held_events_ = {};
  scratch_ = {};
  return runs_.Merge(HeldBytesMax(), [&](std::span<const EventSlice> block) -> Status {
    auto written = writer.Write(block);
    progress_.events_written += block.size();
    Report();
    return written;
  });
}

Result<ConvertSummary> Converter::Run(const std::vector<std::string>& inputs) {
  std::vector<std::unique_ptr<NdjsonInput>> files;
  bool sizes_known = true;
  for (const std::string& path : inputs) {
    files.push_back(TRY(NdjsonInput::Open(path)));
    progress_.bytes_total += files.back()->size();
    sizes_known = sizes_known && files.back()->size() > 0;
  }
  if (!sizes_known) progress_.bytes_total = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    auto read = ReadInput(inputs[i], *files[i]);
    if (!read.ok()) return std::move(read).error();
    files[i].reset();
  }
  if (progress_.events_read == 0) {
    return MakeError(ErrorKind::kInvalid, "NO_EVENTS", "there is no event in the input");
  }
  auto opened = output_.Open();
  if (!opened.ok()) return std::move(opened).error();
  EventFileOptions file_options;
  file_options.row_group_rows_max = options_.row_group_rows_max;
  file_options.threads = threads_;
  auto writer = TRY(EventFileWriter::Open(
      [&](std::string_view bytes) { return output_.Append(bytes); }, file_options));
  auto written = runs_.count() == 0 ? WriteHeld(*writer) : WriteRuns(*writer);
  if (!written.ok()) return std::move(written).error();
  const EventFileSummary file = TRY(writer->Close());
  auto published = output_.Publish(options_.sync);
  if (!published.ok()) return std::move(published).error();
  summary_.events = file.rows;
  summary_.bytes_read = progress_.bytes_read;
  summary_.bytes_written = file.bytes;
  summary_.ts_min = file.ts_min;
  summary_.ts_max = file.ts_max;
  summary_.sorted_runs = runs_.count();
  return summary_;
}

}  // namespace

Result<ConvertSummary> ConvertNdjson(const std::vector<std::string>& inputs,
                                     const std::string& output, const ConvertOptions& options) {
  if (inputs.empty()) return MakeError(ErrorKind::kInvalid, "NO_EVENTS", "there is no input");
  return Converter(output, options).Run(inputs);
}

}  // namespace varve::record
