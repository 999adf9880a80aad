// An answer, and the one map from an Error to it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace varve::server {

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // besides those every answer has
  bool close = false;                                        // the connection cannot be used again
};

std::string_view ReasonPhrase(int status);

int StatusOf(const Error& error);
// {error, code, details?}. The words of internal errors stay in the log.
Response ErrorResponse(const Error& error);
Response ErrorResponse(int status, std::string_view code, std::string_view message,
                       std::string_view details_json = {});
Response JsonResponse(std::string body);

}  // namespace varve::server
