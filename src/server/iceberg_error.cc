#include "server/iceberg_error.h"

#include <nlohmann/json.hpp>

#include "core/log.h"

namespace varve::server {
namespace {

using Json = nlohmann::ordered_json;

std::string_view TypeOfConflict(std::string_view code) {
  if (code == "TABLE_EXISTS" || code == "NAMESPACE_EXISTS") return "AlreadyExistsException";
  if (code == "NAMESPACE_NOT_EMPTY") return "NamespaceNotEmptyException";
  return "CommitFailedException";
}

std::string_view TypeOfNotFound(std::string_view code) {
  if (code == "NO_SUCH_TABLE") return "NoSuchTableException";
  if (code == "NO_SUCH_NAMESPACE") return "NoSuchNamespaceException";
  if (code == "NO_SUCH_WAREHOUSE") return "NoSuchWarehouseException";
  return "NotFoundException";
}

std::string_view TypeOfStatus(int status) {
  switch (status) {
    case 400:
    case 413:
    case 422:
      return "BadRequestException";
    case 401:
      return "NotAuthorizedException";
    case 403:
      return "ForbiddenException";
    case 404:
      return "NotFoundException";
    case 405:
    case 406:
      return "UnsupportedOperationException";
    case 409:
      return "CommitFailedException";
    case 429:
      return "TooManyRequestsException";
    case 503:
      return "ServiceUnavailableException";
    default:
      return status < 500 ? "BadRequestException" : "InternalServerError";
  }
}

void SetBody(Response& response, std::string_view message, std::string_view type) {
  Json json;
  json["error"]["message"] = message;
  json["error"]["type"] = type;
  json["error"]["code"] = response.status;
  response.content_type = "application/json";
  response.body = DumpJson(json);
}

}  // namespace

Response IcebergErrorResponse(const Error& error) {
  Response response = ErrorResponse(error);
  std::string_view type = TypeOfStatus(response.status);
  switch (error.kind) {
    case ErrorKind::kConflict:
      type = TypeOfConflict(error.code);
      break;
    case ErrorKind::kNotFound:
      type = TypeOfNotFound(error.code);
      break;
    case ErrorKind::kUnknown:  // the one status that tells a client to look before it goes on
      response.status = 500;
      type = "CommitStateUnknownException";
      break;
    case ErrorKind::kInvalid:
      if (error.code != "UNSUPPORTED") break;
      response.status = 406;
      type = "UnsupportedOperationException";
      break;
    default:
      break;
  }
  if (response.status >= 500 && error.kind != ErrorKind::kInternal) {
    LogWarn("iceberg.failed", {{"code", error.code}, {"message", error.message}});
  }
  const bool hidden = error.kind == ErrorKind::kInternal;
  SetBody(response, hidden ? "internal error; the log has more" : error.message, type);
  return response;
}

void ToIcebergForm(Response& response) {
  const Json json = Json::parse(response.body, nullptr, false);
  if (!json.is_object() || !json.contains("code") || !json["error"].is_string()) return;
  SetBody(response, json["error"].get_ref<const std::string&>(), TypeOfStatus(response.status));
}

}  // namespace varve::server
