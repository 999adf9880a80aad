// GET /events and GET /recent: pages of events, newest first, by links that neither skip nor repeat
// an event, also among equal times and while files are compacted.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "query/engine.h"

namespace varve::query {

struct EventsPageRequest {
  NamespaceId ns;
  std::string type;                      // a pattern: sql_text.h, TypeMatches
  std::string provider, source;          // empty: any
  std::optional<int64_t> before, after;  // exclusive, ms
  std::optional<int64_t> from, to;       // inclusive, ms
  uint32_t limit = 20;                   // at most 1000
  std::string cursor;                    // out of a link of an earlier page
};

// From decoded query parameters; without any time in them, the last 24 hours. kInvalid
// INVALID_QUERY (details: field).
Result<EventsPageRequest> ParseEventsPage(
    const NamespaceId& ns, std::span<const std::pair<std::string, std::string>> params,
    int64_t now_ms);

// {links{self,first,next?,prev?}, meta{query,scan,timing}, data[]}; path is what links begin with.
// An event in data has the 13 columns, its payload as the JSON that it is. Errors as Engine::Run's.
Result<std::string> EventsPage(Engine& engine, const EventsPageRequest& request,
                               std::string_view path, const std::atomic<bool>* cancelled);

// {events[],count,prefix,filesFound,jsonlFiles,parquetFiles,recentFiles[]}: the newest events of
// the last 24 hours. limit 1 to 1000; files of the namespace as source has them, the newest 10
// named.
Result<std::string> RecentEvents(Engine& engine, SnapshotSource& source, const NamespaceId& ns,
                                 uint32_t limit, int64_t now_ms,
                                 const std::atomic<bool>* cancelled);

}  // namespace varve::query
