#include "catalog/delta_others.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "catalog/checked_store.h"

namespace varve::catalog {

namespace dl = table::delta;

int64_t TakenFromDelta(const table::iceberg::TableMetadata& metadata) {
  int64_t version = -1;
  const auto found = metadata.properties.find(kTakenFromDeltaProperty);
  if (found == metadata.properties.end()) return version;
  const std::string& text = found->second;
  std::from_chars(text.data(), text.data() + text.size(), version);
  return version;
}

Result<OthersCommits> FindOthersCommits(DeltaTables& delta, const std::string& name,
                                        const dl::State& log, int64_t taken) {
  const TablePlace place = delta.Place(name);
  OthersCommits out;
  std::vector<dl::Commit> commits;  // the newest first
  size_t looked = 0;
  for (int64_t version = log.version; version > std::max(taken, log.informed_version); --version) {
    if (++looked > kOthersCommitsMax) {
      return MakeError(ErrorKind::kInvalid, "DELTA_CHANGED",
                       fmt::format("the Delta log of '{}' has more than {} versions that were not "
                                   "looked at",
                                   name, kOthersCommitsMax));
    }
    const auto bytes = ReadChecked(delta.store(), DeltaLogKey(place, version, ".json"));
    if (!bytes.ok() && bytes.error().kind == ErrorKind::kNotFound) break;  // cleaned away
    if (!bytes.ok()) return bytes.error();
    dl::Commit commit = TRY(dl::ParseCommit(*bytes));
    if (dl::IsInformed(commit)) break;
    const bool changes = commit.table || !commit.adds.empty() || !commit.removes.empty();
    if (!changes || !dl::CommitIdOf(commit).empty()) continue;
    out.first = version;
    if (out.count++ == 0) out.last = version;
    commits.push_back(std::move(commit));
  }
  std::for_each(commits.rbegin(), commits.rend(), [&](dl::Commit& commit) {
    for (const dl::Remove& remove : commit.removes) {
      out.added.erase(remove.path);
      out.removed.insert(remove.path);
    }
    for (dl::Add& add : commit.adds) {
      out.removed.erase(add.path);
      out.added[add.path] = std::move(add);
    }
  });
  // Our own commits in between may have changed that.
  std::erase_if(out.added, [&](const auto& item) { return !log.files.contains(item.first); });
  std::erase_if(out.removed, [&](const std::string& path) { return log.files.contains(path); });
  return out;
}

Status CheckNoOthers(IcebergTables& iceberg, DeltaTables& delta, const std::string& name,
                     const dl::State& log) {
  if (log.informed_version == log.version) return {};
  const IcebergHead head = TRY(iceberg.Load(name));
  const auto others = TRY(FindOthersCommits(delta, name, log, TakenFromDelta(head.metadata)));
  if (others.count == 0) return {};
  return MakeError(
      ErrorKind::kRetryable, "DELTA_CHANGED",
      fmt::format("another program has just committed to the Delta log of '{}'", name));
}

}  // namespace varve::catalog
