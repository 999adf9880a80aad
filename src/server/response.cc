#include "server/response.h"

#include <nlohmann/json.hpp>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/log.h"

namespace varve::server {
namespace {

int StatusOfExhausted(std::string_view code) {
  if (code == "DISK_FULL") return 507;
  // The same question needs the same memory the next time: asking again does not help.
  if (code == "QUERY_MEMORY" || code == "RESULT_TOO_LARGE") return 422;
  if (code == "PAYLOAD_TOO_LARGE") return 413;
  return 429;
}

}  // namespace

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Entity";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

int StatusOf(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kInvalid:
      if (error.code == "PAYLOAD_TOO_LARGE") return 413;
      return error.code == "UNSUPPORTED_ENCODING" ? 415 : 400;
    case ErrorKind::kNotFound:
      return 404;
    case ErrorKind::kConflict:
      return 409;
    case ErrorKind::kRetryable:
      return 503;
    case ErrorKind::kExhausted:
      return StatusOfExhausted(error.code);
    case ErrorKind::kCorrupt:
      return 500;
    case ErrorKind::kUnknown:
      return 503;
    case ErrorKind::kUnauthorized:
      return 401;
    case ErrorKind::kForbidden:
      return 403;
    case ErrorKind::kCancelled:
      return error.code == "QUERY_TIMEOUT" ? 504 : 499;
    case ErrorKind::kInternal:
      return 500;
  }
  return 500;
}

Response ErrorResponse(int status, std::string_view code, std::string_view message,
                       std::string_view details_json) {
  Response response;
  response.status = status;
  response.body = "{\"error\":" + JsonQuote(message) + ",\"code\":" + JsonQuote(code);
  if (!details_json.empty()) response.body.append(",\"details\":").append(details_json);
  response.body += '}';
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status == 429 || status == 503) response.headers.emplace_back("Retry-After", "1");
  if (status == 507) response.headers.emplace_back("Retry-After", "30");
  return response;
}

Response ErrorResponse(const Error& error) {
  const std::string code = error.code.empty() ? std::string(ToString(error.kind)) : error.code;
  if (error.kind == ErrorKind::kInternal) {
    LogError("request_failed", {{"code", code}, {"message", error.message}});
    return ErrorResponse(500, error.code.empty() ? "INTERNAL_ERROR" : code,
                         "internal error; the log has more under the correlation id");
  }
  return ErrorResponse(StatusOf(error), code, error.message, error.details_json);
}

Response JsonResponse(std::string body) {
  Response response;
  response.body = std::move(body);
  return response;
}

std::string DumpJson(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

nlohmann::ordered_json IsoOrNull(int64_t ms) {
  return ms == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(FormatIso(ms));
}

}  // namespace varve::server
