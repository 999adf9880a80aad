// Who is asking, decided in one place for HTTP and WebSocket alike.
//
// With keys configured: `Authorization: Bearer K` or `X-API-Key: K`; only SHA-256 hashes are kept
// and they are compared in constant time. Without: a loopback peer has every scope and anybody else
// none; the request must then look local too (Host and Origin name this machine, no proxy's
// header), so that neither a page in a browser nor a reverse proxy borrows the privilege.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/namespace_id.h"
#include "core/result.h"
#include "server/options.h"

namespace varve::server {

struct RequestHead;

struct Principal {
  std::string name;  // the key's name, "local" or "anonymous"
  uint8_t scopes = 0;
  NamespaceId ns;
  bool keyed = false;  // rate limits apply
  bool local = false;
  bool Has(uint8_t scope) const { return (scopes & (scope | kScopeAdmin)) != 0; }
  // Administers the instance, and may speak for namespaces other than its own.
  bool any_namespace() const { return (scopes & kScopeAdmin) != 0 && ns.is_default(); }
};

class Auth {
 public:
  // kInvalid: a key without scopes, a hash that is not one, a tenant's key of the wrong form.
  static Result<std::unique_ptr<Auth>> Make(const std::vector<ApiKey>& keys,
                                            const std::vector<std::string>& cors_origins);

  // kUnauthorized AUTH_REQUIRED | INVALID_AUTH_FORMAT | INVALID_API_KEY | INVALID_NAMESPACE_KEY,
  // kForbidden ORIGIN_NOT_ALLOWED.
  Result<Principal> Authenticate(const RequestHead& head, bool peer_is_loopback) const;

  bool IsKey(std::string_view text) const { return Find(text) != nullptr; }
  bool has_keys() const { return !entries_.empty(); }
  bool OriginAllowed(std::string_view origin) const;

 private:
  struct Entry {
    std::string digest;  // 32 bytes
    std::string name;
    uint8_t scopes;
    NamespaceId ns;
  };
  const Entry* Find(std::string_view key) const;
  Result<Principal> AuthenticateLocal(const RequestHead& head, bool peer_is_loopback) const;

  std::vector<Entry> entries_;
  std::unordered_multimap<uint64_t, size_t> by_prefix_;  // first 8 digest bytes → entry
  std::vector<std::string> cors_origins_;
};

// The namespace a request is for: the principal's own, or what X-Namespace or ?namespace= (asked:
// whichever was given, else empty) names. kInvalid INVALID_NAMESPACE, kForbidden FORBIDDEN.
Result<NamespaceId> ResolveNamespace(const Principal& principal, std::string_view asked);

}  // namespace varve::server
