// Writers' files that lie in the store: told to the windows now, not when they are announced, which
// takes seconds where another program has put them there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compact/source_name.h"
#include "compact/window_tracker.h"
#include "core/namespace_id.h"
#include "core/result.h"
#include "store/object_store.h"

namespace varve::compact {

struct SourcePlace {
  store::ObjectStore& store;
  std::string prefix{kSourcePrefix};  // with its final '/'; a tenant's lies behind its own
};

// Of the tenant's namespaces; none named: of all. Only what changed by before_ms. found is told of
// each page's namespaces before their files are. True: some of it changed a moment ago and may be
// half a file, look again.
Result<bool> DiscoverSources(const SourcePlace& place, WindowTracker& windows,
                             const NamespaceId& tenant, const std::vector<std::string>& namespaces,
                             int64_t before_ms,
                             const std::function<Status(const std::string&)>& found);

}  // namespace varve::compact
