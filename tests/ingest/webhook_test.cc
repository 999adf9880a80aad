// The signatures below were computed with Python's hmac module over the texts named beside them.
#include "ingest/webhook.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/bytes.h"

namespace varve::ingest {
namespace {

using Headers = std::map<std::string, std::string, std::less<>>;

constexpr int64_t kNowMs = 1'700'000'000'000;
const std::string kTime = "1700000000";
const std::string kBody = R"({"type":"invoice.paid","event":"user.created","id":7})";

const WebhookVerifier& Verifier() {
  static const WebhookVerifier verifier({{"github", "s3cret"},
                                         {"stripe", "s3cret"},
                                         {"workos", "s3cret"},
                                         {"slack", "s3cret"},
                                         {"linear", "s3cret"},
                                         {"svix", "whsec_czNjcmV0"}});
  return verifier;
}

Result<VerifiedWebhook> Verify(std::string_view provider, const Headers& headers,
                               std::string_view body = kBody, int64_t now_ms = kNowMs) {
  auto lookup = [&](std::string_view name) -> std::optional<std::string_view> {
    auto found = headers.find(name);
    if (found == headers.end()) return std::nullopt;
    return found->second;
  };
  return Verifier().Verify(provider, lookup, body, now_ms);
}

std::string Hex(std::string_view text) { return HexEncode(HmacSha256("s3cret", text)); }
std::string TimedHex() { return Hex(kTime + "." + kBody); }

struct Delivery {
  std::string provider;
  Headers headers;
  std::string type;
};

std::vector<Delivery> Deliveries() {
  return {
      {"github",
       {{"x-hub-signature-256", "sha256=" + Hex(kBody)},
        {"x-github-event", "push"},
        {"x-github-delivery", "d-1"}},
       "webhook.github.push"},
      {"stripe",
       {{"stripe-signature", "t=" + kTime + ",v1=00,v1=" + TimedHex()}},
       "webhook.stripe.invoice.paid"},
      {"workos",
       {{"workos-signature", "t=1700000000000, v1=" + Hex("1700000000000." + kBody)}},
       "webhook.workos.user.created"},
      {"workos",
       {{"workos-signature", "timestamp=" + kTime + ",signature=" + Hex(kBody)}},
       "webhook.workos.user.created"},
      {"slack",
       {{"x-slack-signature", "v0=" + Hex("v0:" + kTime + ":" + kBody)},
        {"x-slack-request-timestamp", kTime}},
       "webhook.slack.invoice.paid"},
      {"linear", {{"linear-signature", Hex(kBody)}}, "webhook.linear.invoice.paid"},
      {"svix",
       {{"svix-id", "msg_1"},
        {"svix-timestamp", kTime},
        {"svix-signature",
         "v2,x v1,AAAA v1," + Base64Encode(HmacSha256("s3cret", "msg_1." + kTime + "." + kBody))}},
       "webhook.svix.invoice.paid"},
  };
}

TEST(Webhook, AgreesWithAnIndependentHmac) {
  // python3 -c 'import hmac; print(hmac.new(b"s3cret", BODY, "sha256").hexdigest())'
  EXPECT_EQ(Hex("{}"), "adbde1ce40c89c14215687d5d762a47df6dfaefcfad61e2e86718ffc8498571b");
}

TEST(Webhook, EveryProvidersRightSignatureBecomesAnEvent) {
  for (const Delivery& delivery : Deliveries()) {
    auto webhook = Verify(delivery.provider, delivery.headers);
    ASSERT_TRUE(webhook.ok()) << delivery.provider << ": " << webhook.error().message;
    EXPECT_EQ(webhook->type, delivery.type);
    auto event = nlohmann::json::parse(webhook->event_json);
    EXPECT_EQ(event["type"], delivery.type);
    EXPECT_EQ(event["source"], delivery.provider);
    EXPECT_EQ(event["webhook"]["provider"], delivery.provider);
    EXPECT_EQ(event["webhook"]["verified"], true);
    EXPECT_NE(webhook->event_json.find("\"payload\":" + kBody), std::string::npos);
  }
}

TEST(Webhook, AnotherBodyOrSecretIsRefused) {
  for (const Delivery& delivery : Deliveries()) {
    auto webhook = Verify(delivery.provider, delivery.headers, kBody + " ");
    ASSERT_FALSE(webhook.ok()) << delivery.provider;
    EXPECT_EQ(webhook.error().code, "INVALID_SIGNATURE");
    EXPECT_EQ(webhook.error().kind, ErrorKind::kUnauthorized);
  }
}

TEST(Webhook, AMissingHeaderIsNamed) {
  for (const Delivery& delivery : Deliveries()) {
    auto webhook = Verify(delivery.provider, {});
    ASSERT_FALSE(webhook.ok());
    EXPECT_EQ(webhook.error().code, "MISSING_HEADERS");
  }
}

TEST(Webhook, AnOldOrFutureTimestampIsRefusedWhereOneIsSigned) {
  for (const Delivery& delivery : Deliveries()) {
    for (int64_t skew_ms : {-301'000, 301'000}) {
      auto webhook = Verify(delivery.provider, delivery.headers, kBody, kNowMs + skew_ms);
      if (delivery.provider == "github" || delivery.provider == "linear") {
        EXPECT_TRUE(webhook.ok());
      } else {
        ASSERT_FALSE(webhook.ok()) << delivery.provider;
        EXPECT_EQ(webhook.error().code, "TIMESTAMP_EXPIRED");
      }
    }
  }
}

TEST(Webhook, ABodySignedWithoutItsTimeIsOneDeliveryUnderAnyTime) {
  std::string signature = Hex(kBody);
  auto first =
      Verify("workos", {{"workos-signature", "timestamp=1700000000,signature=" + signature}});
  auto again =
      Verify("workos", {{"workos-signature", "timestamp=1700000100,signature=" + signature}});
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_FALSE(first->delivery_key.empty());
  EXPECT_EQ(first->delivery_key, again->delivery_key);
}

TEST(Webhook, OddTypesKeepTheirTextAndGetAPlainEventType) {
  auto webhook = Verify(
      "github", {{"x-hub-signature-256", "sha256=" + Hex(kBody)}, {"x-github-event", "a b/\"c"}});
  ASSERT_TRUE(webhook.ok());
  EXPECT_EQ(webhook->type, "webhook.github.a_b__c");
  EXPECT_EQ(webhook->event_type, "a b/\"c");
  EXPECT_TRUE(nlohmann::json::accept(webhook->event_json));
}

TEST(Webhook, OnlyAJsonObjectIsABody) {
  for (std::string body : {"[]", "nonsense", "{\"a\":", "5"}) {
    auto webhook = Verify("linear", {{"linear-signature", Hex(body)}}, body);
    ASSERT_FALSE(webhook.ok());
    EXPECT_EQ(webhook.error().code, "INVALID_JSON");
  }
}

TEST(Webhook, UnknownOrUnconfiguredProvidersAreTold) {
  auto unknown = Verify("nobody", {});
  EXPECT_EQ(unknown.error().code, "UNSUPPORTED_PROVIDER");
  EXPECT_NE(unknown.error().details_json.find("linear"), std::string::npos);
  WebhookVerifier empty({});
  auto lookup = [](std::string_view) { return std::optional<std::string_view>(); };
  EXPECT_EQ(empty.Verify("github", lookup, "{}", 0).error().code, "SECRET_NOT_CONFIGURED");
}

}  // namespace
}  // namespace varve::ingest
