#include "app/batch_sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/commands.h"
#include "core/clock.h"
#include "record/event.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;
constexpr uint64_t kBackoffFirstMs = 200;
constexpr uint64_t kBackoffMaxMs = 5'000;

// False: interrupted.
bool SleepMs(uint64_t ms) {
  for (uint64_t slept = 0; slept < ms && !Interrupted(); slept += 50) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<uint64_t>(50, ms - slept)));
  }
  return !Interrupted();
}

uint64_t RetryAfterMs(const HttpResponse& response, uint64_t otherwise) {
  std::string text = response.Header("retry-after");
  uint64_t seconds = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (ec != std::errc() || seconds > 3600) return otherwise;
  return std::max<uint64_t>(seconds * 1000, 50);
}

// Why the server would refuse the event by itself; empty if it would not.
std::string WhyRefused(record::BatchParser& parser, std::string_view event) {
  std::string padded(event);
  // An event over several lines is one event all the same.
  std::replace(padded.begin(), padded.end(), '\n', ' ');
  size_t size = padded.size();
  padded.resize(size + record::kJsonPaddingBytes, ' ');
  record::EventBatch parsed;
  Status ok = parser.Parse(std::string_view(padded).substr(0, size), record::BodyFormat::kNdjson,
                           SystemClock().NowMs(), record::EventLimits(), &parsed);
  if (ok.ok()) return {};
  constexpr std::string_view kPlace = "line 1: ";  // the caller knows the line in the input
  const std::string& message = ok.error().message;
  return message.starts_with(kPlace) ? message.substr(kPlace.size()) : message;
}

// The refused events: those whose indices the answer names, and those that are wrong by themselves.
std::vector<std::string> RefusedEvents(const InputBatch& batch, const HttpResponse& response) {
  std::vector<std::string> reasons(batch.events.size());
  Json json = Json::parse(response.body, nullptr, false);
  std::string message = response.ToError("refused").message;
  if (json.is_object() && json.contains("details") && json["details"].is_object()) {
    const Json& details = json["details"];
    Json indices = details.value("indices", Json::array());
    Json words = details.value("reasons", Json::array());
    for (size_t i = 0; indices.is_array() && i < indices.size(); ++i) {
      if (!indices[i].is_number_unsigned() || indices[i].get<size_t>() >= reasons.size()) continue;
      bool worded = words.is_array() && i < words.size() && words[i].is_string();
      reasons[indices[i].get<size_t>()] = worded ? words[i].get<std::string>() : message;
    }
  }
  record::BatchParser parser;
  for (size_t i = 0; i < reasons.size(); ++i) {
    if (reasons[i].empty()) reasons[i] = WhyRefused(parser, batch.Event(i));
  }
  return reasons;
}

InputBatch Part(const InputBatch& batch, const std::string& identity,
                const std::function<bool(size_t)>& keep) {
  InputBatch part;
  part.begin = batch.begin;
  part.end = batch.end;
  for (size_t i = 0; i < batch.events.size(); ++i) {
    if (!keep(i)) continue;
    InputEvent event = batch.events[i];
    std::string_view bytes = batch.Event(i);
    event.offset = static_cast<uint32_t>(part.bytes.size());
    part.bytes += bytes;
    part.events.push_back(event);
  }
  part.id = BatchId(identity, part);
  return part;
}

}  // namespace

Result<SendOutcome> BatchSender::Send(const InputBatch& batch) {
  SendOutcome outcome;
  TRY(SendPart(batch, &outcome));
  return outcome;
}

Result<HttpResponse> BatchSender::Post(const InputBatch& batch) {
  std::string body = RequestBody(batch);
  HttpRequest request{.method = "POST",
                      .url = options_.url,
                      .headers = CommonHeaders(),
                      .body = body,
                      .timeout_ms = 120'000};
  request.headers.push_back("Content-Type: application/json");
  uint64_t waited_ms = 0;
  for (uint64_t backoff_ms = kBackoffFirstMs;;
       backoff_ms = std::min(2 * backoff_ms, kBackoffMaxMs)) {
    Result<HttpResponse> response = client_.Send(request);
    bool unreachable = !response.ok() && response.error().kind == ErrorKind::kRetryable;
    bool busy = response.ok() && (response->status == 429 || response->status == 503 ||
                                  response->status == 502 || response->status == 504);
    if (!unreachable && !busy) return response;
    uint64_t wait_ms = busy ? RetryAfterMs(*response, backoff_ms) : backoff_ms;
    if (waited_ms + wait_ms > options_.patience_ms) {
      return busy ? response->ToError("ingest") : std::move(response).error();
    }
    if (!SleepMs(wait_ms)) {
      return MakeError(ErrorKind::kCancelled, "CANCELLED", options_.url + ": cancelled");
    }
    waited_ms += wait_ms;
  }
}

Status BatchSender::SendPart(const InputBatch& batch, SendOutcome* outcome) {
  HttpResponse response = TRY(Post(batch));
  if (response.status == 200) {
    Json json = Json::parse(response.body, nullptr, false);
    bool duplicate = json.is_object() && json.value("deduplicated", Json()) == Json(true);
    Json some = json.is_object() ? json.value("duplicates", Json()) : Json();
    uint64_t before = duplicate ? batch.events.size() : 0;
    if (some.is_number_unsigned()) before = std::min(some.get<uint64_t>(), batch.events.size());
    outcome->deduplicated += before;
    outcome->stored += batch.events.size() - before;
    return {};
  }
  if (response.status == 413 && batch.events.size() > 1) return SendHalves(batch, outcome);
  if (response.status != 400 && response.status != 413) return response.ToError("ingest");
  std::vector<std::string> reasons = RefusedEvents(batch, response);
  if (batch.events.size() == 1 && reasons[0].empty()) {
    reasons[0] = response.ToError("refused").message;
  }
  std::vector<bool> bad(reasons.size());
  size_t bad_count = 0;
  for (size_t i = 0; i < reasons.size(); ++i) {
    bad[i] = !reasons[i].empty();
    if (!bad[i]) continue;
    ++bad_count;
    outcome->bad.push_back({batch.events[i].line, reasons[i]});
  }
  if (bad_count == 0) return response.ToError("ingest");
  if (options_.stop_on_bad) {
    return MakeError(ErrorKind::kInvalid, "BAD_EVENT",
                     fmt::format("line {}: {}", outcome->bad[0].line, outcome->bad[0].reason));
  }
  if (bad_count == batch.events.size()) return {};
  return SendPart(Part(batch, options_.identity, [&](size_t i) { return !bad[i]; }), outcome);
}

Status BatchSender::SendHalves(const InputBatch& batch, SendOutcome* outcome) {
  size_t half = batch.events.size() / 2;
  TRY(SendPart(Part(batch, options_.identity, [&](size_t i) { return i < half; }), outcome));
  return SendPart(Part(batch, options_.identity, [&](size_t i) { return i >= half; }), outcome);
}

}  // namespace varve::app
