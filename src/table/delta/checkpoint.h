// A Delta state as a Parquet file: one action a row, as the specification has it ("classic", one
// part). It keeps all that the log says and a reader still needs: protocol, metaData, every txn,
// every live file, and the tombstones that have not expired.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "table/delta/state.h"

namespace varve::table::delta {

struct Checkpoint {
  std::string bytes;
  int64_t actions = 0;
};

Result<Checkpoint> WriteCheckpoint(const State& state, int64_t now_ms);

// The state at that version; its time is not in a checkpoint. kCorrupt: BAD_CHECKPOINT.
Result<State> ReadCheckpoint(std::string_view bytes, int64_t version);

}  // namespace varve::table::delta
