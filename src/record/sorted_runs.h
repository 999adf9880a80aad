// Sorted runs of events in temporary files, and their merge: what does not fit into memory at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "record/event_file.h"

namespace varve::record {

// Not thread-safe. The files have no name: they are gone with this object, or with the process.
class SortedRuns {
 public:
  explicit SortedRuns(std::string directory) : directory_(std::move(directory)) {}
  ~SortedRuns();
  SortedRuns(const SortedRuns&) = delete;

  // Appends a run; the slices are sorted by time.
  Status Add(std::span<const EventSlice> sorted);
  size_t count() const { return fds_.size(); }
  // All events by time; of equal times those of an earlier run go first. They come in blocks whose
  // bytes live during the call. memory_bytes_max bounds the buffers.
  Status Merge(uint64_t memory_bytes_max,
               const std::function<Status(std::span<const EventSlice>)>& on_block);

 private:
  const std::string directory_;
  std::vector<int> fds_;
};

}  // namespace varve::record
