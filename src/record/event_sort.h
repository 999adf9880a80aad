// Stable order of events by time.
#pragma once

#include <span>
#include <vector>

#include "record/event_file.h"

namespace varve::record {

// Sorts by ts_ms; equal times keep their order. `scratch` is used when the input is not sorted.
void SortByTime(std::vector<EventSlice>* events, std::vector<EventSlice>* scratch);

}  // namespace varve::record
