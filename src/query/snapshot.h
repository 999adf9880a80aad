// What one query sees, fixed when it starts: the live files and the journal's rows that no file
// holds yet. Taken by whoever wires the process (app), so that query knows neither store nor
// journal.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespace_id.h"
#include "core/result.h"
#include "record/event.h"

namespace varve::query {

struct FileRef {
  std::string key;
  std::string path;  // absolute, on this machine
  uint64_t size = 0;
  int64_t modified_ms = 0;
};

struct HotChunk {  // one journal record
  record::RecordKind kind;
  int64_t received_ms;
  std::span<const record::EventRef> events;
  std::string_view body;  // kJsonPaddingBytes readable behind it
  uint32_t file = 0;      // of Snapshot::hot_files, in whose mapping both lie
};

struct HotFile {  // mapped, so that a SQL worker can map the same bytes
  int fd = -1;    // readable
  const char* base = nullptr;
  uint64_t bytes = 0;
};

struct TableSnapshot {
  std::vector<FileRef> parquet;
  std::vector<FileRef> ndjson;  // events: an event a line; logs: raw files with a header line
  std::vector<HotChunk> hot;
};

struct Snapshot {
  TableSnapshot events;
  TableSnapshot logs;
  std::vector<HotFile> hot_files;
  std::shared_ptr<const void> pins;  // keeps hot bytes and files alive, and as they are
};

struct TimeRange {
  std::optional<int64_t> start_ms;  // inclusive
  std::optional<int64_t> end_ms;    // exclusive
};

class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  // Thread-safe. Files whose path lies outside the range may be left out.
  virtual Result<Snapshot> Take(const NamespaceId& ns, const TimeRange& range) = 0;
};

}  // namespace varve::query
