#include "query/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace varve::query {

namespace {
constexpr size_t kWaitingMax = 256;
constexpr std::chrono::milliseconds kLook{10};  // at the cancel flag
}  // namespace

Result<Admission::Ticket> Admission::Enter(const std::atomic<bool>* cancelled) {
  const int64_t deadline_ns = clock_.MonotonicNs() + static_cast<int64_t>(wait_ms_) * 1'000'000;
  const auto busy = [&] {
    return MakeError(ErrorKind::kExhausted, "BUSY",
                     fmt::format("{} queries are running, which is the limit", running_max_),
                     fmt::format(R"({{"queriesMax":{}}})", running_max_));
  };
  std::unique_lock lock(mutex_);
  if (waiting_.size() >= kWaitingMax) return busy();
  const uint64_t number = next_number_++;
  waiting_.push_back(number);
  while (waiting_.front() != number || running_ >= running_max_) {
    const bool gone = cancelled != nullptr && cancelled->load(std::memory_order_relaxed);
    if (gone || clock_.MonotonicNs() >= deadline_ns) {
      waiting_.erase(std::ranges::find(waiting_, number));
      freed_.notify_all();
      if (!gone) return busy();
      return MakeError(ErrorKind::kCancelled, "QUERY_CANCELLED", "the query was cancelled");
    }
    freed_.wait_for(lock, kLook);
  }
  waiting_.pop_front();
  ++running_;
  freed_.notify_all();
  return Ticket(this);
}

void Admission::Leave() {
  {
    const std::lock_guard lock(mutex_);
    --running_;
  }
  freed_.notify_all();
}

}  // namespace varve::query
