#include "query/watchdog.h"

#include <fmt/format.h>

#include <chrono>

namespace varve::query {

namespace {
constexpr std::chrono::milliseconds kLook{5};
constexpr std::chrono::milliseconds kIdle{1000};
}  // namespace

Watchdog::Watchdog(const Clock& clock, std::function<void()> idle)
    : clock_(clock), idle_(std::move(idle)), thread_([this] { Loop(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::Loop() {
  auto idle_next = std::chrono::steady_clock::time_point{};
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, watches_.empty() ? kIdle : kLook);
    // Again at every look: an interrupt that comes between two steps of a query is forgotten.
    for (Watch* watch : watches_) {
      if (watch->end() != End::kNone) duckdb_interrupt(watch->connection_);
    }
    const auto now = std::chrono::steady_clock::now();
    if (now < idle_next) continue;
    idle_next = now + kIdle;
    lock.unlock();
    idle_();
    lock.lock();
  }
}

Watchdog::Watch::Watch(Watchdog& watchdog, duckdb_connection connection, int64_t deadline_ns,
                       const std::atomic<bool>* cancelled)
    : watchdog_(watchdog),
      connection_(connection),
      deadline_ns_(deadline_ns),
      cancelled_(cancelled) {
  {
    const std::lock_guard lock(watchdog_.mutex_);
    place_ = watchdog_.watches_.insert(watchdog_.watches_.end(), this);
  }
  watchdog_.wake_.notify_one();
}

Watchdog::Watch::~Watch() {
  const std::lock_guard lock(watchdog_.mutex_);
  watchdog_.watches_.erase(place_);
}

Watchdog::End Watchdog::Watch::end() const {
  if (cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed)) return End::kCancelled;
  return watchdog_.clock_.MonotonicNs() >= deadline_ns_ ? End::kTimeout : End::kNone;
}

Error Watchdog::Watch::Explain(Error error, uint64_t query_ms_max) const {
  switch (end()) {
    case End::kNone:
      return error;
    case End::kCancelled:
      return MakeError(ErrorKind::kCancelled, "QUERY_CANCELLED", "the query was cancelled");
    case End::kTimeout:
      return MakeError(ErrorKind::kCancelled, "QUERY_TIMEOUT",
                       fmt::format("the query took longer than {} ms", query_ms_max),
                       fmt::format(R"({{"queryMsMax":{}}})", query_ms_max));
  }
  return error;
}

}  // namespace varve::query
