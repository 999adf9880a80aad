// The half of Notifier that looks for what was never announced.
#include <algorithm>
#include <chrono>
#include <set>

#include "core/log.h"
#include "notify/notifier.h"

namespace varve::notify {
namespace {

using state::Row;
using state::Session;

constexpr size_t kPageObjects = 1'000;
constexpr int64_t kRestFactor = 10;  // a pass of t is followed by at least this many t of rest
constexpr size_t kNamespacesMax = 100'000;

// Sorts behind every key that starts with the prefix: no UTF-8 text holds this byte.
std::string PastPrefix(const std::string& prefix) { return prefix + '\xff'; }

bool SameObject(const store::ObjectMeta& a, const store::ObjectMeta& b) {
  return a.size == b.size && a.etag == b.etag && a.modified_ms == b.modified_ms;
}

// "ns/a/…" → "ns/a/"
std::string NamespacePart(std::string_view key) {
  const size_t slash = key.find('/', 3);
  return std::string(key.substr(0, slash == std::string_view::npos ? slash : slash + 1));
}

}  // namespace

// The rule's prefix, and where it counts in every tenant's part, each of those that is there, by
// the store or by what was announced. Skips from one tenant to the next instead of listing all.
Result<std::vector<std::string>> Notifier::PrefixesOf(store::ObjectStore& store, size_t rule) {
  const std::string& prefix = options_.rules[rule].prefix;
  std::vector<std::string> prefixes{prefix};
  if (!options_.rules[rule].every_namespace || prefix.empty()) return prefixes;
  std::set<std::string> parts;
  for (std::string after; parts.size() < kNamespacesMax;) {
    const store::ListPage page = TRY(store.List("ns/", after, 1));
    if (page.objects.empty()) break;
    const std::string& key = page.objects[0].key;
    const std::string part = NamespacePart(key);
    if (InsideNamespace(key)) parts.insert(part);
    // '0' is the letter behind '/': past all of "ns/a/…", before "ns/a0/…".
    after = part.back() == '/' ? part.substr(0, part.size() - 1) + '0' : part;
  }
  for (std::string after = "ns/";;) {
    std::string key;
    TRY(database_.Run([&](Session& session) {
      return session.Query(
          "SELECT key FROM notify_announced WHERE rule = ? AND key > ? AND key < 'ns0' LIMIT 1",
          {rule_ids_[rule], after}, [&](const Row& row) {
            key = row.Text(0);
            return false;
          });
    }));
    if (key.empty()) break;
    const std::string part = NamespacePart(key);
    if (InsideNamespace(key)) parts.insert(part);
    after = PastPrefix(part);
  }
  for (const std::string& part : parts) prefixes.push_back(part + prefix);
  return prefixes;
}

void Notifier::Watch(size_t rule, const store::ObjectMeta& object) {
  const auto found = candidates_.find({rule, object.key});
  if (found == candidates_.end()) {
    if (candidates_.size() >= options_.candidates_max) return;
    candidates_[{rule, object.key}] = {object, clock_.MonotonicNs(), pass_};
    return;
  }
  found->second.pass = pass_;
  if (SameObject(found->second.object, object)) return;
  found->second.object = object;
  found->second.since_ns = clock_.MonotonicNs();
}

Status Notifier::PruneIfGone(store::ObjectStore& store, size_t rule, const std::string& key) {
  // The listing may be older than the row: ask the store for this one object.
  const auto object = store.Head(key);
  if (object.ok()) return {};
  if (object.error().kind != ErrorKind::kNotFound) return object.error();
  if (TRY(Forget(rule, key))) {
    const std::lock_guard lock(stats_mutex_);
    ++stats_.reconcile_pruned;
  }
  return {};
}

Status Notifier::ReconcilePrefix(store::ObjectStore& store, size_t rule,
                                 const std::string& prefix) {
  std::string after;
  for (;;) {
    const store::ListPage page = TRY(store.List(prefix, after, kPageObjects));
    const std::string upto =
        page.next_start_after.empty() ? PastPrefix(prefix) : page.next_start_after;
    std::map<std::string, std::string> announced;
    TRY(database_.Run([&](Session& session) {
      return session.Query(
          "SELECT key, etag FROM notify_announced"
          " WHERE rule = ? AND key >= ? AND key > ? AND key <= ?",
          {rule_ids_[rule], prefix, after, upto}, [&](const Row& row) {
            announced.emplace(row.Text(0), row.Text(1));
            return true;
          });
    }));
    for (const store::ObjectMeta& object : page.objects) {
      if (!options_.rules[rule].Matches(object.key)) continue;
      const auto known = announced.find(object.key);
      if (known == announced.end() || known->second != object.etag) Watch(rule, object);
      if (known != announced.end()) announced.erase(known);
    }
    for (const auto& [key, etag] : announced) TRY(PruneIfGone(store, rule, key));
    {
      const std::lock_guard lock(stats_mutex_);
      stats_.objects_listed += page.objects.size();
    }
    if (page.next_start_after.empty()) return {};
    after = page.next_start_after;
  }
}

Status Notifier::ReconcileRule(store::ObjectStore& store, size_t rule) {
  const std::vector<std::string> prefixes = TRY(PrefixesOf(store, rule));
  for (const std::string& prefix : prefixes) TRY(ReconcilePrefix(store, rule, prefix));
  return {};
}

Status Notifier::AnnounceStable(store::ObjectStore& store) {
  const int64_t stable_ns = static_cast<int64_t>(options_.stable_ms) * 1'000'000;
  Status first_failure;
  for (auto it = candidates_.begin(); it != candidates_.end();) {
    Candidate& candidate = it->second;
    if (clock_.MonotonicNs() - candidate.since_ns < stable_ns) {
      ++it;
      continue;
    }
    auto now = store.Head(it->first.second);
    if (!now.ok() && now.error().kind != ErrorKind::kNotFound) return std::move(now).error();
    if (!now.ok()) {
      it = candidates_.erase(it);
    } else if (!SameObject(candidate.object, *now)) {
      candidate.object = *now;
      candidate.since_ns = clock_.MonotonicNs();
      ++it;
    } else {
      const Result<bool> announced = Announce(it->first.first, *now);
      if (!announced.ok()) {  // one rule's queue is full: the others' are not
        if (first_failure.ok()) first_failure = announced.error();
        ++it;
        continue;
      }
      it = candidates_.erase(it);
      if (!*announced) continue;
      const std::lock_guard lock(stats_mutex_);
      ++stats_.announced;
      ++stats_.reconcile_announced;
    }
  }
  return first_failure;
}

Status Notifier::Reconcile(store::ObjectStore& store) {
  const std::lock_guard pass_lock(reconcile_mutex_);
  ++pass_;
  {
    const std::lock_guard lock(stats_mutex_);
    stats_.objects_listed = 0;
  }
  Status first_failure;
  const auto note = [&](Status status) {
    if (!status.ok() && first_failure.ok()) first_failure = std::move(status);
  };
  for (size_t rule = 0; rule < options_.rules.size(); ++rule) note(ReconcileRule(store, rule));
  if (first_failure.ok()) {
    std::erase_if(candidates_, [&](const auto& entry) { return entry.second.pass != pass_; });
  }
  note(AnnounceStable(store));
  const std::lock_guard lock(stats_mutex_);
  ++stats_.reconciles;
  if (!first_failure.ok()) ++stats_.reconcile_failures;
  stats_.candidates = candidates_.size();
  return first_failure;
}

bool Notifier::Sleep(uint64_t ms, const std::stop_token& stop) {
  std::unique_lock lock(sleep_mutex_);
  sleep_.wait_for(lock, stop, std::chrono::milliseconds(ms), [] { return false; });
  return !stop.stop_requested();
}

void Notifier::Loop(store::ObjectStore& store, std::stop_token stop) {
  do {
    const int64_t start_ns = clock_.MonotonicNs();
    const Status status = Reconcile(store);
    if (!status.ok()) LogError("notify.reconcile_failed", {{"error", status.error().message}});
    const int64_t pass_ms = (clock_.MonotonicNs() - start_ns) / 1'000'000;
    const uint64_t rest_ms =
        std::max(options_.reconcile_interval_ms, static_cast<uint64_t>(pass_ms * kRestFactor));
    if (stats().candidates > 0 && options_.stable_ms < rest_ms) {
      if (!Sleep(options_.stable_ms + 1, stop)) return;
      const std::lock_guard lock(reconcile_mutex_);
      const Status announced = AnnounceStable(store);
      if (!announced.ok()) {
        LogError("notify.reconcile_failed", {{"error", announced.error().message}});
      }
    }
    if (!Sleep(rest_ms, stop)) return;
  } while (!stop.stop_requested());
}

}  // namespace varve::notify
