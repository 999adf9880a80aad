#include "compact/source_discovery.h"

#include <set>
#include <utility>

#include "compact/compaction_request.h"
#include "compact/source_twins.h"

namespace varve::compact {
namespace {

constexpr int64_t kSettledMs = 2'000;

}  // namespace

Result<bool> DiscoverSources(const SourcePlace& place, WindowTracker& windows,
                             const NamespaceId& tenant, const std::vector<std::string>& namespaces,
                             int64_t before_ms,
                             const std::function<Status(const std::string&)>& found) {
  const std::string root = tenant.StorePrefix() + place.prefix;
  std::vector<std::string> prefixes;
  if (namespaces.empty()) prefixes.push_back(root);
  for (const std::string& ns : namespaces) {
    if (TableNameOf(ns).ok()) prefixes.push_back(root + ns + "/");
  }
  SourceTwins twins(place.store, windows);
  bool settling = false;
  for (const std::string& prefix : prefixes) {
    std::string after;
    do {
      const store::ListPage page = TRY(place.store.List(prefix, after, store::kListObjectsMax));
      const int64_t now_ms = windows.clock().NowMs();
      std::vector<Arrival> arrivals;
      std::set<std::string> of;
      for (const store::ObjectMeta& object : page.objects) {
        auto name = ParseSourceName(object.key, place.prefix);
        if (!name.ok() || object.modified_ms > before_ms) continue;
        if (!namespaces.empty() && root + name->ns + "/" != prefix) continue;  // one below it
        of.insert(name->ns);
        if (object.modified_ms > now_ms - kSettledMs) {
          settling = true;
          continue;
        }
        arrivals.push_back({.name = std::move(*name),
                            .key = object.key,
                            .etag = object.etag,
                            .size = object.size});
      }
      for (const std::string& ns : of) TRY(found(ns));
      TRY(twins.Find(arrivals));
      if (!arrivals.empty()) TRY(windows.Note(arrivals));
      after = page.next_start_after;
    } while (!after.empty());
  }
  return settling;
}

}  // namespace varve::compact
