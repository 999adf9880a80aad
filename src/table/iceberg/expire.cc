#include "table/iceberg/expire.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "table/iceberg/manifest_merge.h"

namespace varve::table::iceberg {
namespace {

std::set<int64_t> Kept(const TableMetadata& base, const ExpireRule& rule) {
  std::set<int64_t> kept;
  for (const auto& [name, ref] : base.refs) kept.insert(ref.snapshot_id);
  for (const Snapshot& snapshot : base.snapshots) {
    if (snapshot.timestamp_ms >= rule.older_than_ms) kept.insert(snapshot.id);
  }
  const Snapshot* at = base.current();
  for (size_t i = 0; at != nullptr && i < base.snapshots.size(); ++i) {
    if (i < rule.keep_last) kept.insert(at->id);
    const bool young = at->timestamp_ms >= rule.older_than_ms;
    at = at->parent_id ? base.FindSnapshot(*at->parent_id) : nullptr;
    // However old, it was the newest until then: it may still be read, or built upon.
    if (young && at != nullptr) kept.insert(at->id);
  }
  return kept;
}

}  // namespace

Result<Expiry> ExpireSnapshots(const TableMetadata& base, const std::string& base_location,
                               const ExpireRule& rule, int64_t now_ms) {
  const std::set<int64_t> kept = Kept(base, rule);
  Expiry out;
  for (const Snapshot& snapshot : base.snapshots) {
    if (!kept.contains(snapshot.id)) out.expired.push_back(snapshot);
  }
  if (out.expired.empty()) {
    out.next = base;
    return out;
  }
  out.next = Follow(base, base_location, now_ms);
  std::erase_if(out.next.snapshots, [&](const Snapshot& one) { return !kept.contains(one.id); });
  // The log has no gaps: what came before a snapshot that is gone is no history any more.
  std::vector<LogEntry>& log = out.next.snapshot_log;
  const auto last_gone = std::find_if(log.rbegin(), log.rend(), [&](const LogEntry& entry) {
    return !kept.contains(entry.snapshot_id);
  });
  log.erase(log.begin(), last_gone.base());
  TRY(CheckMetadata(out.next, &base));
  return out;
}

Result<Unreferenced> FindUnreferenced(const Expiry& expiry, const ReadObject& read) {
  Unreferenced out;
  std::unordered_set<std::string> kept_manifests;
  std::vector<ManifestFile> kept_rows;
  for (const Snapshot& snapshot : expiry.next.snapshots) {
    for (ManifestFile& row : TRY(ReadManifestsOf(snapshot, read))) {
      if (kept_manifests.insert(row.path).second) kept_rows.push_back(std::move(row));
    }
  }
  std::unordered_set<std::string> seen, candidates;
  for (const Snapshot& snapshot : expiry.expired) {
    out.manifest_lists.push_back(snapshot.manifest_list);
    for (const ManifestFile& row : TRY(ReadManifestsOf(snapshot, read))) {
      if (kept_manifests.contains(row.path) || !seen.insert(row.path).second) continue;
      out.manifests.push_back(row.path);
      TRY(ReadEntries(expiry.next, row, read, EntryDetail::kPathsOnly,
                      [&](ManifestEntry&& entry) -> Status {
                        candidates.insert(std::move(entry.file.path));
                        return {};
                      }));
    }
  }
  // A manifest that only DELETED a file is kept with its snapshot, but does not keep the file; the
  // file may go only once no older snapshot has it live.
  for (const ManifestFile& row : kept_rows) {
    TRY(ReadEntries(expiry.next, row, read, EntryDetail::kPathsOnly,
                    [&](ManifestEntry&& entry) -> Status {
                      if (entry.is_live()) candidates.erase(entry.file.path);
                      return {};
                    }));
  }
  out.data_files.assign(candidates.begin(), candidates.end());
  std::sort(out.data_files.begin(), out.data_files.end());
  return out;
}

}  // namespace varve::table::iceberg
