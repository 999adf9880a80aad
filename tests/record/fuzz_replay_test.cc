// The fuzz targets over seeded changes of good inputs, the same ones each time.
#include <gtest/gtest.h>

#include "fuzz/record_targets.h"
#include "text_helpers.h"

namespace varve::record {
namespace {

std::string Changed(std::string text, std::mt19937& random) {
  static const std::string bytes = "\"\\{}[]:,019-+.eutfn \n\r\t\x01\x80\xC3\xFF";
  for (size_t changes = 1 + random() % 6; changes > 0 && !text.empty(); --changes) {
    const size_t at = random() % text.size();
    const size_t length = std::min<size_t>(1 + random() % 16, text.size() - at);
    switch (random() % 6) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text[at] = bytes[random() % bytes.size()];
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(at, 1, bytes[random() % bytes.size()]);
        break;
      case 4:
        text.insert(random() % text.size(), text.substr(at, length));
        break;
      default:
        text[at] = static_cast<char>(text[at] ^ 1 << random() % 8);
    }
  }
  if (random() % 8 == 0) text.resize(random() % (text.size() + 1));
  return text;
}

void Replay(void (*target)(std::string_view), const std::vector<std::string>& seeds, int rounds,
            size_t tail_bytes = SIZE_MAX) {
  std::mt19937 random(42);
  for (const std::string& seed : seeds) target(seed);
  for (int i = 0; i < rounds; ++i) {
    const std::string& seed = seeds[random() % seeds.size()];
    const size_t kept = seed.size() - std::min(seed.size(), tail_bytes);
    target(seed.substr(0, kept) + Changed(seed.substr(kept), random));
  }
}

const char kEvents[] =
    R"({"events":[{"type":"a","ts":1431857103000,"url":"\u00e9\\\"","n":{"x":[1,2.5e3,null]}},)"
    R"({"type":"b","timestamp":"2015-05-17T10:05:03Z","status":200,"duration":1.5}],"batchId":"k"})";
const char kTraceItem[] =
    R"({"scriptName":"w","outcome":"ok","eventTimestamp":1704067199000,"event":{"request":)"
    R"({"url":"u","method":"GET","headers":{"cf-ray":"r"},"cf":{"colo":"FRA"}},"response":)"
    R"({"status":200}},"logs":[{"timestamp":1,"level":"log","message":["a",1]}],"exceptions":)"
    R"([{"name":"E","message":"m"}],"diagnosticsChannelEvents":[{"channel":"fetch"}]})";

TEST(FuzzReplay, BatchParser) {
  Replay(FuzzBatchParser,
         {kEvents, R"([{"type":"a"}])", R"({"type":"a","x":"y"})",
          "{\"type\":\"a\"}\r\n\n{\"type\":\"b\",\"ts\":5}\n", WebAccessLines()[0]},
         60'000);
}

TEST(FuzzReplay, TraceItems) {
  Replay(FuzzTraceItems, {"[" + std::string(kTraceItem) + "," + kTraceItem + "]", "[]"}, 30'000);
}

TEST(FuzzReplay, RawFile) {
  const std::string item = kTraceItem;
  Replay(FuzzRawFile, {WriteRawFile({"d", 1, 2}, {item, item}), WriteRawFile({"d", 1, 2}, {})},
         30'000);
}

TEST(FuzzReplay, ParquetCheck) {
  const std::vector<std::string> lines = WebAccessLines();
  std::vector<EventSlice> slices;
  for (size_t i = 0; i < 50; ++i) {
    slices.push_back({static_cast<int64_t>(i), lines[i].data(),
                      static_cast<uint32_t>(lines[i].size()), RecordKind::kEvents});
  }
  LogRow row;
  row.id = "1";
  const std::string events = WriteEventFile(slices, {}).value().bytes;
  const std::string logs = WriteLogFile({row}, LogCodec::kLz4).value();
  // The footer is at the end: changes elsewhere would hardly ever meet it.
  Replay(FuzzParquetCheck, {events, logs}, 20'000, 3'000);
  Replay(FuzzParquetCheck, {events, logs}, 2'000);
}

}  // namespace
}  // namespace varve::record
