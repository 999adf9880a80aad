// A walk over JSON text that has been indexed (json_index.h), which checks all that the index does
// not: the grammar, the atoms, the numbers, the escapes, the depth. What it passes over is JSON.
//
// The index gives the start of every scalar and every structural character; a scalar that directly
// follows a string is a token too, so what stands between a token's end and the next token can only
// be white space, or belongs to a number or atom, which therefore check the byte that ends them.
// Escapes are rare: the next backslash of the text is kept, and a string that ends before it needs
// no look at its bytes.
#pragma once

#include <cstdint>
#include <string_view>

namespace varve::record {

class JsonIndex;

class JsonWalker {
 public:
  // text and index outlive the walker.
  JsonWalker(std::string_view text, const JsonIndex& index, uint32_t depth_max);

  bool has_escapes() const { return has_escapes_; }  // anywhere in the text
  bool at_end() const { return token_ == end_; }
  // The next token's first byte, 0 at the end of the text.
  char Peek() const { return token_ == end_ ? '\0' : text_[*token_]; }
  // The next token's offset; the text's size at the end.
  uint32_t offset() const { return *token_; }
  // The offset of the token before the next one. Something was passed before.
  uint32_t last_offset() const { return token_[-1]; }

  // Passes a whole value that lies in `depth` containers. False: error() and error_offset().
  bool Value(uint32_t depth);
  // Passes an array; on_element(index) must pass one value.
  template <typename F>
  bool Elements(uint32_t depth, F&& on_element);
  // Passes an object; on_member(name) must pass the member's value. The name is as written, with
  // its escapes, without its quotes.
  template <typename F>
  bool Members(uint32_t depth, F&& on_member);

  bool Fail(const char* what) {
    error_ = what;
    error_offset_ = *token_;
    return false;
  }
  const char* error() const { return error_; }
  uint32_t error_offset() const { return error_offset_; }

 private:
  bool Open(uint32_t depth);
  bool String();
  bool Escapes();
  bool Number();
  bool Atom(const char* word, uint32_t size);
  bool EndsAt(const char* p, const char* what);
  uint32_t FindEscape(uint32_t from) const;
  std::string_view Name(uint32_t open_quote) const;
  bool Separator(char close, bool* more);

  const char* text_;
  const uint32_t* token_;
  const uint32_t* end_;
  uint32_t size_;
  uint32_t depth_max_;
  bool has_escapes_;
  uint32_t next_escape_;
  const char* error_ = nullptr;
  uint32_t error_offset_ = 0;
};

inline bool JsonWalker::Open(uint32_t depth) {
  if (depth >= depth_max_) return Fail("nested too deeply");
  ++token_;
  return true;
}

inline bool JsonWalker::String() {
  ++token_;
  return next_escape_ >= *token_ || Escapes();
}

inline bool JsonWalker::Separator(char close, bool* more) {
  const char c = Peek();
  *more = c == ',';
  if (c != ',' && c != close) return Fail(close == '}' ? "expected , or }" : "expected , or ]");
  ++token_;
  return true;
}

template <typename F>
bool JsonWalker::Elements(uint32_t depth, F&& on_element) {
  if (!Open(depth)) return false;
  bool more = Peek() != ']';
  if (!more) ++token_;
  for (uint32_t i = 0; more; ++i) {
    if (!on_element(i) || !Separator(']', &more)) return false;
  }
  return true;
}

template <typename F>
bool JsonWalker::Members(uint32_t depth, F&& on_member) {
  if (!Open(depth)) return false;
  bool more = Peek() != '}';
  if (!more) ++token_;
  while (more) {
    if (Peek() != '"') return Fail("expected a member name");
    const uint32_t quote = *token_;
    if (!String()) return false;
    if (Peek() != ':') return Fail("expected :");
    const std::string_view name = Name(quote);
    ++token_;
    if (!on_member(name) || !Separator('}', &more)) return false;
  }
  return true;
}

}  // namespace varve::record
