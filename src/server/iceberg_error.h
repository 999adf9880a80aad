// Errors in the form that Iceberg's REST clients read: {"error":{"message","type","code"}}.
#pragma once

#include <string_view>

#include "server/response.h"

namespace varve::server {

inline constexpr std::string_view kIcebergPath = "/iceberg/";

Response IcebergErrorResponse(const Error& error);
// What was refused before any route had it is put into that form too.
void ToIcebergForm(Response& response);

}  // namespace varve::server
