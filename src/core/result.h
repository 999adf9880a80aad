// Result<T>: a value or an Error. Errors are values everywhere inside varve; exceptions from
// libraries are turned into Errors at the boundary of the module that wraps the library.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/check.h"

namespace varve {

// What the caller does next.
enum class ErrorKind : uint8_t {
  kInvalid,       // the input is wrong: tell its sender, do not retry
  kNotFound,      // the named thing is not there
  kConflict,      // a precondition failed: re-read, rebase, try again
  kRetryable,     // nothing was done; the same call may succeed later
  kExhausted,     // a configured bound was reached: back off
  kCorrupt,       // stored bytes are not what was written: quarantine, report
  kUnknown,       // the outcome is not known: re-read before anything is cleaned up
  kUnauthorized,  // who are you
  kForbidden,     // you may not
  kCancelled,     // the caller or a time limit ended it
  kInternal,      // a defect or an environment failure (I/O error, library error)
};

std::string_view ToString(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string code;          // machine-readable, SCREAMING_SNAKE; empty: ToString(kind)
  std::string message;       // names what was being done to which object
  std::string details_json;  // optional JSON object with indices, limits, lines

  // Puts what was being done in front: "put events/a.parquet: <message>".
  Error&& Context(std::string_view doing) &&;
};

Error MakeError(ErrorKind kind, std::string message);
Error MakeError(ErrorKind kind, std::string code, std::string message,
                std::string details_json = {});
// From errno: "<doing>: <strerror>"; ENOSPC, EDQUOT and EFBIG become kExhausted, DISK_FULL.
Error ErrnoError(int err, std::string_view doing);

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T value() && {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error error() && {
    CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CHECK(ok()); }
  const Error& error() const& {
    CHECK(!ok());
    return *error_;
  }
  Error error() && {
    CHECK(!ok());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace varve

// `auto x = TRY(F());` is F's value, or returns F's error from the enclosing function.
#define TRY(...)                                                            \
  __extension__({                                                           \
    auto varve_try_result = (__VA_ARGS__);                                  \
    if (!varve_try_result.ok()) return std::move(varve_try_result).error(); \
    std::move(varve_try_result).value();                                    \
  })
