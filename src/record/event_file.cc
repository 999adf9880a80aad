#include "record/event_file.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cmath>

#include "record/event_file_writer.h"
#include "record/event_sort.h"

namespace varve::record {

namespace {

// What this process's threads have used so far; the writer's second thread is among them.
double ThreadCpuMs() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto ms = [](const timeval& t) { return t.tv_sec * 1e3 + t.tv_usec / 1e3; };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

std::map<std::string, std::string> Metadata(const EventFileSummary& summary, double cpu_ms) {
  std::string types;
  for (const std::string& type : summary.types) types += (types.empty() ? "" : ",") + type;
  return {
      {"events", std::to_string(summary.rows)},
      {"bytes", std::to_string(summary.bytes)},
      {"bytesPerEvent", std::to_string(std::llround(static_cast<double>(summary.bytes) /
                                                    static_cast<double>(summary.rows)))},
      {"cpuMs", fmt::format("{:.2f}", cpu_ms)},
      {"minTs", std::to_string(summary.ts_min)},
      {"maxTs", std::to_string(summary.ts_max)},
      {"types", types},
      {"format", "parquet-v1"},
  };
}

}  // namespace

Result<EventFile> WriteEventFile(std::span<const EventSlice> events,
                                 const EventFileOptions& options) {
  if (events.empty()) return MakeError(ErrorKind::kInvalid, "an event file without events");
  const double cpu_before = ThreadCpuMs();
  std::vector<EventSlice> sorted(events.begin(), events.end());
  {
    std::vector<EventSlice> scratch;
    SortByTime(&sorted, &scratch);
  }
  EventFile file;
  auto sink = [&](std::string_view bytes) -> Status {
    file.bytes.append(bytes);
    return {};
  };
  auto writer = TRY(EventFileWriter::Open(sink, options));
  auto written = writer->Write(sorted);
  if (!written.ok()) return std::move(written).error();
  const EventFileSummary summary = TRY(writer->Close());
  file.rows = summary.rows;
  file.metadata = Metadata(summary, ThreadCpuMs() - cpu_before);
  return file;
}

}  // namespace varve::record
