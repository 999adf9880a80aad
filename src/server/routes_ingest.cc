// POST /ingest, /e and the webhooks.
#include <string>

#include "core/bytes.h"
#include "core/clock.h"
#include "ingest/ingest.h"
#include "ingest/webhook.h"
#include "record/event.h"
#include "server/exchange.h"
#include "server/server_state.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

record::BodyFormat FormatOf(const Exchange& exchange) {
  const std::string_view asked = exchange.Param("format");
  if (asked == "ndjson" || asked == "jsonl") return record::BodyFormat::kNdjson;
  std::string_view type = exchange.head.Find("content-type");
  type = type.substr(0, type.find_first_of("; "));
  for (std::string_view name : {"application/x-ndjson", "application/ndjson", "application/jsonl",
                                "application/x-jsonlines"}) {
    if (EqualsIgnoreCase(type, name)) return record::BodyFormat::kNdjson;
  }
  return record::BodyFormat::kJson;
}

std::string BatchReplyJson(const ingest::BatchReply& reply, const NamespaceId& ns) {
  std::string out;
  out.reserve(96 + ns.name().size());
  out.append("{\"ok\":true,\"received\":").append(std::to_string(reply.received));
  if (reply.deduplicated) out += ",\"deduplicated\":true";
  if (reply.duplicates > 0) out.append(",\"duplicates\":").append(std::to_string(reply.duplicates));
  return out.append(",\"namespace\":\"").append(ns.name()).append("\"}");
}

void AccountBatch(ServerState& state, const Exchange& exchange, EventSource source,
                  const ingest::BatchReply& reply) {
  if (reply.deduplicated) {
    state.metrics.batches_deduplicated.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  state.metrics.Ingested(source, reply.received - reply.duplicates,
                         state.services.clock->MonotonicNs() - exchange.received_ns);
  if (!exchange.rate_sender.empty()) {
    state.limiter.ChargeEvents(exchange.rate_sender, reply.received);
  }
}

void PostIngest(ServerState& state, const ExchangePtr& exchange) {
  std::string body = std::move(exchange->body);
  body.reserve(body.size() + record::kJsonPaddingBytes);
  state.services.ingest->SubmitBatch(
      exchange->ns, std::move(body), FormatOf(*exchange),
      [&state, exchange](Result<ingest::BatchReply> reply) {
        if (!reply.ok()) return exchange->Reply(ErrorResponse(reply.error()));
        AccountBatch(state, *exchange, EventSource::kIngest, *reply);
        exchange->Reply(JsonResponse(BatchReplyJson(*reply, exchange->ns)));
      });
}

// {success:false, error, errorCode, …details}: webhooks answer in words of their own.
Response WebhookFailure(const Error& error) {
  Response response = ErrorResponse(error);
  const bool told = error.kind != ErrorKind::kInternal || error.code == "SECRET_NOT_CONFIGURED";
  const std::string code = error.code.empty() ? std::string(ToString(error.kind)) : error.code;
  std::string body = "{\"success\":false,\"error\":" +
                     JsonQuote(told ? std::string_view(error.message) : "internal error") +
                     ",\"errorCode\":" + JsonQuote(code);
  if (error.details_json.size() > 2) {  // an object that is not {}: its members join these
    body.append(",").append(error.details_json, 1, error.details_json.size() - 2);
  }
  response.body = body + "}";
  return response;
}

void SubmitWebhook(ServerState& state, const ExchangePtr& exchange,
                   ingest::VerifiedWebhook webhook) {
  const std::string event = webhook.event_json;
  state.services.ingest->SubmitWebhook(
      exchange->ns, std::move(webhook.event_json), std::move(webhook.delivery_key),
      [&state, exchange, event](Result<ingest::BatchReply> reply) {
        if (!reply.ok()) return exchange->Reply(WebhookFailure(reply.error()));
        AccountBatch(state, *exchange, EventSource::kWebhook, *reply);
        std::string body = "{\"success\":true,\"accepted\":true,\"verified\":true";
        if (reply->deduplicated) body += ",\"deduplicated\":true";
        exchange->Reply(JsonResponse(body + ",\"event\":" + event + "}"));
      });
}

void PostWebhook(ServerState& state, const ExchangePtr& exchange) {
  const std::string provider = exchange->path_params.empty()
                                   ? std::string(exchange->Param("provider"))
                                   : exchange->path_params[0];
  if (provider.empty()) {
    Response response;
    response.status = 400;
    response.body = "{\"error\":\"provider query param required\"}";
    return exchange->Reply(std::move(response));
  }
  const RequestHead& head = exchange->head;
  const ingest::HeaderLookup lookup =
      [&head](std::string_view name) -> std::optional<std::string_view> {
    if (!head.Has(name)) return std::nullopt;
    return head.Find(name);
  };
  auto webhook = state.services.webhooks->Verify(provider, lookup, exchange->body,
                                                 state.services.clock->NowMs());
  if (!webhook.ok()) return exchange->Reply(WebhookFailure(webhook.error()));
  SubmitWebhook(state, exchange, std::move(webhook).value());
}

}  // namespace

void AddIngestRoutes(ServerState& state) {
  if (state.services.ingest == nullptr) return;
  const Limits& limits = state.options.limits;
  for (const char* path : {"/ingest", "/e"}) {
    Route& route = state.router.Add(Method::kPost, path, Access::kIngest,
                                    [&state](const ExchangePtr& e) { PostIngest(state, e); });
    route.body_bytes_max = limits.ingest_body_bytes_max;
    route.open_cors = true;
  }
  if (state.services.webhooks == nullptr) return;
  for (const char* path : {"/webhooks", "/webhooks/{provider}"}) {
    Route& route = state.router.Add(Method::kPost, path, Access::kSigned,
                                    [&state](const ExchangePtr& e) { PostWebhook(state, e); });
    route.body_bytes_max = ingest::WebhookVerifier::kBodyBytesMax;
  }
}

}  // namespace varve::server
