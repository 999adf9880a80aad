// The Iceberg REST catalog, for DuckDB, PyIceberg, Spark, Trino: http://host:port/iceberg. Who asks
// sees the tables of his own namespace. Read with the scope query, changed with admin.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "catalog/rest_catalog.h"
#include "catalog/tenant_tables.h"
#include "core/bytes.h"
#include "server/exchange.h"
#include "server/iceberg_error.h"
#include "server/server_state.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;
using Json = nlohmann::ordered_json;
namespace ice = table::iceberg;

constexpr uint64_t kFormBytesMax = 16 << 10;
constexpr size_t kPageSizeMax = 1000;
constexpr int64_t kTokenSeconds = 365 * 86'400;  // as long as its key

struct IcebergCall {
  Exchange& exchange;
  catalog::RestCatalog& rest;

  bool head_only() const { return exchange.head.method == Method::kHead; }
  Result<catalog::Levels> levels() const { return catalog::ParseLevels(exchange.path_params[0]); }
  Result<catalog::Identifier> identifier() const {
    auto levels = catalog::ParseLevels(exchange.path_params[0]);
    if (levels.ok()) return catalog::Identifier{std::move(*levels), exchange.path_params[1]};
    return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE", "there is no such table");
  }
};

Response NoContent() {
  Response response;
  response.status = 204;
  response.content_type.clear();
  return response;
}

Error BadRequest(std::string message) {
  return MakeError(ErrorKind::kInvalid, "BAD_REQUEST", std::move(message));
}

Result<nlohmann::json> BodyObject(const Exchange& exchange) {
  auto json = nlohmann::json::parse(exchange.body, nullptr, false);
  if (json.is_object()) return json;
  return BadRequest("the request is no JSON object");
}

Result<catalog::Properties> PropertiesIn(const nlohmann::json& json, const char* name) {
  catalog::Properties out;
  const auto at = json.find(name);
  if (at == json.end() || at->is_null()) return out;
  if (!at->is_object()) return BadRequest(fmt::format("'{}' is no object", name));
  for (const auto& item : at->items()) {
    if (!item.value().is_string()) return BadRequest(fmt::format("'{}' has no text", item.key()));
    out[item.key()] = item.value().get<std::string>();
  }
  return out;
}

Result<std::vector<std::string>> TextsIn(const nlohmann::json& json, const char* name) {
  std::vector<std::string> out;
  const auto at = json.find(name);
  if (at == json.end() || at->is_null()) return out;
  if (!at->is_array()) return BadRequest(fmt::format("'{}' is no list", name));
  for (const auto& one : *at) {
    if (!one.is_string()) return BadRequest(fmt::format("'{}' has one that is no text", name));
    out.push_back(one.get<std::string>());
  }
  return out;
}

// The items of one page, which are in order; a page's token is the last one it had.
template <typename Item, typename TokenOf>
Result<std::string> CutPage(const Exchange& exchange, std::vector<Item>& items,
                            const TokenOf& token_of) {
  const std::string_view token = exchange.Param("pageToken"), size = exchange.Param("pageSize");
  size_t page = kPageSizeMax;
  if (!size.empty()) {
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), page);
    if (error != std::errc() || end != size.data() + size.size() || page == 0) {
      return BadRequest("pageSize is a positive number");
    }
    page = std::min(page, kPageSizeMax);
  }
  if (!token.empty()) {
    std::erase_if(items, [&](const Item& one) { return token_of(one) <= token; });
  }
  if (items.size() <= page) return std::string();
  items.resize(page);
  return token_of(items.back());
}

constexpr const char* kEndpoints[] = {
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "DELETE /v1/{prefix}/namespaces/{namespace}",
    "POST /v1/{prefix}/namespaces/{namespace}/properties",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/register",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
};

// There is one warehouse for whoever asks: his namespace's tables, by its name or none.
Result<Response> GetConfig(IcebergCall& call) {
  const std::string_view asked = call.exchange.Param("warehouse");
  if (!asked.empty() && asked != "varve" && asked != call.exchange.ns.name()) {
    return MakeError(
        ErrorKind::kNotFound, "NO_SUCH_WAREHOUSE",
        fmt::format("there is no warehouse '{}' for this key: leave it out", asked.substr(0, 100)));
  }
  Json json;
  json["defaults"] = Json::object();
  json["overrides"] = Json::object();
  json["endpoints"] = kEndpoints;
  return JsonResponse(DumpJson(json));
}

Result<Response> ListNamespaces(IcebergCall& call) {
  const std::string_view parent = call.exchange.Param("parent");
  catalog::Levels levels;
  if (!parent.empty()) levels = TRY(catalog::ParseLevels(parent));
  auto children = TRY(call.rest.namespaces().Children(levels));
  const std::string next =
      TRY(CutPage(call.exchange, children, [](const auto& one) { return one.back(); }));
  Json json;
  json["namespaces"] = children;
  if (!next.empty()) json["next-page-token"] = next;
  return JsonResponse(DumpJson(json));
}

Result<Response> CreateNamespace(IcebergCall& call) {
  const auto body = TRY(BodyObject(call.exchange));
  const catalog::Levels levels = TRY(TextsIn(body, "namespace"));
  const catalog::Properties properties = TRY(PropertiesIn(body, "properties"));
  TRY(call.rest.namespaces().Create(levels, properties));
  Json json;
  json["namespace"] = levels;
  json["properties"] = properties;
  return JsonResponse(DumpJson(json));
}

Result<Response> LoadNamespace(IcebergCall& call) {
  const auto levels = call.levels();
  if (!levels.ok()) {
    return MakeError(ErrorKind::kNotFound, "NO_SUCH_NAMESPACE", levels.error().message);
  }
  const catalog::Properties properties = TRY(call.rest.namespaces().Load(*levels));
  if (call.head_only()) return NoContent();
  Json json;
  json["namespace"] = *levels;
  json["properties"] = properties;
  return JsonResponse(DumpJson(json));
}

Result<Response> DropNamespace(IcebergCall& call) {
  TRY(call.rest.namespaces().Drop(TRY(call.levels())));
  return NoContent();
}

Result<Response> UpdateNamespace(IcebergCall& call) {
  const auto body = TRY(BodyObject(call.exchange));
  const auto removals = TRY(TextsIn(body, "removals"));
  const catalog::Properties updates = TRY(PropertiesIn(body, "updates"));
  for (const std::string& name : removals) {
    if (!updates.contains(name)) continue;
    Response both =
        IcebergErrorResponse(BadRequest("'" + name + "' is to be removed and to be set"));
    both.status = 422;
    return both;
  }
  const auto change = TRY(call.rest.namespaces().Update(TRY(call.levels()), removals, updates));
  Json json;
  json["updated"] = change.updated;
  json["removed"] = change.removed;
  json["missing"] = change.missing;
  return JsonResponse(DumpJson(json));
}

Result<Response> ListTables(IcebergCall& call) {
  auto tables = TRY(call.rest.namespaces().Tables(TRY(call.levels())));
  const std::string next =
      TRY(CutPage(call.exchange, tables, [](const auto& one) { return one.name; }));
  Json json;
  json["identifiers"] = Json::array();
  for (const catalog::Identifier& one : tables) {
    Json entry;
    entry["namespace"] = one.levels;
    entry["name"] = one.name;
    json["identifiers"].push_back(std::move(entry));
  }
  if (!next.empty()) json["next-page-token"] = next;
  return JsonResponse(DumpJson(json));
}

// Metadata is written once, as the text that it is.
Response TableResponse(const catalog::IcebergHead& head, const std::string& metadata_json) {
  std::string body = "{";
  if (!head.location.empty()) body += "\"metadata-location\":" + JsonQuote(head.location) + ",";
  body += "\"metadata\":" + metadata_json + ",\"config\":{}}";
  return JsonResponse(std::move(body));
}

Response TableResponse(const catalog::IcebergHead& head) {
  return TableResponse(head, ice::WriteMetadata(head.metadata));
}

Result<Response> LoadTable(IcebergCall& call) {
  const catalog::IcebergHead head = TRY(call.rest.Load(TRY(call.identifier())));
  if (call.head_only()) return NoContent();
  const std::string_view snapshots = call.exchange.Param("snapshots");
  if (!snapshots.empty() && snapshots != "all" && snapshots != "refs") {
    return BadRequest("snapshots is all or refs");
  }
  const bool refs = snapshots == "refs";
  const std::string etag =
      fmt::format("\"{}-{}{}\"", head.metadata.uuid, head.version, refs ? "-refs" : "");
  Response response;
  if (call.exchange.head.Find("if-none-match") == etag) {
    response = NoContent();
    response.status = 304;
  } else if (refs) {
    response = TableResponse(head, ice::WriteMetadata(ice::WithReferencedSnapshots(head.metadata)));
  } else {
    response = TableResponse(head);
  }
  response.headers.emplace_back("ETag", etag);
  return response;
}

Result<Response> CreateTable(IcebergCall& call) {
  return TableResponse(TRY(call.rest.Create(TRY(call.levels()), call.exchange.body)));
}

Result<Response> CommitTable(IcebergCall& call) {
  return TableResponse(TRY(call.rest.Commit(TRY(call.identifier()), call.exchange.body)));
}

// Asked to purge or not: the table is gone at once, its files when orphans are removed.
Result<Response> DropTable(IcebergCall& call) {
  TRY(call.rest.Drop(TRY(call.identifier())));
  return NoContent();
}

Result<Response> RegisterTable(IcebergCall& call) {
  return TableResponse(TRY(call.rest.Register(TRY(call.levels()), call.exchange.body)));
}

Result<Response> RenameTable(IcebergCall&) {
  return MakeError(ErrorKind::kInvalid, "UNSUPPORTED",
                   "a table's name is where its files are: it cannot be renamed");
}

Result<Response> CommitTransaction(IcebergCall& call) {
  TRY(call.rest.CommitTransaction(call.exchange.body));
  return NoContent();
}

Result<Response> TakeMetrics(IcebergCall&) { return NoContent(); }

Response OAuthError(int status, std::string_view error, std::string_view description) {
  Json json;
  json["error"] = error;
  json["error_description"] = description;
  Response response = JsonResponse(DumpJson(json));
  response.status = status;
  return response;
}

// For clients that insist on asking for a token: the secret is an API key, and is the token.
Response GiveToken(ServerState& state, const Exchange& exchange) {
  const auto form = ParseQueryString(exchange.body);
  std::string grant, secret;
  for (const auto& [name, value] : form.value_or(QueryParams())) {
    if (name == "grant_type") grant = value;
    if (name == "client_secret") secret = value;
  }
  if (grant != "client_credentials") {
    return OAuthError(400, "unsupported_grant_type", "only client_credentials is known");
  }
  if (!state.auth->IsKey(secret)) {
    return OAuthError(401, "invalid_client", "client_secret is no API key of this server");
  }
  Json json;
  json["access_token"] = secret;
  json["token_type"] = "bearer";
  json["expires_in"] = kTokenSeconds;
  json["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token";
  return JsonResponse(DumpJson(json));
}

using Action = Result<Response> (*)(IcebergCall&);

void Answer(ServerState& state, const ExchangePtr& exchange, Action action) {
  catalog::RestCatalog rest(state.services.tables->Of(exchange->ns));
  IcebergCall call{*exchange, rest};
  auto answer = action(call);
  exchange->Reply(answer.ok() ? std::move(*answer) : IcebergErrorResponse(answer.error()));
}

}  // namespace

void AddIcebergRoutes(ServerState& state) {
  if (state.services.tables == nullptr) return;
  const auto add = [&state](Method method, const std::string& path, Access access, Action action) {
    Route& route = state.router.Add(
        method, "/iceberg/v1" + path, access, [&state, action](const ExchangePtr& exchange) {
          RunOn(state.blocking_pool, exchange,
                [&state, action](const ExchangePtr& e) { Answer(state, e, action); });
        });
    if (method == Method::kPost) {
      route.body_bytes_max = state.options.limits.iceberg_body_bytes_max;
    }
  };
  const std::string ns = "/namespaces/{namespace}", table = ns + "/tables/{table}";
  add(Method::kGet, "/config", Access::kQuery, GetConfig);
  add(Method::kGet, "/namespaces", Access::kQuery, ListNamespaces);
  add(Method::kPost, "/namespaces", Access::kAdmin, CreateNamespace);
  add(Method::kGet, ns, Access::kQuery, LoadNamespace);
  add(Method::kDelete, ns, Access::kAdmin, DropNamespace);
  add(Method::kPost, ns + "/properties", Access::kAdmin, UpdateNamespace);
  add(Method::kGet, ns + "/tables", Access::kQuery, ListTables);
  add(Method::kPost, ns + "/tables", Access::kAdmin, CreateTable);
  add(Method::kPost, ns + "/register", Access::kAdmin, RegisterTable);
  add(Method::kGet, table, Access::kQuery, LoadTable);
  add(Method::kPost, table, Access::kAdmin, CommitTable);
  add(Method::kDelete, table, Access::kAdmin, DropTable);
  add(Method::kPost, table + "/metrics", Access::kQuery, TakeMetrics);
  add(Method::kPost, "/tables/rename", Access::kAdmin, RenameTable);
  add(Method::kPost, "/transactions/commit", Access::kAdmin, CommitTransaction);
  Route& token = state.router.Add(
      Method::kPost, "/iceberg/v1/oauth/tokens", Access::kPublic,
      [&state](const ExchangePtr& exchange) { exchange->Reply(GiveToken(state, *exchange)); });
  token.body_bytes_max = kFormBytesMax;
}

}  // namespace varve::server
