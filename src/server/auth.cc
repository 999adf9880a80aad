#include "server/auth.h"

#include "core/bytes.h"
#include "server/http_head.h"

namespace varve::server {
namespace {

constexpr size_t kKeyBytesMax = 1024;

Error Unauthorized(std::string_view code, std::string_view message) {
  return MakeError(ErrorKind::kUnauthorized, std::string(code), std::string(message));
}

// The host part of "host:port" or "[v6]:port".
std::string_view HostName(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return end == std::string_view::npos ? authority : authority.substr(0, end + 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool IsLoopbackName(std::string_view host) {
  if (EqualsIgnoreCase(host, "localhost") || host == "[::1]") return true;
  if (!host.starts_with("127.")) return false;
  return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string_view OriginHost(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view()
                                          : HostName(origin.substr(scheme + 3));
}

// The key that was presented; "" where none was.
Result<std::string_view> PresentedKey(const RequestHead& head) {
  const std::string_view authorization = head.Find("authorization");
  std::string_view key = head.Find("x-api-key");
  if (!authorization.empty()) {
    constexpr std::string_view kBearer = "Bearer ";
    if (authorization.size() <= kBearer.size() ||
        !EqualsIgnoreCase(authorization.substr(0, kBearer.size()), kBearer)) {
      return Unauthorized("INVALID_AUTH_FORMAT", "Authorization must be: Bearer <key>");
    }
    key = authorization.substr(kBearer.size());
  }
  if (key.size() > kKeyBytesMax || key.find_first_of(" \t,") != std::string_view::npos) {
    return Unauthorized("INVALID_AUTH_FORMAT", "Authorization must be: Bearer <key>");
  }
  return key;
}

}  // namespace

Result<std::unique_ptr<Auth>> Auth::Make(const std::vector<ApiKey>& keys,
                                         const std::vector<std::string>& cors_origins) {
  auto auth = std::make_unique<Auth>();
  auth->cors_origins_ = cors_origins;
  for (const ApiKey& key : keys) {
    const std::string who = "API key " + (key.name.empty() ? "without a name" : key.name);
    if (key.scopes == 0) return MakeError(ErrorKind::kInvalid, who + ": no scope");
    NamespaceId ns;
    if (!key.ns.empty()) ns = TRY(NamespaceId::Parse(key.ns));
    std::string digest;
    if (!key.sha256_hex.empty()) {
      auto decoded = HexDecode(key.sha256_hex);
      if (!decoded || decoded->size() != 32) {
        return MakeError(ErrorKind::kInvalid, who + ": the hash is not 64 hex digits");
      }
      digest = std::move(*decoded);
    } else {
      if (key.key.size() < 16) {
        return MakeError(ErrorKind::kInvalid, who + ": shorter than 16 characters");
      }
      if (!ns.is_default() && !key.key.starts_with("ns_" + ns.name() + "_")) {
        return MakeError(ErrorKind::kInvalid, who + ": a tenant's key is ns_<namespace>_<token>");
      }
      digest = Sha256(key.key);
    }
    auth->by_prefix_.emplace(GetLe<uint64_t>(digest.data()), auth->entries_.size());
    auth->entries_.push_back({std::move(digest), key.name, key.scopes, ns});
  }
  return auth;
}

const Auth::Entry* Auth::Find(std::string_view key) const {
  const std::string digest = Sha256(key);
  const auto [begin, end] = by_prefix_.equal_range(GetLe<uint64_t>(digest.data()));
  for (auto it = begin; it != end; ++it) {
    const Entry& entry = entries_[it->second];
    if (!ConstantTimeEquals(entry.digest, digest)) continue;
    if (entry.ns.is_default()) return &entry;
    if (key.starts_with("ns_" + entry.ns.name() + "_")) return &entry;
  }
  return nullptr;
}

bool Auth::OriginAllowed(std::string_view origin) const {
  for (const std::string& allowed : cors_origins_) {
    if (allowed == origin) return true;
  }
  return false;
}

Result<Principal> Auth::AuthenticateLocal(const RequestHead& head, bool peer_is_loopback) const {
  const bool proxied = head.Has("x-forwarded-for") || head.Has("forwarded") ||
                       head.Has("cf-connecting-ip") || head.Has("x-real-ip");
  if (!peer_is_loopback || proxied || !IsLoopbackName(HostName(head.host))) {
    return Unauthorized("AUTH_REQUIRED",
                        "no API key is configured: only requests from this machine are served");
  }
  const std::string_view origin = head.Find("origin");
  if (!origin.empty() && !IsLoopbackName(OriginHost(origin)) && !OriginAllowed(origin)) {
    return MakeError(ErrorKind::kForbidden, "ORIGIN_NOT_ALLOWED",
                     "pages of this origin may not use this server");
  }
  Principal principal;
  principal.name = "local";
  principal.scopes = kScopeAll;
  principal.local = true;
  return principal;
}

Result<Principal> Auth::Authenticate(const RequestHead& head, bool peer_is_loopback) const {
  if (!has_keys()) return AuthenticateLocal(head, peer_is_loopback);
  const std::string_view key = TRY(PresentedKey(head));
  if (key.empty()) {
    return Unauthorized("AUTH_REQUIRED", "an API key is needed: Authorization: Bearer <key>");
  }
  const Entry* entry = Find(key);
  if (entry == nullptr) {
    return key.starts_with("ns_") ? Unauthorized("INVALID_NAMESPACE_KEY", "no such namespace key")
                                  : Unauthorized("INVALID_API_KEY", "no such API key");
  }
  Principal principal;
  principal.name = entry->name;
  principal.scopes = entry->scopes;
  principal.ns = entry->ns;
  principal.keyed = true;
  return principal;
}

Result<NamespaceId> ResolveNamespace(const Principal& principal, std::string_view asked) {
  if (asked.empty()) return principal.ns;
  NamespaceId ns = TRY(NamespaceId::Parse(asked));
  if (ns != principal.ns && !principal.any_namespace()) {
    return MakeError(ErrorKind::kForbidden, "FORBIDDEN", "this key is for another namespace");
  }
  return ns;
}

}  // namespace varve::server
