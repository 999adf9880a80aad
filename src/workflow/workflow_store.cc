#include "workflow/workflow_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "core/ulid.h"

namespace varve::workflow {
namespace {

using state::Row;
using state::Session;
using state::Value;

constexpr state::Migration kMigrations[] = {
    {1, R"sql(
      CREATE TABLE workflows (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        params TEXT NOT NULL,
        data TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN
          ('active', 'paused', 'cancelling', 'succeeded', 'failed', 'cancelled')),
        step TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        next_ms INTEGER NOT NULL,
        error TEXT NOT NULL,
        error_code TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        epoch INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX workflows_due ON workflows(next_ms) WHERE state IN ('active', 'cancelling');
      CREATE INDEX workflows_ended ON workflows(state, ended_ms) WHERE ended_ms > 0;
      CREATE TABLE workflow_steps (
        workflow_id TEXT NOT NULL REFERENCES workflows(id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        step TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        error TEXT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (workflow_id, position)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE workflow_epoch (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
                                   epoch INTEGER NOT NULL) STRICT;
      INSERT INTO workflow_epoch VALUES (1, 0);
    )sql"},
    {2, R"sql(
      DROP INDEX workflows_ended;
      CREATE INDEX workflows_ended ON workflows(kind, state, ended_ms) WHERE ended_ms > 0;
    )sql"},
};

constexpr std::string_view kColumns =
    "id, kind, subject, params, data, state, step, attempts, next_ms, error, error_code, "
    "created_ms, updated_ms, ended_ms";

Workflow FromRow(const Row& row) {
  Workflow workflow;
  workflow.id = row.Text(0);
  workflow.kind = row.Text(1);
  workflow.subject = row.Text(2);
  workflow.params_json = row.Text(3);
  workflow.data_json = row.Text(4);
  const auto state = ParseWorkflowState(row.Text(5));
  CHECK(state.has_value());  // the table's own check
  workflow.state = *state;
  workflow.step = row.Text(6);
  workflow.attempts = static_cast<uint32_t>(row.Int(7));
  workflow.next_ms = row.Int(8);
  workflow.error = row.Text(9);
  workflow.error_code = row.Text(10);
  workflow.created_ms = row.Int(11);
  workflow.updated_ms = row.Int(12);
  workflow.ended_ms = row.Int(13);
  return workflow;
}

Result<std::vector<Workflow>> Select(Session& session, std::string_view rest,
                                     std::span<const Value> bound) {
  std::vector<Workflow> found;
  TRY(session.Query(fmt::format("SELECT {} FROM workflows {}", kColumns, rest), bound,
                    [&](const Row& row) {
                      found.push_back(FromRow(row));
                      return true;
                    }));
  return found;
}

Result<Workflow> Find(Session& session, std::string_view id) {
  const Value bound[] = {std::string(id)};
  std::vector<Workflow> found = TRY(Select(session, "WHERE id = ?", bound));
  if (!found.empty()) return std::move(found.front());
  return MakeError(ErrorKind::kNotFound, "WORKFLOW_NOT_FOUND", fmt::format("no workflow {}", id));
}

// A step that is tried again goes on in the record that its first attempt began.
Status SaveStep(Session& session, std::string_view id, const StepRecord& step) {
  int64_t position = 0;
  bool goes_on = false;
  TRY(
      session.Query("SELECT position, step, ended_ms FROM workflow_steps WHERE workflow_id = ?"
                    " ORDER BY position DESC LIMIT 1",
                    {std::string(id)}, [&](const Row& row) {
                      goes_on = row.Text(1) == step.step && row.Int(2) == 0;
                      position = row.Int(0) + (goes_on ? 0 : 1);
                      return false;
                    }));
  if (goes_on) {
    return session.Execute(
        "UPDATE workflow_steps SET ended_ms = ?, attempts = ?, detail = ?,"
        " error = CASE WHEN ? = '' THEN error ELSE ? END WHERE workflow_id = ? AND position = ?",
        {step.ended_ms, int64_t{step.attempts}, step.detail_json, step.error, step.error,
         std::string(id), position});
  }
  return session.Execute("INSERT INTO workflow_steps VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                         {std::string(id), position, step.step, step.started_ms, step.ended_ms,
                          int64_t{step.attempts}, step.error, step.detail_json});
}

}  // namespace

Result<std::unique_ptr<WorkflowStore>> WorkflowStore::Open(state::Database& database,
                                                           const Clock& clock, Random& random,
                                                           uint64_t ended_max) {
  TRY(database.Migrate("workflow", kMigrations));
  return std::unique_ptr<WorkflowStore>(new WorkflowStore(database, clock, random, ended_max));
}

Result<std::string> WorkflowStore::Create(Session& session, std::string_view kind,
                                          std::string_view subject, std::string_view params_json,
                                          std::string_view first_step) {
  const int64_t now = clock_.NowMs();
  std::string id = Ulid::Make(now, random_).ToString();
  TRY(session.Execute(
      "INSERT INTO workflows VALUES (?, ?, ?, ?, '{}', 'active', ?, 0, ?, '', '', ?, ?, 0, 0)",
      {id, std::string(kind), std::string(subject), std::string(params_json),
       std::string(first_step), now, now, now}));
  return id;
}

Result<std::string> WorkflowStore::Create(std::string_view kind, std::string_view subject,
                                          std::string_view params_json,
                                          std::string_view first_step) {
  std::string id;
  TRY(database_.Transact([&](Session& session) -> Status {
    id = TRY(Create(session, kind, subject, params_json, first_step));
    return {};
  }));
  return id;
}

Result<Workflow> WorkflowStore::Get(std::string_view id) {
  Workflow workflow;
  TRY(database_.Run([&](Session& session) -> Status {
    workflow = TRY(Find(session, id));
    return {};
  }));
  return workflow;
}

Result<std::vector<StepRecord>> WorkflowStore::Steps(std::string_view id) {
  std::vector<StepRecord> steps;
  TRY(database_.Run([&](Session& session) {
    return session.Query(
        "SELECT step, started_ms, ended_ms, attempts, error, detail FROM workflow_steps"
        " WHERE workflow_id = ? ORDER BY position",
        {std::string(id)}, [&](const Row& row) {
          steps.push_back({row.Text(0), row.Int(1), row.Int(2), static_cast<uint32_t>(row.Int(3)),
                           row.Text(4), row.Text(5)});
          return true;
        });
  }));
  return steps;
}

Result<std::vector<Workflow>> WorkflowStore::List(const ListFilter& filter) {
  std::string where = "WHERE 1 = 1";
  std::vector<Value> bound;
  auto only = [&](std::string_view condition, std::string value) {
    where += fmt::format(" AND {}", condition);
    bound.emplace_back(std::move(value));
  };
  if (!filter.kind.empty()) only("kind = ?", filter.kind);
  if (filter.state) only("state = ?", std::string(ToString(*filter.state)));
  if (!filter.before.empty()) only("id < ?", filter.before);
  bound.emplace_back(int64_t{std::clamp<uint32_t>(filter.rows_max, 1, 1000)});
  std::vector<Workflow> found;
  TRY(database_.Run([&](Session& session) -> Status {
    found = TRY(Select(session, where + " ORDER BY id DESC LIMIT ?", bound));
    return {};
  }));
  return found;
}

Result<WorkflowCounts> WorkflowStore::Counts() {
  WorkflowCounts counts;
  TRY(database_.Run([&](Session& session) {
    return session.Query("SELECT state, count(*) FROM workflows GROUP BY state",
                         std::span<const Value>(), [&](const Row& row) {
                           const auto count = static_cast<uint64_t>(row.Int(1));
                           switch (ParseWorkflowState(row.Text(0)).value()) {
                             case WorkflowState::kActive:
                             case WorkflowState::kCancelling:
                               counts.active += count;
                               break;
                             case WorkflowState::kPaused:
                               counts.paused += count;
                               break;
                             case WorkflowState::kSucceeded:
                               counts.succeeded += count;
                               break;
                             case WorkflowState::kFailed:
                               counts.failed += count;
                               break;
                             case WorkflowState::kCancelled:
                               counts.cancelled += count;
                           }
                           return true;
                         });
  }));
  return counts;
}

Result<Workflow> WorkflowStore::Operate(std::string_view id, Operation operation) {
  Workflow workflow;
  TRY(database_.Transact([&](Session& session) -> Status {
    workflow = TRY(Find(session, id));
    workflow.state = TRY(Apply(workflow.state, operation));
    workflow.next_ms = workflow.updated_ms = clock_.NowMs();
    workflow.attempts = 0;
    workflow.ended_ms = 0;
    return session.Execute(
        "UPDATE workflows SET state = ?, next_ms = ?, updated_ms = ?, attempts = 0, ended_ms = 0"
        " WHERE id = ?",
        {std::string(ToString(workflow.state)), workflow.next_ms, workflow.updated_ms,
         std::string(id)});
  }));
  return workflow;
}

Result<int64_t> WorkflowStore::NewEpoch() {
  int64_t epoch = 0;
  TRY(database_.Transact([&](Session& session) -> Status {
    TRY(session.Execute("UPDATE workflow_epoch SET epoch = epoch + 1"));
    return session.Query("SELECT epoch FROM workflow_epoch", std::span<const Value>(),
                         [&](const Row& row) {
                           epoch = row.Int(0);
                           return false;
                         });
  }));
  return epoch;
}

Result<std::optional<Workflow>> WorkflowStore::Take(int64_t epoch) {
  std::optional<Workflow> taken;
  TRY(database_.Transact([&](Session& session) -> Status {
    const Value bound[] = {clock_.NowMs(), epoch};
    std::vector<Workflow> due =
        TRY(Select(session,
                   "WHERE state IN ('active', 'cancelling') AND next_ms <= ? AND epoch < ?"
                   " ORDER BY next_ms, id LIMIT 1",
                   bound));
    if (due.empty()) return {};
    taken = std::move(due.front());
    return session.Execute("UPDATE workflows SET epoch = ? WHERE id = ?", {epoch, taken->id});
  }));
  return taken;
}

Result<std::optional<int64_t>> WorkflowStore::NextDue(int64_t epoch) {
  std::optional<int64_t> next;
  TRY(database_.Run([&](Session& session) {
    return session.Query(
        "SELECT next_ms FROM workflows WHERE state IN ('active', 'cancelling') AND epoch < ?"
        " ORDER BY next_ms LIMIT 1",
        {epoch}, [&](const Row& row) {
          next = row.Int(0);
          return false;
        });
  }));
  return next;
}

Status WorkflowStore::Report(int64_t epoch, const Workflow& taken, const StepRecord& step) {
  return database_.Transact([&](Session& session) -> Status {
    const Value bound[] = {taken.id, epoch};
    if (TRY(Select(session, "WHERE id = ? AND epoch = ?", bound)).empty()) return {};
    return SaveStep(session, taken.id, step);
  });
}

Status WorkflowStore::Save(int64_t epoch, const Workflow& taken, Workflow after,
                           const StepRecord& step,
                           const std::function<Status(Session&)>& with_end) {
  return database_.Transact([&](Session& session) -> Status {
    const Value bound[] = {taken.id, epoch};
    const std::vector<Workflow> now = TRY(Select(session, "WHERE id = ? AND epoch = ?", bound));
    if (now.empty()) {
      return MakeError(ErrorKind::kConflict, "WORKFLOW_LOST",
                       fmt::format("workflow {} is another process's now", taken.id));
    }
    if (!HasEnded(after.state) && now.front().state != taken.state) {
      after.state = now.front().state;
      after.next_ms = now.front().next_ms;
    }
    TRY(session.Execute(
        "UPDATE workflows SET data = ?, state = ?, step = ?, attempts = ?, next_ms = ?, error = ?,"
        " error_code = ?, updated_ms = ?, ended_ms = ?, epoch = 0 WHERE id = ?",
        {after.data_json, std::string(ToString(after.state)), after.step, int64_t{after.attempts},
         after.next_ms, after.error, after.error_code, clock_.NowMs(), after.ended_ms, taken.id}));
    TRY(SaveStep(session, taken.id, step));
    if (with_end) TRY(with_end(session));
    return HasEnded(after.state) ? Prune(session, after.kind) : Status();
  });
}

Status WorkflowStore::Prune(Session& session, const std::string& kind) {
  return session.Execute(
      "DELETE FROM workflows WHERE id IN (SELECT id FROM workflows WHERE ended_ms > 0 AND kind = ?"
      " ORDER BY state = 'failed' DESC, ended_ms DESC LIMIT -1 OFFSET ?)",
      {kind, static_cast<int64_t>(ended_max_)});
}

}  // namespace varve::workflow
