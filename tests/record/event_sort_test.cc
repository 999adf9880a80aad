#include "record/event_sort.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "core/clock.h"

namespace varve::record {
namespace {

// Times of the shapes that input has: anything, few values, nearly sorted, two streams in turns.
std::vector<int64_t> Times(size_t count, int shape) {
  const uint64_t seed = *rc::gen::arbitrary<uint64_t>();
  auto random = SeededRandom(seed);
  std::vector<int64_t> times(count);
  for (size_t i = 0; i < count; ++i) {
    const auto at = static_cast<int64_t>(i);
    const int64_t far = static_cast<int64_t>(random->Next());
    const auto near = static_cast<int64_t>(random->Below(50));
    times[i] = shape == 0 ? far : shape == 1 ? near : shape == 2 ? at + near : at % 2 * 1000 + at;
  }
  return times;
}

RC_GTEST_PROP(EventSort, IsTheStableOrderForAnyNumberOfThreads, ()) {
  const size_t count = *rc::gen::element<size_t>(0, 1, 2, 511, 5'000, 70'001, 140'000);
  const std::vector<int64_t> times = Times(count, *rc::gen::inRange(0, 4));
  std::vector<EventSlice> events, scratch;
  for (size_t i = 0; i < count; ++i) {
    events.push_back({times[i], nullptr, static_cast<uint32_t>(i), RecordKind::kEvents});
  }
  std::vector<EventSlice> expected = events;
  std::stable_sort(expected.begin(), expected.end(),
                   [](const EventSlice& a, const EventSlice& b) { return a.ts_ms < b.ts_ms; });
  SortByTime(&events, &scratch, *rc::gen::element<uint32_t>(1, 2, 3, 4, 7));
  for (size_t i = 0; i < count; ++i) {
    RC_ASSERT(events[i].ts_ms == expected[i].ts_ms);
    RC_ASSERT(events[i].size == expected[i].size);
  }
}

}  // namespace
}  // namespace varve::record
