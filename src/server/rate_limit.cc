#include "server/rate_limit.h"

#include <algorithm>
#include <cmath>

#include "core/clock.h"

namespace varve::server {
namespace {

constexpr int64_t kWindowMs = 60'000;

uint64_t Sliding(uint64_t current, uint64_t last, int64_t now_ms) {
  const double elapsed = static_cast<double>(now_ms % kWindowMs) / kWindowMs;
  return current + static_cast<uint64_t>(std::floor((1.0 - elapsed) * static_cast<double>(last)));
}

uint64_t Remaining(uint64_t limit, uint64_t used) { return used >= limit ? 0 : limit - used; }

std::string Members(std::string_view a, uint64_t a_value, std::string_view b, uint64_t b_value) {
  return "{\"" + std::string(a) + "\":" + std::to_string(a_value) + ",\"" + std::string(b) +
         "\":" + std::to_string(b_value) + "}";
}

}  // namespace

RateLimiter::Counts& RateLimiter::Touch(std::string_view sender, int64_t minute) {
  auto found = by_sender_.find(sender);
  if (found == by_sender_.end()) {
    if (recent_.size() >= senders_max_) {
      by_sender_.erase(recent_.back().first);
      recent_.pop_back();
    }
    recent_.emplace_front(std::string(sender), Counts{.minute = minute});
    found = by_sender_.emplace(recent_.front().first, recent_.begin()).first;
  } else {
    recent_.splice(recent_.begin(), recent_, found->second);
  }
  Counts& counts = recent_.front().second;
  if (counts.minute != minute) {
    const bool next = counts.minute + 1 == minute;
    counts.last_requests = next ? counts.requests : 0;
    counts.last_events = next ? counts.events : 0;
    counts.requests = counts.events = 0;
    counts.minute = minute;
  }
  return counts;
}

RateState RateLimiter::Admit(std::string_view sender, uint32_t requests_limit,
                             uint32_t events_limit) {
  const int64_t now_ms = clock_.NowMs();
  const int64_t minute = now_ms / kWindowMs;
  std::lock_guard lock(mutex_);
  Counts& counts = Touch(sender, minute);
  const uint64_t requests = Sliding(counts.requests, counts.last_requests, now_ms);
  const uint64_t events = Sliding(counts.events, counts.last_events, now_ms);
  RateState state;
  state.requests_limit = requests_limit;
  state.events_limit = events_limit;
  state.allowed = requests < requests_limit && events < events_limit;
  if (state.allowed) ++counts.requests;
  state.requests_remaining = Remaining(requests_limit, requests + (state.allowed ? 1 : 0));
  state.events_remaining = Remaining(events_limit, events);
  state.reset_ms = (minute + 1) * kWindowMs;
  return state;
}

void RateLimiter::ChargeEvents(std::string_view sender, uint64_t events) {
  const int64_t minute = clock_.NowMs() / kWindowMs;
  std::lock_guard lock(mutex_);
  Touch(sender, minute).events += events;
}

void AddRateHeaders(const RateState& state, Response* response) {
  auto add = [&](std::string_view name, uint64_t value) {
    response->headers.emplace_back(name, std::to_string(value));
  };
  add("X-RateLimit-Limit-Requests", state.requests_limit);
  add("X-RateLimit-Limit-Events", state.events_limit);
  add("X-RateLimit-Remaining-Requests", state.requests_remaining);
  add("X-RateLimit-Remaining-Events", state.events_remaining);
  add("X-RateLimit-Reset", static_cast<uint64_t>(state.reset_ms / 1000));
}

Response RateLimitedResponse(const RateState& state, int64_t now_ms) {
  const int64_t seconds = std::max<int64_t>(1, (state.reset_ms - now_ms + 999) / 1000);
  const bool requests = state.requests_remaining == 0;
  Response response;
  response.status = 429;
  response.body =
      std::string("{\"error\":\"Too Many Requests\",\"code\":\"RATE_LIMITED\",\"message\":\"") +
      (requests ? "Request" : "Event") + " rate limit exceeded. Try again in " +
      std::to_string(seconds) + " seconds.\",\"limits\":" +
      Members("requestsPerMinute", state.requests_limit, "eventsPerMinute", state.events_limit) +
      ",\"current\":" +
      Members("requestsRemaining", state.requests_remaining, "eventsRemaining",
              state.events_remaining) +
      ",\"resetAt\":\"" + FormatIso(state.reset_ms) +
      "\",\"retryAfterSeconds\":" + std::to_string(seconds) + "}";
  response.headers.emplace_back("Retry-After", std::to_string(seconds));
  AddRateHeaders(state, &response);
  return response;
}

}  // namespace varve::server
