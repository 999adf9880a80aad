// Admission: everything that can be refused before the request's body is taken.
#include <fmt/format.h>

#include <utility>

#include "core/clock.h"
#include "server/connection.h"
#include "server/decompress.h"

namespace varve::server {
namespace {

constexpr size_t kCorrelationIdBytesMax = 128;

bool IsCorrelationId(std::string_view text) {
  if (text.empty() || text.size() > kCorrelationIdBytesMax) return false;
  for (char c : text) {
    const bool taken = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.' || c == ':';
    if (!taken) return false;
  }
  return true;
}

uint8_t ScopeOf(Access access) {
  switch (access) {
    case Access::kIngest:
      return kScopeIngest;
    case Access::kQuery:
      return kScopeQuery;
    case Access::kAdmin:
    case Access::kInstance:
      return kScopeAdmin;
    case Access::kPublic:
    case Access::kSigned:
      break;
  }
  return 0;
}

bool IsOpen(Access access) { return access == Access::kPublic || access == Access::kSigned; }

}  // namespace

std::string Connection::NewCorrelationId() {
  thread_local uint64_t prefix = 0;
  thread_local uint64_t count = 0;
  if (prefix == 0) prefix = state_.services.random->Next() | 1;
  return fmt::format("{:016x}-{:x}", prefix, ++count);
}

bool Connection::Preflight(const Exchange& exchange, Response* response) {
  if (exchange.head.method != Method::kOptions) return false;
  RouteMatch match = state_.router.Match(Method::kPost, exchange.head.path);
  if (match.route == nullptr) match = state_.router.Match(Method::kGet, exchange.head.path);
  if (!match.path_known && exchange.head.path != "*") return false;
  route_ = match.route;  // its origins
  response->status = 204;
  response->content_type.clear();
  response->headers.emplace_back("Allow", state_.router.AllowHeader(exchange.head.path));
  response->headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  response->headers.emplace_back(
      "Access-Control-Allow-Headers",
      "Authorization, Content-Type, Content-Encoding, X-API-Key, X-Namespace, X-Correlation-Id");
  response->headers.emplace_back("Access-Control-Max-Age", "86400");
  return true;
}

// Who may not know what is there is told so first; whoever may gets 404 or 405.
Response Connection::NoRoute(const Exchange& exchange, const RouteMatch& match) {
  const Result<Principal> principal = state_.auth->Authenticate(exchange.head, peer_is_loopback_);
  if (!principal.ok()) return ErrorResponse(principal.error());
  if (!match.path_known) return ErrorResponse(404, "NOT_FOUND", "there is nothing at this path");
  Response response = ErrorResponse(405, "METHOD_NOT_ALLOWED", "not with this method");
  response.headers.emplace_back("Allow", state_.router.AllowHeader(exchange.head.path));
  return response;
}

std::optional<Response> Connection::Admit(Exchange& exchange) {
  const std::string_view given_id = exchange.head.Find("x-correlation-id");
  exchange.correlation_id = IsCorrelationId(given_id) ? std::string(given_id) : NewCorrelationId();
  RouteMatch match = state_.router.Match(exchange.head.method, exchange.head.path);
  route_ = match.route;
  Response preflight;
  if (Preflight(exchange, &preflight)) return preflight;
  if (route_ == nullptr) return NoRoute(exchange, match);
  exchange.path_params = std::move(match.params);
  auto query = ParseQueryString(exchange.head.query);
  if (!query) return ErrorResponse(400, "INVALID_QUERY_STRING", "a broken query string");
  exchange.query = std::move(*query);
  if (auto refusal = AdmitPrincipal(exchange)) return refusal;
  if (auto refusal = AdmitRate(exchange)) return refusal;
  if (route_->upgrade_only && !exchange.head.upgrade_websocket) {
    Response response = ErrorResponse(426, "UPGRADE_REQUIRED", "Expected WebSocket upgrade");
    response.headers.emplace_back("Upgrade", "websocket");
    response.headers.emplace_back("Connection", "Upgrade");
    return response;
  }
  if (route_->websocket != WebSocketKind::kNone && exchange.head.upgrade_websocket) {
    return AdmitUpgrade();
  }
  return AdmitBody(exchange);
}

std::optional<Response> Connection::AdmitUpgrade() {
  const int64_t open = state_.metrics.websockets.load(std::memory_order_relaxed);
  if (open < static_cast<int64_t>(state_.options.limits.websockets_max)) return std::nullopt;
  return ErrorResponse(503, "TOO_MANY_WEBSOCKETS", "too many WebSockets are open");
}

// A body's bytes are spoken for before the first of them is read: as many as it says, as many as
// may come where it does not say, and as many again as may come out of it.
bool Connection::HoldBody(const RequestHead& head, bool encoded) {
  const uint64_t most = route_->body_bytes_max;
  const uint64_t bytes = (head.chunked ? most : head.content_length) + (encoded ? most : 0);
  if (state_.bodies_bytes.fetch_add(bytes) + bytes > state_.options.limits.bodies_bytes_max) {
    state_.bodies_bytes.fetch_sub(bytes);
    return false;
  }
  body_bytes_held_ = bytes;
  return true;
}

void Connection::LetBodyGo() { state_.bodies_bytes.fetch_sub(std::exchange(body_bytes_held_, 0)); }

std::optional<Response> Connection::AdmitPrincipal(Exchange& exchange) {
  Result<Principal> principal = state_.auth->Authenticate(exchange.head, peer_is_loopback_);
  const bool open =
      IsOpen(route_->access) || (state_.options.metrics_public && route_->pattern == "/metrics");
  if (!principal.ok()) {
    if (!open) return ErrorResponse(principal.error());
    exchange.principal.name = "anonymous";
  } else {
    exchange.principal = std::move(principal).value();
    if (!open && !exchange.principal.Has(ScopeOf(route_->access))) {
      return ErrorResponse(403, "FORBIDDEN", "this key does not have the scope for that");
    }
    if (route_->access == Access::kInstance && !exchange.principal.any_namespace()) {
      return ErrorResponse(403, "FORBIDDEN",
                           "that is for administrators of the instance; this key is a namespace's");
    }
  }
  const std::string_view header = exchange.head.Find("x-namespace");
  const std::string_view param =
      route_->data_namespace ? std::string_view() : exchange.Param("namespace");
  if (!header.empty() && !param.empty() && header != param) {
    return ErrorResponse(400, "INVALID_NAMESPACE", "X-Namespace and ?namespace= differ");
  }
  auto ns = ResolveNamespace(exchange.principal, header.empty() ? param : header);
  if (!ns.ok()) return ErrorResponse(ns.error());
  exchange.ns = std::move(ns).value();
  return std::nullopt;
}

std::optional<Response> Connection::AdmitRate(Exchange& exchange) {
  const RateLimits& limits = state_.options.rate_limits;
  if (!limits.enabled || !state_.auth->has_keys()) return std::nullopt;
  RateState rate;
  if (route_->access == Access::kSigned) {
    constexpr uint32_t kNoEventLimit = UINT32_MAX;
    rate = state_.webhook_limiter.Admit(exchange.peer, limits.webhooks_per_minute, kNoEventLimit);
  } else if (exchange.principal.keyed && route_->access != Access::kPublic) {
    exchange.rate_sender = exchange.principal.name + '\n' + exchange.principal.ns.name();
    rate = state_.limiter.Admit(exchange.rate_sender, limits.requests_per_minute,
                                limits.events_per_minute);
    exchange.rate = rate;
  } else {
    return std::nullopt;
  }
  if (rate.allowed) return std::nullopt;
  exchange.rate.reset();  // the refusal carries the headers itself
  state_.metrics.rate_limited.fetch_add(1, std::memory_order_relaxed);
  return RateLimitedResponse(rate, state_.services.clock->NowMs());
}

std::optional<Response> Connection::AdmitBody(const Exchange& exchange) {
  const RequestHead& head = exchange.head;
  if (!head.has_body()) return std::nullopt;
  if (head.content_length > route_->body_bytes_max || route_->body_bytes_max == 0) {
    return ErrorResponse(413, "PAYLOAD_TOO_LARGE", "the request's body is larger than is taken",
                         fmt::format("{{\"maxSize\":{},\"contentLength\":{}}}",
                                     route_->body_bytes_max, head.content_length));
  }
  auto coding = ParseContentEncoding(head.Find("content-encoding"));
  if (!coding.ok()) {
    Response response = ErrorResponse(coding.error());
    response.headers.emplace_back("Accept-Encoding", "gzip, zstd");
    return response;
  }
  if (!HoldBody(head, *coding != ContentCoding::kIdentity)) {
    return ErrorResponse(503, "BUSY", "too many bytes of requests are being taken");
  }
  return std::nullopt;
}

std::optional<Response> Connection::DecodeBody(Exchange& exchange) {
  auto coding = ParseContentEncoding(exchange.head.Find("content-encoding"));
  if (!coding.ok()) return ErrorResponse(coding.error());
  if (*coding == ContentCoding::kIdentity) return std::nullopt;
  const DecompressLimits limits{.bytes_max = route_->body_bytes_max,
                                .ratio_max = state_.options.limits.decompress_ratio_max};
  auto plain = Decompress(exchange.body, *coding, limits);
  if (!plain.ok()) return ErrorResponse(plain.error());
  exchange.body = std::move(plain).value();
  return std::nullopt;
}

}  // namespace varve::server
