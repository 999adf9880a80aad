// Which rows are still the journal's and which are in objects, at one instant.
//
// A flush unit is a run of one stream's records (the events of all namespaces, or the tail items of
// one), and every object of it carries its number. The unit is recorded before its first object is
// put, and done in one step after its last: at any instant it is either done, and its objects are
// read, or not done, and its records are. Units that began after the instant have larger numbers.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>

#include "core/namespace_id.h"
#include "journal/journal.h"

namespace varve::ingest {

struct FlushView {
  journal::HotRecords hot;  // of the namespace asked for
  uint32_t instance = 0;    // what our objects' ULIDs are tagged with
  uint32_t last_unit = 0;
  std::set<uint32_t> open_units;  // begun and not done
  std::string_view do_id;         // what our raw files are named with
  uint64_t raw_seq_done = 0;      // of the namespace's raw files; the next one has this + 1

  // Of events/…/{ulid}.parquet: not one of ours, or of a unit that is done.
  bool SeesEventFile(std::string_view key) const;
  // Of raw-events/{ms}-{doId}-{batchSeq}.ndjson.
  bool SeesRawFile(std::string_view key) const;
};

class FlushViews {
 public:
  virtual ~FlushViews() = default;
  virtual FlushView CurrentView(const NamespaceId& ns) const = 0;  // thread-safe
};

}  // namespace varve::ingest
