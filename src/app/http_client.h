// HTTP for the commands: one connection that stays open from call to call. One per thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::app {

struct HttpRequest {
  std::string method = "GET";
  std::string url = {};
  std::vector<std::string> headers = {};  // "Content-Type: application/json"
  std::string_view body = {};
  uint64_t timeout_ms = 0;  // of the whole exchange; 0: none
  // Where the bytes of a 2xx answer go as they come; false ends the exchange (kCancelled). Without
  // it, and for other statuses, they are in HttpResponse::body.
  std::function<bool(std::string_view)> on_body = {};
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; trailers too
  std::string body;

  std::string Header(const std::string& name) const;  // "" if absent
  // The answer's {"error", "code"} in words, for a status that is not 2xx.
  Error ToError(std::string_view doing) const;
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  // kRetryable: nobody answers there, or the connection broke. kCancelled: on_body said so, or the
  // user interrupted. Every HTTP status is a response.
  Result<HttpResponse> Send(const HttpRequest& request);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// VARVE_API_KEY as an Authorization header, with what else a command always sends.
std::vector<std::string> CommonHeaders();

std::string UrlEncode(std::string_view text);  // of a query parameter or a path segment

}  // namespace varve::app
