#include "app/server_calls.h"

#include <nlohmann/json.hpp>

#include "app/http_client.h"

namespace varve::app {

using Json = nlohmann::ordered_json;

Result<ServerCalls> ServerCalls::Find(const TargetOptions& options, const char* no_server) {
  Target target = TRY(ResolveTarget(options));
  if (!target.url.empty()) return ServerCalls(std::move(target.url), options.ns);
  return MakeError(ErrorKind::kNotFound, "NO_SERVER", no_server);
}

Result<std::string> ServerCalls::Text(const std::string& method, const std::string& path,
                                      const std::string& body) {
  HttpRequest request{.method = method,
                      .url = url_ + path,
                      .headers = CommonHeaders(),
                      .body = body,
                      .timeout_ms = 60'000};
  if (!tenant_.empty()) request.headers.push_back("X-Namespace: " + tenant_);
  if (!body.empty()) request.headers.push_back("Content-Type: application/json");
  HttpResponse response = TRY(HttpClient().Send(request));
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  return response.ToError(method + " " + request.url);
}

Result<Json> ServerCalls::Object(const std::string& method, const std::string& path,
                                 const std::string& body) {
  Json json = Json::parse(TRY(Text(method, path, body)), nullptr, false);
  if (json.is_object()) return json;
  return MakeError(ErrorKind::kInternal, url_ + path + ": the answer is not a JSON object");
}

std::string TextOf(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return "-";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace varve::app
