#include "server/router.h"

#include <utility>

namespace varve::server {
namespace {

// Takes the text up to the next '/' off the front.
std::string_view NextSegment(std::string_view& text) {
  const size_t slash = text.find('/');
  const std::string_view segment = text.substr(0, slash);
  text = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  return segment;
}

bool PatternMatches(std::string_view pattern, std::string_view path,
                    std::vector<std::string>* params) {
  params->clear();
  pattern.remove_prefix(1);
  path.remove_prefix(1);
  while (true) {
    if (pattern.ends_with("+}") && pattern.find('/') == std::string_view::npos) {
      auto rest = PercentDecode(path, false);
      if (!rest || rest->empty()) return false;
      params->push_back(std::move(*rest));
      return true;
    }
    const bool pattern_last = pattern.find('/') == std::string_view::npos;
    const bool path_last = path.find('/') == std::string_view::npos;
    const std::string_view want = NextSegment(pattern);
    const std::string_view have = NextSegment(path);
    if (want.starts_with('{')) {
      auto decoded = PercentDecode(have, false);
      if (!decoded || decoded->empty()) return false;
      params->push_back(std::move(*decoded));
    } else if (want != have) {
      return false;
    }
    if (pattern_last != path_last) return false;
    if (pattern_last) return true;
  }
}

}  // namespace

Route& Router::Add(Method method, std::string pattern, Access access, Handler handler) {
  Route& route = routes_.emplace_back();
  route.method = method;
  route.pattern = std::move(pattern);
  route.access = access;
  route.handler = std::move(handler);
  return route;
}

RouteMatch Router::Match(Method method, std::string_view path) {
  if (method == Method::kHead) method = Method::kGet;
  RouteMatch match;
  if (!path.starts_with('/')) return match;
  for (Route& route : routes_) {
    if (!PatternMatches(route.pattern, path, &match.params)) continue;
    match.path_known = true;
    if (route.method != method) continue;
    match.route = &route;
    return match;
  }
  match.params.clear();
  return match;
}

std::string Router::AllowHeader(std::string_view path) const {
  std::string allow;
  std::vector<std::string> params;
  for (const Route& route : routes_) {
    if (!path.starts_with('/') || !PatternMatches(route.pattern, path, &params)) continue;
    if (!allow.empty()) allow += ", ";
    allow += ToString(route.method);
    if (route.method == Method::kGet) allow += ", HEAD";
  }
  return allow + (allow.empty() ? "OPTIONS" : ", OPTIONS");
}

void Router::WriteMetrics(MetricsWriter& out) const {
  constexpr std::string_view kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (const Route& route : routes_) {
    for (size_t i = 0; i < route.metrics.by_class.size(); ++i) {
      const uint64_t count = route.metrics.by_class[i].load(std::memory_order_relaxed);
      if (count == 0) continue;
      out.Counter(
          "http_requests_total", "Requests answered, by route.", static_cast<double>(count),
          {{"method", ToString(route.method)}, {"route", route.pattern}, {"status", kClasses[i]}});
    }
  }
  out.Family("http_request_duration_seconds", "histogram",
             "From a request's first byte to its answer's last, by route.");
  for (const Route& route : routes_) {
    if (route.metrics.duration.count() == 0) continue;
    route.metrics.duration.Write(out, "http_request_duration_seconds",
                                 {{"method", ToString(route.method)}, {"route", route.pattern}});
  }
}

}  // namespace varve::server
