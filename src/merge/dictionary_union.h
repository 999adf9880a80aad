// The entries of several dictionaries, each once, in the order in which they were first asked for.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "parquet/indexed_page.h"

namespace varve::merge {

class DictionaryUnion {
 public:
  DictionaryUnion();

  // The index of a value in PLAIN encoding, which is added if it is not there.
  uint32_t IndexOf(std::string_view plain);

  uint32_t size() const { return static_cast<uint32_t>(begins_.size()); }
  const parquet::Buffer& plain() const { return plain_; }
  std::string_view entry(uint32_t index) const {
    const uint32_t end =
        index + 1 < size() ? begins_[index + 1] : static_cast<uint32_t>(plain_.size());
    return {reinterpret_cast<const char*>(plain_.data()) + begins_[index], end - begins_[index]};
  }

 private:
  void Grow();

  parquet::Buffer plain_;
  std::vector<uint32_t> begins_;
  std::vector<uint64_t> hashes_;  // by index
  std::vector<uint32_t> table_;   // indices + 1, open addressing
};

}  // namespace varve::merge
