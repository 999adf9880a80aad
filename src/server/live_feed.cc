#include "server/live_feed.h"

#include <algorithm>

#include "record/json_scan.h"

namespace varve::server {
namespace {

struct EventNames {
  std::string type, source;
};

std::string TextOf(std::string_view event, std::string_view name) {
  const record::JsonValue value = record::FindMember(event, name);
  return value.is_string() ? value.AsString() : std::string();
}

// A tail item has no type and no source of its own: it is "tail" from its script.
EventNames NamesOf(std::string_view event, record::RecordKind kind) {
  if (kind == record::RecordKind::kTail) return {"tail", TextOf(event, "scriptName")};
  return {TextOf(event, "type"), TextOf(event, "source")};
}

// An event on one line: a line break outside of strings is the only one valid JSON can have.
std::string OneLine(std::string_view event) {
  std::string line(event);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line;
}

}  // namespace

bool GlobMatches(std::string_view glob, std::string_view text) {
  size_t g = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && (glob[g] == '?' || (glob[g] != '*' && glob[g] == text[t]))) {
      ++g;
      ++t;
    } else if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

void LiveFeed::Give(Subscriber& subscriber, std::string_view event) {
  if (subscriber.lost > 0) {
    const std::string notice =
        "{\"type\":\"varve.dropped\",\"count\":" + std::to_string(subscriber.lost) + "}";
    if (subscriber.sink(notice)) subscriber.lost = 0;
  }
  if (subscriber.lost == 0 && subscriber.sink(event)) return;
  ++subscriber.lost;
  dropped_.fetch_add(1, std::memory_order_relaxed);
}

void LiveFeed::Publish(std::string_view ns, record::RecordKind kind,
                       std::span<const record::EventRef> events, std::string_view body) {
  if (!HasSubscribers()) return;
  std::lock_guard lock(mutex_);
  const bool wanted = std::any_of(subscribers_.begin(), subscribers_.end(),
                                  [&](const auto& it) { return it.second.filter.ns.name() == ns; });
  if (!wanted) return;
  for (const record::EventRef& ref : events) {
    const std::string_view event = body.substr(ref.offset, ref.size);
    const EventNames names = NamesOf(event, kind);
    const std::string line = OneLine(event);
    for (auto& [id, subscriber] : subscribers_) {
      const LiveFilter& filter = subscriber.filter;
      if (filter.ns.name() != ns) continue;
      if (!filter.type.empty() && !GlobMatches(filter.type, names.type)) continue;
      if (!filter.source.empty() && !GlobMatches(filter.source, names.source)) continue;
      Give(subscriber, line);
    }
  }
}

uint64_t LiveFeed::Subscribe(LiveFilter filter, LiveSink sink) {
  std::lock_guard lock(mutex_);
  if (subscribers_.size() >= subscribers_max_) return 0;
  const uint64_t id = next_id_++;
  subscribers_.emplace(id, Subscriber{std::move(filter), std::move(sink)});
  count_.store(static_cast<uint32_t>(subscribers_.size()), std::memory_order_relaxed);
  return id;
}

void LiveFeed::Unsubscribe(uint64_t id) {
  std::lock_guard lock(mutex_);
  subscribers_.erase(id);
  count_.store(static_cast<uint32_t>(subscribers_.size()), std::memory_order_relaxed);
}

}  // namespace varve::server
