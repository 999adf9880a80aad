// An input's events in batches that one request can carry, cut at the same places on every run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::app {

enum class InputFormat : uint8_t {
  kAuto,    // by the first character: '[' is JSON, anything else NDJSON
  kNdjson,  // an event a line
  kJson,    // an array of events, {"events": […]}, or objects one behind the other
};

struct InputEvent {
  uint32_t offset = 0, size = 0;  // in the batch's bytes
  uint64_t line = 0;              // in the input, 1 = first
};

struct InputBatch {
  std::string bytes;  // the events' own bytes
  std::vector<InputEvent> events;
  uint64_t begin = 0, end = 0;  // in the input: the next batch starts at end
  uint64_t next_line = 1;
  std::string id;  // batchId

  std::string_view Event(size_t index) const {
    return std::string_view(bytes).substr(events[index].offset, events[index].size);
  }
};

struct BatchLimits {
  uint32_t events_max = 1'000;
  uint64_t bytes_max = 1'000'000;          // of a request body, with what is around the events
  uint64_t event_bytes_max = 16ull << 20;  // an event that no batch takes is passed on alone
};

// {"batchId":…,"events":[…]}
std::string RequestBody(const InputBatch& batch);
// The same input, the same place and the same bytes: the same id, on every run.
std::string BatchId(std::string_view identity, const InputBatch& batch);

class BatchReader {
 public:
  // file stays open as long as the reader lives; start and line: where an earlier run ended.
  BatchReader(std::FILE* file, std::string name, std::string identity, InputFormat format,
              const BatchLimits& limits, uint64_t start, uint64_t line);

  // False at the end. kInvalid: the input is not what its format says, with the line.
  Result<bool> Next(InputBatch* batch);
  uint64_t position() const { return base_ + at_; }

 private:
  Status Fill();  // more bytes behind those that are not taken yet
  Result<bool> NextLine(std::string_view* event, uint64_t* line);
  Result<bool> NextJson(std::string_view* event, uint64_t* line);
  Result<bool> NextValue(std::string_view* event, uint64_t* line);
  Result<bool> SkipToValue();
  Status EnterObject();
  Status Bad(std::string_view what) const;

  std::FILE* file_;
  std::string name_, identity_;
  InputFormat format_;
  BatchLimits limits_;
  std::string buffer_;
  size_t at_ = 0;      // of the first byte of buffer_ that is not taken
  uint64_t base_ = 0;  // of buffer_[0] in the input
  uint64_t line_ = 1;  // of buffer_[at_]
  bool eof_ = false;
  bool in_array_ = false;
  bool whole_object_ = false;  // {"events": […]}: what is behind its array is not events
};

}  // namespace varve::app
