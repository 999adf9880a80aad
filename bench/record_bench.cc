// Micro benchmarks of the record module over the real requests in data/web-access.ndjson.
#include <benchmark/benchmark.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "record/event.h"
#include "record/event_columns.h"
#include "record/event_file.h"

namespace varve::record {
namespace {

const std::vector<std::string>& Lines() {
  static const std::vector<std::string> lines = [] {
    std::ifstream in(VARVE_SOURCE_DIR "/data/web-access.ndjson");
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }();
  return lines;
}

std::string Body(size_t first, size_t count, std::string_view open, char separator,
                 std::string_view close) {
  std::string body(open);
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) body += separator;
    body += Lines()[(first + i) % Lines().size()];
  }
  body += close;
  body.reserve(body.size() + kJsonPaddingBytes);
  return body;
}

void ParseBodies(benchmark::State& state, const std::vector<std::string>& bodies,
                 BodyFormat format) {
  BatchParser parser;
  EventBatch batch;
  uint64_t bytes = 0, events = 0;
  size_t next = 0;
  for (auto _ : state) {
    const std::string& body = bodies[next++ % bodies.size()];
    if (!parser.Parse(body, format, 0, {}, &batch).ok()) state.SkipWithError("refused");
    bytes += body.size();
    events += batch.events.size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.SetItemsProcessed(static_cast<int64_t>(events));
}

void BM_ParseJsonBatch(benchmark::State& state) {
  std::vector<std::string> bodies;
  for (size_t i = 0; i < 100; ++i) {
    bodies.push_back(Body(i * 100, 100, R"({"events":[)", ',', R"(],"batchId":"b"})"));
  }
  ParseBodies(state, bodies, BodyFormat::kJson);
}
BENCHMARK(BM_ParseJsonBatch);

void BM_ParseNdjsonBatch(benchmark::State& state) {
  std::vector<std::string> bodies;
  for (size_t i = 0; i < 100; ++i) bodies.push_back(Body(i * 100, 100, "", '\n', ""));
  ParseBodies(state, bodies, BodyFormat::kNdjson);
}
BENCHMARK(BM_ParseNdjsonBatch);

void BM_Decode(benchmark::State& state) {
  EventDecoder decoder;
  EventRow row;
  size_t next = 0;
  for (auto _ : state) {
    const std::string& line = Lines()[next++ % Lines().size()];
    benchmark::DoNotOptimize(
        decoder.Decode(line, RecordKind::kEvents, 0, kAllEventColumns, &row).ok());
    decoder.ResetArena();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Decode);

void BM_WriteEventFile(benchmark::State& state) {
  BatchParser parser;
  EventBatch batch;
  const std::string body = Body(0, 200'000, "", '\n', "");
  EventLimits limits;
  limits.events_max = UINT32_MAX;
  if (!parser.Parse(body, BodyFormat::kNdjson, 0, limits, &batch).ok()) {
    state.SkipWithError("refused");
    return;
  }
  std::vector<EventSlice> slices;
  for (const EventRef& ref : batch.events) {
    slices.push_back({ref.ts_ms, body.data() + ref.offset, ref.size, RecordKind::kEvents});
  }
  EventFileOptions options;
  options.threads = static_cast<uint32_t>(state.range(0));
  size_t bytes = 0;
  for (auto _ : state) bytes = WriteEventFile(slices, options).value().bytes.size();
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(slices.size()));
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_WriteEventFile)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace varve::record
