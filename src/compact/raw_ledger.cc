#include "compact/raw_ledger.h"

#include <algorithm>
#include <limits>

#include "core/check.h"
#include "core/ulid.h"

namespace varve::compact {
namespace {

using state::Row;
using state::Session;

// Rows of compact_sources stay, also when their raw files have gone: they are what makes a
// redelivery harmless, and a file that comes back (README.md, Bounds). Done plans keep one narrow
// row; their outputs' names are not needed any more.
constexpr state::Migration kMigrations[] = {
    {1, R"sql(
      CREATE TABLE compact_plans (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL CHECK (state IN ('planned', 'done', 'abandoned')),
        created_ms INTEGER NOT NULL,
        instance INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX compact_plans_open ON compact_plans(id) WHERE state <> 'done';
      CREATE TABLE compact_sources (
        key TEXT NOT NULL,
        etag TEXT NOT NULL,
        plan_id INTEGER NOT NULL REFERENCES compact_plans(id),
        position INTEGER NOT NULL,
        PRIMARY KEY (key, etag)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX compact_sources_plan ON compact_sources(plan_id, position);
      CREATE TABLE compact_plan_outputs (
        plan_id INTEGER NOT NULL REFERENCES compact_plans(id),
        part INTEGER NOT NULL,
        directory TEXT NOT NULL,
        rows INTEGER NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (plan_id, part)
      ) STRICT, WITHOUT ROWID;
    )sql"},
};

// Up to this many raw files are looked up one by one; more are matched by one scan of their range.
constexpr size_t kPointLookupsMax = 256;
constexpr size_t kOutputsMax = std::numeric_limits<uint16_t>::max();

std::string OutputName(const Plan& plan, size_t part) {
  const Ulid ulid = Ulid::MakeTagged(plan.created_ms, plan.instance, static_cast<uint32_t>(plan.id),
                                     static_cast<uint16_t>(part));
  return "logs-" + std::to_string(plan.created_ms) + "-" + ulid.ToString() + ".parquet";
}

Status ReadOpenPlans(Session& session, LedgerView& view) {
  TRY(session.Query("SELECT COALESCE(MAX(id), 0) FROM compact_plans",
                    std::span<const state::Value>(), [&](const Row& row) {
                      view.plan_max = row.Int(0);
                      return false;
                    }));
  return session.Query("SELECT id, instance FROM compact_plans WHERE state <> 'done'",
                       std::span<const state::Value>(), [&](const Row& row) {
                         view.open.insert(row.Int(0));
                         view.hidden.emplace(static_cast<uint32_t>(row.Int(1)),
                                             static_cast<uint32_t>(row.Int(0)));
                         return true;
                       });
}

Status LookUpEach(Session& session, std::span<const store::ObjectMeta> files,
                  const LedgerView& view, std::vector<size_t>& unprocessed) {
  for (size_t i = 0; i < files.size(); ++i) {
    bool done = false;
    TRY(session.Query("SELECT plan_id FROM compact_sources WHERE key = ? AND etag = ?",
                      {files[i].key, files[i].etag}, [&](const Row& row) {
                        done = view.HasDone(row.Int(0));
                        return false;
                      }));
    if (!done) unprocessed.push_back(i);
  }
  return {};
}

Status ScanRange(Session& session, std::span<const store::ObjectMeta> files, const LedgerView& view,
                 std::vector<size_t>& unprocessed) {
  std::vector<bool> done(files.size(), false);
  size_t next = 0;
  TRY(session.Query(
      "SELECT key, etag, plan_id FROM compact_sources WHERE key >= ? AND key <= ? ORDER BY key",
      {files.front().key, files.back().key}, [&](const Row& row) {
        const std::string key = row.Text(0);
        while (next < files.size() && files[next].key < key) ++next;
        if (next == files.size()) return false;
        if (files[next].key == key && files[next].etag == row.Text(1)) {
          done[next] = view.HasDone(row.Int(2));
        }
        return true;
      }));
  for (size_t i = 0; i < files.size(); ++i) {
    if (!done[i]) unprocessed.push_back(i);
  }
  return {};
}

Status FindUnprocessed(Session& session, std::span<const store::ObjectMeta> files,
                       const LedgerView& view, std::vector<size_t>& unprocessed) {
  if (files.empty()) return {};
  const bool each = files.size() <= kPointLookupsMax;
  return (each ? LookUpEach : ScanRange)(session, files, view, unprocessed);
}

Status ReadPlanParts(Session& session, Plan& plan) {
  TRY(session.Query("SELECT key, etag FROM compact_sources WHERE plan_id = ? ORDER BY position",
                    {plan.id}, [&](const Row& row) {
                      plan.sources.push_back({row.Text(0), row.Text(1)});
                      return true;
                    }));
  return session.Query(
      "SELECT directory, rows, key FROM compact_plan_outputs WHERE plan_id = ? ORDER BY part",
      {plan.id}, [&](const Row& row) {
        plan.outputs.push_back({row.Text(0), row.Int(1), row.Text(2)});
        return true;
      });
}

Status InsertSources(Session& session, const Plan& plan) {
  for (size_t i = 0; i < plan.sources.size(); ++i) {
    TRY(session.Execute(
        "INSERT INTO compact_sources (key, etag, plan_id, position) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        {plan.sources[i].key, plan.sources[i].etag, plan.id, static_cast<int64_t>(i)}));
    if (session.changes() == 1) continue;
    return MakeError(ErrorKind::kConflict, "SOURCE_TAKEN",
                     "raw file " + plan.sources[i].key + " is in another plan");
  }
  return {};
}

}  // namespace

bool LedgerView::HasDone(int64_t plan_id) const {
  return plan_id <= plan_max && !open.contains(plan_id);
}

bool LedgerView::Shows(std::string_view key) const {
  constexpr std::string_view kSuffix = ".parquet";
  const std::string_view name = key.substr(key.rfind('/') + 1);
  if (name.size() < kSuffix.size() || !name.ends_with(kSuffix)) return true;
  const std::string_view stem = name.substr(0, name.size() - kSuffix.size());
  const auto ulid = Ulid::Parse(stem.substr(stem.rfind('-') + 1));
  if (!ulid) return true;
  if (hidden.contains({ulid->tag_instance(), ulid->tag_unit()})) return false;
  return ulid->tag_instance() != instance || int64_t{ulid->tag_unit()} <= plan_max;
}

Result<std::unique_ptr<RawLedger>> RawLedger::Open(state::Database& database, uint32_t instance) {
  TRY(database.Migrate("compact", kMigrations));
  return std::unique_ptr<RawLedger>(new RawLedger(database, instance));
}

Result<LedgerView> RawLedger::View(std::span<const store::ObjectMeta> raw_files) {
  LedgerView view;
  view.instance = instance_;
  TRY(database_.Transact([&](Session& session) -> Status {
    TRY(ReadOpenPlans(session, view));
    return FindUnprocessed(session, raw_files, view, view.unprocessed);
  }));
  return view;
}

Result<std::vector<size_t>> RawLedger::Unprocessed(const LedgerView& view,
                                                   std::span<const store::ObjectMeta> raw_files) {
  std::vector<size_t> unprocessed;
  TRY(database_.Transact(
      [&](Session& session) { return FindUnprocessed(session, raw_files, view, unprocessed); }));
  return unprocessed;
}

Result<SourceState> RawLedger::StateOf(const SourceId& source) {
  SourceState state = SourceState::kNew;
  TRY(database_.Run([&](Session& session) {
    return session.Query(
        "SELECT p.state = 'done' FROM compact_sources s JOIN compact_plans p ON p.id = s.plan_id"
        " WHERE s.key = ? AND s.etag = ?",
        {source.key, source.etag}, [&](const Row& row) {
          state = row.Int(0) != 0 ? SourceState::kDone : SourceState::kPlanned;
          return false;
        });
  }));
  return state;
}

Status RawLedger::Record(Plan& plan) {
  CHECK(plan.outputs.size() <= kOutputsMax);
  plan.instance = instance_;
  return database_.Transact([&](Session& session) -> Status {
    TRY(session.Execute(
        "INSERT INTO compact_plans (state, created_ms, instance) VALUES ('planned', ?, ?)",
        {plan.created_ms, int64_t{plan.instance}}));
    plan.id = session.last_insert_id();
    CHECK(plan.id > 0 && plan.id <= std::numeric_limits<uint32_t>::max());
    TRY(InsertSources(session, plan));
    for (size_t part = 0; part < plan.outputs.size(); ++part) {
      PlannedOutput& output = plan.outputs[part];
      output.key = output.directory + OutputName(plan, part);
      TRY(session.Execute(
          "INSERT INTO compact_plan_outputs (plan_id, part, directory, rows, key)"
          " VALUES (?, ?, ?, ?, ?)",
          {plan.id, static_cast<int64_t>(part), output.directory, output.rows, output.key}));
    }
    return {};
  });
}

Result<std::vector<Plan>> RawLedger::Unfinished(size_t plans_max) {
  std::vector<Plan> plans;
  TRY(database_.Transact([&](Session& session) -> Status {
    TRY(session.Query(
        "SELECT id, instance, created_ms, state FROM compact_plans p WHERE state <> 'done'"
        " AND (state = 'planned' OR EXISTS (SELECT 1 FROM compact_plan_outputs o"
        " WHERE o.plan_id = p.id)) ORDER BY id LIMIT ?",
        {static_cast<int64_t>(plans_max)}, [&](const Row& row) {
          Plan plan;
          plan.id = row.Int(0);
          plan.instance = static_cast<uint32_t>(row.Int(1));
          plan.created_ms = row.Int(2);
          plan.state = row.Text(3) == "abandoned" ? PlanState::kAbandoned : PlanState::kPlanned;
          plans.push_back(std::move(plan));
          return true;
        }));
    for (Plan& plan : plans) TRY(ReadPlanParts(session, plan));
    return {};
  }));
  return plans;
}

Status RawLedger::Finish(const Plan& plan, const std::function<Status(Session&)>& also) {
  return database_.Transact([&](Session& session) -> Status {
    TRY(
        session.Execute("UPDATE compact_plans SET state = 'done' WHERE id = ? AND"
                        " state = 'planned'",
                        {plan.id}));
    if (session.changes() != 1) {
      return MakeError(ErrorKind::kConflict, "PLAN_SETTLED",
                       "plan " + std::to_string(plan.id) + " is no longer planned");
    }
    TRY(session.Execute("DELETE FROM compact_plan_outputs WHERE plan_id = ?", {plan.id}));
    return also(session);
  });
}

Status RawLedger::Abandon(const Plan& plan) {
  return database_.Transact([&](Session& session) -> Status {
    TRY(
        session.Execute("UPDATE compact_plans SET state = 'abandoned' WHERE id = ? AND"
                        " state = 'planned'",
                        {plan.id}));
    if (session.changes() != 1) return {};
    return session.Execute("DELETE FROM compact_sources WHERE plan_id = ?", {plan.id});
  });
}

Status RawLedger::ForgetOutputs(const Plan& plan) {
  return database_.Transact([&](Session& session) {
    return session.Execute(
        "DELETE FROM compact_plan_outputs WHERE plan_id = ?1 AND EXISTS"
        " (SELECT 1 FROM compact_plans WHERE id = ?1 AND state = 'abandoned')",
        {plan.id});
  });
}

}  // namespace varve::compact
