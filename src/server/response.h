// An answer, and the one map from an Error to it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
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
// The JSON as text; bytes that are no UTF-8 are replaced.
std::string DumpJson(const nlohmann::ordered_json& json);
nlohmann::ordered_json IsoOrNull(int64_t ms);  // null: 0, there is no such time

}  // namespace varve::server
