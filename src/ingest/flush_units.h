// The flusher's memory on the relational state: which units are open, how far each stream is done,
// and the batch ids of what is done. One transaction ends a unit.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/keyed_hash.h"
#include "core/result.h"
#include "journal/journal.h"
#include "state/database.h"

namespace varve::ingest {

// What tells this data directory's own objects from those of others; made once, kept.
struct Instance {
  uint32_t tag = 0;   // in ULIDs
  std::string do_id;  // in raw files' names: 12 hex digits
  Hash128 id_key;     // under which event ids are hashed
};
Result<Instance> LoadInstance(state::Database& database, Random& random);

inline constexpr std::string_view kEventStream = "events";
std::string TailStream(std::string_view ns);  // "tail/{ns}"

struct FlushUnit {
  uint32_t id = 0;
  std::string stream;
  journal::Lsn after = 0;  // exclusive
  journal::Lsn upto = 0;   // inclusive
  int64_t created_ms = 0;
  uint64_t raw_seq = 0;  // of a tail unit: its file's batchSeq
};

struct StreamProgress {
  journal::Lsn done_lsn = 0;
  uint64_t raw_seq_done = 0;
};

struct SpentBatch {
  std::string ns, batch_id;
  uint64_t events = 0;
  int64_t expires_ms = 0;
};

struct FlushState {
  std::map<std::string, StreamProgress> streams;
  std::vector<FlushUnit> open;  // ascending by id
  uint32_t last_unit = 0;
  journal::Lsn released = 0;
};

class FlushUnits {
 public:
  static Result<FlushUnits> Open(state::Database& database);

  Result<FlushState> Load();
  Result<uint32_t> Begin(const FlushUnit& unit);  // the number it has got
  // The unit is in objects; everything up to `released` is, of every stream.
  Status End(const FlushUnit& unit, const std::vector<SpentBatch>& spent, journal::Lsn released);
  Status ExpireBatches(int64_t now_ms);

 private:
  explicit FlushUnits(state::Database& database) : database_(&database) {}
  state::Database* database_;
};

// Up to here every record is held by objects: JournalOptions::flushed_lsn.
Result<journal::Lsn> FlushedUpTo(state::Database& database);

}  // namespace varve::ingest
