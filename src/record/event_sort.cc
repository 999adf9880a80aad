// Events mostly come nearly in time order, over a short span. Sorted input is seen in one pass. The
// rest is a radix sort from the lowest byte of (ts - smallest ts) up, over 11 bits a pass and as
// many passes as the span needs: a day of milliseconds takes three. The slices themselves are
// moved: 24 bytes, written in up to 2,048 streams.
#include "record/event_sort.h"

#include <algorithm>
#include <array>
#include <bit>

namespace varve::record {

namespace {

constexpr uint32_t kDigitBits = 11;
constexpr uint32_t kBuckets = 1u << kDigitBits;
constexpr size_t kRadixRowsMin = 512;

bool Earlier(const EventSlice& a, const EventSlice& b) { return a.ts_ms < b.ts_ms; }

}  // namespace

void SortByTime(std::vector<EventSlice>* events, std::vector<EventSlice>* scratch) {
  if (std::is_sorted(events->begin(), events->end(), Earlier)) return;
  if (events->size() < kRadixRowsMin) {
    std::stable_sort(events->begin(), events->end(), Earlier);
    return;
  }
  const auto [least, most] = std::minmax_element(events->begin(), events->end(), Earlier);
  const int64_t ts_min = least->ts_ms;
  const auto span = static_cast<uint64_t>(most->ts_ms) - static_cast<uint64_t>(ts_min);
  scratch->resize(events->size());
  for (uint32_t shift = 0; shift < static_cast<uint32_t>(std::bit_width(span));
       shift += kDigitBits) {
    auto digit = [&](const EventSlice& e) {
      return (static_cast<uint64_t>(e.ts_ms) - static_cast<uint64_t>(ts_min)) >> shift &
             (kBuckets - 1);
    };
    std::array<uint32_t, kBuckets> next{};
    for (const EventSlice& e : *events) ++next[digit(e)];
    uint32_t sum = 0;
    for (uint32_t& slot : next) sum += std::exchange(slot, sum);
    for (const EventSlice& e : *events) (*scratch)[next[digit(e)]++] = e;
    events->swap(*scratch);
  }
}

}  // namespace varve::record
