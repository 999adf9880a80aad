#include "query/patience.h"

#include <fmt/format.h>

namespace varve::query {

Patience::Patience(const Clock& clock, uint64_t query_ms_max, const std::atomic<bool>* cancelled)
    : clock_(&clock),
      query_ms_max_(query_ms_max),
      deadline_ns_(clock.MonotonicNs() + static_cast<int64_t>(query_ms_max) * 1'000'000),
      cancelled_(cancelled) {}

Status Patience::Check() const {
  if (cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed)) {
    return MakeError(ErrorKind::kCancelled, "QUERY_CANCELLED", "the query was cancelled");
  }
  if (clock_ == nullptr || clock_->MonotonicNs() < deadline_ns_) return {};
  return MakeError(ErrorKind::kCancelled, "QUERY_TIMEOUT",
                   fmt::format("the query took longer than {} ms", query_ms_max_),
                   fmt::format(R"({{"queryMsMax":{}}})", query_ms_max_));
}

}  // namespace varve::query
