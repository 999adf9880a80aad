// Materialised views: what they are, how they stand, and refreshes by hand.
#include <nlohmann/json.hpp>

#include "server/exchange.h"
#include "server/server_state.h"
#include "view/view_service.h"

namespace varve::server {
namespace {

using Json = nlohmann::ordered_json;
using view::View;
using view::ViewService;

constexpr uint64_t kViewBodyBytesMax = 256 * 1024;

Json TextOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json OutputJson(const View& view) {
  if (!view.output) return {};
  return {{"key", view::OutputKey(view)},
          {"etag", view.output->etag},
          {"rows", view.output->rows},
          {"bytes", view.output->bytes},
          {"refresh", view.output->type},
          {"workflowId", view.output->workflow_id},
          {"at", IsoOrNull(view.output->published_ms)}};
}

Json ErrorJson(const View& view) {
  if (view.error.empty()) return {};
  return {{"code", view.error_code},
          {"message", view.error},
          {"failures", view.failures},
          {"at", IsoOrNull(view.error_ms)},
          {"nextAt", IsoOrNull(view.not_before_ms)}};
}

Json ViewJson(const View& view) {
  return {{"name", view.request.name},
          {"table", "view." + view.request.name},
          {"sql", view.request.sql},
          {"sources", view.sources},
          {"mode", view::ToString(view.request.mode)},
          {"refresh", view::ToString(view.request.upkeep)},
          {"debounceMs", view.request.debounce_ms},
          {"maxWaitMs", view.request.max_wait_ms},
          {"intervalMs", view.request.interval_ms},
          {"state", view::StateOf(view)},
          {"pendingChanges", view.changes},
          {"firstChangeAt", IsoOrNull(view.first_change_ms)},
          {"lastChangeAt", IsoOrNull(view.last_change_ms)},
          {"dueAt", IsoOrNull(view::DueAt(view).value_or(0))},
          {"workflowId", TextOrNull(view.workflow_id)},
          {"refreshes", view.refreshes},
          {"output", OutputJson(view)},
          {"error", ErrorJson(view)},
          {"createdAt", IsoOrNull(view.created_ms)},
          {"updatedAt", IsoOrNull(view.updated_ms)}};
}

Result<Response> CreateView(ViewService& views, const Exchange& exchange) {
  const View view = TRY(views.Register(exchange.ns, exchange.body));
  Response response = JsonResponse(DumpJson(ViewJson(view)));
  if (view.revision == 1) response.status = 201;
  return response;
}

Result<Response> ListViews(ViewService& views, const Exchange& exchange) {
  Json list = Json::array();
  for (const View& view : TRY(views.views().List(&exchange.ns))) list.push_back(ViewJson(view));
  return JsonResponse(DumpJson({{"views", std::move(list)}}));
}

Result<Response> ShowView(ViewService& views, const Exchange& exchange) {
  const View view = TRY(views.views().Get(exchange.ns, exchange.path_params[0]));
  return JsonResponse(DumpJson(ViewJson(view)));
}

Result<Response> ShowViewStatus(ViewService& views, const Exchange& exchange) {
  uint64_t pending = 0, processing = 0, dispatched = 0;
  Json list = Json::array();
  for (const View& view : TRY(views.views().List(&exchange.ns))) {
    const std::string_view state = view::StateOf(view);
    pending += state == "pending" ? 1 : 0;
    processing += state == "processing" ? 1 : 0;
    dispatched += state == "dispatched" ? 1 : 0;
    list.push_back({{"name", view.request.name},
                    {"state", state},
                    {"pendingChanges", view.changes},
                    {"firstChangeAt", IsoOrNull(view.first_change_ms)},
                    {"lastChangeAt", IsoOrNull(view.last_change_ms)},
                    {"dueAt", IsoOrNull(view::DueAt(view).value_or(0))},
                    {"workflowId", TextOrNull(view.workflow_id)},
                    {"refreshedAt", IsoOrNull(view.output ? view.output->published_ms : 0)},
                    {"error", ErrorJson(view)}});
  }
  return JsonResponse(DumpJson({{"pendingMVs", pending},
                                {"processingMVs", processing},
                                {"dispatchedMVs", dispatched},
                                {"mvs", std::move(list)}}));
}

Result<Response> DropView(ViewService& views, const Exchange& exchange) {
  const std::string& name = exchange.path_params[0];
  TRY(views.Drop(exchange.ns, name));
  return JsonResponse(DumpJson({{"message", "View dropped"}, {"name", name}}));
}

// The body may be left out; {"full": true}: the whole statement, however the view is kept.
Result<bool> WantsFull(const Exchange& exchange) {
  if (exchange.body.empty()) return false;
  const Json body = Json::parse(exchange.body, nullptr, false);
  if (!body.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "the body is not a JSON object");
  }
  const auto full = body.find("full");
  if (full == body.end()) return false;
  if (full->is_boolean()) return full->get<bool>();
  return MakeError(ErrorKind::kInvalid, "INVALID_FIELD", "full: true or false",
                   Json{{"field", "full"}}.dump());
}

Result<Response> RefreshView(ViewService& views, const Exchange& exchange) {
  const std::string& name = exchange.path_params[0];
  const std::string id = TRY(views.Refresh(exchange.ns, name, TRY(WantsFull(exchange))));
  Response response =
      JsonResponse(DumpJson({{"message", "Refresh started"}, {"name", name}, {"workflowId", id}}));
  response.status = 202;
  return response;
}

}  // namespace

void AddViewRoutes(ServerState& state) {
  if (state.services.views == nullptr) return;
  const auto add = [&state](Method method, const char* path, Access access, auto call) -> Route& {
    return state.router.Add(
        method, path, access,
        Answering(state, [&views = *state.services.views, call](const Exchange& exchange) {
          return call(views, exchange);
        }));
  };
  add(Method::kPost, "/views", Access::kAdmin, CreateView).body_bytes_max = kViewBodyBytesMax;
  add(Method::kGet, "/views", Access::kQuery, ListViews);
  add(Method::kGet, "/views/status", Access::kQuery, ShowViewStatus);
  add(Method::kGet, "/views/{name}", Access::kQuery, ShowView);
  add(Method::kDelete, "/views/{name}", Access::kAdmin, DropView);
  add(Method::kPost, "/views/{name}/refresh", Access::kAdmin, RefreshView).body_bytes_max =
      kViewBodyBytesMax;
}

}  // namespace varve::server
