// EventDecoder: one pass over an event's members, which stops as soon as every wanted column has
// its value. The first of two members with one name counts, as it does in the batch parser; of two
// names for one column, snake_case goes before camelCase before the short form.
#include "record/event_columns.h"

#include <cmath>
#include <cstring>
#include <deque>

#include "record/json_quotes.h"
#include "record/json_scan.h"

namespace varve::record {

const std::string_view kEventColumnNames[kEventColumnCount] = {
    "ts",      "type",   "source", "provider",    "event_type",  "verified", "script_name",
    "outcome", "method", "url",    "status_code", "duration_ms", "payload"};

namespace {

constexpr uint8_t kRankNone = 3;

// A member's name → the column it fills and its rank among the column's names.
struct Target {
  uint8_t column = kEventColumnCount;
  uint8_t rank = 0;
};

// The sizes are the same: the compiler makes it a comparison of integers.
template <size_t N>
bool Same(std::string_view name, const char (&word)[N]) {
  return std::memcmp(name.data(), word, N - 1) == 0;
}

Target TargetOf(std::string_view name) {
  switch (name.size()) {
    case 3:
      if (Same(name, "url")) return {kUrl};
      break;
    case 4:
      if (Same(name, "type")) return {kType};
      break;
    case 6:
      if (Same(name, "method")) return {kMethod};
      if (Same(name, "source")) return {kSource};
      if (Same(name, "status")) return {kStatusCode, 2};
      break;
    case 7:
      if (Same(name, "outcome")) return {kOutcome};
      break;
    case 8:
      if (Same(name, "provider")) return {kProvider};
      if (Same(name, "verified")) return {kVerified};
      if (Same(name, "duration")) return {kDurationMs, 2};
      break;
    case 9:
      if (Same(name, "eventType")) return {kEventType, 1};
      break;
    case 10:
      if (Same(name, "event_type")) return {kEventType};
      if (Same(name, "scriptName")) return {kScriptName, 1};
      if (Same(name, "statusCode")) return {kStatusCode, 1};
      if (Same(name, "durationMs")) return {kDurationMs, 1};
      break;
    case 11:
      if (Same(name, "status_code")) return {kStatusCode};
      if (Same(name, "script_name")) return {kScriptName};
      if (Same(name, "duration_ms")) return {kDurationMs};
      break;
    default:
      break;
  }
  return {};
}

constexpr ColumnMask Bit(EventColumn column) { return 1u << column; }

constexpr ColumnMask kWebhookColumns =
    Bit(kSource) | Bit(kProvider) | Bit(kEventType) | Bit(kVerified) | Bit(kPayload);

}  // namespace

struct EventDecoder::Impl {
  std::deque<std::string> arena;  // unescaped text; a deque keeps its strings where they are
  uint8_t rank[kEventColumnCount];
  uint8_t seen[kEventColumnCount];  // bit per rank: a member of that name has been
  ColumnMask open = 0;              // columns that could still get a (better) value
  bool escapes = true;              // there may be a backslash in what was passed so far

  std::string_view Text(const JsonValue& value) {
    const std::string_view raw = value.text.substr(1, value.text.size() - 2);
    if (!escapes || raw.find('\\') == std::string_view::npos) return raw;
    arena.push_back(UnescapeJson(raw));
    return arena.back();
  }
  std::optional<std::string_view> TextIf(const JsonValue& value) {
    if (!value.is_string()) return std::nullopt;
    return Text(value);
  }
  bool Store(EventColumn column, const JsonValue& value, EventRow* row);
  bool Take(std::string_view name, std::string_view value, EventRow* row);
  // False: the event is not an object.
  bool Members(std::string_view event, ColumnMask wanted, EventRow* row);
  void Webhook(std::string_view event, EventRow* row);
};

namespace {

std::optional<std::string_view>* TextColumn(EventColumn column, EventRow* row) {
  switch (column) {
    case kSource:
      return &row->source;
    case kProvider:
      return &row->provider;
    case kEventType:
      return &row->event_type;
    case kScriptName:
      return &row->script_name;
    case kOutcome:
      return &row->outcome;
    case kMethod:
      return &row->method;
    case kUrl:
      return &row->url;
    default:
      return nullptr;
  }
}

bool StoreStatusCode(const JsonValue& value, EventRow* row) {
  if (!value.is_number()) return false;
  const std::optional<int64_t> number = value.AsInteger();
  if (!number || *number < INT32_MIN || *number > INT32_MAX) return false;
  row->status_code = static_cast<int32_t>(*number);
  return true;
}

bool StoreDuration(const JsonValue& value, EventRow* row) {
  if (!value.is_number()) return false;
  const double number = value.AsDouble();
  if (!std::isfinite(number)) return false;
  row->duration_ms = number;
  return true;
}

void Clear(EventRow* row) {
  for (auto* text : {&row->source, &row->provider, &row->event_type, &row->script_name,
                     &row->outcome, &row->method, &row->url}) {
    text->reset();
  }
  row->verified.reset();
  row->status_code.reset();
  row->duration_ms.reset();
  row->type = row->payload = {};
}

Error NotAnObject() {
  return MakeError(ErrorKind::kCorrupt, "an event's bytes are not a JSON object");
}

}  // namespace

// False: the value has another type than the column and stays in the payload only.
bool EventDecoder::Impl::Store(EventColumn column, const JsonValue& value, EventRow* row) {
  switch (column) {
    case kType:
      if (!value.is_string()) return false;
      row->type = Text(value);
      return true;
    case kVerified:
      if (!value.is_bool()) return false;
      row->verified = value.AsBool();
      return true;
    case kStatusCode:
      return StoreStatusCode(value, row);
    case kDurationMs:
      return StoreDuration(value, row);
    default:
      if (!value.is_string()) return false;
      *TextColumn(column, row) = Text(value);
      return true;
  }
}

// Takes a member; false when all wanted columns have their value.
bool EventDecoder::Impl::Take(std::string_view name, std::string_view value, EventRow* row) {
  const Target target = escapes && name.find('\\') != std::string_view::npos
                            ? TargetOf(UnescapeJson(name))
                            : TargetOf(name);
  if (target.column == kEventColumnCount) return true;
  const ColumnMask bit = 1u << target.column;
  if ((open & bit) == 0) return true;
  const auto rank_bit = static_cast<uint8_t>(1u << target.rank);
  if ((seen[target.column] & rank_bit) != 0) return true;
  seen[target.column] |= rank_bit;
  if (target.rank > rank[target.column]) return true;
  if (!Store(static_cast<EventColumn>(target.column), JsonValue{value}, row)) return true;
  rank[target.column] = target.rank;
  if (target.rank == 0) open &= ~bit;
  return open != 0;
}

// From quote to quote: a name's two, then, if the value is text, the value's two. What stands
// between a colon and the next name's quote is otherwise a scalar, or an object or array, whose own
// quotes are passed over.
bool EventDecoder::Impl::Members(std::string_view event, ColumnMask wanted, EventRow* row) {
  for (uint32_t i = 0; i < kEventColumnCount; ++i) rank[i] = kRankNone, seen[i] = 0;
  open = wanted & ~(Bit(kTs) | Bit(kPayload));
  const char* const end = event.data() + event.size();
  QuoteCursor quotes(event);
  const char* p = SkipJsonSpace(event.data() + 1, end);
  if (*p == '}') return p + 1 == end;
  while (true) {
    const char* const name = quotes.Next();
    const char* const name_end = quotes.Next();
    if (name == nullptr || name != p || name_end == nullptr) return false;
    p = SkipJsonSpace(name_end + 1, end);
    if (p == end || *p != ':') return false;
    p = SkipJsonSpace(p + 1, end);
    const char* const value = p;
    if (p < end && *p == '"') {
      quotes.Next();
      const char* const value_end = quotes.Next();
      if (value_end == nullptr) return false;
      p = value_end + 1;
    } else {
      p = SkipJsonValue(p, end);
      if (p == nullptr) return false;
      if (*value == '{' || *value == '[') quotes.SkipTo(p);
    }
    escapes = quotes.escapes();
    const std::string_view text(value, static_cast<size_t>(p - value));
    if (!Take({name + 1, static_cast<size_t>(name_end - name - 1)}, text, row)) return true;
    p = SkipJsonSpace(p, end);
    if (p < end && *p == '}') return true;
    if (p >= end || *p != ',') return false;
    p = SkipJsonSpace(p + 1, end);
  }
}

void EventDecoder::Impl::Webhook(std::string_view event, EventRow* row) {
  escapes = true;
  const JsonValue webhook = FindMember(event, "webhook");
  if (webhook.is_object()) {
    row->provider = TextIf(FindMember(webhook.text, "provider"));
    row->event_type = TextIf(FindMember(webhook.text, "eventType"));
    const JsonValue verified = FindMember(webhook.text, "verified");
    if (verified.is_bool()) row->verified = verified.AsBool();
  }
  row->source = row->provider;
  const JsonValue payload = FindMember(event, "payload");
  row->payload = payload.exists() ? payload.text : event;
}

EventDecoder::EventDecoder() : impl_(std::make_unique<Impl>()) {}
EventDecoder::~EventDecoder() = default;

void EventDecoder::ResetArena() { impl_->arena.clear(); }

Status EventDecoder::Decode(std::string_view event, RecordKind kind, int64_t ts_ms, ColumnMask mask,
                            EventRow* row) {
  // Default-initialised and returned by its name: `return {}` would clear all of an Error's bytes,
  // for each event.
  Status status;
  Clear(row);
  row->ts_ms = ts_ms;
  if (event.size() < 2 || event.front() != '{' || event.back() != '}') {
    status = NotAnObject();
    return status;
  }
  ColumnMask wanted = mask & ~(Bit(kTs) | Bit(kPayload));
  if (kind == RecordKind::kWebhook) {
    if ((mask & kWebhookColumns) != 0) impl_->Webhook(event, row);
    wanted &= ~kWebhookColumns;
  } else if ((mask & Bit(kPayload)) != 0) {
    row->payload = event;
  }
  if (wanted != 0 && !impl_->Members(event, wanted, row)) {
    status = NotAnObject();
  } else if ((wanted & Bit(kSource)) != 0 && !row->source) {
    row->source = "ingest";
  }
  return status;
}

}  // namespace varve::record
