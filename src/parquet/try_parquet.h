// libparquet's exceptions end here. Included by .cc files only.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::parquet {

// Runs body; an exception becomes an error of that kind, named after what was being done.
template <typename F>
Status TryParquet(std::string_view doing, F&& body, ErrorKind kind = ErrorKind::kInternal) {
  try {
    body();
    return {};
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kExhausted, std::string(doing) + ": out of memory");
  } catch (const std::exception& e) {
    return MakeError(kind, std::string(doing) + ": " + e.what());
  }
}

}  // namespace varve::parquet
