// Requests and events a minute for each sender: two-bucket sliding window, which is the current
// minute's count and what is left of the last one's, weighted by how much of it the window still
// covers. An event batch is charged once it has been counted, so the last one may overshoot.
// Thread-safe; the table is bounded and forgets whoever has been silent the longest.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/response.h"

namespace varve {
class Clock;
}

namespace varve::server {

struct RateState {
  bool allowed = true;
  uint32_t requests_limit = 0, events_limit = 0;
  uint64_t requests_remaining = 0, events_remaining = 0;
  int64_t reset_ms = 0;  // when the current minute ends
};

class RateLimiter {
 public:
  RateLimiter(const Clock& clock, uint32_t senders_max)
      : clock_(clock), senders_max_(senders_max) {}

  // Counts one request of the sender, unless it is over either limit.
  RateState Admit(std::string_view sender, uint32_t requests_limit, uint32_t events_limit);
  void ChargeEvents(std::string_view sender, uint64_t events);

 private:
  struct Counts {
    int64_t minute = 0;
    uint64_t requests = 0, events = 0, last_requests = 0, last_events = 0;
  };
  using Recent = std::list<std::pair<std::string, Counts>>;
  Counts& Touch(std::string_view sender, int64_t minute);

  const Clock& clock_;
  const uint32_t senders_max_;
  std::mutex mutex_;
  Recent recent_;                                                     // the latest in front
  std::unordered_map<std::string_view, Recent::iterator> by_sender_;  // keys live in recent_
};

void AddRateHeaders(const RateState& state, Response* response);
Response RateLimitedResponse(const RateState& state, int64_t now_ms);

}  // namespace varve::server
