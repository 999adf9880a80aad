// What has just become durable, passed on to whoever is watching (GET /tail/live). Publishing never
// waits: a subscriber that cannot keep up loses events and is told how many.
//
// Whoever wires the process calls Publish for each journal record after its commit, in order, from
// one thread; with HasSubscribers() false there is nothing to do.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "core/namespace_id.h"
#include "record/event.h"

namespace varve::server {

struct LiveFilter {
  NamespaceId ns;
  std::string type;    // glob with * (any characters) and ?; empty: all
  std::string source;  // the same
};

// Takes one event (a JSON object on one line); false: no room, it is lost for this subscriber.
using LiveSink = std::function<bool(std::string_view event)>;

class LiveFeed {
 public:
  explicit LiveFeed(uint32_t subscribers_max = 64) : subscribers_max_(subscribers_max) {}

  // events point into body, behind which record::kJsonPaddingBytes are readable.
  void Publish(std::string_view ns, record::RecordKind kind,
               std::span<const record::EventRef> events, std::string_view body);
  bool HasSubscribers() const { return count_.load(std::memory_order_relaxed) != 0; }

  uint64_t Subscribe(LiveFilter filter, LiveSink sink);  // 0: too many already
  void Unsubscribe(uint64_t id);                         // after it the sink is not called any more
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  uint32_t subscribers() const { return count_.load(std::memory_order_relaxed); }

 private:
  struct Subscriber {
    LiveFilter filter;
    LiveSink sink;
    uint64_t lost = 0;  // since the last event that it was given
  };
  void Give(Subscriber& subscriber, std::string_view event);

  const uint32_t subscribers_max_;
  std::atomic<uint32_t> count_{0};
  std::atomic<uint64_t> dropped_{0};
  std::mutex mutex_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Subscriber> subscribers_;
};

bool GlobMatches(std::string_view glob, std::string_view text);

}  // namespace varve::server
