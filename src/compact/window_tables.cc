#include "compact/window_tables.h"

#include <fmt/format.h>

#include "core/check.h"

namespace varve::compact {
namespace {

using state::Row;
using state::Session;
using state::Value;

// Sources have a number of their own, so that they are appended and their indexes are narrow; in a
// table that is kept by its key, each index would repeat the key.
constexpr state::Migration kMigrations[] = {
    {1, R"sql(
      CREATE TABLE window_namespaces (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        ns TEXT NOT NULL,
        overrides TEXT NOT NULL DEFAULT '{}',
        UNIQUE (tenant, ns)
      ) STRICT;
      CREATE TABLE window_sources (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        etag TEXT NOT NULL,
        ns_id INTEGER NOT NULL,
        start_ms INTEGER NOT NULL,
        writer TEXT NOT NULL,
        size INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        state TEXT NOT NULL CHECK
          (state IN ('pending', 'taken', 'compacted', 'quarantined', 'changed')),
        workflow_id TEXT NOT NULL,
        seen_ms INTEGER NOT NULL,
        settled_ms INTEGER NOT NULL,
        recheck INTEGER NOT NULL,
        why TEXT NOT NULL,
        UNIQUE (key, etag)
      ) STRICT;
      CREATE INDEX window_sources_pending
        ON window_sources(ns_id, start_ms, time_ms) WHERE state = 'pending';
      CREATE INDEX window_sources_taken ON window_sources(workflow_id) WHERE state = 'taken';
      CREATE INDEX window_sources_settled ON window_sources(settled_ms) WHERE settled_ms > 0;
      CREATE INDEX window_sources_recheck ON window_sources(key) WHERE recheck = 1;
      CREATE INDEX window_sources_quarantined
        ON window_sources(ns_id) WHERE state = 'quarantined';
      CREATE TABLE window_spans (
        ns_id INTEGER NOT NULL,
        start_ms INTEGER NOT NULL,
        end_ms INTEGER NOT NULL,
        rounds INTEGER NOT NULL,
        late_files INTEGER NOT NULL,
        late_ms INTEGER NOT NULL,
        PRIMARY KEY (ns_id, start_ms)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE window_members (
        ns_id INTEGER NOT NULL,
        start_ms INTEGER NOT NULL,
        writer TEXT NOT NULL,
        PRIMARY KEY (ns_id, start_ms, writer)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE windows (
        ns_id INTEGER NOT NULL,
        start_ms INTEGER NOT NULL,
        round INTEGER NOT NULL,
        end_ms INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'processing', 'dispatched')),
        files INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        first_seen_ms INTEGER NOT NULL,
        last_seen_ms INTEGER NOT NULL,
        not_before_ms INTEGER NOT NULL,
        workflow_id TEXT NOT NULL,
        dispatched_ms INTEGER NOT NULL,
        settled_ms INTEGER NOT NULL,
        halted INTEGER NOT NULL,
        PRIMARY KEY (ns_id, start_ms, round)
      ) STRICT, WITHOUT ROWID;
      CREATE UNIQUE INDEX windows_pending ON windows(ns_id, start_ms) WHERE state = 'pending';
      CREATE INDEX windows_pending_end ON windows(end_ms) WHERE state = 'pending';
      CREATE UNIQUE INDEX windows_workflow ON windows(workflow_id) WHERE workflow_id <> '';
      CREATE TABLE window_writers (
        ns_id INTEGER NOT NULL,
        writer TEXT NOT NULL,
        last_seen_ms INTEGER NOT NULL,
        ahead_ms INTEGER NOT NULL,
        files INTEGER NOT NULL,
        PRIMARY KEY (ns_id, writer)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE window_totals (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        compacted_files INTEGER NOT NULL,
        compacted_bytes INTEGER NOT NULL,
        recent_bytes REAL NOT NULL,
        recent_ms REAL NOT NULL
      ) STRICT;
      INSERT INTO window_totals VALUES (1, 0, 0, 0, 0);
    )sql"},
    // Of compacted bytes that stay for a while and whose ETag is not made of them.
    {2, "ALTER TABLE window_sources ADD COLUMN content TEXT NOT NULL DEFAULT ''"},
};

constexpr std::string_view kWindowColumns =
    "ns_id, start_ms, round, end_ms, state, files, bytes, first_seen_ms, last_seen_ms,"
    " not_before_ms, workflow_id, dispatched_ms, settled_ms, halted";

Window WindowFrom(const Row& row) {
  Window window;
  window.ns_id = row.Int(0);
  window.start_ms = row.Int(1);
  window.round = row.Int(2);
  window.end_ms = row.Int(3);
  const auto state = ParseWindowState(row.Text(4));
  CHECK(state.has_value());  // the table's own check
  window.state = *state;
  window.files = row.Int(5);
  window.bytes = row.Int(6);
  window.first_seen_ms = row.Int(7);
  window.last_seen_ms = row.Int(8);
  window.not_before_ms = row.Int(9);
  window.workflow_id = row.Text(10);
  window.dispatched_ms = row.Int(11);
  window.settled_ms = row.Int(12);
  window.halted = row.Int(13) != 0;
  return window;
}

Result<std::vector<Window>> SelectWindows(Session& session, std::string_view rest,
                                          std::initializer_list<Value> bound) {
  std::vector<Window> windows;
  TRY(session.Query(fmt::format("SELECT {} FROM windows {}", kWindowColumns, rest), bound,
                    [&](const Row& row) {
                      windows.push_back(WindowFrom(row));
                      return true;
                    }));
  return windows;
}

Result<std::optional<Window>> FirstOf(std::vector<Window> windows) {
  if (windows.empty()) return std::optional<Window>();
  return std::optional<Window>(std::move(windows.front()));
}

Result<NamespaceRow> NamespaceFrom(const Row& row) {
  NamespaceRow out;
  out.id = row.Int(0);
  out.tenant = TRY(NamespaceId::Parse(row.Text(1)));
  out.ns = row.Text(2);
  out.overrides = TRY(ReadOverrides(row.Text(3), {}));
  return out;
}

Result<std::vector<NamespaceRow>> SelectNamespaces(Session& session, std::string_view rest,
                                                   std::span<const Value> bound) {
  std::vector<NamespaceRow> rows;
  Status bad;
  TRY(session.Query(fmt::format("SELECT id, tenant, ns, overrides FROM window_namespaces {}", rest),
                    bound, [&](const Row& row) {
                      auto read = NamespaceFrom(row);
                      if (!read.ok()) {
                        bad = std::move(read).error();
                        return false;
                      }
                      rows.push_back(std::move(read).value());
                      return true;
                    }));
  TRY(std::move(bad));
  return rows;
}

Status AddMembers(Session& session, int64_t ns_id, int64_t start_ms, const WindowDelta& delta) {
  for (const std::string& writer : delta.writers) {
    TRY(session.Execute("INSERT OR IGNORE INTO window_members VALUES (?, ?, ?)",
                        {ns_id, start_ms, writer}));
  }
  return {};
}

// The window of those bounds; one that is known keeps its end, whatever the size is now.
Status MakeSpan(Session& session, int64_t ns_id, int64_t start_ms, uint64_t size_ms) {
  return session.Execute(
      "INSERT INTO window_spans VALUES (?, ?, ?, 0, 0, 0) ON CONFLICT DO NOTHING",
      {ns_id, start_ms, start_ms + static_cast<int64_t>(size_ms)});
}

Status CountLate(Session& session, const Window& window, const WindowDelta& delta) {
  return session.Execute(
      "UPDATE window_spans SET late_files = late_files + ?, late_ms = max(late_ms, ? - end_ms)"
      " WHERE ns_id = ? AND start_ms = ?",
      {delta.added, delta.now_ms, window.ns_id, window.start_ms});
}

}  // namespace

std::string NamespaceRow::Label() const {
  return tenant.is_default() ? ns : tenant.name() + ":" + ns;
}

Status MigrateWindows(state::Database& database) {
  return database.Migrate("compact_windows", kMigrations);
}

Result<std::optional<NamespaceRow>> FindNamespace(Session& session, const NamespaceId& tenant,
                                                  std::string_view ns) {
  const Value bound[] = {tenant.name(), std::string(ns)};
  auto rows = TRY(SelectNamespaces(session, "WHERE tenant = ? AND ns = ?", bound));
  if (rows.empty()) return std::optional<NamespaceRow>();
  return std::optional<NamespaceRow>(std::move(rows.front()));
}

Result<NamespaceRow> MakeNamespace(Session& session, const NamespaceId& tenant,
                                   std::string_view ns) {
  if (auto found = TRY(FindNamespace(session, tenant, ns))) return std::move(*found);
  NamespaceRow row;
  row.tenant = tenant;
  row.ns = ns;
  TRY(session.Execute("INSERT INTO window_namespaces (tenant, ns) VALUES (?, ?)",
                      {tenant.name(), row.ns}));
  row.id = session.last_insert_id();
  return row;
}

Result<NamespaceRow> GetNamespace(Session& session, int64_t id) {
  const Value bound[] = {id};
  auto rows = TRY(SelectNamespaces(session, "WHERE id = ?", bound));
  CHECK(!rows.empty());  // namespaces are never deleted
  return std::move(rows.front());
}

Result<std::vector<NamespaceRow>> ListNamespaces(Session& session, const NamespaceId* tenant,
                                                 std::string_view ns, size_t rows_max) {
  std::string where = "WHERE 1 = 1";
  std::vector<Value> bound;
  if (tenant != nullptr) {
    where += " AND tenant = ?";
    bound.emplace_back(tenant->name());
  }
  if (!ns.empty()) {
    where += " AND ns = ?";
    bound.emplace_back(std::string(ns));
  }
  bound.emplace_back(static_cast<int64_t>(rows_max));
  return SelectNamespaces(session, where + " ORDER BY tenant, ns LIMIT ?", bound);
}

Result<std::vector<WriterRow>> WritersOf(Session& session, int64_t ns_id, size_t rows_max) {
  std::vector<WriterRow> rows;
  TRY(session.Query(
      "SELECT writer, last_seen_ms, ahead_ms, files FROM window_writers WHERE ns_id = ?"
      " ORDER BY writer LIMIT ?",
      {ns_id, static_cast<int64_t>(rows_max)}, [&](const Row& row) {
        rows.push_back({row.Text(0), row.Int(1), row.Int(2), row.Int(3)});
        return true;
      }));
  return rows;
}

Result<std::vector<std::string>> MembersOf(Session& session, const Window& window,
                                           size_t rows_max) {
  std::vector<std::string> writers;
  TRY(session.Query(
      "SELECT writer FROM window_members WHERE ns_id = ? AND start_ms = ? ORDER BY writer LIMIT ?",
      {window.ns_id, window.start_ms, static_cast<int64_t>(rows_max)}, [&](const Row& row) {
        writers.push_back(row.Text(0));
        return true;
      }));
  return writers;
}

Result<std::vector<Window>> ListWindows(Session& session, int64_t ns_id, size_t rows_max) {
  return SelectWindows(session, "WHERE ns_id = ? ORDER BY start_ms, round LIMIT ?",
                       {ns_id, static_cast<int64_t>(rows_max)});
}

Result<std::vector<Window>> PendingUpTo(Session& session, int64_t now_ms, uint64_t future_ms) {
  return SelectWindows(session,
                       "WHERE state = 'pending' AND (end_ms <= ? OR start_ms > first_seen_ms + ?)"
                       " ORDER BY end_ms",
                       {now_ms, static_cast<int64_t>(future_ms)});
}

Result<std::vector<Window>> DispatchedWindows(Session& session) {
  return SelectWindows(session, "WHERE workflow_id <> '' ORDER BY dispatched_ms", {});
}

Result<std::optional<Window>> FindPending(Session& session, int64_t ns_id, int64_t start_ms) {
  return FirstOf(TRY(SelectWindows(
      session, "WHERE ns_id = ? AND start_ms = ? AND state = 'pending'", {ns_id, start_ms})));
}

Result<std::optional<Window>> FindByWorkflow(Session& session, std::string_view workflow_id) {
  if (workflow_id.empty()) return std::optional<Window>();
  return FirstOf(TRY(SelectWindows(session, "WHERE workflow_id = ? AND workflow_id <> ''",
                                   {std::string(workflow_id)})));
}

Status UpdateWindow(Session& session, const Window& window) {
  return session.Execute(
      "UPDATE windows SET state = ?, files = ?, bytes = ?, first_seen_ms = ?, last_seen_ms = ?,"
      " not_before_ms = ?, workflow_id = ?, dispatched_ms = ?, settled_ms = ?, halted = ?"
      " WHERE ns_id = ? AND start_ms = ? AND round = ?",
      {std::string(ToString(window.state)), window.files, window.bytes, window.first_seen_ms,
       window.last_seen_ms, window.not_before_ms, window.workflow_id, window.dispatched_ms,
       window.settled_ms, int64_t{window.halted}, window.ns_id, window.start_ms, window.round});
}

Status DeleteWindow(Session& session, const Window& window) {
  return session.Execute("DELETE FROM windows WHERE ns_id = ? AND start_ms = ? AND round = ?",
                         {window.ns_id, window.start_ms, window.round});
}

Result<Window> AddRound(Session& session, int64_t ns_id, int64_t start_ms, int64_t now_ms) {
  Window window;
  window.ns_id = ns_id;
  window.start_ms = start_ms;
  window.first_seen_ms = window.last_seen_ms = now_ms;
  TRY(
      session.Query("UPDATE window_spans SET rounds = rounds + 1 WHERE ns_id = ? AND start_ms = ?"
                    " RETURNING rounds, end_ms",
                    {ns_id, start_ms}, [&](const Row& row) {
                      window.round = row.Int(0);
                      window.end_ms = row.Int(1);
                      return true;
                    }));
  CHECK(window.end_ms > start_ms);  // the span is made before its rounds
  TRY(session.Execute(
      "INSERT INTO windows VALUES (?, ?, ?, ?, 'pending', 0, 0, ?, ?, 0, '', 0, 0, 0)",
      {ns_id, start_ms, window.round, window.end_ms, now_ms, now_ms}));
  return window;
}

Result<uint64_t> ApplyDeltas(Session& session, const WindowDeltas& deltas,
                             uint64_t window_size_ms) {
  uint64_t late = 0;
  for (const auto& [at, delta] : deltas) {
    const auto& [ns_id, start_ms] = at;
    auto pending = TRY(FindPending(session, ns_id, start_ms));
    if (!pending) {
      CHECK(delta.files >= 0);  // what leaves a window was in its pending round
      if (delta.files == 0) continue;
      TRY(MakeSpan(session, ns_id, start_ms, window_size_ms));
      pending = TRY(AddRound(session, ns_id, start_ms, delta.now_ms));
    }
    Window& window = *pending;
    window.files += delta.files;
    window.bytes += delta.bytes;
    CHECK(window.files >= 0 && window.bytes >= 0);
    if (window.files == 0) {
      TRY(DeleteWindow(session, window));
      TRY(
          session.Execute("UPDATE window_spans SET rounds = rounds - 1"
                          " WHERE ns_id = ? AND start_ms = ? AND rounds = ?",
                          {ns_id, start_ms, window.round}));
      continue;
    }
    if (delta.added > 0) window.last_seen_ms = std::max(window.last_seen_ms, delta.now_ms);
    window.not_before_ms = std::max(window.not_before_ms, delta.not_before_ms);
    TRY(UpdateWindow(session, window));
    TRY(AddMembers(session, ns_id, start_ms, delta));
    if (window.round == 1 || delta.added == 0) continue;
    TRY(CountLate(session, window, delta));
    late += static_cast<uint64_t>(delta.added);
  }
  return late;
}

}  // namespace varve::compact
