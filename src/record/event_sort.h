// Stable order of events by time.
#pragma once

#include <span>
#include <vector>

#include "record/event_file.h"

namespace varve::record {

// Sorts by ts_ms; equal times keep their order. `scratch` is used when the input is not sorted. The
// order is the same for any number of threads.
void SortByTime(std::vector<EventSlice>* events, std::vector<EventSlice>* scratch,
                uint32_t threads = 1);

}  // namespace varve::record
