#include "table/iceberg/manifest_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "table/bounds.h"

namespace varve::table::iceberg {

ManifestOutput::ManifestOutput(const TableMetadata& base, int64_t snapshot_id,
                               int64_t sequence_number, std::string name_front, std::string sync,
                               bool same_in_every_attempt)
    : base_(base),
      snapshot_id_(snapshot_id),
      sequence_number_(sequence_number),
      name_front_(std::move(name_front)),
      sync_(std::move(sync)),
      same_in_every_attempt_(same_in_every_attempt) {}

Status ManifestOutput::Add(const ManifestEntry& entry) {
  const bool full = open_ && open_->bytes() >= kManifestTargetBytes;
  if (full || (open_ && open_spec_id_ != entry.file.spec_id)) TRY(Finish());
  if (!open_) {
    const PartitionSpec* spec = base_.FindSpec(entry.file.spec_id);
    if (spec == nullptr) {
      return MakeError(ErrorKind::kInvalid, "BAD_PARTITION",
                       fmt::format("the table has no partition spec {}", entry.file.spec_id));
    }
    open_.emplace(TRY(ManifestWriter::Begin(base_.schema(), *spec, sync_)));
    open_spec_id_ = spec->id;
  }
  return open_->Add(entry);
}

Status ManifestOutput::Finish() {
  if (!open_) return {};
  ManifestWriter::Finished done = TRY(std::move(*open_).Finish(sequence_number_));
  open_.reset();
  NewObject object;
  object.path = fmt::format("{}{}.avro", name_front_, objects.size());
  object.bytes = std::move(done.bytes);
  object.same_in_every_attempt = same_in_every_attempt_;
  done.file.path = object.path;
  done.file.added_snapshot_id = snapshot_id_;
  rows.push_back(std::move(done.file));
  objects.push_back(std::move(object));
  return {};
}

ManifestEntry AsExisting(ManifestEntry entry) {
  if (entry.status == EntryStatus::kAdded) entry.status = EntryStatus::kExisting;
  return entry;
}

Result<std::vector<ManifestFile>> ReadManifestsOf(const Snapshot& snapshot,
                                                  const ReadObject& read) {
  auto rows = ReadManifestList(TRY(read(snapshot.manifest_list)));
  if (rows.ok()) return rows;
  return std::move(rows).error().Context("manifest list '" + snapshot.manifest_list + "'");
}

Status ReadEntries(const TableMetadata& base, const ManifestFile& row, const ReadObject& read,
                   EntryDetail detail, const std::function<Status(ManifestEntry&&)>& entry) {
  const PartitionSpec* spec = base.FindSpec(row.spec_id);
  if (spec == nullptr) {
    return MakeError(ErrorKind::kCorrupt, "BAD_MANIFEST",
                     fmt::format("'{}' is of a partition spec that the table lacks", row.path));
  }
  const std::string bytes = TRY(read(row.path));
  Status done = ReadManifest(bytes, row, *spec, base.schema(), detail, entry);
  if (!done.ok() && done.error().kind == ErrorKind::kCorrupt) {
    return Error(done.error()).Context("manifest '" + row.path + "'");
  }
  return done;
}

bool MayHold(const TableMetadata& base, const ManifestFile& row, int32_t spec_id,
             const PartitionTuple& partition) {
  if (row.spec_id != spec_id) return false;
  const PartitionSpec* spec = base.FindSpec(spec_id);
  if (spec == nullptr || spec->fields.size() != partition.size() ||
      row.partitions.size() != partition.size()) {
    return true;
  }
  for (size_t i = 0; i < partition.size(); ++i) {
    const FieldSummary& summary = row.partitions[i];
    if (!partition[i]) {
      if (!summary.contains_null) return false;
      continue;
    }
    const Field* source = FindField(base.schema(), spec->fields[i].source_id);
    if (source == nullptr) return true;
    const auto type = TransformResult(spec->fields[i].transform, source->type);
    if (!type.ok() || !IsValue(*type, *partition[i])) return true;
    if (!summary.lower && !summary.upper) return false;
    const auto fits = [&](const std::optional<std::string>& bound, int sign) {
      return !bound || !IsValue(*type, *bound) ||
             CompareValues(*type, *partition[i], *bound) * sign >= 0;
    };
    if (!fits(summary.lower, 1) || !fits(summary.upper, -1)) return false;
  }
  return true;
}

Result<size_t> MergeSmall(const TableMetadata& base, const MergeLimits& limits,
                          const ReadObject& read, std::vector<ManifestFile>& rows,
                          ManifestOutput& output) {
  std::map<int32_t, std::vector<size_t>> small;  // by spec
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool ours = rows[i].content == 0 && !rows[i].key_metadata;
    // Compressed sizes: what is merged decompresses to some times that.
    if (ours && static_cast<size_t>(rows[i].length) < limits.target_bytes / 8) {
      small[rows[i].spec_id].push_back(i);
    }
  }
  std::vector<bool> merged(rows.size(), false);
  size_t count = 0;
  for (const auto& [spec_id, places] : small) {
    if (places.size() < std::max<size_t>(limits.count_min, 2)) continue;
    for (const size_t place : places) {
      TRY(ReadEntries(base, rows[place], read, EntryDetail::kAll,
                      [&](ManifestEntry&& entry) -> Status {
                        if (!entry.is_live()) return {};
                        return output.Add(AsExisting(std::move(entry)));
                      }));
      merged[place] = true;
      ++count;
    }
    TRY(output.Finish());
  }
  size_t kept = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (merged[i]) continue;
    if (kept != i) rows[kept] = std::move(rows[i]);
    ++kept;
  }
  rows.resize(kept);
  return count;
}

}  // namespace varve::table::iceberg
