#include "view/view_tables.h"

#include <fmt/format.h>

#include "core/check.h"

namespace varve::view {
namespace {

using state::Row;
using state::Session;
using state::Value;

constexpr state::Migration kViewMigrations[] = {
    {1, R"sql(
      CREATE TABLE views (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        sql TEXT NOT NULL,
        mode TEXT NOT NULL CHECK (mode IN ('streaming', 'scheduled', 'manual')),
        upkeep TEXT NOT NULL CHECK (upkeep IN ('full', 'incremental')),
        debounce_ms INTEGER NOT NULL,
        max_wait_ms INTEGER NOT NULL,
        interval_ms INTEGER NOT NULL,
        revision INTEGER NOT NULL DEFAULT 1,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        dropping INTEGER NOT NULL DEFAULT 0,
        first_change_ms INTEGER NOT NULL DEFAULT 0,
        last_change_ms INTEGER NOT NULL DEFAULT 0,
        workflow_id TEXT NOT NULL DEFAULT '',
        running INTEGER NOT NULL DEFAULT 0,
        dispatched_ms INTEGER NOT NULL DEFAULT 0,
        not_before_ms INTEGER NOT NULL DEFAULT 0,
        refreshes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',
        error_code TEXT NOT NULL DEFAULT '',
        error_ms INTEGER NOT NULL DEFAULT 0,
        output_workflow TEXT NOT NULL DEFAULT '',
        output_etag TEXT NOT NULL DEFAULT '',
        output_basis TEXT NOT NULL DEFAULT '',
        output_exact INTEGER NOT NULL DEFAULT 0,
        output_type TEXT NOT NULL DEFAULT '',
        output_rows INTEGER NOT NULL DEFAULT 0,
        output_bytes INTEGER NOT NULL DEFAULT 0,
        output_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (tenant, name)
      ) STRICT;
      CREATE TABLE view_sources (
        tenant TEXT NOT NULL,
        source TEXT NOT NULL,
        view_id INTEGER NOT NULL,
        PRIMARY KEY (tenant, source, view_id)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX view_sources_view ON view_sources(view_id);
      CREATE TABLE view_changes (
        view_id INTEGER NOT NULL,
        workflow_id TEXT NOT NULL,
        key TEXT NOT NULL,
        etag TEXT NOT NULL,
        seen_ms INTEGER NOT NULL,
        PRIMARY KEY (view_id, workflow_id, key)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE view_files (
        view_id INTEGER NOT NULL,
        staged TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('source', 'settled', 'file', 'gone')),
        key TEXT NOT NULL,
        etag TEXT NOT NULL,
        PRIMARY KEY (view_id, staged, key)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE view_generations (
        view_id INTEGER NOT NULL,
        workflow_id TEXT NOT NULL,
        replaced_ms INTEGER NOT NULL,
        PRIMARY KEY (view_id, workflow_id)
      ) STRICT, WITHOUT ROWID;
    )sql"},
};

constexpr std::string_view kViewColumns =
    "id, tenant, name, sql, mode, upkeep, debounce_ms, max_wait_ms, interval_ms, revision,"
    " created_ms, updated_ms, dropping, first_change_ms, last_change_ms, workflow_id, running,"
    " dispatched_ms, not_before_ms, refreshes, failures, error, error_code, error_ms,"
    " output_workflow, output_etag, output_basis, output_exact, output_type, output_rows,"
    " output_bytes, output_ms,"
    " (SELECT count(*) FROM view_changes WHERE view_id = views.id AND workflow_id = '')";

uint64_t Unsigned(const Row& row, int column) { return static_cast<uint64_t>(row.Int(column)); }

ViewRequest RequestFrom(const Row& row) {
  ViewRequest request;
  const auto tenant = NamespaceId::Parse(row.Text(1));
  const auto mode = ParseMode(row.Text(4));
  const auto upkeep = ParseUpkeep(row.Text(5));
  CHECK(tenant.ok() && mode && upkeep);  // they were checked before they were written
  request.tenant = *tenant;
  request.name = row.Text(2);
  request.sql = row.Text(3);
  request.mode = *mode;
  request.upkeep = *upkeep;
  request.debounce_ms = Unsigned(row, 6);
  request.max_wait_ms = Unsigned(row, 7);
  request.interval_ms = Unsigned(row, 8);
  return request;
}

View ViewFrom(const Row& row) {
  View view;
  view.id = row.Int(0);
  view.request = RequestFrom(row);
  view.revision = row.Int(9);
  view.created_ms = row.Int(10);
  view.updated_ms = row.Int(11);
  view.dropping = row.Int(12) != 0;
  view.first_change_ms = row.Int(13);
  view.last_change_ms = row.Int(14);
  view.workflow_id = row.Text(15);
  view.running = row.Int(16) != 0;
  view.dispatched_ms = row.Int(17);
  view.not_before_ms = row.Int(18);
  view.refreshes = Unsigned(row, 19);
  view.failures = Unsigned(row, 20);
  view.error = row.Text(21);
  view.error_code = row.Text(22);
  view.error_ms = row.Int(23);
  if (!row.Text(24).empty()) {
    Output output;
    output.workflow_id = row.Text(24);
    output.etag = row.Text(25);
    output.basis = row.Text(26);
    output.exact = row.Int(27) != 0;
    output.type = row.Text(28);
    output.rows = Unsigned(row, 29);
    output.bytes = Unsigned(row, 30);
    output.published_ms = row.Int(31);
    view.output = std::move(output);
  }
  view.changes = Unsigned(row, 32);
  return view;
}

Status InsertFile(Session& session, int64_t id, std::string_view staged, const char* kind,
                  const std::string& key, const std::string& etag) {
  return session.Execute("INSERT OR REPLACE INTO view_files VALUES (?, ?, ?, ?, ?)",
                         {id, std::string(staged), std::string(kind), key, etag});
}

Result<std::optional<View>> FirstView(Result<std::vector<View>> views) {
  std::vector<View> found = TRY(std::move(views));
  if (found.empty()) return std::optional<View>();
  return std::optional<View>(std::move(found.front()));
}

}  // namespace

Status MigrateViews(state::Database& database) { return database.Migrate("view", kViewMigrations); }

Result<std::vector<View>> SelectViews(Session& session, std::string_view rest,
                                      std::span<const Value> bound) {
  std::vector<View> views;
  TRY(session.Query(fmt::format("SELECT {} FROM views {}", kViewColumns, rest), bound,
                    [&](const Row& row) {
                      views.push_back(ViewFrom(row));
                      return true;
                    }));
  for (View& view : views) {
    TRY(session.Query("SELECT source FROM view_sources WHERE view_id = ? ORDER BY source",
                      {view.id}, [&](const Row& row) {
                        view.sources.push_back(row.Text(0));
                        return true;
                      }));
  }
  return views;
}

Result<std::optional<View>> FindView(Session& session, const NamespaceId& tenant,
                                     std::string_view name) {
  const Value bound[] = {tenant.name(), std::string(name)};
  return FirstView(SelectViews(session, "WHERE tenant = ? AND name = ?", bound));
}

Result<std::optional<View>> FindView(Session& session, int64_t id) {
  const Value bound[] = {id};
  return FirstView(SelectViews(session, "WHERE id = ?", bound));
}

Status InsertView(Session& session, const ViewRequest& request, int64_t now_ms) {
  return session.Execute(
      "INSERT INTO views (tenant, name, sql, mode, upkeep, debounce_ms, max_wait_ms, interval_ms,"
      " created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {request.tenant.name(), request.name, request.sql, std::string(ToString(request.mode)),
       std::string(ToString(request.upkeep)), static_cast<int64_t>(request.debounce_ms),
       static_cast<int64_t>(request.max_wait_ms), static_cast<int64_t>(request.interval_ms), now_ms,
       now_ms});
}

Status ReplaceRequest(Session& session, int64_t id, const ViewRequest& request, int64_t now_ms) {
  return session.Execute(
      "UPDATE views SET sql = ?, mode = ?, upkeep = ?, debounce_ms = ?, max_wait_ms = ?,"
      " interval_ms = ?, revision = revision + 1, updated_ms = ?, not_before_ms = 0, failures = 0,"
      " error = '', error_code = '', error_ms = 0 WHERE id = ?",
      {request.sql, std::string(ToString(request.mode)), std::string(ToString(request.upkeep)),
       static_cast<int64_t>(request.debounce_ms), static_cast<int64_t>(request.max_wait_ms),
       static_cast<int64_t>(request.interval_ms), now_ms, id});
}

Status ReplaceSources(Session& session, int64_t id, const NamespaceId& tenant,
                      std::span<const std::string> sources) {
  TRY(session.Execute("DELETE FROM view_sources WHERE view_id = ?", {id}));
  for (const std::string& source : sources) {
    TRY(session.Execute("INSERT OR IGNORE INTO view_sources VALUES (?, ?, ?)",
                        {tenant.name(), source, id}));
  }
  return {};
}

Status EraseView(Session& session, int64_t id) {
  for (const char* table : {"view_sources", "view_changes", "view_files", "view_generations"}) {
    TRY(session.Execute(fmt::format("DELETE FROM {} WHERE view_id = ?", table), {id}));
  }
  return session.Execute("DELETE FROM views WHERE id = ?", {id});
}

Result<Covered> CoveredBy(Session& session, int64_t id) {
  Covered covered;
  TRY(session.Query("SELECT kind, key, etag FROM view_files WHERE view_id = ? AND staged = ''",
                    {id}, [&](const Row& row) {
                      const std::string kind = row.Text(0);
                      if (kind == "file") {
                        covered.files.insert(row.Text(1));
                      } else {
                        covered.sources[row.Text(1)] = {row.Text(2), kind == "settled"};
                      }
                      return true;
                    }));
  return covered;
}

Result<uint64_t> CountCovered(Session& session, int64_t id) {
  uint64_t count = 0;
  TRY(session.Query("SELECT count(*) FROM view_files WHERE view_id = ? AND staged = ''", {id},
                    [&](const Row& row) {
                      count = Unsigned(row, 0);
                      return false;
                    }));
  return count;
}

Status StageAll(Session& session, int64_t id, std::string_view workflow_id,
                const Contents& contents) {
  TRY(DropStaged(session, id));
  for (const Contents::Source& source : contents.sources) {
    TRY(InsertFile(session, id, workflow_id, source.in_table ? "settled" : "source", source.id.key,
                   source.id.etag));
  }
  for (const std::string& file : contents.files) {
    TRY(InsertFile(session, id, workflow_id, "file", file, ""));
  }
  return {};
}

Status StageChange(Session& session, int64_t id, std::string_view workflow_id,
                   const RefreshPlan& plan) {
  TRY(DropStaged(session, id));
  for (const RefreshPlan::NewSource& source : plan.new_sources) {
    TRY(InsertFile(session, id, workflow_id, source.settled ? "settled" : "source", source.id.key,
                   source.id.etag));
  }
  for (const std::string& file : plan.new_files) {
    TRY(InsertFile(session, id, workflow_id, "file", file, ""));
  }
  for (const std::string& key : plan.settled_sources) {
    TRY(session.Execute(
        "INSERT INTO view_files SELECT view_id, ?, 'settled', key, etag FROM view_files"
        " WHERE view_id = ? AND staged = '' AND key = ?",
        {std::string(workflow_id), id, key}));
  }
  for (const std::string& key : plan.gone_sources) {
    TRY(InsertFile(session, id, workflow_id, "gone", key, ""));
  }
  return {};
}

Status ApplyStaged(Session& session, int64_t id, std::string_view workflow_id, bool all) {
  const std::string workflow(workflow_id);
  if (all) {
    TRY(session.Execute("DELETE FROM view_files WHERE view_id = ? AND staged = ''", {id}));
  } else {
    TRY(
        session.Execute("DELETE FROM view_files WHERE view_id = ? AND staged = '' AND key IN"
                        " (SELECT key FROM view_files WHERE view_id = ? AND staged = ?)",
                        {id, id, workflow}));
  }
  TRY(session.Execute(
      "UPDATE view_files SET staged = '' WHERE view_id = ? AND staged = ? AND kind <> 'gone'",
      {id, workflow}));
  return DropStaged(session, id);
}

Status DropStaged(Session& session, int64_t id) {
  return session.Execute("DELETE FROM view_files WHERE view_id = ? AND staged <> ''", {id});
}

}  // namespace varve::view
