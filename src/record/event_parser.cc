// BatchParser: one walk over the indexed body finds the events and checks every value of it.
#include <fmt/format.h>

#include "core/bytes.h"
#include "record/event.h"
#include "record/event_scan.h"
#include "record/json_index.h"
#include "record/json_scan.h"
#include "record/json_walker.h"

namespace varve::record {

namespace {

constexpr size_t kBatchIdBytesMax = 256;
constexpr uint32_t kBodyDepth = 2;  // {"events":[ … ]} around an event
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

Error NotJson(const char* what, uint64_t offset) {
  return MakeError(ErrorKind::kInvalid, "INVALID_JSON", fmt::format("{} at byte {}", what, offset),
                   fmt::format(R"({{"offset":{}}})", offset));
}

Error NotABatch(std::string message, std::string details = {}) {
  return MakeError(ErrorKind::kInvalid, "INVALID_BATCH", std::move(message), std::move(details));
}

Error TooManyEvents(uint64_t limit, uint64_t received) {
  return NotABatch(fmt::format("{} events in a batch, at most {} are taken", received, limit),
                   fmt::format(R"({{"limit":{},"received":{}}})", limit, received));
}

std::string Joined(const std::vector<EventProblem>& problems, EventProblem::Kind kind,
                   std::string (*show)(const EventProblem&)) {
  std::string out;
  for (const EventProblem& problem : problems) {
    if (problem.kind != kind) continue;
    if (!out.empty()) out += ',';
    out += show(problem);
  }
  return out;
}

std::string IndexOf(const EventProblem& problem) { return std::to_string(problem.index); }
std::string LineOf(const EventProblem& problem) { return std::to_string(problem.line); }
std::string ReasonOf(const EventProblem& problem) { return JsonQuote(problem.reason); }

Error FromProblems(const std::vector<EventProblem>& problems, const EventLimits& limits) {
  const EventProblem* first = &problems.front();
  for (const EventProblem& problem : problems) {
    if (problem.kind < first->kind) first = &problem;
  }
  const std::string place = first->line != 0 ? fmt::format("line {}", first->line)
                                             : fmt::format("event {}", first->index);
  const std::string message = fmt::format("{}: {}", place, first->reason);
  if (first->kind == EventProblem::kNotJson) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", message,
                     fmt::format(R"({{"line":{}}})", first->line));
  }
  std::string details = R"({"indices":[)" + Joined(problems, first->kind, IndexOf) + "]";
  if (first->line != 0) details += R"(,"lines":[)" + Joined(problems, first->kind, LineOf) + "]";
  if (first->kind == EventProblem::kTooLarge) {
    details += fmt::format(R"(,"maxSize":{}}})", limits.event_bytes_max);
    return MakeError(ErrorKind::kInvalid, "EVENT_TOO_LARGE", message, std::move(details));
  }
  details += R"(,"reasons":[)" + Joined(problems, first->kind, ReasonOf) + "]}";
  return MakeError(ErrorKind::kInvalid, "INVALID_EVENT", message, std::move(details));
}

// The members of a body that is an object: a batch, or one event.
struct BodyMembers {
  EventMembers event;
  uint32_t events_begin = UINT32_MAX, batch_id_begin = UINT32_MAX;
  bool events_is_array = false;
};

}  // namespace

struct BatchParser::Impl {
  JsonIndex index;
  EventScanner lines;
  EventScanResult scan;

  Status ParseJson(std::string_view text, const EventScanner::Options& options, EventBatch* batch);
  bool Array(JsonWalker& walker, std::string_view text, uint32_t depth,
             const EventScanner::Options& options);
  bool Member(JsonWalker& walker, std::string_view text, std::string_view name,
              const EventScanner::Options& options, BodyMembers* body);
  static Status TakeBatchId(std::string_view text, uint32_t begin, EventBatch* batch);
};

bool BatchParser::Impl::Array(JsonWalker& walker, std::string_view text, uint32_t depth,
                              const EventScanner::Options& options) {
  return walker.Elements(depth, [&](uint32_t) {
    return EventScanner::ScanEvent(walker, text, depth + 1, 0, options, &scan);
  });
}

bool BatchParser::Impl::Member(JsonWalker& walker, std::string_view text, std::string_view name,
                               const EventScanner::Options& options, BodyMembers* body) {
  std::string unescaped;
  const std::string_view written = name;
  if (name.find('\\') != std::string_view::npos) name = unescaped = UnescapeJson(name);
  if (name == "events" && body->events_begin == UINT32_MAX) {
    body->events_begin = walker.offset();
    body->events_is_array = walker.Peek() == '[';
    if (body->events_is_array) return Array(walker, text, 1, options);
  } else if (name == "batchId" && body->batch_id_begin == UINT32_MAX) {
    body->batch_id_begin = walker.offset();
  } else {
    body->event.See(written, walker.has_escapes(), walker.offset());
  }
  return walker.Value(1);
}

Status BatchParser::Impl::TakeBatchId(std::string_view text, uint32_t begin, EventBatch* batch) {
  if (begin == UINT32_MAX) return {};
  const char* p = text.data() + begin;
  const char* after = SkipJsonValue(p, text.data() + text.size());
  const JsonValue value{std::string_view(p, after - p)};
  if (value.is_null()) return {};
  if (!value.is_string()) return NotABatch("batchId is not a string");
  batch->batch_id = value.AsString();
  if (batch->batch_id.size() > kBatchIdBytesMax) {
    return NotABatch(fmt::format("batchId is longer than {} bytes", kBatchIdBytesMax));
  }
  return {};
}

Status BatchParser::Impl::ParseJson(std::string_view text, const EventScanner::Options& options,
                                    EventBatch* batch) {
  if (const char* error = index.Build(text)) return NotJson(error, 0);
  JsonWalker walker(text, index, options.limits.depth_max + kBodyDepth);
  const char first = walker.Peek();
  const uint32_t begin = walker.offset();
  BodyMembers body;
  bool good = false;
  if (first == '[') {
    good = Array(walker, text, 0, options);
  } else if (first == '{') {
    good = walker.Members(
        0, [&](std::string_view name) { return Member(walker, text, name, options, &body); });
  } else {
    good = walker.Value(0);
  }
  if (!good) return NotJson(walker.error(), options.base + walker.error_offset());
  const uint32_t end = walker.last_offset() + 1;
  if (!walker.at_end()) {
    return NotJson("something stands behind the value", options.base + walker.offset());
  }
  if (first == '[') return {};
  if (first != '{') return NotABatch("neither a batch, nor an array of events, nor an event");
  if (!body.events_is_array) {
    if (!body.event.has_type()) {
      return NotABatch(body.events_begin == UINT32_MAX ? "events missing"
                                                       : "events is not an array");
    }
    body.event.Finish(text, begin, end, 0, options, &scan);
    return {};
  }
  return TakeBatchId(text, body.batch_id_begin, batch);
}

BatchParser::BatchParser() : impl_(std::make_unique<Impl>()) {}
BatchParser::~BatchParser() = default;

Status BatchParser::Parse(std::string_view body, BodyFormat format, int64_t now_ms,
                          const EventLimits& limits, EventBatch* batch) {
  batch->batch_id.clear();
  batch->events.clear();
  batch->ids.clear();
  if (body.size() > UINT32_MAX - 2 * kJsonPaddingBytes) return NotABatch("the body is too large");
  EventScanner::Options options{limits, now_ms, limits.events_max, 0, /*ids=*/true};
  if (body.starts_with(kByteOrderMark)) {
    body.remove_prefix(kByteOrderMark.size());
    options.base = kByteOrderMark.size();
  }
  EventScanResult& scan = impl_->scan;
  scan.Clear();
  scan.events.swap(batch->events);  // their memory is used again
  scan.ids.swap(batch->ids);
  if (format == BodyFormat::kNdjson) {
    impl_->lines.ScanLines(body, options, &scan);
  } else {
    auto parsed = impl_->ParseJson(body, options, batch);
    if (!parsed.ok()) return parsed;
  }
  const bool broken = !scan.problems.empty() && scan.problems[0].kind == EventProblem::kNotJson;
  if (!broken && scan.seen > limits.events_max) return TooManyEvents(limits.events_max, scan.seen);
  if (!scan.problems.empty()) return FromProblems(scan.problems, limits);
  batch->events.swap(scan.events);
  batch->ids.swap(scan.ids);
  return {};
}

}  // namespace varve::record
