// How many queries run at once; more wait in the order they came, for a while.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

#include "core/clock.h"
#include "core/result.h"

namespace varve::query {

class Admission {
 public:
  Admission(const Clock& clock, uint32_t running_max, uint64_t wait_ms)
      : clock_(clock), running_max_(running_max), wait_ms_(wait_ms) {}

  class Ticket {  // the right to run, given back at its end
   public:
    explicit Ticket(Admission* admission) : admission_(admission) {}
    Ticket(Ticket&& other) noexcept : admission_(other.admission_) { other.admission_ = nullptr; }
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      if (admission_ != nullptr) admission_->Leave();
    }

   private:
    Admission* admission_;
  };

  // kExhausted BUSY after the wait, kCancelled QUERY_CANCELLED.
  Result<Ticket> Enter(const std::atomic<bool>* cancelled);

 private:
  void Leave();

  const Clock& clock_;
  const uint32_t running_max_;
  const uint64_t wait_ms_;

  std::mutex mutex_;
  std::condition_variable freed_;
  std::deque<uint64_t> waiting_;  // numbers of those in line
  uint64_t next_number_ = 0;
  uint32_t running_ = 0;
};

}  // namespace varve::query
