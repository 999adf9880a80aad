#include "catalog/mirrored_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/checked_store.h"
#include "catalog/delta_tables.h"
#include "core/log.h"

namespace varve::catalog {

namespace ice = table::iceberg;
namespace dl = table::delta;

Result<StoredFile> MirroredFile(const TablePlace& place, const dl::Add& add) {
  const auto key = DeltaFileKey(place, add.path);
  if (!key) {
    return MakeError(ErrorKind::kInvalid, "FOREIGN_LOCATION",
                     fmt::format("'{}' is not under the table's root", add.path));
  }
  if (!add.partition.empty()) {
    return MakeError(ErrorKind::kInvalid, "PARTITION_COLUMNS",
                     fmt::format("'{}' has columns in its path only, which Iceberg's readers would "
                                 "not find",
                                 add.path));
  }
  return StoredFile{*key, static_cast<uint64_t>(std::max<int64_t>(add.bytes, 0))};
}

std::string MirrorRoot(const ice::TableMetadata& metadata, const TablePlace& place) {
  const std::string tail = "/" + place.key();
  const std::string& base = metadata.location;
  const std::string whole = base.ends_with(tail) ? base : place.location();
  return whole.substr(0, whole.size() - tail.size());
}

Result<table::DataFile> DescribeMirrored(const ice::TableMetadata& metadata,
                                         const table::FileFooter& footer, const StoredFile& stored,
                                         const std::string& root) {
  auto file = table::DescribeFile(footer, metadata.schema(), metadata.spec());
  const bool spread = !file.ok() && (file.error().code == "PARTITION_SPANNED" ||
                                     file.error().code == "PARTITION_UNKNOWN");
  const auto none = std::find_if(metadata.specs.begin(), metadata.specs.end(),
                                 [](const auto& spec) { return spec.fields.empty(); });
  if (spread && none != metadata.specs.end()) {
    file = table::DescribeFile(footer, metadata.schema(), *none);
  }
  if (!file.ok()) return std::move(file).error().Context("'" + stored.key + "'");
  file->path = root + "/" + stored.key;
  return file;
}

Status MirroredObjects::Put(const ice::Built& built) {
  for (const ice::NewObject& object : built.objects) {
    const std::string key = TRY(place_.KeyOf(object.path, built.next.location));
    put_.insert(key);
    if (TRY(PutNew(iceberg_.store(), key, object.bytes, "application/avro")) ==
        PutOutcome::kRejected) {
      return MakeError(ErrorKind::kInternal, "'" + key + "' is another's, which cannot be");
    }
  }
  return {};
}

void MirroredObjects::Delete() {
  for (const std::string& key : put_) {
    if (const auto gone = iceberg_.store().Delete(key); !gone.ok()) {
      Log(LogLevel::kDebug, "catalog.orphan_left", {{"key", key}});
    }
  }
  put_.clear();
}

}  // namespace varve::catalog
