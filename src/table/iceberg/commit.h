// (metadata, file changes) → the next metadata and the files that it needs, as a pure function but
// for the reading of manifests that the base names. Nothing is put here; catalog/ does that.
//
// How an attempt is built:
//  1. The base is asked whether the commit is already in it: its snapshot id, its mark.
//  2. The current snapshot's manifest list is read. Manifests that could hold a file to be removed,
//     or one that is added a second time, are scanned for paths; partitions spare most of them.
//  3. A manifest that holds a removed file is written anew, that file DELETED, the others EXISTING.
//     All others are carried as they are; those without live files are dropped. When many small
//     ones have gathered, they are merged.
//  4. Added files go into manifests of their own, whose names and bytes are the same in each
//  attempt
//     that finds the schema as it was (the names have its id, for it is in their headers), so that
//     a retry puts the list and the metadata only.
//  5. The snapshot with its counts, the manifest list, the next metadata; CheckMetadata.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "table/data_file.h"
#include "table/iceberg/manifest.h"
#include "table/iceberg/metadata.h"

namespace varve::table::iceberg {

using ReadObject = std::function<Result<std::string>(const std::string& location)>;

enum class Operation : uint8_t { kAppend, kReplace, kOverwrite, kDelete };
std::string_view ToString(Operation operation);

// What was done up to a number, in a writer's own order; kept as a table property, so that it
// outlives the snapshots.
struct Mark {
  std::string shard;
  int64_t sequence = 0;
};
std::string MarkProperty(const std::string& shard);                       // varve.hwm.{shard}
int64_t MarkOf(const TableMetadata& metadata, const std::string& shard);  // -1: none

struct RemovedFile {
  std::string path;  // a location, as the manifest has it
  int32_t spec_id = 0;
  std::optional<PartitionTuple> partition;  // spares reading the manifests of other partitions
};

struct Change {
  Operation operation = Operation::kAppend;
  std::vector<DataFile> added;  // paths are locations
  std::vector<RemovedFile> removed;
  int64_t snapshot_id = 0;  // NewSnapshotId, chosen before the first attempt and kept
  std::string commit_id;    // likewise; safe in a file's name
  std::optional<Mark> mark;
  std::map<std::string, std::string> summary;  // more to be said of it
  // The table must still have these, where they are given.
  std::optional<std::string> uuid;
  std::optional<int32_t> schema_id, spec_id;
  // Added paths are known to be new: the manifests need not be scanned for them.
  bool paths_are_new = false;
  bool merge_manifests = false;  // all small ones, however few
};

struct NewObject {
  std::string path;  // a location
  std::string bytes;
  bool same_in_every_attempt = false;
};

struct Built {
  bool already_done = false;  // then nothing else is set
  TableMetadata next;
  std::vector<NewObject> objects;
};

struct Attempt {
  int64_t now_ms = 0;
  uint32_t number = 0;
  // Of this run: the same commit, taken up again after a crash, must not meet the objects that it
  // had put before, which are another base's.
  std::string run;
};

inline constexpr const char* kCommitIdKey = "varve.commit-id";

// A positive random number of 63 bits; never a counter, which JavaScript's readers would mix up.
int64_t NewSnapshotId(uint64_t random);

// kConflict: SOURCE_NOT_LIVE, FILE_ALREADY_LIVE, TABLE_CHANGED, DELETE_FILES_PRESENT: this change
// can never be done to this base. Anything the reader says is passed on.
Result<Built> BuildCommit(const TableMetadata& base, const std::string& base_location,
                          const Change& change, const Attempt& attempt, const ReadObject& read);

// The table's next metadata, with another schema (EvolveSchema's) or other properties, no snapshot.
Result<TableMetadata> WithSchema(const TableMetadata& base, const std::string& base_location,
                                 const Evolution& evolution, int64_t now_ms);
Result<TableMetadata> WithProperties(const TableMetadata& base, const std::string& base_location,
                                     const std::map<std::string, std::string>& properties,
                                     int64_t now_ms);

// Begins the next metadata: the base's log entry, a time that does not go back.
TableMetadata Follow(const TableMetadata& base, const std::string& base_location, int64_t now_ms);

// The live files of a snapshot, in the manifests' order. entry may stop the reading with an error.
// deletes: for its delete files, whose paths alone are read; none: they are refused, kInvalid,
// DELETE_FILES_PRESENT, for the files alone do not tell the table's rows.
Status ForEachLive(const TableMetadata& metadata, const Snapshot& snapshot, const ReadObject& read,
                   EntryDetail detail, const std::function<Status(ManifestEntry&&)>& entry,
                   const std::function<Status(ManifestEntry&&)>& deletes = {});

}  // namespace varve::table::iceberg
