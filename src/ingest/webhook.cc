#include "ingest/webhook.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/bytes.h"

namespace varve::ingest {
namespace {

constexpr size_t kEventTypeBytesMax = 100;

struct Request {
  const HeaderLookup& header;
  std::string_view body;
  std::string_view secret;
  int64_t now_ms;
};

// What a checked request tells besides its body.
struct Signed {
  std::string delivery_id;
  std::string delivery_key;
};

Error MissingHeader(std::string_view name) {
  return MakeError(ErrorKind::kUnauthorized, "MISSING_HEADERS",
                   "webhook: header " + std::string(name) + " is missing");
}

Error BadSignature(std::string_view provider) {
  return MakeError(ErrorKind::kUnauthorized, "INVALID_SIGNATURE",
                   "webhook: the " + std::string(provider) +
                       " signature does not fit the body and the configured secret");
}

Result<std::string_view> Need(const Request& request, std::string_view name) {
  std::optional<std::string_view> value = request.header(name);
  if (!value || value->empty()) return MissingHeader(name);
  return *value;
}

bool MatchesHex(std::string_view signature, std::string_view secret, std::string_view text) {
  std::optional<std::string> bytes = HexDecode(signature);
  return bytes && ConstantTimeEquals(*bytes, HmacSha256(secret, text));
}

// Seconds, or milliseconds as WorkOS sends them.
Status CheckTimestamp(std::string_view text, int64_t now_ms) {
  int64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool number = ec == std::errc() && end == text.data() + text.size() && value >= 0 &&
                value < 100'000'000'000'000;
  int64_t ms = value < 100'000'000'000 ? value * 1000 : value;
  if (!number || std::abs(now_ms - ms) > WebhookVerifier::kToleranceMs) {
    return MakeError(ErrorKind::kUnauthorized, "TIMESTAMP_EXPIRED",
                     "webhook: the signature's timestamp " + std::string(text.substr(0, 32)) +
                         " is not within 300 s of this machine's clock");
  }
  return {};
}

// The values of `name=value` parts, comma-separated, in order; white space around parts is dropped.
std::vector<std::string_view> Parts(std::string_view header,
                                    std::initializer_list<std::string_view> names) {
  std::vector<std::string_view> values;
  while (!header.empty()) {
    size_t comma = std::min(header.find(','), header.size());
    std::string_view part = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    if (std::find(names.begin(), names.end(), part.substr(0, equals)) != names.end()) {
      values.push_back(part.substr(equals + 1));
    }
  }
  return values;
}

std::string Dotted(std::string_view a, std::string_view b) {
  return std::string(a) + "." + std::string(b);
}

Result<Signed> CheckGithub(const Request& request) {
  std::string_view signature = TRY(Need(request, "x-hub-signature-256"));
  if (!signature.starts_with("sha256=") ||
      !MatchesHex(signature.substr(7), request.secret, request.body)) {
    return BadSignature("github");
  }
  std::string id(request.header("x-github-delivery").value_or(""));
  return Signed{id, id};
}

Result<Signed> CheckStripe(const Request& request) {
  std::string_view header = TRY(Need(request, "stripe-signature"));
  std::vector<std::string_view> times = Parts(header, {"t"});
  std::vector<std::string_view> signatures = Parts(header, {"v1"});
  if (times.size() != 1 || signatures.empty()) return MissingHeader("stripe-signature t= and v1=");
  TRY(CheckTimestamp(times[0], request.now_ms));
  std::string text = Dotted(times[0], request.body);
  for (std::string_view signature : signatures) {
    if (MatchesHex(signature, request.secret, text)) return Signed{};
  }
  return BadSignature("stripe");
}

Result<Signed> CheckWorkos(const Request& request) {
  std::string_view header = TRY(Need(request, "workos-signature"));
  std::vector<std::string_view> times = Parts(header, {"t", "timestamp"});
  std::vector<std::string_view> signatures = Parts(header, {"v1", "signature"});
  if (times.size() != 1 || signatures.size() != 1) {
    return MissingHeader("workos-signature t= and v1=");
  }
  TRY(CheckTimestamp(times[0], request.now_ms));
  if (MatchesHex(signatures[0], request.secret, Dotted(times[0], request.body))) return Signed{};
  if (MatchesHex(signatures[0], request.secret, request.body)) {
    std::string bytes = *HexDecode(signatures[0]);  // either case is the same delivery
    return Signed{"", HexEncode(bytes)};
  }
  return BadSignature("workos");
}

Result<Signed> CheckSlack(const Request& request) {
  std::string_view signature = TRY(Need(request, "x-slack-signature"));
  std::string_view time = TRY(Need(request, "x-slack-request-timestamp"));
  TRY(CheckTimestamp(time, request.now_ms));
  std::string text = "v0:" + std::string(time) + ":" + std::string(request.body);
  if (!signature.starts_with("v0=") || !MatchesHex(signature.substr(3), request.secret, text)) {
    return BadSignature("slack");
  }
  return Signed{};
}

Result<Signed> CheckLinear(const Request& request) {
  std::string_view signature = TRY(Need(request, "linear-signature"));
  if (!MatchesHex(signature, request.secret, request.body)) return BadSignature("linear");
  std::string id(request.header("linear-delivery").value_or(""));
  return Signed{id, id};
}

Result<Signed> CheckSvix(const Request& request) {
  std::string_view id = TRY(Need(request, "svix-id"));
  std::string_view time = TRY(Need(request, "svix-timestamp"));
  std::string_view signatures = TRY(Need(request, "svix-signature"));
  TRY(CheckTimestamp(time, request.now_ms));
  std::string_view encoded = request.secret;
  if (encoded.starts_with("whsec_")) encoded.remove_prefix(6);
  std::optional<std::string> key = Base64Decode(encoded);
  if (!key) {
    return MakeError(ErrorKind::kInternal, "SECRET_NOT_CONFIGURED",
                     "webhook: the svix secret is not base64 behind whsec_");
  }
  std::string expected = HmacSha256(*key, Dotted(id, Dotted(time, request.body)));
  while (!signatures.empty()) {
    size_t space = std::min(signatures.find(' '), signatures.size());
    std::string_view one = signatures.substr(0, space);
    signatures.remove_prefix(std::min(space + 1, signatures.size()));
    if (!one.starts_with("v1,")) continue;
    std::optional<std::string> bytes = Base64Decode(one.substr(3));
    if (bytes && ConstantTimeEquals(*bytes, expected)) {
      return Signed{std::string(id), std::string(id)};
    }
  }
  return BadSignature("svix");
}

struct Provider {
  std::string_view name;
  Result<Signed> (*check)(const Request&);
  // Where the event's type stands: a header, or a member of the body.
  std::string_view type_header;
  std::string_view type_member;
};

constexpr Provider kProviders[] = {
    {"github", CheckGithub, "x-github-event", ""}, {"stripe", CheckStripe, "", "type"},
    {"workos", CheckWorkos, "", "event"},          {"slack", CheckSlack, "", "type"},
    {"linear", CheckLinear, "", "type"},           {"svix", CheckSvix, "", "type"},
};

std::string TextMember(const nlohmann::json& object, std::string_view name) {
  auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

std::string EventType(const Provider& provider, const Request& request,
                      const nlohmann::json& body) {
  std::string type;
  if (!provider.type_header.empty()) {
    type = request.header(provider.type_header).value_or("");
  } else {
    type = TextMember(body, provider.type_member);
  }
  // Slack wraps: {"type":"event_callback","event":{"type":"message"}} or only the inner one.
  if (type.empty() && provider.name == "slack" && body.contains("event") &&
      body["event"].is_object()) {
    type = TextMember(body["event"], "type");
  }
  if (type.empty()) return "unknown";
  type.resize(std::min(type.size(), kEventTypeBytesMax));
  return type;
}

std::string InTypeLetters(std::string text) {
  for (char& c : text) {
    bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '.' || c == '_' || c == '-';
    if (!allowed) c = '_';
  }
  return text;
}

std::string ComposeEvent(const VerifiedWebhook& webhook, std::string_view body, int64_t now_ms) {
  std::string json = "{\"type\":" + JsonQuote(webhook.type) + ",\"ts\":" + std::to_string(now_ms) +
                     ",\"source\":" + JsonQuote(webhook.provider) +
                     ",\"webhook\":{\"provider\":" + JsonQuote(webhook.provider) +
                     ",\"eventType\":" + JsonQuote(webhook.event_type);
  if (!webhook.delivery_id.empty()) json += ",\"deliveryId\":" + JsonQuote(webhook.delivery_id);
  json += ",\"verified\":true},\"payload\":";
  json += body;
  json += '}';
  return json;
}

}  // namespace

Result<VerifiedWebhook> WebhookVerifier::Verify(std::string_view provider,
                                                const HeaderLookup& header, std::string_view body,
                                                int64_t now_ms) const {
  auto known = std::find_if(std::begin(kProviders), std::end(kProviders),
                            [&](const Provider& p) { return p.name == provider; });
  if (known == std::end(kProviders)) {
    return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_PROVIDER",
                     "webhook: provider " + JsonQuote(provider.substr(0, 40)) + " is not supported",
                     R"({"supported":["github","stripe","workos","slack","linear","svix"]})");
  }
  auto secret = secrets_.find(std::string(provider));
  if (secret == secrets_.end() || secret->second.empty()) {
    return MakeError(ErrorKind::kInternal, "SECRET_NOT_CONFIGURED",
                     "webhook: no secret is configured for " + std::string(provider));
  }
  if (body.size() > kBodyBytesMax) {
    return MakeError(ErrorKind::kInvalid, "PAYLOAD_TOO_LARGE", "webhook: the body is too large",
                     "{\"maxSize\":" + std::to_string(kBodyBytesMax) +
                         ",\"contentLength\":" + std::to_string(body.size()) + "}");
  }
  Request request{header, body, secret->second, now_ms};
  Signed checked = TRY(known->check(request));
  nlohmann::json parsed = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "webhook: the body is not a JSON object");
  }
  VerifiedWebhook webhook;
  webhook.provider = provider;
  webhook.event_type = EventType(*known, request, parsed);
  webhook.delivery_id = checked.delivery_id.substr(0, 128);
  webhook.type = "webhook." + webhook.provider + "." + InTypeLetters(webhook.event_type);
  if (!checked.delivery_key.empty()) {
    webhook.delivery_key = webhook.provider + ":" + checked.delivery_key.substr(0, 200);
  }
  webhook.event_json = ComposeEvent(webhook, body, now_ms);
  return webhook;
}

}  // namespace varve::ingest
