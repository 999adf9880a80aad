// NDJSON → columns → NDJSON gives back what was sent, for events as a writer anywhere might make
// them.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "record/event_reader.h"
#include "text_helpers.h"

namespace varve::record {
namespace {

using Json = nlohmann::json;

std::string Utf8(const std::vector<char32_t>& points) {
  std::string out;
  for (const char32_t c : points) {
    const auto last = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xC0 | c >> 6);
      last(0);
    } else if (c < 0x10000) {
      out += static_cast<char>(0xE0 | c >> 12);
      last(6);
      last(0);
    } else {
      out += static_cast<char>(0xF0 | c >> 18);
      last(12);
      last(6);
      last(0);
    }
  }
  return out;
}

rc::Gen<Json> Leaves() {
  const auto point =
      rc::gen::oneOf(rc::gen::inRange<char32_t>(0, 0x80), rc::gen::inRange<char32_t>(0x80, 0xD800),
                     rc::gen::inRange<char32_t>(0xE000, 0x110000));
  return rc::gen::oneOf(
      rc::gen::map(rc::gen::container<std::vector<char32_t>>(point),
                   [](const std::vector<char32_t>& points) { return Json(Utf8(points)); }),
      rc::gen::map(rc::gen::arbitrary<int64_t>(), [](int64_t n) { return Json(n); }),
      rc::gen::map(rc::gen::arbitrary<double>(), [](double n) { return Json(n); }),
      rc::gen::map(rc::gen::arbitrary<bool>(), [](bool b) { return Json(b); }),
      rc::gen::just(Json()));
}

rc::Gen<Json> Values(int depth) {
  if (depth == 0) return Leaves();
  const auto name =
      rc::gen::element<std::string>("url", "method", "status", "durationMs", "x", "source",
                                    "verified", "\xC3\xA9\"\\", "outcome", "payload", "");
  const auto members =
      rc::gen::scale(0.1, rc::gen::container<std::vector<std::pair<std::string, Json>>>(
                              rc::gen::pair(name, Values(depth - 1))));
  const auto items = rc::gen::scale(0.1, rc::gen::container<std::vector<Json>>(Values(depth - 1)));
  return rc::gen::oneOf(
      Leaves(), rc::gen::map(items, [](const std::vector<Json>& v) { return Json(v); }),
      rc::gen::map(members, [](const std::vector<std::pair<std::string, Json>>& v) {
        Json object = Json::object();
        for (const auto& [key, value] : v) object[key] = value;
        return object;
      }));
}

std::optional<std::string> TextMember(const Json& event, const char* name) {
  if (!event.contains(name) || !event[name].is_string()) return std::nullopt;
  return event[name].get<std::string>();
}

struct Sent {
  int64_t ts_ms;
  std::string json;
};

// Writes the events of an NDJSON body as a file; returns them in the order of time.
std::vector<Sent> WriteFile(const std::string& body, const std::string& path) {
  BatchParser parser;
  EventBatch batch;
  EventLimits limits;
  limits.event_bytes_max = 1 << 20;
  RC_ASSERT(parser.Parse(body, BodyFormat::kNdjson, 0, limits, &batch).ok());
  std::vector<EventSlice> slices;
  std::vector<Sent> sent;
  for (const EventRef& ref : batch.events) {
    slices.push_back({ref.ts_ms, body.data() + ref.offset, ref.size, RecordKind::kEvents});
    sent.push_back({ref.ts_ms, body.substr(ref.offset, ref.size)});
  }
  std::stable_sort(sent.begin(), sent.end(),
                   [](const Sent& a, const Sent& b) { return a.ts_ms < b.ts_ms; });
  WriteText(path, WriteEventFile(slices, {}).value().bytes);
  return sent;
}

RC_GTEST_PROP(EventFileProperty, GivesBackWhatWasSent, ()) {
  const auto count = *rc::gen::inRange<size_t>(1, 12);
  const auto extras = *rc::gen::container<std::vector<Json>>(count, Values(3));
  std::string body;
  for (size_t i = 0; i < extras.size(); ++i) {
    Json event = extras[i].is_object() ? extras[i] : Json{{"value", extras[i]}};
    event["type"] = "t" + std::to_string(i % 3);
    event["ts"] = 1'431'857'103'000 + *rc::gen::inRange(0, 5);
    body += event.dump(-1, ' ', i % 2 == 0) + "\n";
  }
  TempDir dir;
  const std::string path = dir / "e.parquet";
  const std::vector<Sent> sent = WriteFile(body, path);

  std::string lines, expected;
  RC_ASSERT(WriteNdjson(path, [&](std::string_view line) -> Status {
              lines += line;
              return {};
            }).ok());
  for (const Sent& event : sent) expected += event.json + "\n";
  RC_ASSERT(lines == expected);

  size_t i = 0;
  const Status read = ReadEventRows(path, kAllEventColumns, [&](const EventRow& row) -> Status {
    const Json event = Json::parse(sent[i].json);
    RC_ASSERT(row.ts_ms == sent[i++].ts_ms);
    RC_ASSERT(row.type == event["type"].get<std::string>());
    RC_ASSERT(row.url == TextMember(event, "url"));
    RC_ASSERT(row.method == TextMember(event, "method"));
    RC_ASSERT(row.outcome == TextMember(event, "outcome"));
    RC_ASSERT(row.source == TextMember(event, "source").value_or("ingest"));
    const bool told = event.contains("verified") && event["verified"].is_boolean();
    RC_ASSERT(row.verified == (told ? std::optional<bool>(event["verified"]) : std::nullopt));
    const bool timed = event.contains("durationMs") && event["durationMs"].is_number();
    RC_ASSERT(row.duration_ms.has_value() == timed);
    if (timed) RC_ASSERT(*row.duration_ms == event["durationMs"].get<double>());
    return {};
  });
  RC_ASSERT(read.ok());
  RC_ASSERT(i == sent.size());
}

}  // namespace
}  // namespace varve::record
