// Migrations: whole namespaces into tables. One at a time for a tenant; its job is a workflow.
#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "compact/migration.h"
#include "server/exchange.h"
#include "server/server_state.h"
#include "workflow/workflow_store.h"

namespace varve::server {
namespace {

using Json = nlohmann::ordered_json;
using workflow::Workflow;
using workflow::WorkflowState;
using workflow::WorkflowStore;

constexpr uint64_t kMigrationBytesMax = 1 << 20;
constexpr size_t kHistoryMax = 10;

std::string_view StatusOf(const Workflow& workflow, const compact::MigrationState& state) {
  const auto has_failed = [](const compact::MigratedNamespace& one) {
    return one.status == "failed";
  };
  switch (workflow.state) {
    case WorkflowState::kSucceeded:
      return std::ranges::any_of(state.namespaces, std::not_fn(has_failed)) ||
                     state.namespaces.empty()
                 ? "completed"
                 : "failed";
    case WorkflowState::kFailed:
    case WorkflowState::kCancelled:
      return "failed";
    default:
      return state.namespaces.empty() ? "pending" : "running";
  }
}

struct Job {
  Json json;
  Json summary;
  double percent = 0;
};

Result<Job> JobOf(const Workflow& workflow) {
  const auto request = TRY(compact::ParseMigrationRequest(workflow.params_json));
  const auto state = TRY(compact::ParseMigrationState(workflow.data_json));
  Json completed = Json::array(), errors = Json::array(), namespaces = Json::array();
  uint64_t rows = 0;
  std::string current;
  for (const auto& one : state.namespaces) {
    rows += one.rows;
    if (one.status == "completed" || one.status == "skipped") completed.push_back(one.ns);
    if (one.status == "running") current = one.ns;
    if (!one.error.empty()) errors.push_back(one.ns + ": " + one.error);
    namespaces.push_back({{"namespace", one.ns},
                          {"status", one.status},
                          {"files", one.files},
                          {"bytes", one.bytes},
                          {"rows", one.rows},
                          {"quarantinedFiles", one.quarantined}});
    if (!one.error.empty()) namespaces.back()["error"] = one.error;
    if (!one.waits_for.empty()) namespaces.back()["waitsFor"] = one.waits_for;
  }
  const bool cancelled = workflow.state == WorkflowState::kCancelled;
  if (cancelled) errors.push_back("Cancelled by user");
  if (!workflow.error.empty()) errors.push_back(workflow.error);
  Job job;
  const size_t total = state.namespaces.size();
  job.percent = total == 0 ? 0 : 100.0 * static_cast<double>(state.current) / total;
  if (workflow.state == WorkflowState::kSucceeded) job.percent = 100;
  job.summary = {{"total", total},
                 {"completed", completed.size()},
                 {"current", current.empty() ? Json() : Json(current)},
                 {"entitiesMigrated", rows},
                 {"errors", errors.size()}};
  job.json = {{"id", workflow.id},
              {"from", "auto"},
              {"to", request.to},
              {"deleteSource", request.delete_sources ? Json(*request.delete_sources) : Json()},
              {"status", StatusOf(workflow, state)},
              {"progress",
               {{"currentNamespace", current.empty() ? Json() : Json(current)},
                {"namespacesCompleted", std::move(completed)},
                {"entitiesMigrated", rows},
                {"errors", std::move(errors)}}},
              {"namespaces", std::move(namespaces)},
              {"createdAt", IsoOrNull(workflow.created_ms)},
              {"updatedAt", IsoOrNull(workflow.updated_ms)},
              {"completedAt", IsoOrNull(workflow.ended_ms)}};
  return job;
}

// The tenant's own, newest first; no more than what its history shows.
Result<std::vector<Workflow>> JobsOf(WorkflowStore& store, const NamespaceId& tenant) {
  std::vector<Workflow> own;
  workflow::ListFilter filter{.kind = std::string(compact::kMigrationKind), .rows_max = 1000};
  while (own.size() <= kHistoryMax) {
    auto page = TRY(store.List(filter));
    for (Workflow& one : page) {
      if (one.subject == tenant.name()) own.push_back(std::move(one));
    }
    if (page.size() < filter.rows_max) break;
    filter.before = page.back().id;
  }
  return own;
}

Result<Response> Start(const Services& services, const Exchange& exchange) {
  WorkflowStore& store = *services.workflows;
  const auto request = TRY(compact::ReadMigrationRequest(exchange.ns, exchange.body));
  const std::string id = TRY(compact::StartMigration(store, request));
  if (services.wake_workflows) services.wake_workflows();
  const Job job = TRY(JobOf(TRY(store.Get(id))));
  Response response = JsonResponse(DumpJson({{"message", "Migration started"}, {"job", job.json}}));
  response.status = 202;
  return response;
}

Result<Response> Show(const Services& services, const Exchange& exchange) {
  const auto jobs = TRY(JobsOf(*services.workflows, exchange.ns));
  if (jobs.empty()) {
    return JsonResponse(
        DumpJson({{"status", "idle"}, {"message", "No migration has been started"}}));
  }
  const Job job = TRY(JobOf(jobs.front()));
  return JsonResponse(
      DumpJson({{"job", job.json}, {"progressPercent", job.percent}, {"summary", job.summary}}));
}

Result<Response> Cancel(const Services& services, const Exchange& exchange) {
  const auto jobs = TRY(JobsOf(*services.workflows, exchange.ns));
  if (jobs.empty() || workflow::HasEnded(jobs.front().state)) {
    return MakeError(ErrorKind::kInvalid, "NOTHING_TO_CANCEL", "no migration is under way");
  }
  const Workflow cancelled =
      TRY(services.workflows->Operate(jobs.front().id, workflow::Operation::kCancel));
  if (services.wake_workflows) services.wake_workflows();
  const Job job = TRY(JobOf(cancelled));
  return JsonResponse(DumpJson({{"message", "Migration cancelled"}, {"job", job.json}}));
}

Result<Response> History(const Services& services, const Exchange& exchange) {
  Json out = {{"current", nullptr}, {"history", Json::array()}};
  for (const Workflow& one : TRY(JobsOf(*services.workflows, exchange.ns))) {
    Job job = TRY(JobOf(one));
    if (!workflow::HasEnded(one.state)) {
      out["current"] = std::move(job.json);
    } else if (out["history"].size() < kHistoryMax) {
      out["history"].push_back(std::move(job.json));
    }
  }
  return JsonResponse(DumpJson(out));
}

}  // namespace

void AddMigrationRoutes(ServerState& state) {
  if (state.services.workflows == nullptr) return;
  const auto add = [&state](Method method, const char* path, Access access, auto call) -> Route& {
    return state.router.Add(
        method, path, access,
        Answering(state, [&services = state.services, call](const Exchange& exchange) {
          return call(services, exchange);
        }));
  };
  add(Method::kPost, "/migrate", Access::kAdmin, Start).body_bytes_max = kMigrationBytesMax;
  add(Method::kGet, "/migrate", Access::kQuery, Show);
  add(Method::kGet, "/migrate/status", Access::kQuery, Show);
  add(Method::kPost, "/migrate/cancel", Access::kAdmin, Cancel).body_bytes_max = kMigrationBytesMax;
  add(Method::kGet, "/migrate/jobs", Access::kQuery, History);
}

}  // namespace varve::server
