#include "core/result.h"

#include <cerrno>
#include <cstring>

namespace varve {

std::string_view ToString(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return "INVALID";
    case ErrorKind::kNotFound:
      return "NOT_FOUND";
    case ErrorKind::kConflict:
      return "CONFLICT";
    case ErrorKind::kRetryable:
      return "RETRYABLE";
    case ErrorKind::kExhausted:
      return "EXHAUSTED";
    case ErrorKind::kCorrupt:
      return "CORRUPT";
    case ErrorKind::kUnknown:
      return "OUTCOME_UNKNOWN";
    case ErrorKind::kUnauthorized:
      return "UNAUTHORIZED";
    case ErrorKind::kForbidden:
      return "FORBIDDEN";
    case ErrorKind::kCancelled:
      return "CANCELLED";
    case ErrorKind::kInternal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

Error&& Error::Context(std::string_view doing) && {
  message.insert(0, ": ");
  message.insert(0, doing);
  return std::move(*this);
}

Error MakeError(ErrorKind kind, std::string message) {
  return MakeError(kind, std::string(ToString(kind)), std::move(message));
}

Error MakeError(ErrorKind kind, std::string code, std::string message, std::string details_json) {
  return Error{kind, std::move(code), std::move(message), std::move(details_json)};
}

Error ErrnoError(int err, std::string_view doing) {
  char buffer[128];
  const char* text = strerror_r(err, buffer, sizeof buffer);
  std::string message = std::string(doing) + ": " + text;
  switch (err) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return MakeError(ErrorKind::kExhausted, "DISK_FULL", std::move(message));
    case ENOENT:
      return MakeError(ErrorKind::kNotFound, std::move(message));
    case EMFILE:
    case ENFILE:
      return MakeError(ErrorKind::kExhausted, "TOO_MANY_OPEN_FILES", std::move(message));
    default:
      return MakeError(ErrorKind::kInternal, "IO_ERROR", std::move(message));
  }
}

}  // namespace varve
