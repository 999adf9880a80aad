// Where the tokens of a JSON text start: simdjson's first stage, which also refuses text that is
// not UTF-8, control characters in strings, and a string that does not end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace varve::record {

// Keeps its buffer from one text to the next. One per thread.
class JsonIndex {
 public:
  JsonIndex();
  ~JsonIndex();
  // text.data()[0, size + kJsonPaddingBytes) is readable. Null on success, else what is wrong.
  // Text without any token is a success with count() == 0.
  const char* Build(std::string_view text);
  // Offsets of { } [ ] : , and of the first byte of each scalar; tokens()[count()] is the size.
  const uint32_t* tokens() const { return tokens_; }
  uint32_t count() const { return count_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  const uint32_t* tokens_;
  uint32_t count_ = 0;
};

// The text without white space between tokens. The text has been checked.
std::string MinifyJson(std::string_view text);

}  // namespace varve::record
