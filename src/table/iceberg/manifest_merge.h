// Manifests on their way into a new snapshot: written anew without removed files, or merged.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/result.h"
#include "table/iceberg/commit.h"

namespace varve::table::iceberg {

// Where new manifests go: named, their rows kept.
class ManifestOutput {
 public:
  // name_front: "{location}/manifests/{snapshot}-{attempt}".
  ManifestOutput(const TableMetadata& base, int64_t snapshot_id, int64_t sequence_number,
                 std::string name_front, std::string sync, bool same_in_every_attempt);

  // Entries of one spec after the other; a manifest ends when it is large.
  Status Add(const ManifestEntry& entry);
  Status Finish();

  std::vector<ManifestFile> rows;
  std::vector<NewObject> objects;

 private:
  const TableMetadata& base_;
  const int64_t snapshot_id_, sequence_number_;
  const std::string name_front_, sync_;
  const bool same_in_every_attempt_;
  std::optional<ManifestWriter> open_;
  int32_t open_spec_id_ = 0;
};

// The entry as a later snapshot's manifest has it: what was added is existing by then.
ManifestEntry AsExisting(ManifestEntry entry);

// A snapshot's manifests. Errors name the file.
Result<std::vector<ManifestFile>> ReadManifestsOf(const Snapshot& snapshot, const ReadObject& read);
Status ReadEntries(const TableMetadata& base, const ManifestFile& row, const ReadObject& read,
                   EntryDetail detail, const std::function<Status(ManifestEntry&&)>& entry);

// Whether the manifest can hold a file of this partition.
bool MayHold(const TableMetadata& base, const ManifestFile& row, int32_t spec_id,
             const PartitionTuple& partition);

struct MergeLimits {
  size_t target_bytes = kManifestTargetBytes;
  size_t count_min = 100;  // of small manifests, before any are merged
};

// Merges small manifests of one spec among rows into output; rows keeps the others. Returns how
// many were merged.
Result<size_t> MergeSmall(const TableMetadata& base, const MergeLimits& limits,
                          const ReadObject& read, std::vector<ManifestFile>& rows,
                          ManifestOutput& output);

}  // namespace varve::table::iceberg
