// Who may do what: every route with every kind of credential, and the rules without keys.
#include <map>
#include <set>

#include "core/bytes.h"
#include "server/auth.h"
#include "server/running_server.h"

namespace varve::server {
namespace {

constexpr char kIngestKey[] = "key-for-ingest-only-0001";
constexpr char kQueryKey[] = "key-for-query-only-00002";
constexpr char kAdminKey[] = "key-for-everything-00003";
constexpr char kAcmeKey[] = "ns_acme_0123456789abcdef";
constexpr char kAcmeAdminKey[] = "ns_acme_administrator012";
constexpr char kOtherKey[] = "ns_other_0123456789abcde";

ServerOptions WithKeys() {
  ServerOptions options;
  options.keys = {
      {.name = "in", .key = kIngestKey, .scopes = kScopeIngest},
      {.name = "out", .sha256_hex = HexEncode(Sha256(kQueryKey)), .scopes = kScopeQuery},
      {.name = "root", .key = kAdminKey, .scopes = kScopeAdmin},
      {.name = "acme", .key = kAcmeKey, .scopes = kScopeIngest | kScopeQuery, .ns = "acme"},
      {.name = "acme's", .key = kAcmeAdminKey, .scopes = kScopeAdmin, .ns = "acme"},
      {.name = "other",
       .sha256_hex = HexEncode(Sha256(kOtherKey)),
       .scopes = kScopeIngest | kScopeQuery,
       .ns = "other"},
  };
  return options;
}

std::string Bearer(std::string_view key) { return "Authorization: Bearer " + std::string(key); }

// Each route and what it takes; "" is open to anybody, "instance" to an administrator of all.
const std::map<std::string, std::string> kRoutes = {
    {"POST /ingest", "ingest"},
    {"POST /e", "ingest"},
    {"POST /webhooks", ""},
    {"POST /webhooks/{provider}", ""},
    {"POST /tail", "ingest"},
    {"GET /tail", "ingest"},
    {"GET /tail/live", "query"},
    {"POST /sql", "query"},
    {"POST /query", "query"},
    {"GET /events", "query"},
    {"GET /recent", "query"},
    {"GET /store", "query"},
    {"GET /store/{key+}", "query"},
    {"GET /queues", "instance"},
    {"GET /queues/{q}", "instance"},
    {"GET /queues/{q}/stats", "instance"},
    {"POST /queues/{q}/replay", "instance"},
    {"POST /queues/{q}/messages", "instance"},
    {"POST /queues/{q}/messages/pull", "instance"},
    {"POST /queues/{q}/messages/ack", "instance"},
    {"POST /queues/{q}/messages/peek", "instance"},
    {"POST /queues/{q}/messages/purge", "instance"},
    {"POST /queues/{q}/messages/batch", "instance"},
    {"POST /client/v4/accounts/{account}/queues/{q}/messages", "instance"},
    {"POST /client/v4/accounts/{account}/queues/{q}/messages/pull", "instance"},
    {"POST /client/v4/accounts/{account}/queues/{q}/messages/ack", "instance"},
    {"POST /client/v4/accounts/{account}/queues/{q}/messages/peek", "instance"},
    {"POST /client/v4/accounts/{account}/queues/{q}/messages/purge", "instance"},
    {"POST /client/v4/accounts/{account}/queues/{q}/messages/batch", "instance"},
    {"GET /compaction/status", "query"},
    {"GET /compaction/health", "query"},
    {"GET /compaction/dashboard", "query"},
    {"GET /compaction/metrics", "query"},
    {"GET /compaction/metrics/json", "query"},
    {"GET /compaction/config", "query"},
    {"POST /compaction/config", "admin"},
    {"PUT /compaction/config", "admin"},
    {"POST /compaction/run", "admin"},
    {"GET /workflows", "instance"},
    {"GET /workflows/{id}", "instance"},
    {"POST /workflows/{id}/pause", "instance"},
    {"POST /workflows/{id}/resume", "instance"},
    {"POST /workflows/{id}/retry", "instance"},
    {"POST /workflows/{id}/cancel", "instance"},
    {"POST /migrate", "admin"},
    {"GET /migrate", "query"},
    {"GET /migrate/status", "query"},
    {"POST /migrate/cancel", "admin"},
    {"GET /migrate/jobs", "query"},
    {"GET /iceberg/v1/config", "query"},
    {"GET /iceberg/v1/namespaces", "query"},
    {"POST /iceberg/v1/namespaces", "admin"},
    {"GET /iceberg/v1/namespaces/{namespace}", "query"},
    {"DELETE /iceberg/v1/namespaces/{namespace}", "admin"},
    {"POST /iceberg/v1/namespaces/{namespace}/properties", "admin"},
    {"GET /iceberg/v1/namespaces/{namespace}/tables", "query"},
    {"POST /iceberg/v1/namespaces/{namespace}/tables", "admin"},
    {"POST /iceberg/v1/namespaces/{namespace}/register", "admin"},
    {"GET /iceberg/v1/namespaces/{namespace}/tables/{table}", "query"},
    {"POST /iceberg/v1/namespaces/{namespace}/tables/{table}", "admin"},
    {"DELETE /iceberg/v1/namespaces/{namespace}/tables/{table}", "admin"},
    {"POST /iceberg/v1/namespaces/{namespace}/tables/{table}/metrics", "query"},
    {"POST /iceberg/v1/tables/rename", "admin"},
    {"POST /iceberg/v1/transactions/commit", "admin"},
    {"POST /iceberg/v1/oauth/tokens", ""},
    {"GET /", ""},
    {"GET /health", ""},
    {"GET /ready", ""},
    {"GET /metrics", "instance"},
    {"GET /stats", "instance"},
};

std::set<std::string> ServedRoutes(RunningServer& server) {
  std::set<std::string> routes;
  const std::string body = server.Request("GET", "/").body;
  size_t at = body.find('[');
  while ((at = body.find('"', at + 1)) != std::string::npos) {
    const size_t end = body.find('"', at + 1);
    routes.insert(body.substr(at + 1, end - at - 1));
    at = end;
  }
  return routes;
}

std::string PathOf(std::string pattern) {
  pattern = pattern.substr(pattern.find('/'));
  if (pattern == "/store") return "/store?prefix=events/";
  if (pattern == "/store/{key+}") return "/store/events/a.parquet";
  for (size_t open; (open = pattern.find('{')) != std::string::npos;) {
    pattern.replace(open, pattern.find('}') - open + 1, "jobs");
  }
  return pattern;
}

std::string Code(const Reply& reply) {
  const size_t at = reply.body.find("\"code\":\"");
  return at == std::string::npos ? ""
                                 : reply.body.substr(at + 8, reply.body.find('"', at + 8) - at - 8);
}

// Iceberg's clients are told in their own words.
void ExpectRefusal(const std::string& route, const Reply& reply, const std::string& code) {
  if (route.find("/iceberg/") == std::string::npos) {
    EXPECT_EQ(Code(reply), code) << route;
    return;
  }
  const std::string type = code == "FORBIDDEN" ? "ForbiddenException" : "NotAuthorizedException";
  EXPECT_NE(reply.body.find("\"type\":\"" + type + "\""), std::string::npos) << reply.body;
}

class EveryRoute : public testing::Test {
 protected:
  EveryRoute() : server_(WithKeys()) {}
  Reply Ask(const std::string& route, const std::vector<std::string>& headers) {
    const std::string method = route.substr(0, route.find(' '));
    Client client(server_.port);
    client.SendSome(BuildRequest(method, PathOf(route), "", headers));
    return client.Receive();
  }
  RunningServer server_;
};

TEST_F(EveryRoute, IsInTheTableOfThisTest) {
  std::set<std::string> expected;
  for (const auto& [route, scope] : kRoutes) expected.insert(route);
  EXPECT_EQ(ServedRoutes(server_), expected);
}

TEST_F(EveryRoute, RefusesWhoeverHasNoKeyOrTheWrongOne) {
  for (const auto& [route, scope] : kRoutes) {
    if (scope.empty()) {
      EXPECT_NE(Ask(route, {}).status, 401) << route;
      continue;
    }
    const struct {
      std::vector<std::string> headers;
      const char* code;
    } cases[] = {
        {{}, "AUTH_REQUIRED"},
        {{"Authorization: Basic YWRtaW46YWRtaW4="}, "INVALID_AUTH_FORMAT"},
        {{"Authorization: Bearer"}, "INVALID_AUTH_FORMAT"},
        {{"Authorization: Bearer a b"}, "INVALID_AUTH_FORMAT"},
        {{Bearer("not-a-key-of-this-server")}, "INVALID_API_KEY"},
        {{"X-API-Key: not-a-key-of-this-server"}, "INVALID_API_KEY"},
        {{Bearer(std::string(kAdminKey) + "x")}, "INVALID_API_KEY"},
        {{Bearer("ns_acme_wrong")}, "INVALID_NAMESPACE_KEY"},
        {{Bearer(HexEncode(Sha256(kAdminKey)))}, "INVALID_API_KEY"},
    };
    for (const auto& [headers, code] : cases) {
      const Reply reply = Ask(route, headers);
      EXPECT_EQ(reply.status, 401) << route;
      ExpectRefusal(route, reply, code);
      EXPECT_EQ(reply.headers.at("www-authenticate"), "Bearer");
    }
  }
}

TEST_F(EveryRoute, RefusesAKeyWithoutItsScope) {
  const std::map<std::string, const char*> lacking[] = {
      {{"ingest", kQueryKey}, {"query", kIngestKey}, {"admin", kIngestKey}},
      {{"ingest", kQueryKey}, {"query", kIngestKey}, {"admin", kQueryKey}},
      {{"admin", kAcmeKey}, {"instance", kAcmeKey}},
      {{"instance", kQueryKey}},
      {{"instance", kAcmeAdminKey}},
  };
  for (const auto& [route, scope] : kRoutes) {
    for (const auto& keys : lacking) {
      if (!keys.contains(scope)) continue;
      const Reply reply = Ask(route, {Bearer(keys.at(scope))});
      EXPECT_EQ(reply.status, 403) << route;
      ExpectRefusal(route, reply, "FORBIDDEN");
    }
  }
}

TEST_F(EveryRoute, RefusesATenantsKeyForAnotherTenant) {
  for (const auto& [route, scope] : kRoutes) {
    if (scope == "admin" || scope == "instance") continue;
    for (const char* key : {kAcmeKey, kIngestKey, kQueryKey}) {
      const std::string other = key == std::string_view(kAcmeKey) ? "other" : "acme";
      if (key == std::string_view(kIngestKey) && scope == "query") continue;
      if (key == std::string_view(kQueryKey) && scope == "ingest") continue;
      const Reply reply = Ask(route, {Bearer(key), "X-Namespace: " + other});
      EXPECT_EQ(reply.status, 403) << route << " " << key;
      ExpectRefusal(route, reply, "FORBIDDEN");
    }
  }
}

TEST_F(EveryRoute, LetsTheRightKeyIn) {
  for (const auto& [route, scope] : kRoutes) {
    if (scope.empty() || route == "GET /tail/live") continue;  // that one does not end
    const std::map<std::string, const char*> keys = {{"ingest", kIngestKey},
                                                     {"query", kQueryKey},
                                                     {"admin", kAcmeAdminKey},
                                                     {"instance", kAdminKey}};
    for (const char* key : {keys.at(scope), kAdminKey}) {
      const Reply reply = Ask(route, {Bearer(key)});
      EXPECT_NE(reply.status, 401) << route;
      EXPECT_NE(reply.status, 403) << route;
      EXPECT_NE(reply.status, 0) << route;
    }
  }
}

TEST_F(EveryRoute, SocketsAreHeldToTheSameRules) {
  EXPECT_FALSE(Client(server_.port).Upgrade("/tail"));
  EXPECT_FALSE(Client(server_.port).Upgrade("/tail", {Bearer(kQueryKey)}));
  EXPECT_FALSE(Client(server_.port).Upgrade("/tail", {Bearer(kAcmeKey), "X-Namespace: other"}));
  EXPECT_FALSE(Client(server_.port).Upgrade("/tail/live", {Bearer(kIngestKey)}));
  EXPECT_TRUE(Client(server_.port).Upgrade("/tail", {Bearer(kAcmeKey)}));
  EXPECT_TRUE(Client(server_.port).Upgrade("/tail/live", {Bearer(kAcmeKey)}));
}

TEST(Auth, WhatIsNotThereIsToldOnlyToWhoeverHasAKey) {
  RunningServer server(WithKeys());
  EXPECT_EQ(server.Request("GET", "/nowhere").status, 401);
  EXPECT_EQ(server.Request("DELETE", "/ingest").status, 401);
  EXPECT_EQ(server.Request("GET", "/nowhere", "", {Bearer(kIngestKey)}).status, 404);
  EXPECT_EQ(server.Request("DELETE", "/ingest", "", {Bearer(kIngestKey)}).status, 405);
}

TEST(Auth, TheKeyDecidesTheNamespace) {
  RunningServer server(WithKeys());
  server.Request("POST", "/e", kOneEvent, {Bearer(kAcmeKey)});
  server.Request("POST", "/e", kOneEvent, {"X-API-Key: " + std::string(kOtherKey)});
  server.Request("POST", "/e", kOneEvent, {Bearer(kAdminKey), "X-Namespace: third"});
  server.Request("POST", "/e", kOneEvent, {Bearer(kIngestKey)});
  EXPECT_EQ(
      server.ingest.EventsByNamespace(),
      (std::map<std::string, uint64_t>{{"acme", 1}, {"other", 1}, {"third", 1}, {"default", 1}}));
  EXPECT_EQ(server.Request("POST", "/sql", R"({"sql":"x","namespace":"other"})", {Bearer(kAcmeKey)})
                .status,
            403);
  server.Request("POST", "/sql", R"({"sql":"x"})", {Bearer(kAcmeKey)});
  EXPECT_EQ(server.engine.last().ns.name(), "acme");
}

TEST(Auth, ObjectsOfOtherTenantsAreOutOfReach) {
  RunningServer server(WithKeys());
  for (const char* key : {"ns/acme/events/a.parquet", "ns/acme2/events/a.parquet",
                          "ns/other/events/a.parquet", "events/a.parquet", "data/acme/x.parquet"}) {
    ASSERT_TRUE(server.store.Put(key, "bytes", {}).ok());
  }
  const auto status = [&](const std::string& path, const char* key) {
    return server.Request("GET", path, "", {Bearer(key)}).status;
  };
  EXPECT_EQ(status("/store/ns/acme/events/a.parquet", kAcmeKey), 200);
  EXPECT_EQ(status("/store?prefix=ns/acme/", kAcmeKey), 200);
  for (const char* path :
       {"/store/ns/other/events/a.parquet", "/store/events/a.parquet",
        "/store/ns/acme2/events/a.parquet", "/store?prefix=", "/store", "/store?prefix=ns/acme",
        "/store?prefix=ns/", "/store?prefix=events/", "/store/data/acme/x.parquet"}) {
    EXPECT_EQ(status(path, kAcmeKey), 403) << path;
  }
  EXPECT_EQ(status("/store/ns/acme/../other/events/a.parquet", kAcmeKey), 400);
  EXPECT_EQ(status("/store/ns/acme/%2e%2e/other/events/a.parquet", kAcmeKey), 400);
  EXPECT_EQ(status("/store/events/a.parquet", kQueryKey), 200);
  EXPECT_EQ(status("/store/ns/acme/events/a.parquet", kQueryKey), 403);
  EXPECT_EQ(status("/store/ns/acme/events/a.parquet", kAdminKey), 200);
}

TEST(Auth, WithoutKeysOnlyWhatLooksLocalIsServed) {
  RunningServer server;
  EXPECT_EQ(server.Request("GET", "/queues").status, 200);
  EXPECT_EQ(server.Request("GET", "/queues", "", {"Host: localhost:8080"}).status, 200);
  EXPECT_EQ(server.Request("GET", "/queues", "", {"Host: [::1]:8080"}).status, 200);
  for (const char* header :
       {"Host: evil.test", "Host: 127.evil.test", "Host: localhost.evil.test", "Host: 10.0.0.1"}) {
    EXPECT_EQ(server.Request("GET", "/queues", "", {header}).status, 401) << header;
  }
  for (const char* header : {"X-Forwarded-For: 1.2.3.4", "X-Forwarded-For:", "Forwarded: for=1",
                             "CF-Connecting-IP: 1.2.3.4", "X-Real-IP: 1.2.3.4"}) {
    EXPECT_EQ(server.Request("GET", "/queues", "", {header}).status, 401) << header;
  }
  const Reply page =
      server.Request("POST", "/sql", R"({"sql":"x"})", {"Origin: https://evil.test"});
  EXPECT_EQ(page.status, 403);
  EXPECT_EQ(Code(page), "ORIGIN_NOT_ALLOWED");
  EXPECT_EQ(server.Request("POST", "/e", kOneEvent, {"Origin: null"}).status, 403);
  EXPECT_FALSE(Client(server.port).Upgrade("/tail", {"Origin: https://evil.test"}));
}

TEST(Auth, KeysThatCannotBeMeantAreRefusedAtTheStart) {
  const ApiKey bad[] = {
      {.name = "no scope", .key = kAdminKey},
      {.name = "short", .key = "short", .scopes = kScopeAdmin},
      {.name = "no hash", .sha256_hex = "abc", .scopes = kScopeAdmin},
      {.name = "neither", .scopes = kScopeAdmin},
      {.name = "form", .key = "not-a-tenants-key-form", .scopes = kScopeQuery, .ns = "acme"},
      {.name = "namespace", .key = kAdminKey, .scopes = kScopeQuery, .ns = "../x"},
  };
  for (const ApiKey& key : bad) EXPECT_FALSE(Auth::Make({key}, {}).ok()) << key.name;
}

}  // namespace
}  // namespace varve::server
