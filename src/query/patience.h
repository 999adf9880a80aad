// How long one waits for a query: until a time, or until the caller gives up, or forever.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.h"
#include "core/result.h"

namespace varve::query {

class Patience {
 public:
  Patience() = default;  // endless
  // cancelled may be null; it and the clock outlive this.
  Patience(const Clock& clock, uint64_t query_ms_max, const std::atomic<bool>* cancelled);

  // kCancelled QUERY_CANCELLED | QUERY_TIMEOUT once it is over.
  Status Check() const;
  // How long a poll may wait before it looks again; -1: there is nothing to look at.
  int LookMs() const { return clock_ == nullptr ? -1 : 5; }

 private:
  const Clock* clock_ = nullptr;
  uint64_t query_ms_max_ = 0;
  int64_t deadline_ns_ = 0;
  const std::atomic<bool>* cancelled_ = nullptr;
};

}  // namespace varve::query
