// Workflows: what runs, what has become of it, and an operator's wishes. They are the instance's,
// of every tenant, so that only an administrator sees them.
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "server/exchange.h"
#include "server/server_state.h"
#include "workflow/workflow_store.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;
using Json = nlohmann::ordered_json;
using workflow::Operation;
using workflow::Workflow;
using workflow::WorkflowStore;

constexpr uint32_t kRowsDefault = 100, kRowsMax = 1000;

Json Time(int64_t ms) { return ms == 0 ? Json() : Json(FormatIso(ms)); }

Json WorkflowJson(const Workflow& workflow) {
  Json json = {{"id", workflow.id},
               {"kind", workflow.kind},
               {"subject", workflow.subject},
               {"state", ToString(workflow.state)},
               {"step", workflow.step},
               {"attempts", workflow.attempts},
               {"next", Time(workflow.next_ms)}};
  if (!workflow.error.empty()) json["error"] = workflow.error;
  if (!workflow.error_code.empty()) json["errorCode"] = workflow.error_code;
  json["created"] = Time(workflow.created_ms);
  json["updated"] = Time(workflow.updated_ms);
  json["ended"] = Time(workflow.ended_ms);
  return json;
}

Json StepJson(const workflow::StepRecord& step) {
  Json json = {{"step", step.step},
               {"started", Time(step.started_ms)},
               {"ended", Time(step.ended_ms)},
               {"attempts", step.attempts}};
  if (!step.error.empty()) json["error"] = step.error;
  Json detail = Json::parse(step.detail_json, nullptr, false);
  json["detail"] = detail.is_object() ? std::move(detail) : Json::object();
  return json;
}

void Reply(const ExchangePtr& exchange, const Json& json) {
  exchange->Reply(JsonResponse(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

void ListWorkflows(WorkflowStore& store, const ExchangePtr& exchange) {
  workflow::ListFilter filter;
  filter.kind = exchange->Param("kind");
  filter.before = exchange->Param("before");
  filter.rows_max = kRowsDefault;
  if (const std::string_view text = exchange->Param("state"); !text.empty()) {
    filter.state = workflow::ParseWorkflowState(text);
    if (!filter.state) {
      return exchange->Reply(
          ErrorResponse(400, "INVALID_QUERY",
                        "state is active, paused, cancelling, succeeded, failed or cancelled"));
    }
  }
  if (const std::string_view text = exchange->Param("limit"); !text.empty()) {
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, filter.rows_max);
    if (error != std::errc() || end != last || filter.rows_max < 1 || filter.rows_max > kRowsMax) {
      return exchange->Reply(ErrorResponse(400, "INVALID_QUERY", "limit is 1 to 1000"));
    }
  }
  const auto found = store.List(filter);
  if (!found.ok()) return exchange->Reply(ErrorResponse(found.error()));
  Json json = {{"workflows", Json::array()}};
  for (const Workflow& workflow : *found) json["workflows"].push_back(WorkflowJson(workflow));
  if (found->size() == filter.rows_max) json["nextBefore"] = found->back().id;
  Reply(exchange, json);
}

void GetWorkflow(WorkflowStore& store, const ExchangePtr& exchange) {
  const std::string& id = exchange->path_params.back();
  const auto workflow = store.Get(id);
  if (!workflow.ok()) return exchange->Reply(ErrorResponse(workflow.error()));
  const auto steps = store.Steps(id);
  if (!steps.ok()) return exchange->Reply(ErrorResponse(steps.error()));
  Json json = WorkflowJson(*workflow);
  json["steps"] = Json::array();
  for (const workflow::StepRecord& step : *steps) json["steps"].push_back(StepJson(step));
  Reply(exchange, json);
}

void Operate(const Services& services, Operation operation, const ExchangePtr& exchange) {
  const auto workflow = services.workflows->Operate(exchange->path_params.back(), operation);
  if (!workflow.ok()) return exchange->Reply(ErrorResponse(workflow.error()));
  if (services.wake_workflows) services.wake_workflows();
  Reply(exchange, WorkflowJson(*workflow));
}

}  // namespace

void AddWorkflowRoutes(ServerState& state) {
  WorkflowStore* store = state.services.workflows;
  if (store == nullptr) return;
  const auto add = [&state](Method method, std::string path, Handler call) {
    state.router.Add(method, std::move(path), Access::kAdmin,
                     [&state, call = std::move(call)](const ExchangePtr& exchange) {
                       RunOn(state.blocking_pool, exchange, call);
                     });
  };
  add(Method::kGet, "/workflows", [store](const ExchangePtr& e) { ListWorkflows(*store, e); });
  add(Method::kGet, "/workflows/{id}", [store](const ExchangePtr& e) { GetWorkflow(*store, e); });
  for (const Operation operation :
       {Operation::kPause, Operation::kResume, Operation::kRetry, Operation::kCancel}) {
    add(Method::kPost, "/workflows/{id}/" + std::string(ToString(operation)),
        [&state, operation](const ExchangePtr& e) { Operate(state.services, operation, e); });
  }
}

}  // namespace varve::server
