// EventDecoder: one pass over an event's members, which stops as soon as every wanted column has
// its value. The first of two members with one name counts, as it does in the batch parser; of two
// names for one column, snake_case goes before camelCase before the short form.
#include "record/event_columns.h"

#include <cmath>
#include <deque>

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

Target TargetOf(std::string_view name) {
  switch (name.size()) {
    case 3:
      if (name == "url") return {kUrl};
      break;
    case 4:
      if (name == "type") return {kType};
      break;
    case 6:
      if (name == "method") return {kMethod};
      if (name == "source") return {kSource};
      if (name == "status") return {kStatusCode, 2};
      break;
    case 7:
      if (name == "outcome") return {kOutcome};
      break;
    case 8:
      if (name == "provider") return {kProvider};
      if (name == "verified") return {kVerified};
      if (name == "duration") return {kDurationMs, 2};
      break;
    case 9:
      if (name == "eventType") return {kEventType, 1};
      break;
    case 10:
      if (name == "event_type") return {kEventType};
      if (name == "scriptName") return {kScriptName, 1};
      if (name == "statusCode") return {kStatusCode, 1};
      if (name == "durationMs") return {kDurationMs, 1};
      break;
    case 11:
      if (name == "status_code") return {kStatusCode};
      if (name == "script_name") return {kScriptName};
      if (name == "duration_ms") return {kDurationMs};
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

  std::string_view Text(const JsonValue& value) {
    const std::string_view raw = value.text.substr(1, value.text.size() - 2);
    if (raw.find('\\') == std::string_view::npos) return raw;
    arena.push_back(UnescapeJson(raw));
    return arena.back();
  }
  std::optional<std::string_view> TextIf(const JsonValue& value) {
    if (!value.is_string()) return std::nullopt;
    return Text(value);
  }
  bool Store(EventColumn column, const JsonValue& value, EventRow* row);
  Status Members(std::string_view event, ColumnMask wanted, EventRow* row);
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

Status EventDecoder::Impl::Members(std::string_view event, ColumnMask wanted, EventRow* row) {
  for (uint32_t i = 0; i < kEventColumnCount; ++i) rank[i] = kRankNone, seen[i] = 0;
  ColumnMask open = wanted & ~(Bit(kTs) | Bit(kPayload));
  const bool object =
      ForEachMember(event, [&](std::string_view name, bool escaped, const JsonValue& value) {
        const Target target = escaped ? TargetOf(UnescapeJson(name)) : TargetOf(name);
        if (target.column == kEventColumnCount) return true;
        const ColumnMask bit = 1u << target.column;
        if ((open & bit) == 0) return true;
        const auto rank_bit = static_cast<uint8_t>(1u << target.rank);
        if ((seen[target.column] & rank_bit) != 0) return true;
        seen[target.column] |= rank_bit;
        if (target.rank > rank[target.column]) return true;
        if (!Store(static_cast<EventColumn>(target.column), value, row)) return true;
        rank[target.column] = target.rank;
        if (target.rank == 0) open &= ~bit;
        return open != 0;
      });
  if (!object) return NotAnObject();
  return {};
}

void EventDecoder::Impl::Webhook(std::string_view event, EventRow* row) {
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
  *row = EventRow();
  row->ts_ms = ts_ms;
  if (event.size() < 2 || event.front() != '{' || event.back() != '}') return NotAnObject();
  ColumnMask wanted = mask & ~(Bit(kTs) | Bit(kPayload));
  if (kind == RecordKind::kWebhook) {
    if ((mask & kWebhookColumns) != 0) impl_->Webhook(event, row);
    wanted &= ~kWebhookColumns;
  } else if ((mask & Bit(kPayload)) != 0) {
    row->payload = event;
  }
  if (wanted == 0) return {};
  auto decoded = impl_->Members(event, wanted, row);
  if (!decoded.ok()) return decoded;
  if ((wanted & Bit(kSource)) != 0 && !row->source) row->source = "ingest";
  return {};
}

}  // namespace varve::record
