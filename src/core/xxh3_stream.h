// A digest of much: XXH3 of 128 bits (xxhash.com), for what nobody forges.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace varve {

class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  void Add(std::string_view bytes);
  std::string Text() const;  // of all so far: "x" and 32 hex digits, so that none takes it for MD5

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace varve
