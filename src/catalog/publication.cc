#include "catalog/publication.h"

#include <fmt/format.h>

#include "catalog/delta_mirror.h"
#include "catalog/file_footers.h"
#include "catalog/iceberg_mirror.h"
#include "catalog/lease.h"
#include "catalog/snapshot_files.h"

namespace varve::catalog {
namespace {

constexpr size_t kCheckpointFiles = 1'000;

// Readers go by the columns' names in the one type that Delta's schema has.
Status CheckColumns(const table::FileFooter& footer, const table::Schema& schema) {
  for (const table::LeafStats& leaf : footer.leaves) {
    const table::Field* field = table::FindField(schema, leaf.names);
    if (field == nullptr) continue;  // dropped, and not made anew: CheckFitsDelta
    const bool same_id = !footer.has_field_ids || leaf.stats.field_id == field->id;
    if (same_id && table::SameType(leaf.type, field->type)) continue;
    return MakeError(
        ErrorKind::kInvalid, "COLUMN_CHANGED",
        fmt::format("the column '{}' is {} there and {} in the table", fmt::join(leaf.names, "."),
                    table::TypeName(leaf.type), table::TypeName(field->type)));
  }
  return {};
}

Status CheckFiles(LakeTables& tables, const std::string& name, const PublishOptions& options) {
  TRY(CheckFitsDelta(TRY(tables.iceberg().Load(name)).metadata));
  const SnapshotFiles snapshot = TRY(FilesAsOf(tables, name, {}));
  TRY(CheckNothingDeleted(snapshot, name));
  const TablePlace place = tables.delta().Place(name);
  std::vector<StoredFile> files;
  for (const table::DataFile& file : snapshot.files) {
    TRY(CheckInside(place, file.path));
    files.push_back({file.path, file.bytes});
  }
  return ForEachFooter(
      tables.delta().store(), files, options.stopped,
      [&](size_t i, table::FileFooter&& footer) -> Status {
        if (!footer.problems.empty() && !options.accept_problems) {
          return MakeError(ErrorKind::kInvalid, "UNREADABLE_COLUMN",
                           fmt::format("'{}': {}; some readers would get it wrong", files[i].key,
                                       footer.problems[0].text));
        }
        const Status fits = CheckColumns(footer, snapshot.schema);
        return fits.ok() ? fits : Status(Error(fits.error()).Context("'" + files[i].key + "'"));
      });
}

Status ToDelta(LakeTables& tables, const std::string& name, const PublishOptions& options) {
  TRY(CheckFiles(tables, name, options));
  TRY(BeginDelta(tables.iceberg(), tables.delta(), name));
  TRY(LevelDelta(tables.iceberg(), tables.delta(), name));
  // Its readers need not read a first version of very many lines.
  const auto state = TRY(tables.delta().Load(name));
  if (state.files.size() < kCheckpointFiles) return {};
  return tables.delta().Checkpoint(name, state);
}

Status ToIceberg(LakeTables& tables, const std::string& name, const PublishOptions& options) {
  NewMirror wanted;
  wanted.accept_problems = options.accept_problems;
  wanted.stopped = options.stopped;
  TRY(BeginIceberg(tables.iceberg(), tables.delta(), name, wanted));
  TRY(LevelIceberg(tables.iceberg(), tables.delta(), name));
  return {};
}

}  // namespace

Result<Formats> PublishTable(LakeTables& tables, const std::string& name, Formats wanted,
                             const PublishOptions& options) {
  const Formats there = TRY(tables.FormatsOf(name));
  if (!there.any()) {
    return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE",
                     fmt::format("there is no table '{}'", name));
  }
  const bool to_delta = wanted.delta && !there.delta;
  const bool to_iceberg = wanted.iceberg && !there.iceberg;
  if (!to_delta && !to_iceberg) {
    TRY(tables.Level(name));  // an earlier publication may have been cut short
    return there;
  }
  const Lease lease = TRY(TakeMaintenanceLease(tables.iceberg(), name));
  if (to_delta) TRY(ToDelta(tables, name, options));
  if (to_iceberg) TRY(ToIceberg(tables, name, options));
  return tables.FormatsOf(name);
}

}  // namespace varve::catalog
