// Compacted bytes that are put again and have another ETag: source_twins.h finds them.
#include "compact/source_content.h"
#include "compact/window_tables.h"
#include "compact/window_tracker.h"
#include "core/crash_point.h"
#include "store/object_store.h"

namespace varve::compact {
namespace {

using state::Row;
using state::Session;

const CrashPoint kTwinNoted{"windows.twin.before_commit"};

struct KeyRow {
  std::string etag, state, content;
  int64_t ns_id = 0, start_ms = 0, size = 0;
};

Result<std::vector<KeyRow>> RowsOf(Session& session, const std::string& key) {
  std::vector<KeyRow> rows;
  TRY(session.Query(
      "SELECT etag, state, content, ns_id, start_ms, size FROM window_sources WHERE key = ?", {key},
      [&](const Row& row) {
        rows.push_back({row.Text(0), row.Text(1), row.Text(2), row.Int(3), row.Int(4), row.Int(5)});
        // An ETag of the bytes is their content.
        if (rows.back().content.empty()) rows.back().content = rows.back().etag;
        return true;
      }));
  return rows;
}

// What its workflow has, or has done with, stays.
bool MayBecomeTwin(const KeyRow& row) { return row.state == "pending" || row.state == "changed"; }

void AddLookalikes(size_t index, const Arrival& arrival, const std::vector<KeyRow>& rows,
                   std::vector<Lookalike>& out) {
  for (const KeyRow& row : rows) {
    if (row.etag == arrival.etag && !MayBecomeTwin(row)) return;
  }
  for (const KeyRow& row : rows) {
    if (row.state != "compacted" || row.size != static_cast<int64_t>(arrival.size)) continue;
    if (ContentKindOf(row.content) == ContentKind::kNone) continue;
    out.push_back({index, row.content});
  }
}

}  // namespace

Result<std::vector<Lookalike>> WindowTracker::Lookalikes(std::span<const Arrival> arrivals) {
  std::vector<Lookalike> out;
  TRY(database_.Run([&](Session& session) -> Status {
    for (size_t i = 0; i < arrivals.size(); ++i) {
      AddLookalikes(i, arrivals[i], TRY(RowsOf(session, arrivals[i].key)), out);
    }
    return {};
  }));
  return out;
}

Status WindowTracker::NoteTwin(const Arrival& arrival, const std::string& content) {
  const int64_t now_ms = clock_.NowMs();
  return database_.Transact([&](Session& session) -> Status {
    const std::vector<KeyRow> rows = TRY(RowsOf(session, arrival.key));
    TRY(session.Execute(
        "INSERT INTO window_sources SELECT NULL, key, ?, ns_id, start_ms, writer, size, time_ms,"
        " sequence, 'compacted', workflow_id, ?, ?, 0, '', ? FROM window_sources WHERE key = ?"
        " AND size = ? AND state = 'compacted' AND ? IN (content, etag) ORDER BY id LIMIT 1"
        " ON CONFLICT (key, etag) DO UPDATE SET state = 'compacted', size = excluded.size,"
        " workflow_id = excluded.workflow_id, settled_ms = excluded.settled_ms, recheck = 0,"
        " why = '', content = excluded.content WHERE state IN ('pending', 'changed')",
        {arrival.etag, now_ms, now_ms, content, arrival.key, static_cast<int64_t>(arrival.size),
         content}));
    if (session.changes() == 0) return {};  // somebody else was first
    // What waited under the key has been replaced, or is the twin.
    WindowDeltas deltas;
    for (const KeyRow& row : rows) {
      if (row.state != "pending") continue;
      deltas[{row.ns_id, row.start_ms}].Lose(row.size, now_ms);
    }
    TRY(
        session.Execute("UPDATE window_sources SET state = 'changed', settled_ms = ?,"
                        " why = 'replaced' WHERE key = ? AND state = 'pending'",
                        {now_ms, arrival.key}));
    TRY(ApplyDeltas(session, deltas, options_.window_size_ms));
    kTwinNoted.Hit();
    return {};
  });
}

// Bytes that were noted since the commit may be twins: they are looked at again.
Status WindowTracker::Remember(Session& session, std::string_view workflow_id,
                               const std::vector<SourceContent>& contents) {
  for (const SourceContent& source : contents) {
    TRY(
        session.Execute("UPDATE window_sources SET content = ? WHERE key = ? AND etag = ?"
                        " AND workflow_id = ? AND state = 'compacted'",
                        {source.content, source.key, source.etag, std::string(workflow_id)}));
    TRY(session.Execute("UPDATE window_sources SET recheck = 1 WHERE key = ? AND state = 'pending'",
                        {source.key}));
  }
  return {};
}

}  // namespace varve::compact
