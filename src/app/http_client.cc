#include "app/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "core/version.h"

namespace varve::app {
namespace {

constexpr size_t kErrorBodyBytesMax = 1 << 20;
constexpr size_t kBodyBytesMax = 256 << 20;

struct CurlFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Exchange {
  CURL* handle;
  const HttpRequest* request;
  HttpResponse response;
  bool stopped = false;
  bool overflow = false;
};

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  return text;
}

size_t OnHeader(char* data, size_t size, size_t count, void* context) {
  auto* exchange = static_cast<Exchange*>(context);
  std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) exchange->response.headers.clear();
  size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    exchange->response.headers[name] = Trim(line.substr(colon + 1));
  }
  return size * count;
}

size_t OnBody(char* data, size_t size, size_t count, void* context) {
  auto* exchange = static_cast<Exchange*>(context);
  std::string_view bytes(data, size * count);
  long status = 0;
  curl_easy_getinfo(exchange->handle, CURLINFO_RESPONSE_CODE, &status);
  bool good = status >= 200 && status < 300;
  if (good && exchange->request->on_body) {
    exchange->stopped = !exchange->request->on_body(bytes);
    return exchange->stopped ? 0 : bytes.size();
  }
  size_t bytes_max = good ? kBodyBytesMax : kErrorBodyBytesMax;
  exchange->overflow = exchange->response.body.size() + bytes.size() > bytes_max;
  if (exchange->overflow) return 0;
  exchange->response.body += bytes;
  return bytes.size();
}

int OnProgress(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return Interrupted() ? 1 : 0;
}

void SetMethod(CURL* curl, const HttpRequest& request) {
  if (request.method == "GET") {
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    return;
  }
  curl_easy_setopt(curl, CURLOPT_POST, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
}

}  // namespace

struct HttpClient::Impl {
  std::unique_ptr<CURL, CurlFree> curl;
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {
  [[maybe_unused]] static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  impl_->curl.reset(curl_easy_init());
  CHECK(impl_->curl != nullptr);
}

HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::Send(const HttpRequest& request) {
  CURL* curl = impl_->curl.get();
  curl_easy_reset(curl);  // keeps the connection
  Exchange exchange{curl, &request, {}};
  char message[CURL_ERROR_SIZE] = "";
  std::unique_ptr<curl_slist, CurlFree> headers;
  for (const std::string& header : request.headers) {
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  }
  headers.reset(curl_slist_append(headers.release(), "Expect:"));
  SetMethod(curl, request);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5'000L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_ms));
  CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_OK) {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    exchange.response.status = static_cast<int>(status);
    return std::move(exchange.response);
  }
  if (exchange.stopped || code == CURLE_ABORTED_BY_CALLBACK) {
    return MakeError(ErrorKind::kCancelled, "CANCELLED", request.url + ": cancelled");
  }
  if (exchange.overflow) {
    return MakeError(ErrorKind::kExhausted, request.url + ": the answer is too large");
  }
  return MakeError(
      ErrorKind::kRetryable, "UNREACHABLE",
      fmt::format("{}: {}", request.url, message[0] != '\0' ? message : curl_easy_strerror(code)));
}

std::string HttpResponse::Header(const std::string& name) const {
  auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

Error HttpResponse::ToError(std::string_view doing) const {
  nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
  std::string words = body.substr(0, 500);
  std::string code = fmt::format("HTTP_{}", status);
  if (json.is_object()) {
    for (const char* name : {"message", "error"}) {
      if (json.contains(name) && json[name].is_string()) words = json[name].get<std::string>();
    }
    for (const char* name : {"errorCode", "code"}) {
      if (json.contains(name) && json[name].is_string()) code = json[name].get<std::string>();
    }
    if (json.contains("errors") && json["errors"].is_array() && !json["errors"].empty()) {
      const nlohmann::json& first = json["errors"][0];
      if (first.is_object() && first.contains("message") && first["message"].is_string()) {
        words = first["message"].get<std::string>();
      }
    }
    if (json.contains("details")) words += " " + json["details"].dump();
  }
  ErrorKind kind = status == 404   ? ErrorKind::kNotFound
                   : status == 429 ? ErrorKind::kExhausted
                   : status >= 500 ? ErrorKind::kRetryable
                                   : ErrorKind::kInvalid;
  return MakeError(kind, code, fmt::format("{}: {} ({}, {})", doing, words, status, code));
}

std::vector<std::string> CommonHeaders() {
  std::vector<std::string> headers = {"User-Agent: varve/" + std::string(Version())};
  std::map<std::string, std::string> environment = ProcessEnvironment();
  auto key = environment.find("VARVE_API_KEY");
  if (key != environment.end() && !key->second.empty()) {
    headers.push_back("Authorization: Bearer " + key->second);
  }
  return headers;
}

std::string UrlEncode(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace varve::app
