// Files that somebody compacts by name, whatever windows they are in.
#include <fmt/format.h>

#include "compact/window_tables.h"
#include "compact/window_tracker.h"

namespace varve::compact {
namespace {

using state::Row;
using state::Session;

struct ClaimedRow {
  std::string state;
  int64_t ns_id = 0, start_ms = 0, size = 0;
};

Result<ClaimedRow> RowOf(Session& session, const Arrival& arrival) {
  ClaimedRow found;
  TRY(session.Query(
      "SELECT state, ns_id, start_ms, size FROM window_sources WHERE key = ? AND etag = ?",
      {arrival.key, arrival.etag}, [&](const Row& row) {
        found = {row.Text(0), row.Int(1), row.Int(2), row.Int(3)};
        return false;
      }));
  return found;
}

}  // namespace

Status WindowTracker::Claim(Session& session, std::string_view workflow_id,
                            std::span<const Arrival> arrivals) {
  TRY(Note(session, arrivals));
  WindowDeltas deltas;
  for (const Arrival& arrival : arrivals) {
    const ClaimedRow row = TRY(RowOf(session, arrival));
    if (row.state == "taken" || row.state == "compacted") {
      return MakeError(ErrorKind::kConflict, "ALREADY_COMPACTED",
                       fmt::format("'{}' {}", arrival.key,
                                   row.state == "taken" ? "is being compacted by another workflow"
                                                        : "was compacted before"));
    }
    TRY(session.Execute(
        "UPDATE window_sources SET state = 'taken', workflow_id = ?, settled_ms = 0, why = ''"
        " WHERE key = ? AND etag = ?",
        {std::string(workflow_id), arrival.key, arrival.etag}));
    if (row.state != "pending") continue;
    WindowDelta& delta = deltas[{row.ns_id, row.start_ms}];
    --delta.files;
    delta.bytes -= row.size;
    delta.now_ms = clock_.NowMs();
  }
  TRY(ApplyDeltas(session, deltas, options_.window_size_ms));
  return {};
}

}  // namespace varve::compact
