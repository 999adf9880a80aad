// Workflows: what runs, what has become of it, and an operator's wishes. They are the instance's,
// of every tenant, so that only an administrator sees them.
#include <charconv>
#include <nlohmann/json.hpp>

#include "server/exchange.h"
#include "server/server_state.h"
#include "workflow/workflow_store.h"

namespace varve::server {
namespace {

using Json = nlohmann::ordered_json;
using workflow::Operation;
using workflow::Workflow;
using workflow::WorkflowStore;

constexpr uint32_t kRowsDefault = 100, kRowsMax = 1000;
constexpr uint64_t kOperationBytesMax = 1 << 10;

Json WorkflowJson(const Workflow& workflow) {
  Json json = {{"id", workflow.id},
               {"kind", workflow.kind},
               {"subject", workflow.subject},
               {"state", ToString(workflow.state)},
               {"step", workflow.step},
               {"attempts", workflow.attempts},
               {"next", IsoOrNull(workflow.next_ms)}};
  if (!workflow.error.empty()) json["error"] = workflow.error;
  if (!workflow.error_code.empty()) json["errorCode"] = workflow.error_code;
  json["created"] = IsoOrNull(workflow.created_ms);
  json["updated"] = IsoOrNull(workflow.updated_ms);
  json["ended"] = IsoOrNull(workflow.ended_ms);
  return json;
}

Json StepJson(const workflow::StepRecord& step) {
  Json json = {{"step", step.step},
               {"started", IsoOrNull(step.started_ms)},
               {"ended", IsoOrNull(step.ended_ms)},
               {"attempts", step.attempts}};
  if (!step.error.empty()) json["error"] = step.error;
  Json detail = Json::parse(step.detail_json, nullptr, false);
  json["detail"] = detail.is_object() ? std::move(detail) : Json::object();
  return json;
}

Result<uint32_t> LimitOf(const Exchange& exchange) {
  uint32_t limit = kRowsDefault;
  const std::string_view text = exchange.Param("limit");
  if (text.empty()) return limit;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, limit);
  if (error == std::errc() && end == last && limit >= 1 && limit <= kRowsMax) return limit;
  return MakeError(ErrorKind::kInvalid, "INVALID_QUERY", "limit is 1 to 1000");
}

Result<Response> ListWorkflows(WorkflowStore& store, const Exchange& exchange) {
  workflow::ListFilter filter;
  filter.kind = exchange.Param("kind");
  filter.before = exchange.Param("before");
  if (const std::string_view text = exchange.Param("state"); !text.empty()) {
    filter.state = workflow::ParseWorkflowState(text);
    if (!filter.state) {
      return MakeError(ErrorKind::kInvalid, "INVALID_QUERY",
                       "state is active, paused, cancelling, succeeded, failed or cancelled");
    }
  }
  filter.rows_max = TRY(LimitOf(exchange));
  const auto found = TRY(store.List(filter));
  Json json = {{"workflows", Json::array()}};
  for (const Workflow& workflow : found) json["workflows"].push_back(WorkflowJson(workflow));
  if (found.size() == filter.rows_max) json["nextBefore"] = found.back().id;
  return JsonResponse(DumpJson(json));
}

Result<Response> GetWorkflow(WorkflowStore& store, const Exchange& exchange) {
  const std::string& id = exchange.path_params.back();
  Json json = WorkflowJson(TRY(store.Get(id)));
  json["steps"] = Json::array();
  for (const workflow::StepRecord& step : TRY(store.Steps(id))) {
    json["steps"].push_back(StepJson(step));
  }
  return JsonResponse(DumpJson(json));
}

Result<Response> Operate(const Services& services, Operation operation, const Exchange& exchange) {
  const auto workflow = TRY(services.workflows->Operate(exchange.path_params.back(), operation));
  if (services.wake_workflows) services.wake_workflows();
  return JsonResponse(DumpJson(WorkflowJson(workflow)));
}

}  // namespace

void AddWorkflowRoutes(ServerState& state) {
  WorkflowStore* store = state.services.workflows;
  if (store == nullptr) return;
  const auto add = [&state](Method method, std::string path, auto call) -> Route& {
    return state.router.Add(method, std::move(path), Access::kInstance,
                            Answering(state, std::move(call)));
  };
  add(Method::kGet, "/workflows", [store](const Exchange& e) { return ListWorkflows(*store, e); });
  add(Method::kGet, "/workflows/{id}",
      [store](const Exchange& e) { return GetWorkflow(*store, e); });
  for (const Operation operation :
       {Operation::kPause, Operation::kResume, Operation::kRetry, Operation::kCancel}) {
    add(Method::kPost, "/workflows/{id}/" + std::string(ToString(operation)),
        [&services = state.services, operation](const Exchange& e) {
          return Operate(services, operation, e);
        })
        .body_bytes_max = kOperationBytesMax;  // many clients send "{}"
  }
}

}  // namespace varve::server
