// /iceberg: the REST catalog's routes, their answers' form, and whose tables they show.
#include "server/running_server.h"

namespace varve::server {
namespace {

constexpr char kTables[] = "/iceberg/v1/namespaces/default/tables";
constexpr char kTable[] = "/iceberg/v1/namespaces/default/tables/t";
constexpr char kTenantKey[] = "ns_acme_0123456789abcdef";
constexpr char kRootKey[] = "key-for-everything-00003";
constexpr char kCreate[] =
    R"({"name":"t","schema":{"type":"struct","fields":[{"id":1,"name":"n","required":false,
        "type":"long"}]}})";

bool Has(const Reply& reply, std::string_view text) {
  return reply.body.find(text) != std::string::npos;
}

void ExpectError(const Reply& reply, int status, const std::string& type) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_TRUE(reply.body.starts_with("{\"error\":{\"message\":")) << reply.body;
  EXPECT_TRUE(Has(reply, "\"type\":\"" + type + "\",\"code\":" + std::to_string(status)))
      << reply.body;
}

TEST(Iceberg, ConfigurationNamesWhatIsServed) {
  RunningServer server;
  const Reply config = server.Request("GET", "/iceberg/v1/config");
  EXPECT_EQ(config.status, 200);
  EXPECT_TRUE(Has(config, "\"defaults\":{},\"overrides\":{}"));
  EXPECT_TRUE(Has(config, "\"POST /v1/{prefix}/namespaces/{namespace}/tables/{table}\""));
  EXPECT_EQ(server.Request("GET", "/iceberg/v1/config?warehouse=varve").status, 200);
  ExpectError(server.Request("GET", "/iceberg/v1/config?warehouse=x"), 404,
              "NoSuchWarehouseException");
}

TEST(Iceberg, ATableIsMadeLoadedChangedAndDropped) {
  RunningServer server;
  ASSERT_EQ(server.Request("POST", kTables, kCreate).status, 200);
  ExpectError(server.Request("POST", kTables, kCreate), 409, "AlreadyExistsException");
  const Reply loaded = server.Request("GET", kTable);
  EXPECT_TRUE(Has(loaded, "\"metadata-location\":\"memory://lake/catalog/t/metadata/v1."));
  Client client(server.port);
  client.Send(BuildRequest("HEAD", kTable, "", {}));
  EXPECT_EQ(client.Receive(true).status, 204);
  const Reply same =
      server.Request("GET", kTable, "", {"If-None-Match: " + loaded.headers.at("etag")});
  EXPECT_EQ(same.status, 304);
  const Reply done = server.Request(
      "POST", kTable,
      R"({"requirements":[],"updates":[{"action":"set-properties","updates":{"a":"b"}}]})");
  EXPECT_EQ(done.status, 200);
  EXPECT_TRUE(Has(done, "/v2.metadata.json"));
  ExpectError(
      server.Request("POST", kTable, R"({"requirements":[{"type":"assert-create"}],"updates":[]})"),
      409, "CommitFailedException");
  ExpectError(server.Request("POST", kTable, "{"), 400, "BadRequestException");
  EXPECT_EQ(server.Request("POST", std::string(kTable) + "/metrics", "{}").status, 204);
  EXPECT_EQ(server.Request("DELETE", std::string(kTable) + "?purgeRequested=true").status, 204);
  ExpectError(server.Request("GET", kTable), 404, "NoSuchTableException");
}

TEST(Iceberg, WhatIsRefusedBeforeARouteHasItIsSaidInItsWordsToo) {
  ServerOptions options;
  options.keys = {{.name = "root", .key = kRootKey, .scopes = kScopeAdmin}};
  options.limits.iceberg_body_bytes_max = 100;
  RunningServer server(options);
  ExpectError(server.Request("GET", kTable), 401, "NotAuthorizedException");
  const std::vector<std::string> key = {std::string("Authorization: Bearer ") + kRootKey};
  ExpectError(server.Request("GET", "/iceberg/v1/nothing", "", key), 404, "NotFoundException");
  ExpectError(server.Request("PUT", kTable, "", key), 405, "UnsupportedOperationException");
  ExpectError(server.Request("POST", kTable, std::string(200, 'x'), key), 413,
              "BadRequestException");
  ExpectError(server.Request("POST", "/iceberg/v1/tables/rename", "{}", key), 406,
              "UnsupportedOperationException");
  ExpectError(server.Request("POST", "/iceberg/v1/namespaces", R"({"namespace":["a.b"]})", key),
              400, "BadRequestException");
}

TEST(Iceberg, ATenantHasItsOwnTables) {
  ServerOptions options;
  options.keys = {{.name = "root", .key = kRootKey, .scopes = kScopeAdmin},
                  {.name = "acme", .key = kTenantKey, .scopes = kScopeAdmin, .ns = "acme"}};
  RunningServer server(options);
  const std::vector<std::string> acme = {std::string("Authorization: Bearer ") + kTenantKey};
  const std::vector<std::string> root = {std::string("Authorization: Bearer ") + kRootKey};
  const Reply made = server.Request("POST", kTables, kCreate, acme);
  EXPECT_TRUE(Has(made, "memory://lake/ns/acme/catalog/t/")) << made.body;
  EXPECT_EQ(server.Request("GET", kTable, "", acme).status, 200);
  EXPECT_EQ(server.Request("GET", kTable, "", root).status, 404);
  EXPECT_EQ(server.Request("GET", kTable, "", {root[0], "X-Namespace: acme"}).status, 200);
  EXPECT_EQ(server.Request("GET", "/iceberg/v1/config?warehouse=acme", "", acme).status, 200);
}

TEST(Iceberg, AKeyIsGivenAsATokenToWhoeverHasIt) {
  ServerOptions options;
  options.keys = {{.name = "root", .key = kRootKey, .scopes = kScopeAdmin}};
  RunningServer server(options);
  const auto ask = [&](const std::string& form) {
    return server.Request("POST", "/iceberg/v1/oauth/tokens", form,
                          {"Content-Type: application/x-www-form-urlencoded"});
  };
  const Reply token = ask(std::string("grant_type=client_credentials&client_id=x&client_secret=") +
                          kRootKey + "&scope=catalog");
  EXPECT_EQ(token.status, 200);
  EXPECT_TRUE(Has(token, std::string("\"access_token\":\"") + kRootKey));
  const Reply wrong = ask("grant_type=client_credentials&client_secret=none-of-ours-at-all");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_TRUE(Has(wrong, "\"error\":\"invalid_client\""));
  EXPECT_EQ(ask("grant_type=password").status, 400);
  EXPECT_EQ(ask("%zz").status, 400);
}

}  // namespace
}  // namespace varve::server
