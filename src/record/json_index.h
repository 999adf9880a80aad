// Where the tokens of a JSON text start. The index refuses text that is not UTF-8, control
// characters in strings, and a string that does not end; all else is for a walk to check
// (json_walker.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace varve::record {

// Keeps its buffer from one text to the next. One per thread.
class JsonIndex {
 public:
  // portable: without the CPU's wide instructions, as on a machine that has none.
  explicit JsonIndex(bool portable = false);
  ~JsonIndex();
  // Null on success, else what is wrong. Text without any token is a success with count() == 0.
  const char* Build(std::string_view text);
  // Offsets of { } [ ] : , and of the first byte of each scalar; tokens()[count()] is the size.
  const uint32_t* tokens() const { return tokens_; }
  uint32_t count() const { return count_; }
  bool has_escapes() const { return has_escapes_; }  // is there a backslash

 private:
  const bool portable_;
  std::unique_ptr<uint32_t[]> buffer_;
  size_t capacity_ = 0;
  const uint32_t* tokens_;
  uint32_t count_ = 0;
  bool has_escapes_ = false;
};

// The text without white space between tokens; the index is the text's.
std::string MinifyJson(std::string_view text, const JsonIndex& index);

}  // namespace varve::record
