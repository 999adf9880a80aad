#include "record/event_scan.h"

#include <array>
#include <charconv>
#include <cstring>

#include "core/clock.h"
#include "record/json_scan.h"
#include "record/json_walker.h"

namespace varve::record {

namespace {

// A comparison that the compiler turns into one of integers.
template <size_t N>
bool IsWord(std::string_view name, const char (&word)[N]) {
  return name.size() == N - 1 && std::memcmp(name.data(), word, N - 1) == 0;
}

constexpr size_t kProblemsMax = 10;

constexpr std::array<bool, 256> kTypeBytes = [] {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  table['.'] = table['_'] = table['-'] = true;
  return table;
}();

// Up to 15 digits and nothing else, which most times are.
bool PlainInteger(std::string_view text, int64_t* value) {
  if (text.empty() || text.size() > 15) return false;
  int64_t sum = 0;
  for (const char c : text) {
    const unsigned digit = static_cast<unsigned char>(c - '0');
    if (digit > 9) return false;
    sum = sum * 10 + digit;
  }
  *value = sum;
  return true;
}

bool InRange(int64_t ms, int64_t* ts_ms, const char** reason) {
  if (ms < 0 || ms > kEventMsMax) {
    *reason = "ts out of range";
    return false;
  }
  *ts_ms = ms;
  return true;
}

bool NumberTime(std::string_view text, int64_t* ts_ms, const char** reason) {
  int64_t plain = 0;
  if (PlainInteger(text, &plain)) {
    return InRange(plain < 100'000'000'000 ? plain * 1000 : plain, ts_ms, reason);
  }
  const std::optional<double> number = ParseJsonNumber(text);
  if (!number) {
    *reason = "ts is not a time";
    return false;
  }
  return InRange(EpochToMs(*number), ts_ms, reason);
}

// The value that begins at text[begin], which has been checked.
std::string_view ValueAt(std::string_view text, uint32_t begin) {
  const char* p = text.data() + begin;
  const char* after = SkipJsonValue(p, text.data() + text.size());
  return after == nullptr ? std::string_view() : std::string_view(p, after - p);
}

}  // namespace

bool EventTime(std::string_view value, int64_t* ts_ms, const char** reason) {
  *reason = "ts is not a time";
  if (value.empty()) return false;
  if (value[0] != '"') {
    return JsonValue{value}.is_number() && NumberTime(value, ts_ms, reason);
  }
  const std::string text = JsonValue{value}.AsString();
  if (text.empty()) return false;
  const Result<int64_t> iso = ParseIso(text);
  return iso.ok() ? InRange(*iso, ts_ms, reason) : NumberTime(text, ts_ms, reason);
}

void EventScanResult::Clear() {
  events.clear();
  ids.clear();
  problems.clear();
  seen = problem_count = lines = 0;
}

void EventScanResult::Add(EventProblem problem) {
  ++problem_count;
  if (problems.size() < kProblemsMax) problems.push_back(std::move(problem));
}

void EventMembers::SeeCandidate(std::string_view name, uint32_t value_begin) {
  std::string unescaped;
  if (name.find('\\') != std::string_view::npos) name = unescaped = UnescapeJson(name);
  uint32_t* place = nullptr;
  if (IsWord(name, "type")) place = &type_;
  if (IsWord(name, "ts")) place = &ts_;
  if (IsWord(name, "timestamp")) place = &timestamp_;
  if (IsWord(name, "id")) place = &id_;
  if (place != nullptr && *place == kAbsent) *place = value_begin;
}

const char* EventMembers::CheckType(std::string_view text, uint32_t bytes_max) const {
  if (type_ == kAbsent) return "type missing";
  if (text[type_] != '"') return "type is not a string";
  const char* begin = text.data() + type_ + 1;
  const char* p = begin;
  while (kTypeBytes[static_cast<unsigned char>(*p)]) ++p;
  size_t size = p - begin;
  if (*p == '\\') {
    const std::string type = JsonValue{ValueAt(text, type_)}.AsString();
    for (const char c : type) {
      if (!kTypeBytes[static_cast<unsigned char>(c)]) return "type has a character it may not";
    }
    size = type.size();
  } else if (*p != '"') {
    return "type has a character it may not";
  }
  if (size == 0) return "type is empty";
  return size > bytes_max ? "type is too long" : nullptr;
}

const char* EventMembers::ReadTime(std::string_view text, int64_t now_ms, int64_t* ts_ms) const {
  const uint32_t place = ts_ != kAbsent ? ts_ : timestamp_;
  if (place == kAbsent) {
    *ts_ms = now_ms;
    return nullptr;
  }
  const char* reason = nullptr;
  return EventTime(ValueAt(text, place), ts_ms, &reason) ? nullptr : reason;
}

// 0: the value is none that an id can be.
uint32_t EventMembers::IdSize(std::string_view text) const {
  if (text[id_] == '"') {
    const char* begin = text.data() + id_ + 1;
    const char* p = begin;
    while (*p != '"' && *p != '\\') ++p;  // the text has been checked: it ends
    if (*p == '"') return p == begin ? 0 : static_cast<uint32_t>(p - begin) + 2;
  }
  const std::string_view value = ValueAt(text, id_);
  if (value.empty()) return 0;
  const bool integer =
      JsonValue{value}.is_number() && value.find_first_of(".eE") == std::string_view::npos;
  const bool told = value[0] == '"' && value.size() > 2;
  return integer || told ? static_cast<uint32_t>(value.size()) : 0;
}

void EventMembers::Finish(std::string_view text, uint32_t begin, uint32_t end, uint64_t line,
                          const EventScanner::Options& options, EventScanResult* result) const {
  const uint64_t index = result->seen++;
  EventRef ref{0, options.base + begin, end - begin};
  const char* reason = CheckType(text, options.limits.type_bytes_max);
  if (reason == nullptr) reason = ReadTime(text, options.now_ms, &ref.ts_ms);
  if (reason != nullptr) {
    result->Add({EventProblem::kInvalid, index, line, reason});
  } else if (ref.size > options.limits.event_bytes_max) {
    result->Add({EventProblem::kTooLarge, index, line, "the event is too large"});
  } else if (result->events.size() < options.refs_max) {
    if (options.ids && id_ != kAbsent) {
      const uint32_t size = IdSize(text);
      const auto event = static_cast<uint32_t>(result->events.size());
      if (size > 0) result->ids.push_back({event, options.base + id_, size});
    }
    result->events.push_back(ref);
  }
}

bool EventScanner::ScanEvent(JsonWalker& walker, std::string_view text, uint32_t depth,
                             uint64_t line, const Options& options, EventScanResult* result) {
  if (walker.Peek() != '{') {
    if (!walker.Value(depth)) return false;
    result->Add({EventProblem::kInvalid, result->seen++, line, "not an object"});
    return true;
  }
  const uint32_t begin = walker.offset();
  EventMembers members;
  const bool good = walker.Members(depth, [&](std::string_view name) {
    members.See(name, walker.has_escapes(), walker.offset());
    return walker.Value(depth + 1);
  });
  if (!good) return false;
  members.Finish(text, begin, walker.last_offset() + 1, line, options, result);
  return true;
}

void EventScanner::ScanLines(std::string_view text, const Options& options,
                             EventScanResult* result) {
  const size_t refs = result->events.size(), problems = result->problems.size();
  const size_t ids = result->ids.size();
  const EventScanResult before{{}, {}, {}, result->seen, result->problem_count, result->lines};
  if (index_.Build(text) == nullptr && ScanIndexedLines(text, options, result)) return;
  result->events.resize(refs);
  result->ids.resize(ids);
  result->problems.erase(result->problems.begin() + static_cast<ptrdiff_t>(problems),
                         result->problems.end());
  result->seen = before.seen;
  result->problem_count = before.problem_count;
  result->lines = before.lines;
  ScanLineByLine(text, options, result);
}

// All lines are indexed at once. False at the first line that is not one JSON value: which line a
// broken string spoils is then only told by looking at each on its own.
bool EventScanner::ScanIndexedLines(std::string_view text, const Options& options,
                                    EventScanResult* result) {
  JsonWalker walker(text, index_, options.limits.depth_max);
  for (uint32_t begin = 0; begin < text.size();) {
    const void* newline = std::memchr(text.data() + begin, '\n', text.size() - begin);
    const auto end = static_cast<uint32_t>(newline ? static_cast<const char*>(newline) - text.data()
                                                   : text.size());
    ++result->lines;
    begin = end + 1;
    if (walker.at_end() || walker.offset() >= end) continue;
    if (!ScanEvent(walker, text, 0, result->lines, options, result)) return false;
    if (walker.last_offset() >= end) return false;
    if (!walker.at_end() && walker.offset() < end) return false;
  }
  return true;
}

void EventScanner::ScanLineByLine(std::string_view text, const Options& options,
                                  EventScanResult* result) {
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view line = text.substr(begin, end - begin);
    Options line_options = options;
    line_options.base = options.base + static_cast<uint32_t>(begin);
    begin = end + 1;
    const uint64_t number = ++result->lines;
    const char* error = index_.Build(line);
    if (error == nullptr && index_.count() == 0) continue;
    if (error == nullptr) {
      JsonWalker walker(line, index_, options.limits.depth_max);
      EventScanResult one;
      one.seen = result->seen;
      one.lines = number;
      if (!ScanEvent(walker, line, 0, number, line_options, &one)) {
        error = walker.error();
      } else if (!walker.at_end()) {
        error = "more than one value on the line";
      } else {
        result->seen = one.seen;
        if (!one.events.empty() && result->events.size() < options.refs_max) {
          const auto event = static_cast<uint32_t>(result->events.size());
          result->events.push_back(one.events[0]);
          for (EventIdRef id : one.ids) result->ids.push_back({event, id.offset, id.size});
        }
        for (EventProblem& problem : one.problems) result->Add(std::move(problem));
        continue;
      }
    }
    result->Add({EventProblem::kNotJson, result->seen++, number, error});
  }
}

}  // namespace varve::record
