// The compaction's windows: what waits and why, its health and metrics, and the settings and wishes
// of operators. `?namespace=` is the data's namespace here; a tenant is named by its key, or by
// X-Namespace. An administrator of the instance who names none sees all of them.
#include <charconv>
#include <nlohmann/json.hpp>

#include "compact/window_consumer.h"
#include "core/clock.h"
#include "server/compaction_json.h"
#include "server/compaction_page.h"
#include "server/exchange.h"
#include "server/server_state.h"

namespace varve::server {
namespace {

constexpr uint64_t kCompactionBytesMax = 64 * 1024;
constexpr size_t kNamespacesAskedMax = 100;
constexpr size_t kPointsDefault = 100;

struct Compaction {
  compact::WindowTracker* tracker;
  compact::WindowConsumer* consumer;
};

Error InvalidParam(std::string_view name, std::string_view what) {
  return MakeError(ErrorKind::kInvalid, "INVALID_PARAMETER",
                   std::string(name) + " " + std::string(what));
}

std::optional<NamespaceId> TenantOf(const Exchange& exchange) {
  const bool named = !exchange.head.Find("x-namespace").empty();
  if (exchange.principal.any_namespace() && !named) return std::nullopt;
  return exchange.ns;
}

std::vector<std::string> SplitNames(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    if (comma != 0) names.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return names;
}

template <typename T>
Result<T> NumberParam(const Exchange& exchange, std::string_view name, T otherwise) {
  const std::string_view text = exchange.Param(name);
  if (text.empty()) return otherwise;
  T number{};
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || at != text.data() + text.size() || !(number >= 0)) {
    return InvalidParam(name, "must be a number that is not negative");
  }
  return number;
}

// A namespace that was asked for and that nothing has been announced of is shown empty.
compact::NamespaceStatus Unknown(compact::WindowTracker& tracker, const NamespaceId& tenant,
                                 const std::string& ns) {
  compact::NamespaceStatus out;
  out.row.tenant = tenant;
  out.row.ns = ns;
  out.settings = compact::Resolve(tracker.options(), {});
  out.issues.push_back("no file of this namespace has been announced");
  return out;
}

// Those of ?namespace= or ?namespaces=, of the caller's tenant; else all that the caller may see.
Result<compact::CompactionStatus> StatusFor(const Compaction& compaction,
                                            const Exchange& exchange) {
  std::vector<std::string> names = SplitNames(exchange.Param("namespaces"));
  if (const std::string_view one = exchange.Param("namespace"); !one.empty()) {
    names = {std::string(one)};
  }
  if (names.empty()) return ReadStatus(*compaction.tracker, {.tenant = TenantOf(exchange)});
  if (names.size() > kNamespacesAskedMax) return InvalidParam("namespaces", "are more than 100");
  compact::CompactionStatus all;
  for (const std::string& name : names) {
    auto status = TRY(ReadStatus(*compaction.tracker, {.tenant = exchange.ns, .ns = name}));
    if (status.namespaces.empty()) {
      status.namespaces.push_back(Unknown(*compaction.tracker, exchange.ns, name));
    }
    auto namespaces = std::move(all.namespaces);
    namespaces.push_back(std::move(status.namespaces.front()));
    all = std::move(status);
    all.namespaces = std::move(namespaces);
  }
  return all;
}

Result<Response> GetStatus(const Compaction& compaction, const Exchange& exchange) {
  const auto status = TRY(StatusFor(compaction, exchange));
  if (!exchange.Param("namespace").empty()) {
    return JsonResponse(NamespaceStatusJson(status, status.namespaces.front()));
  }
  if (!exchange.Param("namespaces").empty()) return JsonResponse(NamespacesStatusJson(status));
  return JsonResponse(AggregateStatusJson(
      status, TenantOf(exchange) ? compact::WindowStats() : compaction.consumer->stats()));
}

Result<Response> GetHealth(const Compaction& compaction, const Exchange& exchange) {
  compact::HealthLimits limits;
  limits.pending_windows_max =
      TRY(NumberParam<uint64_t>(exchange, "maxPendingWindows", limits.pending_windows_max));
  limits.window_age_hours_max =
      TRY(NumberParam<double>(exchange, "maxWindowAgeHours", limits.window_age_hours_max));
  bool unhealthy = false;
  Response response =
      JsonResponse(HealthJson(TRY(StatusFor(compaction, exchange)), limits, &unhealthy));
  if (unhealthy) response.status = 503;
  return response;
}

Result<Response> GetDashboard(const Compaction& compaction, const Exchange& exchange) {
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'");
  response.body =
      CompactionPage(TRY(StatusFor(compaction, exchange)),
                     TenantOf(exchange) ? compact::WindowStats() : compaction.consumer->stats());
  return response;
}

Result<Response> GetMetrics(const Compaction& compaction, const Exchange& exchange) {
  MetricsWriter writer;
  WriteCompactionGauges(TRY(StatusFor(compaction, exchange)), writer);
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = std::move(writer).Take();
  return response;
}

Result<Response> GetHistory(const Compaction& compaction, const Exchange& exchange) {
  const auto since = TRY(NumberParam<int64_t>(exchange, "since", 0));
  const auto limit = TRY(NumberParam<uint64_t>(exchange, "limit", kPointsDefault));
  return JsonResponse(HistoryJson(TRY(StatusFor(compaction, exchange)),
                                  compaction.consumer->history(), since,
                                  std::min<size_t>(limit, compact::WindowHistory::kPointsMax)));
}

Result<nlohmann::json> ObjectBody(const Exchange& exchange) {
  auto body = nlohmann::json::parse(exchange.body, nullptr, false);
  if (body.is_object()) return body;
  return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "the body is a JSON object");
}

// Of ?namespace= or the body.
Result<std::string> NamespaceOf(const Exchange& exchange, const nlohmann::json& body) {
  std::string name(exchange.Param("namespace"));
  if (const auto found = body.find("namespace"); found != body.end()) {
    if (!found->is_string()) return InvalidParam("namespace", "must be a text");
    const auto given = found->get<std::string>();
    if (!name.empty() && name != given) return InvalidParam("namespace", "is given twice");
    name = given;
  }
  const std::string key = std::string(compact::kSourcePrefix) + name + "/0-w-0.parquet";
  if (!name.empty() && compact::ParseSourceName(key, compact::kSourcePrefix).ok()) return name;
  return InvalidParam("namespace", "must be that of the data, such as users");
}

Result<Response> ConfigResponse(const std::string& ns,
                                const compact::NamespaceOverrides& overrides) {
  auto json = nlohmann::ordered_json::parse(compact::ToJson(overrides));
  return JsonResponse(nlohmann::ordered_json{{"namespace", ns}, {"config", json}}.dump());
}

Result<Response> GetConfig(const Compaction& compaction, const Exchange& exchange) {
  const std::string ns = TRY(NamespaceOf(exchange, nlohmann::json::object()));
  return ConfigResponse(ns, TRY(compaction.tracker->Overrides(exchange.ns, ns)));
}

Result<Response> SetConfig(const Compaction& compaction, const Exchange& exchange) {
  const std::string ns = TRY(NamespaceOf(exchange, TRY(ObjectBody(exchange))));
  const auto overrides = TRY(compaction.tracker->Configure(exchange.ns, ns, exchange.body));
  compaction.consumer->Wake();
  return ConfigResponse(ns, overrides);
}

// Milliseconds since 1970 or ISO 8601: any time within the window.
Result<std::optional<int64_t>> WindowOf(const Compaction& compaction, const nlohmann::json& body) {
  const auto found = body.find("window");
  if (found == body.end() || found->is_null()) return std::optional<int64_t>();
  int64_t ms = 0;
  if (found->is_number_integer()) {
    ms = found->get<int64_t>();
  } else if (found->is_string()) {
    ms = TRY(ParseIso(found->get<std::string>()));
  } else {
    return InvalidParam("window", "must be a time");
  }
  return std::optional(compact::WindowStartOf(ms, compaction.tracker->options().window_size_ms));
}

Result<Response> PostRun(const Compaction& compaction, const Exchange& exchange) {
  const nlohmann::json body = TRY(ObjectBody(exchange));
  compact::DispatchWish wish;
  wish.tenant = exchange.ns;
  wish.ns = TRY(NamespaceOf(exchange, body));
  wish.start_ms = TRY(WindowOf(compaction, body));
  wish.force = true;
  TRY(compaction.tracker->Reconsider(exchange.ns, wish.ns));
  const auto dispatched = TRY(compaction.consumer->DispatchNow(wish));
  const auto after = TRY(ReadStatus(*compaction.tracker, {.tenant = exchange.ns, .ns = wish.ns}));
  return JsonResponse(RunJson(dispatched, after, compaction.tracker->options().concurrency_max));
}

using CompactionCall = Result<Response> (*)(const Compaction&, const Exchange&);

struct Entry {
  Method method;
  const char* path;
  Access access;
  CompactionCall call;
};

constexpr Entry kEntries[] = {
    {Method::kGet, "/compaction/status", Access::kQuery, GetStatus},
    {Method::kGet, "/compaction/health", Access::kQuery, GetHealth},
    {Method::kGet, "/compaction/dashboard", Access::kQuery, GetDashboard},
    {Method::kGet, "/compaction/metrics", Access::kQuery, GetMetrics},
    {Method::kGet, "/compaction/metrics/json", Access::kQuery, GetHistory},
    {Method::kGet, "/compaction/config", Access::kQuery, GetConfig},
    {Method::kPost, "/compaction/config", Access::kAdmin, SetConfig},
    {Method::kPut, "/compaction/config", Access::kAdmin, SetConfig},
    {Method::kPost, "/compaction/run", Access::kAdmin, PostRun}};

}  // namespace

void AddCompactionRoutes(ServerState& state) {
  const Compaction compaction{state.services.windows, state.services.window_consumer};
  if (compaction.tracker == nullptr || compaction.consumer == nullptr) return;
  for (const Entry& entry : kEntries) {
    Route& route = state.router.Add(
        entry.method, entry.path, entry.access,
        Answering(state, [compaction, call = entry.call](const Exchange& exchange) {
          return call(compaction, exchange);
        }));
    route.data_namespace = true;
    if (entry.method != Method::kGet) route.body_bytes_max = kCompactionBytesMax;
  }
}

}  // namespace varve::server
