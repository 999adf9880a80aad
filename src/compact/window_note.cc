// Announcements into windows. Sources are written one by one; windows, their members and writers
// once a batch.
#include <map>

#include "compact/window_tracker.h"
#include "core/crash_point.h"

namespace varve::compact {
namespace {

using state::Row;
using state::Session;

const CrashPoint kNoted{"windows.note.before_commit"};

struct KnownRow {
  std::string etag, state;
  int64_t ns_id = 0, start_ms = 0, size = 0;
};

class NoteBatch {
 public:
  NoteBatch(Session& session, const WindowOptions& options, int64_t now_ms)
      : session_(session), options_(options), now_ms_(now_ms) {}

  Status Add(const Arrival& arrival) {
    const int64_t ns_id = TRY(NamespaceOf(arrival.name));
    TRY(ReadKnown(arrival.key));
    if (arrival.gone) return Remove(arrival);
    for (const KnownRow& known : known_) {
      if (known.etag == arrival.etag) return AddKnown(arrival, known.state, ns_id);
    }
    TRY(Replace(arrival));
    const int64_t start_ms = WindowStartOf(arrival.name.time_ms, options_.window_size_ms);
    TRY(
        session_.Execute("INSERT INTO window_sources VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, "
                         "'pending', '', ?, 0, 0, '', '')",
                         {arrival.key, arrival.etag, ns_id, start_ms, arrival.name.writer,
                          static_cast<int64_t>(arrival.size), arrival.name.time_ms,
                          static_cast<int64_t>(arrival.name.sequence), now_ms_}));
    CountAdded(arrival, ns_id, start_ms);
    return {};
  }

  Result<NoteCounts> Finish() {
    counts_.late = TRY(ApplyDeltas(session_, deltas_, options_.window_size_ms));
    for (const auto& [at, writer] : writers_) {
      TRY(session_.Execute(
          "INSERT INTO window_writers VALUES (?, ?, ?, ?, ?) ON CONFLICT (ns_id, writer) DO UPDATE"
          " SET last_seen_ms = max(last_seen_ms, excluded.last_seen_ms),"
          " ahead_ms = excluded.ahead_ms, files = files + excluded.files",
          {at.first, at.second, writer.last_seen_ms, writer.ahead_ms, writer.files}));
    }
    return counts_;
  }

 private:
  Result<int64_t> NamespaceOf(const SourceName& name) {
    const auto at = std::pair(name.tenant, name.ns);
    if (const auto found = ids_.find(at); found != ids_.end()) return found->second;
    const NamespaceRow row = TRY(MakeNamespace(session_, name.tenant, name.ns));
    ids_.emplace(at, row.id);
    return row.id;
  }

  Status ReadKnown(const std::string& key) {
    known_.clear();
    return session_.Query(
        "SELECT etag, state, ns_id, start_ms, size FROM window_sources WHERE key = ?", {key},
        [&](const Row& row) {
          known_.push_back({row.Text(0), row.Text(1), row.Int(2), row.Int(3), row.Int(4)});
          return true;
        });
  }

  void CountAdded(const Arrival& arrival, int64_t ns_id, int64_t start_ms) {
    WindowDelta& delta = deltas_[{ns_id, start_ms}];
    ++delta.files;
    ++delta.added;
    delta.bytes += static_cast<int64_t>(arrival.size);
    delta.now_ms = now_ms_;
    delta.writers.insert(arrival.name.writer);
    WriterRow& writer = writers_[{ns_id, arrival.name.writer}];
    writer.last_seen_ms = now_ms_;
    writer.ahead_ms = arrival.name.time_ms - now_ms_;
    ++writer.files;
    ++counts_.added;
  }

  // The same bytes as before.
  Status AddKnown(const Arrival& arrival, const std::string& state, int64_t ns_id) {
    if (state != "changed") {
      ++(state == "compacted" ? counts_.already_compacted : counts_.known);
      return {};
    }
    if (!arrival.current) {  // an old message, or bytes that have come back: the store knows
      ++counts_.known;
      return session_.Execute("UPDATE window_sources SET recheck = 1 WHERE key = ? AND etag = ?",
                              {arrival.key, arrival.etag});
    }
    TRY(Replace(arrival));
    TRY(session_.Execute(
        "UPDATE window_sources SET state = 'pending', workflow_id = '', recheck = 0, why = '',"
        " settled_ms = 0, seen_ms = ?, size = ? WHERE key = ? AND etag = ?",
        {now_ms_, static_cast<int64_t>(arrival.size), arrival.key, arrival.etag}));
    for (const KnownRow& known : known_) {
      if (known.etag == arrival.etag) CountAdded(arrival, ns_id, known.start_ms);
    }
    return {};
  }

  // Other bytes that waited under this key are no longer there.
  Status Replace(const Arrival& arrival) {
    for (const KnownRow& known : known_) {
      if (known.state != "pending" || known.etag == arrival.etag) continue;
      TRY(session_.Execute(
          "UPDATE window_sources SET state = 'changed', settled_ms = ?, why = 'replaced'"
          " WHERE key = ? AND etag = ?",
          {now_ms_, arrival.key, known.etag}));
      deltas_[{known.ns_id, known.start_ms}].Lose(known.size, now_ms_);
      ++counts_.replaced;
    }
    return {};
  }

  // Taken and settled ones stay: the workflow finds out, and what is compacted stays known.
  Status Remove(const Arrival& arrival) {
    for (const KnownRow& known : known_) {
      if (known.state == "taken" || known.state == "compacted") continue;
      TRY(session_.Execute("DELETE FROM window_sources WHERE key = ? AND etag = ?",
                           {arrival.key, known.etag}));
      if (known.state != "pending") continue;
      deltas_[{known.ns_id, known.start_ms}].Lose(known.size, now_ms_);
      ++counts_.removed;
    }
    return {};
  }

  Session& session_;
  const WindowOptions& options_;
  const int64_t now_ms_;
  NoteCounts counts_;
  std::map<std::pair<NamespaceId, std::string>, int64_t> ids_;
  WindowDeltas deltas_;
  std::map<std::pair<int64_t, std::string>, WriterRow> writers_;
  std::vector<KnownRow> known_;  // of the key at hand
};

}  // namespace

void NoteCounts::Add(const NoteCounts& more) {
  added += more.added;
  late += more.late;
  replaced += more.replaced;
  known += more.known;
  already_compacted += more.already_compacted;
  removed += more.removed;
}

Result<NoteCounts> WindowTracker::Note(Session& session, std::span<const Arrival> arrivals) {
  NoteBatch batch(session, options_, clock_.NowMs());
  for (const Arrival& arrival : arrivals) TRY(batch.Add(arrival));
  const NoteCounts counts = TRY(batch.Finish());
  kNoted.Hit();
  return counts;
}

Result<NoteCounts> WindowTracker::Note(std::span<const Arrival> arrivals) {
  NoteCounts counts;
  TRY(database_.Transact([&](Session& session) -> Status {
    counts = TRY(Note(session, arrivals));
    return {};
  }));
  return counts;
}

}  // namespace varve::compact
