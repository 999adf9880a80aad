// Webhooks of six providers: the signature is checked over the body's own bytes (HMAC-SHA256,
// constant-time compare), then the body becomes one event.
//
//   provider  headers                                        signed text           encoding
//   github    X-Hub-Signature-256: sha256=                    body                  hex
//   stripe    Stripe-Signature: t=,v1= (any v1)               t.body                hex, 300 s
//   workos    WorkOS-Signature: t=,v1= (timestamp=,signature=) t.body, or body      hex, 300 s
//   slack     X-Slack-Signature: v0=, X-Slack-Request-Timestamp v0:t:body           hex, 300 s
//   linear    Linear-Signature                                body                  hex
//   svix      svix-id, svix-timestamp, svix-signature: v1,    id.t.body             base64, 300 s
//
// WorkOS signatures over the body alone leave the timestamp open to change, so a delivery is known
// by its signature: sent again, under whatever timestamp, it is stored once in the dedup window.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::ingest {

struct VerifiedWebhook {
  std::string provider;
  std::string event_type;    // "unknown" where the delivery names none
  std::string delivery_id;   // empty: none given
  std::string type;          // webhook.{provider}.{event_type}, in the letters of an event type
  std::string delivery_key;  // for Ingest::SubmitWebhook; empty: none
  std::string event_json;  // {type, ts, source, webhook{…}, payload}; payload is the body verbatim
};

// A header's value by its lower-case name; nothing where it is absent.
using HeaderLookup = std::function<std::optional<std::string_view>(std::string_view)>;

class WebhookVerifier {
 public:
  static constexpr uint64_t kBodyBytesMax = 1 << 20;
  static constexpr int64_t kToleranceMs = 300'000;

  // Secrets by provider name; a provider without one is not configured.
  explicit WebhookVerifier(std::map<std::string, std::string> secrets)
      : secrets_(std::move(secrets)) {}

  // Fails with kInvalid UNSUPPORTED_PROVIDER (details supported), kInternal SECRET_NOT_CONFIGURED,
  // kInvalid PAYLOAD_TOO_LARGE, kUnauthorized MISSING_HEADERS | TIMESTAMP_EXPIRED |
  // INVALID_SIGNATURE, kInvalid INVALID_JSON (also a body that is no object). Thread-safe.
  Result<VerifiedWebhook> Verify(std::string_view provider, const HeaderLookup& header,
                                 std::string_view body, int64_t now_ms) const;

 private:
  std::map<std::string, std::string> secrets_;
};

}  // namespace varve::ingest
