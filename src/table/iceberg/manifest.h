// Iceberg v2 manifests (entries of data files) and manifest lists (a snapshot's manifests), as Avro
// containers with every field's id.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/avro.h"
#include "table/data_file.h"
#include "table/iceberg/metadata.h"

namespace varve::table::iceberg {

enum class EntryStatus : uint8_t { kExisting = 0, kAdded = 1, kDeleted = 2 };

struct ManifestEntry {
  EntryStatus status = EntryStatus::kAdded;
  std::optional<int64_t> snapshot_id;
  std::optional<int64_t> sequence_number;       // of the data; null if added: inherited
  std::optional<int64_t> file_sequence_number;  // likewise
  DataFile file;
  int32_t content = 0;  // 0: data
  std::string format = "PARQUET";

  bool is_live() const { return status != EntryStatus::kDeleted; }
};

struct FieldSummary {
  bool contains_null = false;
  std::optional<bool> contains_nan;
  std::optional<std::string> lower, upper;
};

// A manifest list's row.
struct ManifestFile {
  std::string path;
  int64_t length = 0;
  int32_t spec_id = 0;
  int32_t content = 0;  // 0: data, 1: deletes
  int64_t sequence_number = 0, min_sequence_number = 0;
  int64_t added_snapshot_id = 0;
  int32_t added_files = 0, existing_files = 0, deleted_files = 0;
  int64_t added_rows = 0, existing_rows = 0, deleted_rows = 0;
  std::vector<FieldSummary> partitions;
  std::optional<std::string> key_metadata;

  bool has_live() const { return added_files > 0 || existing_files > 0; }
};

inline constexpr size_t kManifestTargetBytes = size_t{8} << 20;
inline constexpr size_t kManifestBytesMax = size_t{256} << 20;

// Collects entries of one spec until it is Finished as a manifest. Deflate; sync is 16 bytes.
class ManifestWriter {
 public:
  static Result<ManifestWriter> Begin(const Schema& schema, const PartitionSpec& spec,
                                      std::string_view sync);

  // kInvalid if the partition's values are none of the spec's types.
  Status Add(const ManifestEntry& entry);
  size_t bytes() const { return avro_.bytes(); }  // before compression
  bool empty() const { return file_.added_files + file_.existing_files + file_.deleted_files == 0; }

  struct Finished {
    ManifestFile file;  // path and added_snapshot_id are the caller's
    std::string bytes;
  };
  // The sequence number is that of the commit that writes it.
  Result<Finished> Finish(int64_t sequence_number) &&;

 private:
  struct PartitionColumn {
    Type type;
    FieldSummary summary;
  };
  ManifestWriter(AvroWriter avro, std::vector<PartitionColumn> columns, int32_t spec_id);
  Status EncodePartition(const PartitionTuple& tuple, AvroEncoder& out);
  void Count(const ManifestEntry& entry);

  AvroWriter avro_;
  std::vector<PartitionColumn> columns_;
  ManifestFile file_;
  std::optional<int64_t> min_sequence_number_;  // of live entries that have one
  bool has_added_ = false;
};

enum class EntryDetail : uint8_t { kPathsOnly, kAll };

// Calls entry for each of the manifest's entries, with what it inherits from the list's row filled
// in. kPathsOnly leaves out statistics. spec: the row's; schema: any that has its columns.
Status ReadManifest(std::string_view bytes, const ManifestFile& row, const PartitionSpec& spec,
                    const Schema& schema, EntryDetail detail,
                    const std::function<Status(ManifestEntry&&)>& entry);

Result<std::string> WriteManifestList(const std::vector<ManifestFile>& files,
                                      const Snapshot& snapshot, std::string_view sync);
Result<std::vector<ManifestFile>> ReadManifestList(std::string_view bytes);

}  // namespace varve::table::iceberg
