// Finding and checking the events of indexed text: shared by the batch parser, which fails whole,
// and the converter, which may pass over bad lines.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "record/event.h"
#include "record/json_index.h"

namespace varve::record {

class JsonWalker;

inline constexpr int64_t kEventMsMax = 253'402'300'799'999;  // the end of year 9999

struct EventProblem {
  enum Kind : uint8_t { kNotJson, kInvalid, kTooLarge } kind;
  uint64_t index;  // of the event in the batch
  uint64_t line;   // 1-based within the text; 0: the text is no NDJSON
  std::string reason;
};

// What a scan finds. Problems beyond problems_max are counted, not kept.
struct EventScanResult {
  std::vector<EventRef> events;        // good ones, in input order
  std::vector<EventIdRef> ids;         // as in EventBatch, if they were asked for
  std::vector<EventProblem> problems;  // in input order
  uint64_t seen = 0;                   // events, good or not
  uint64_t problem_count = 0;
  uint64_t lines = 0;

  void Clear();
  void Add(EventProblem problem);
};

// Milliseconds of an event's `ts` as written: a number of ms or s, an ISO 8601 text, or a number
// as text. False: *reason says why not.
bool EventTime(std::string_view value, int64_t* ts_ms, const char** reason);

// One per thread.
class EventScanner {
 public:
  // Events beyond refs_max are counted, not kept. base is added to every offset.
  struct Options {
    EventLimits limits;
    int64_t now_ms = 0;
    uint64_t refs_max = UINT64_MAX;
    uint32_t base = 0;
    bool ids = false;  // wanted
  };

  // Passes the event (or whatever value stands there) at the walker's position; false: not JSON.
  static bool ScanEvent(JsonWalker& walker, std::string_view text, uint32_t depth, uint64_t line,
                        const Options& options, EventScanResult* result);

  // Scans whole lines. Bad lines become problems, the good ones around them stay.
  void ScanLines(std::string_view text, const Options& options, EventScanResult* result);

 private:
  bool ScanIndexedLines(std::string_view text, const Options& options, EventScanResult* result);
  void ScanLineByLine(std::string_view text, const Options& options, EventScanResult* result);

  JsonIndex index_;
};

// An event's own members while they are passed: the places of type, time and id. The first of each
// name counts.
class EventMembers {
 public:
  // name as written, which may have escapes; value_begin is the offset of its value.
  void See(std::string_view name, bool may_escape, uint32_t value_begin) {
    if (may_escape || (!name.empty() && (name[0] == 't' || name[0] == 'i'))) {
      SeeCandidate(name, value_begin);
    }
  }
  bool has_type() const { return type_ != kAbsent; }
  // Adds the event in text[begin, end) or its problem to the result.
  void Finish(std::string_view text, uint32_t begin, uint32_t end, uint64_t line,
              const EventScanner::Options& options, EventScanResult* result) const;

 private:
  static constexpr uint32_t kAbsent = UINT32_MAX;
  void SeeCandidate(std::string_view name, uint32_t value_begin);
  const char* CheckType(std::string_view text, uint32_t bytes_max) const;
  uint32_t IdSize(std::string_view text) const;
  const char* ReadTime(std::string_view text, int64_t now_ms, int64_t* ts_ms) const;

  uint32_t type_ = kAbsent, ts_ = kAbsent, timestamp_ = kAbsent, id_ = kAbsent;
};

}  // namespace varve::record
