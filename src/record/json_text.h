// Whether a text is one JSON value, whoever owns it: with a copy behind which there is padding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "record/json_index.h"

namespace varve::record {

inline constexpr uint32_t kJsonDepthMax = 64;

// Keeps its buffers from one text to the next. One per thread.
class JsonChecker {
 public:
  // Null where the text is one JSON value, else what is wrong with it.
  const char* Check(std::string_view text);

 private:
  JsonIndex index_;
  std::string padded_;
};

}  // namespace varve::record
