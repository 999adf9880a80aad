// NDJSON files as segments of whole lines, each readable at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::record {

// A mapping or a buffer; its text lives as long as it does.
class NdjsonSegment {
 public:
  virtual ~NdjsonSegment() = default;
  virtual std::string_view text() const = 0;
  // Gives the memory back until the text is read again. A buffer has nowhere to read it from.
  virtual void Unload() const = 0;
};

// One file, read from its begin to its end. Not thread-safe.
class NdjsonInput {
 public:
  static Result<std::unique_ptr<NdjsonInput>> Open(const std::string& path);
  virtual ~NdjsonInput() = default;
  // The file's size; 0 if it is not known.
  virtual uint64_t size() const = 0;
  // The next whole lines, about bytes_wanted of them and more if a line is longer (up to
  // line_bytes_max, else kInvalid LINE_TOO_LONG). Null at the end.
  virtual Result<std::unique_ptr<NdjsonSegment>> Next(uint64_t bytes_wanted,
                                                      uint64_t line_bytes_max) = 0;
};

}  // namespace varve::record
