// One table: method, path pattern, scope, handler. What is not in it is not there; what is in it
// without kPublic needs a principal that has its scope.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_head.h"
#include "server/metrics.h"
#include "server/options.h"

namespace varve::server {

class Exchange;

enum class Access : uint8_t {
  kPublic,  // anybody, any origin
  kSigned,  // anybody; the body proves its sender
  kIngest,
  kQuery,
  kAdmin,     // of what belongs to a namespace
  kInstance,  // an administrator of the instance: what belongs to all namespaces together
};

enum class WebSocketKind : uint8_t { kNone, kTail, kLive };

using Handler = std::function<void(const std::shared_ptr<Exchange>&)>;

struct Route {
  Method method;
  std::string pattern;  // "/queues/{q}/stats"; a last "{key+}" takes the rest, slashes included
  Access access;
  Handler handler;
  uint64_t body_bytes_max = 0;  // 0: a body is refused
  WebSocketKind websocket = WebSocketKind::kNone;
  bool upgrade_only = false;    // 426 without an upgrade
  bool watch_client = false;    // cancel when the client goes
  bool open_cors = false;       // readable from any origin
  bool data_namespace = false;  // ?namespace= is the data's: only X-Namespace names a tenant
  RouteMetrics metrics{};
};

struct RouteMatch {
  Route* route = nullptr;   // null: none
  bool path_known = false;  // some other method is there: 405
  std::vector<std::string> params;
};

class Router {
 public:
  Route& Add(Method method, std::string pattern, Access access, Handler handler);
  // HEAD finds GET's route.
  RouteMatch Match(Method method, std::string_view path);
  std::string AllowHeader(std::string_view path) const;
  const std::deque<Route>& routes() const { return routes_; }
  void WriteMetrics(MetricsWriter& out) const;

 private:
  std::deque<Route> routes_;  // addresses stay
};

}  // namespace varve::server
