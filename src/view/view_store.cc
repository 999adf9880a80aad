#include "view/view_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/crash_point.h"
#include "view/view_tables.h"

namespace varve::view {

using Json = nlohmann::json;
using state::Row;
using state::Session;
using state::Value;

namespace {

const CrashPoint kDispatched{"view.dispatch.before_commit"};
const CrashPoint kPublished{"view.publish.before_commit"};

Error NoSuchView(std::string_view name) {
  return MakeError(ErrorKind::kNotFound, "VIEW_NOT_FOUND", fmt::format("no view '{}'", name));
}

// A table "a.b" has the data of the namespaces a/b and a.b: both are the change of source "a.b".
std::string SourceOf(std::string ns) {
  std::ranges::replace(ns, '/', '.');
  return ns;
}

}  // namespace

std::string ToJson(const RefreshParams& params) {
  return Json{{"viewId", params.view_id}, {"full", params.full}}.dump();
}

Result<RefreshParams> ParseRefreshParams(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  const auto bad = MakeError(ErrorKind::kCorrupt, "a refresh's parameters cannot be read");
  if (!parsed.is_object()) return bad;
  const auto id = parsed.find("viewId"), full = parsed.find("full");
  if (id == parsed.end() || full == parsed.end()) return bad;
  if (!id->is_number_integer() || !full->is_boolean()) return bad;
  return RefreshParams{id->get<int64_t>(), full->get<bool>()};
}

Result<std::unique_ptr<ViewStore>> ViewStore::Open(StoreOptions options, state::Database& database,
                                                   const Clock& clock) {
  TRY(MigrateViews(database));
  return std::unique_ptr<ViewStore>(new ViewStore(options, database, clock));
}

Result<View> ViewStore::Register(const ViewRequest& request, std::span<const std::string> sources) {
  const int64_t now_ms = clock_.NowMs();
  std::optional<View> made;
  TRY(database_.Transact([&](Session& session) -> Status {
    auto known = TRY(FindView(session, request.tenant, request.name));
    if (known && known->dropping) {
      return MakeError(ErrorKind::kConflict, "VIEW_BUSY",
                       fmt::format("view '{}' is being dropped", request.name));
    }
    if (known) {
      TRY(ReplaceRequest(session, known->id, request, now_ms));
    } else {
      if (TRY(SelectViews(session, "", {})).size() >= options_.views_max) {
        return MakeError(ErrorKind::kExhausted, "VIEWS_MAX",
                         fmt::format("there are {} views", options_.views_max));
      }
      TRY(InsertView(session, request, now_ms));
    }
    const int64_t id = known ? known->id : session.last_insert_id();
    TRY(ReplaceSources(session, id, request.tenant, sources));
    if (request.mode != Mode::kManual) {
      TRY(session.Execute(
          "UPDATE views SET last_change_ms = ?, first_change_ms = iif(first_change_ms = 0, ?,"
          " first_change_ms), dispatched_ms = iif(mode = 'scheduled', 0, dispatched_ms)"
          " WHERE id = ?",
          {now_ms, now_ms, id}));
    }
    made = TRY(FindView(session, id));
    return {};
  }));
  return std::move(*made);
}

Result<std::vector<View>> ViewStore::Select(std::string_view rest, std::span<const Value> bound) {
  std::vector<View> views;
  TRY(database_.Transact([&](Session& session) -> Status {
    views = TRY(SelectViews(session, rest, bound));
    return {};
  }));
  return views;
}

Result<View> ViewStore::Get(const NamespaceId& tenant, std::string_view name) {
  const Value bound[] = {tenant.name(), std::string(name)};
  auto views = TRY(Select("WHERE tenant = ? AND name = ? AND dropping = 0", bound));
  if (views.empty()) return NoSuchView(name);
  return std::move(views.front());
}

Result<std::optional<View>> ViewStore::GetById(int64_t id) {
  const Value bound[] = {id};
  auto views = TRY(Select("WHERE id = ?", bound));
  if (views.empty()) return std::optional<View>();
  return std::optional<View>(std::move(views.front()));
}

Result<std::vector<View>> ViewStore::List(const NamespaceId* tenant) {
  const Value bound[] = {tenant != nullptr ? tenant->name() : std::string()};
  if (tenant == nullptr) return Select("WHERE dropping = 0 ORDER BY tenant, name", {});
  return Select("WHERE tenant = ? AND dropping = 0 ORDER BY name", bound);
}

Status ViewStore::Drop(const NamespaceId& tenant, std::string_view name) {
  return database_.Transact([&](Session& session) -> Status {
    const auto view = TRY(FindView(session, tenant, name));
    if (!view || view->dropping) return NoSuchView(name);
    return session.Execute("UPDATE views SET dropping = 1 WHERE id = ?", {view->id});
  });
}

Result<uint64_t> ViewStore::Note(Session& session, std::span<const Change> changes) {
  uint64_t noted = 0;
  std::map<std::pair<NamespaceId, std::string>, std::vector<View>> readers;
  for (const Change& change : changes) {
    const auto [known, is_new] = readers.try_emplace({change.tenant, SourceOf(change.source)});
    if (is_new) {
      const Value bound[] = {change.tenant.name(), SourceOf(change.source)};
      known->second = TRY(SelectViews(session,
                                      "WHERE dropping = 0 AND mode = 'streaming' AND id IN"
                                      " (SELECT view_id FROM view_sources WHERE tenant = ? AND"
                                      " source = ?)",
                                      bound));
    }
    for (View& view : known->second) TRY(NoteOne(session, view, change));
    noted += known->second.size();
  }
  return noted;
}

Status ViewStore::NoteOne(Session& session, View& view, const Change& change) {
  const int64_t now_ms = clock_.NowMs();
  if (view.changes < options_.changes_max) {
    ++view.changes;
    TRY(session.Execute("INSERT OR REPLACE INTO view_changes VALUES (?, '', ?, ?, ?)",
                        {view.id, change.key, change.etag, now_ms}));
  }
  return session.Execute(
      "UPDATE views SET last_change_ms = ?,"
      " first_change_ms = iif(first_change_ms = 0, ?, first_change_ms) WHERE id = ?",
      {now_ms, now_ms, view.id});
}

Result<std::string> ViewStore::Make(Session& session, workflow::WorkflowStore& workflows,
                                    const View& view, bool full) {
  const std::string subject = view.request.tenant.is_default()
                                  ? view.request.name
                                  : view.request.tenant.name() + "/" + view.request.name;
  std::string id = TRY(
      workflows.Create(session, kRefreshKind, subject, ToJson({view.id, full}), kRefreshFirstStep));
  TRY(session.Execute(
      "UPDATE views SET workflow_id = ?, running = 0, dispatched_ms = ? WHERE id = ?",
      {id, clock_.NowMs(), view.id}));
  return id;
}

Result<std::vector<std::string>> ViewStore::Dispatch(workflow::WorkflowStore& workflows) {
  std::vector<std::string> made;
  const int64_t now_ms = clock_.NowMs();
  TRY(database_.Transact([&](Session& session) -> Status {
    for (const View& view :
         TRY(SelectViews(session,
                         "WHERE workflow_id = '' AND dropping = 0 AND"
                         " (mode = 'scheduled' OR first_change_ms > 0) ORDER BY first_change_ms",
                         {}))) {
      const auto due_ms = DueAt(view);
      if (!due_ms || *due_ms > now_ms) continue;
      made.push_back(TRY(Make(session, workflows, view, false)));
    }
    if (!made.empty()) kDispatched.Hit();
    return {};
  }));
  return made;
}

std::optional<int64_t> ViewStore::NextDue() {
  const auto views = Select(
      "WHERE workflow_id = '' AND dropping = 0 AND (mode = 'scheduled' OR"
      " first_change_ms > 0)",
      {});
  std::optional<int64_t> first;
  if (!views.ok()) return first;
  for (const View& view : *views) {
    const auto due_ms = DueAt(view);
    if (due_ms && (!first || *due_ms < *first)) first = due_ms;
  }
  return first;
}

Result<std::string> ViewStore::Refresh(workflow::WorkflowStore& workflows,
                                       const NamespaceId& tenant, std::string_view name,
                                       bool full) {
  std::string id;
  TRY(database_.Transact([&](Session& session) -> Status {
    const auto view = TRY(FindView(session, tenant, name));
    if (!view || view->dropping) return NoSuchView(name);
    if (!view->workflow_id.empty()) {
      return MakeError(ErrorKind::kConflict, "ALREADY_RUNNING",
                       fmt::format("a refresh of '{}' is under way: {}", name, view->workflow_id),
                       Json{{"workflowId", view->workflow_id}}.dump());
    }
    id = TRY(Make(session, workflows, *view, full));
    return {};
  }));
  return id;
}

Result<View> ViewStore::Owned(Session& session, int64_t view_id, std::string_view workflow_id) {
  auto view = TRY(FindView(session, view_id));
  if (!view || view->workflow_id != workflow_id) {
    return MakeError(ErrorKind::kInvalid, "REFRESH_SUPERSEDED",
                     "the view is no longer this refresh's");
  }
  return std::move(*view);
}

Status ViewStore::Begin(Session& session, int64_t view_id, std::string_view workflow_id) {
  TRY(Owned(session, view_id, workflow_id));
  TRY(session.Execute(
      "UPDATE OR REPLACE view_changes SET workflow_id = ? WHERE view_id = ? AND workflow_id = ''",
      {std::string(workflow_id), view_id}));
  return session.Execute(
      "UPDATE views SET running = 1, first_change_ms = 0, last_change_ms = 0 WHERE id = ?",
      {view_id});
}

Status ViewStore::Free(Session& session, int64_t view_id, std::string_view workflow_id) {
  TRY(session.Execute("DELETE FROM view_changes WHERE view_id = ? AND workflow_id = ?",
                      {view_id, std::string(workflow_id)}));
  return session.Execute(
      "UPDATE views SET workflow_id = '', running = 0, refreshes = refreshes + 1, failures = 0,"
      " error = '', error_code = '', error_ms = 0, not_before_ms = 0 WHERE id = ?",
      {view_id});
}

Result<bool> ViewStore::Publish(Session& session, int64_t view_id, int64_t revision,
                                const Output& output) {
  const View view = TRY(Owned(session, view_id, output.workflow_id));
  if (view.revision != revision || view.dropping) return false;
  if (view.output) {
    TRY(session.Execute("INSERT OR REPLACE INTO view_generations VALUES (?, ?, ?)",
                        {view_id, view.output->workflow_id, output.published_ms}));
  }
  TRY(session.Execute(
      "UPDATE views SET output_workflow = ?, output_etag = ?, output_basis = ?, output_exact = ?,"
      " output_type = ?, output_rows = ?, output_bytes = ?, output_ms = ? WHERE id = ?",
      {output.workflow_id, output.etag, output.basis, int64_t{output.exact}, output.type,
       static_cast<int64_t>(output.rows), static_cast<int64_t>(output.bytes), output.published_ms,
       view_id}));
  TRY(ApplyStaged(session, view_id, output.workflow_id, output.type == "full"));
  TRY(Free(session, view_id, output.workflow_id));
  kPublished.Hit();
  return true;
}

Status ViewStore::Keep(Session& session, int64_t view_id, std::string_view workflow_id) {
  TRY(Owned(session, view_id, workflow_id));
  TRY(ApplyStaged(session, view_id, workflow_id, /*all=*/false));
  return Free(session, view_id, workflow_id);
}

Status ViewStore::Release(Session& session, int64_t view_id, std::string_view workflow_id,
                          const Error& why) {
  const auto owned = Owned(session, view_id, workflow_id);
  if (!owned.ok()) return owned.error().code == "REFRESH_SUPERSEDED" ? Status() : owned.error();
  const View& view = *owned;
  const int64_t now_ms = clock_.NowMs();
  TRY(DropStaged(session, view_id));
  TRY(session.Execute(
      "UPDATE OR IGNORE view_changes SET workflow_id = '' WHERE view_id = ? AND workflow_id = ?",
      {view_id, std::string(workflow_id)}));
  TRY(session.Execute("DELETE FROM view_changes WHERE view_id = ? AND workflow_id <> ''",
                      {view_id}));
  TRY(session.Execute("UPDATE views SET workflow_id = '', running = 0 WHERE id = ?", {view_id}));
  // What it had begun with waits again; one that had not begun has left all as it was.
  if (view.running) {
    TRY(session.Execute(
        "UPDATE views SET last_change_ms = ?,"
        " first_change_ms = iif(first_change_ms = 0, ?, first_change_ms) WHERE id = ?",
        {now_ms, now_ms, view_id}));
  }
  const auto doublings = std::min<uint64_t>(view.failures, 20);
  const uint64_t pause_ms = std::min(options_.retry_ms << doublings, options_.retry_ms_max);
  return session.Execute(
      "UPDATE views SET failures = failures + 1, error = ?, error_code = ?, error_ms = ?,"
      " not_before_ms = ? WHERE id = ?",
      {why.message.substr(0, 2'000), why.code, now_ms, now_ms + static_cast<int64_t>(pause_ms),
       view_id});
}

Result<Covered> ViewStore::CoveredOf(int64_t view_id) {
  Covered covered;
  TRY(database_.Transact([&](Session& session) -> Status {
    covered = TRY(CoveredBy(session, view_id));
    return {};
  }));
  return covered;
}

Result<std::vector<ViewStore::Generation>> ViewStore::Replaced(int64_t view_id) {
  std::vector<Generation> replaced;
  TRY(database_.Run([&](Session& session) {
    return session.Query(
        "SELECT workflow_id, replaced_ms FROM view_generations WHERE view_id = ?"
        " ORDER BY replaced_ms, workflow_id",
        {view_id}, [&](const Row& row) {
          replaced.push_back({row.Text(0), row.Int(1)});
          return true;
        });
  }));
  return replaced;
}

Status ViewStore::Forget(int64_t view_id, std::string_view workflow_id) {
  return database_.Run([&](Session& session) {
    return session.Execute("DELETE FROM view_generations WHERE view_id = ? AND workflow_id = ?",
                           {view_id, std::string(workflow_id)});
  });
}

Result<std::vector<View>> ViewStore::Refreshing() { return Select("WHERE workflow_id <> ''", {}); }
Result<std::vector<View>> ViewStore::Dropping() { return Select("WHERE dropping = 1", {}); }

Status ViewStore::Erase(int64_t view_id) {
  return database_.Transact([&](Session& session) { return EraseView(session, view_id); });
}

}  // namespace varve::view
