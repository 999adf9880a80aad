#include "merge/dictionary_union.h"

#include <cstring>
#include <functional>

namespace varve::merge {

namespace {
constexpr size_t kTableBegin = 256;  // a power of two
}

DictionaryUnion::DictionaryUnion() : table_(kTableBegin) {}

void DictionaryUnion::Grow() {
  std::vector<uint32_t> wider(table_.size() * 4);
  for (uint32_t i = 0; i < hashes_.size(); ++i) {
    size_t at = hashes_[i] & (wider.size() - 1);
    while (wider[at] != 0) at = (at + 1) & (wider.size() - 1);
    wider[at] = i + 1;
  }
  table_ = std::move(wider);
}

uint32_t DictionaryUnion::IndexOf(std::string_view plain) {
  uint64_t hash = std::hash<std::string_view>()(plain);
  size_t at = hash & (table_.size() - 1);
  for (; table_[at] != 0; at = (at + 1) & (table_.size() - 1)) {
    const uint32_t index = table_[at] - 1;
    if (hashes_[index] == hash && entry(index) == plain) return index;
  }
  const uint32_t index = size();
  begins_.push_back(static_cast<uint32_t>(plain_.size()));
  hashes_.push_back(hash);
  plain_.Append(plain.data(), plain.size());
  table_[at] = index + 1;
  if (hashes_.size() * 2 > table_.size()) Grow();
  return index;
}

}  // namespace varve::merge
