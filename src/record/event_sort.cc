// Events mostly come nearly in time order, over a short span. Sorted input is seen in one pass. The
// rest is a radix sort from the lowest byte of (ts - smallest ts) up, over 11 bits a pass and as
// many passes as the span needs: a day of milliseconds takes three. The slices themselves are
// moved: 24 bytes, written in up to 2,048 streams. Several threads sort a part each; where the
// parts' times overlap, which is little in most input, they are merged.
#include "record/event_sort.h"

#include <algorithm>
#include <array>
#include <bit>
#include <thread>
#include <utility>

namespace varve::record {

namespace {

constexpr uint32_t kDigitBits = 11;
constexpr uint32_t kBuckets = 1u << kDigitBits;
constexpr size_t kRadixRowsMin = 512;
constexpr size_t kPartRowsMin = 32 << 10;  // of a thread; for fewer it is not worth starting one

bool Earlier(const EventSlice& a, const EventSlice& b) { return a.ts_ms < b.ts_ms; }

void RadixSort(std::span<EventSlice> events, std::span<EventSlice> scratch) {
  const auto [least, most] = std::minmax_element(events.begin(), events.end(), Earlier);
  const int64_t ts_min = least->ts_ms;
  const auto span = static_cast<uint64_t>(most->ts_ms) - static_cast<uint64_t>(ts_min);
  std::span<EventSlice> from = events, to = scratch;
  for (uint32_t shift = 0; shift < static_cast<uint32_t>(std::bit_width(span));
       shift += kDigitBits) {
    auto digit = [&](const EventSlice& e) {
      return (static_cast<uint64_t>(e.ts_ms) - static_cast<uint64_t>(ts_min)) >> shift &
             (kBuckets - 1);
    };
    std::array<uint32_t, kBuckets> next{};
    for (const EventSlice& e : from) ++next[digit(e)];
    uint32_t sum = 0;
    for (uint32_t& slot : next) sum += std::exchange(slot, sum);
    for (const EventSlice& e : from) to[next[digit(e)]++] = e;
    std::swap(from, to);
  }
  if (from.data() != events.data()) std::copy(from.begin(), from.end(), events.begin());
}

void SortPart(std::span<EventSlice> events, std::span<EventSlice> scratch) {
  if (std::is_sorted(events.begin(), events.end(), Earlier)) return;
  if (events.size() < kRadixRowsMin) {
    std::stable_sort(events.begin(), events.end(), Earlier);
  } else {
    RadixSort(events, scratch);
  }
}

// Two sorted neighbours become one; only what overlaps is moved.
void MergeParts(std::span<EventSlice> events, size_t middle) {
  const auto at = events.begin() + static_cast<std::ptrdiff_t>(middle);
  const auto first = std::upper_bound(events.begin(), at, *at, Earlier);
  const auto last = std::lower_bound(at, events.end(), *(at - 1), Earlier);
  if (first < at) std::inplace_merge(first, at, last, Earlier);
}

void SortParts(std::span<EventSlice> events, std::span<EventSlice> scratch, uint32_t threads) {
  if (threads < 2 || events.size() < 2 * kPartRowsMin) return SortPart(events, scratch);
  const uint32_t others = threads / 2;
  const size_t middle = events.size() / threads * (threads - others);
  {
    const std::jthread other(
        [&] { SortParts(events.subspan(middle), scratch.subspan(middle), others); });
    SortParts(events.first(middle), scratch.first(middle), threads - others);
  }
  MergeParts(events, middle);
}

}  // namespace

void SortByTime(std::vector<EventSlice>* events, std::vector<EventSlice>* scratch,
                uint32_t threads) {
  if (std::is_sorted(events->begin(), events->end(), Earlier)) return;
  scratch->resize(events->size());
  SortParts(*events, *scratch, threads);
}

}  // namespace varve::record
